"""What an erasure leaves to the worker is done, repeated until it is, and proven by looking again."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.contrib.sessions.models import Session as WebSession
from django.core.management import call_command

from analytics_app.export.pseudonyms import Coder
from analytics_app.statistics import erasures
from sessions_app import study
from sessions_app.access import web_sessions
from sessions_app.domain import export_jobs
from sessions_app.domain.models import ErasureTask, Item, Student, Tombstone
from sessions_app.domain.participants import erasure, withdrawal
from sessions_app.domain.session import abandoned, assessment, devices, question_lease
from sessions_app.domain.session import messages as session_messages
from sessions_app.domain.session import survey as session_survey
from sessions_app.domain.session.record import DifferentAnswer, Run
from sessions_app.domain.store import keys
from support.cast import signed_in
from tests.domain.cast import ADMIN, NOON, PACKAGE, Participant, enrol, new_id, spent_usd, start_in

CODE = "L4-I3-D"
LATER = NOON + timedelta(hours=30)
SECRET = "quokkas built the waterwheels"

pytestmark = pytest.mark.django_db


@pytest.fixture
def table(own_table: str) -> str:
    """These tests follow the table's stream: it must hold nothing of others."""
    return own_table


@pytest.fixture
def raw(table: str) -> Any:
    return boto3.resource("dynamodb", region_name="us-east-1").Table(table)


@pytest.fixture
def holders(raw: Any) -> Callable[..., set[str]]:
    """The kinds of items that hold any of these texts, in a key, an index key or an attribute."""

    def find(*needles: str) -> set[str]:
        items = raw.scan(ConsistentRead=True)["Items"]
        return {str(item["entity_type"]) for item in items if any(each in str(item) for each in needles)}

    return find


def erase(student: Student) -> Tombstone:
    return erasure.erase(student.student_id, by=ADMIN, reason="Zora's mother", now=LATER, wait=lambda _: None)


# --- every state that a session can be in


def begun(student: Student) -> Participant:
    return Participant(start_in(CODE, student)).walk_to("baseline/4")


def in_dialogue(student: Student) -> Participant:
    participant = Participant(start_in(CODE, student)).walk_to("questions-4/2")
    participant.prepare(4)
    question_lease.turn(
        participant.run,
        segment_id=4,
        number=2,
        awaited=True,
        maker="somebody",
        is_lost=lambda _: False,
        at=LATER.timestamp(),
    )
    return participant


def just_started(student: Student) -> Participant:
    return Participant(start_in(CODE, student))


def answers_not_graded(student: Student) -> Participant:
    return Participant(start_in(CODE, student)).walk()


def completed(student: Student) -> Participant:
    done = Participant(start_in(CODE, student)).walk()
    call_command("run_worker", once=True)
    return done


def stopped(student: Student) -> Participant:
    participant = in_dialogue(student)
    session_survey.stop(participant.run, by=ADMIN, now=LATER, reason="Zora felt ill")
    return participant


def left_behind(student: Student) -> Participant:
    participant = begun(student)
    assert abandoned.close(participant.run.id, now=LATER, after=timedelta(hours=24))
    return participant


def withdrawn(student: Student) -> Participant:
    participant = begun(student)
    withdrawal.withdraw(student.student_id, keep=True, by=ADMIN, reason="Zora said no", now=LATER)
    return participant


def void(student: Student) -> Participant:
    participant = completed(student)
    marked = {
        "at": keys.stamp(LATER),
        "by": "admin",
        "kind": "wrong_student",
        "reason": "it was Zora, not Bea",
    }
    table = boto3.resource("dynamodb", region_name="us-east-1").Table(Item.Meta.table_name)
    table.update_item(
        Key={"PK": keys.session(participant.run.id), "SK": keys.METADATA},
        UpdateExpression="SET metadata.#void = :void",
        ExpressionAttributeNames={"#void": "void"},
        ExpressionAttributeValues={":void": marked},
    )
    return participant


STATES = [
    *(just_started, begun, in_dialogue, answers_not_graded),
    *(completed, stopped, left_behind, withdrawn, void),
]


def surround(run: Run, student: Student, raw: Any) -> None:
    """Everything else that can lie in the table about a session."""
    tag = run.id[:8]
    for entity, key in {
        "spending": (keys.spending("student", student.student_id), keys.TOTAL),
        "spending ": (keys.spending("session", run.id), keys.TOTAL),
        "dead_letter": (keys.DEAD_LETTERS, f"statistics#{tag}"),
        "of others": (keys.session(run.id), "EVENT#OF#OTHERS"),
        "of others ": (keys.student(student.student_id), "NOTE"),
    }.items():
        raw.put_item(
            Item={
                "PK": key[0],
                "SK": key[1],
                "entity_type": entity.strip(),
                "record_pk": keys.session(run.id),
                "record_sk": "EVENT#OF#OTHERS",
                "duty": "statistics",
                "reason": "timeline.session_start cannot be read",
                "first_at": keys.stamp(NOON),
                "last_at": keys.stamp(NOON),
                "tries": 1,
                "note": SECRET,
            }
        )
    fresh = Run.load(run.id)
    if not fresh.is_open:
        return
    devices.hand_over(fresh, browser_id=new_id().replace("-", ""), by=ADMIN, now=LATER)
    devices.make_link(fresh, token_sha256="a" * 64, lifetime=timedelta(hours=2), by=ADMIN, now=LATER)
    session_messages.send_note(Run.load(run.id), text=SECRET, by=ADMIN, now=LATER)
    session_messages.ask_for_help(Run.load(run.id), now=LATER)
    first = Run.load(run.id)
    if first.step is None or first.step.slug == "baseline/1":
        return
    item = PACKAGE.assessment[0]
    with pytest.raises(DifferentAnswer):
        assessment.answer_item(
            first,
            kind="baseline",
            number=1,
            answer=next(option for option in item.options if option != item.correct_answer),
            submission_id=new_id(),
            package=PACKAGE,
            now=LATER,
        )


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_nothing_is_left_of_a_session_in_any_state(
    table: str, raw: Any, holders: Callable[..., set[str]], state: Callable[[Student], Participant]
) -> None:
    student, other = enrol(), enrol()
    stays = Participant(start_in(CODE, other)).walk().run
    run = state(student).run
    surround(run, student, raw)
    call_command("run_worker", once=True)
    needles = (student.student_id, run.id, str(student.student_code), SECRET, "Zora")
    counted = set() if state is void else {"counted_student", "contribution"}
    assert {*counted, "session", "dead_letter"} <= holders(*needles)

    erase(student)
    call_command("run_worker", once=True)

    assert holders(*needles) == {"audit_entry", "tombstone"}
    assert holders(SECRET, "Zora") == set()
    for counter in (("student", student.student_id), ("session", run.id)):
        assert spent_usd(*counter) == 0
    tombstone = Tombstone.of_student(student.student_id)
    assert tombstone is not None
    assert tombstone.proved_at is not None
    assert ErasureTask.of_student(student.student_id) is None
    call_command("rebuild_statistics", check=True, quiet=True)  # raises where anything differs
    assert {stays.id, other.student_id} <= {
        str(item.get("session_id", "")) for item in raw.scan()["Items"]
    } | {str(item.get("student_id", "")) for item in raw.scan()["Items"]}


def test_a_session_whose_own_record_is_gone_is_found_by_the_audit_log(
    table: str, raw: Any, holders: Callable[..., set[str]]
) -> None:
    student = enrol()
    run = completed(student).run
    raw.delete_item(Key={"PK": keys.session(run.id), "SK": keys.METADATA})
    raw.update_item(
        Key={"PK": keys.student(student.student_id), "SK": keys.PROFILE},
        UpdateExpression="SET metadata.total_sessions = :none",
        ExpressionAttributeValues={":none": 0},
    )
    erase(student)
    call_command("run_worker", once=True)
    assert holders(student.student_id, run.id) == {"audit_entry", "tombstone"}
    call_command("rebuild_statistics", check=True, quiet=True)


def test_a_contribution_that_went_without_a_trace_is_no_obstacle(
    table: str, raw: Any, holders: Callable[..., set[str]]
) -> None:
    """As erasures of an earlier version left it: the tally counts a session that nobody can take away."""
    student = enrol()
    run = begun(student).run
    call_command("run_worker", once=True)
    erase(student)
    raw.delete_item(Key={"PK": keys.session(run.id), "SK": keys.CONTRIBUTION})
    raw.delete_item(Key={"PK": keys.ERASURES, "SK": student.student_id})  # there were no tasks either
    assert "counted_student" in holders(student.student_id)
    call_command("run_worker", once=True)  # it finds the tombstone, which is not proven
    assert holders(student.student_id, run.id) == {"audit_entry", "tombstone", "erasure_task"}
    assert task_of(student).last_error is None
    call_command("rebuild_statistics", check=True, quiet=True)


def test_ids_that_contain_each_other_are_told_apart(table: str, raw: Any) -> None:
    short, long = enrol(student_id="s1"), enrol(student_id="s12")
    for name in ("s1", "s12"):
        letter = {"PK": keys.DEAD_LETTERS, "SK": name, "entity_type": "x", "record_pk": f"STUDENT#{name}"}
        raw.put_item(Item=letter)
    erase(short)
    left = raw.query(KeyConditionExpression="PK = :pk", ExpressionAttributeValues={":pk": keys.DEAD_LETTERS})[
        "Items"
    ]
    assert [item["SK"] for item in left] == ["s12"]
    assert Student.by_id(long.student_id).has_consent()


# --- what fails is kept, tried again, and shown


def task_of(student: Student) -> ErasureTask:
    found = ErasureTask.of_student(student.student_id)
    assert found is not None
    return found


def test_what_fails_is_kept_shown_and_done_again(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    student = enrol()
    begun(student)
    call_command("run_worker", once=True)
    erase(student)
    monkeypatch.setitem(erasures.STEPS, "statistics", lambda task: 1 / 0)  # type: ignore[index]

    assert not erasures.follow_up(task_of(student))

    task = task_of(student)
    assert (list(task.left), task.last_error, task.tries) == (
        ["statistics"],
        "statistics: ZeroDivisionError",
        1,
    )
    assert task.retry_at > study.now()
    for role in ("irb", "admin"):
        page = signed_in(role).get("/erasures/").content.decode()
        assert student.student_id in page
        assert "statistics: ZeroDivisionError" in page
        assert student.student_code not in page
    assert "not proven yet" in signed_in("irb").get(f"/consent/{student.student_id}/").content.decode()

    monkeypatch.undo()
    assert erasures.follow_up(task_of(student))
    assert "No open erasures" in signed_in("irb").get("/erasures/").content.decode()


def test_the_worker_goes_on_with_an_erasure_that_was_broken_off(
    table: str, monkeypatch: pytest.MonkeyPatch, holders: Callable[..., set[str]]
) -> None:
    student = enrol()
    run = begun(student).run

    def breaks(*_: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(erasure, "_erase_session", breaks)
    with pytest.raises(ConnectionError):
        erase(student)
    monkeypatch.undo()
    call_command("run_worker", once=True)
    assert holders(student.student_id, run.id) == {"audit_entry", "tombstone"}


def test_nothing_is_proven_before_a_lagging_index_could_show_it(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = enrol()
    monkeypatch.setattr(study, "now", lambda: LATER)
    erase(student)
    assert not erasures.follow_up(task_of(student))
    assert task_of(student).retry_at == LATER + erasure.SETTLES_AFTER
    monkeypatch.setattr(study, "now", lambda: LATER + erasure.SETTLES_AFTER)
    assert erasures.follow_up(task_of(student))


def test_what_a_late_writer_brings_back_is_deleted_before_the_proof(table: str, raw: Any) -> None:
    student = enrol()
    run = begun(student).run
    erase(student)
    raw.put_item(Item={"PK": keys.session(run.id), "SK": "EVENT#LATE", "entity_type": "of others"})
    assert erasures.follow_up(task_of(student))
    assert list(erasure.keys_in(keys.session(run.id))) == []


def test_a_file_that_cannot_be_deleted_keeps_the_erasure_open(
    table: str, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EXPORT_DIR = tmp_path
    student = enrol()
    begun(student)
    export_id = keys.export_id(NOON, "abc")
    filters = {"conditions": [], "levels": [], "labels": False, "simulated": False}
    export_jobs.ask(export_id=export_id, profile="coded", filters=filters, reason=None, by=ADMIN, now=NOON)
    call_command("run_worker", once=True)
    (file,) = tmp_path.glob("*.zip")
    erasure.erase(student.student_id, by=ADMIN, now=study.now())
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(PermissionError()))
    assert not erasures.follow_up(task_of(student))
    assert task_of(student).last_error == "exports: 1 files of exports could not be deleted"
    monkeypatch.setattr(Path, "unlink", unlink)
    erasures.follow_up(task_of(student))
    assert task_of(student).last_error is None
    assert not file.exists()


# --- the lake


def lake_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_whoever_is_erased_leaves_the_lake_before_the_erasure_is_proven(
    table: str, tmp_path: Path, settings: Any
) -> None:
    settings.LAKE_URL, settings.EXPORT_KEY = str(tmp_path / "lake"), "a key for tests"
    coder = Coder(b"a key for tests", "coded")
    student, other = enrol(), enrol()
    codes = [coder.code("student_id", each.student_id).encode() for each in (student, other)]
    for each in (student, other):
        completed(each)  # the worker writes the lake's lines
    call_command("compact_lake", quiet=True, stdout=io.StringIO())
    held = lake_of(tmp_path / "lake")
    assert list((tmp_path / "lake" / "surveys").rglob("*.parquet"))
    assert [held.count(code) > 0 for code in codes] == [True, True]
    erase(student)
    assert erasures.follow_up(task_of(student))
    held = lake_of(tmp_path / "lake")
    assert [held.count(code) > 0 for code in codes] == [False, True]
    assert ErasureTask.of_student(student.student_id) is None


def test_a_line_of_the_lake_that_cannot_be_read_keeps_the_erasure_open(
    table: str, tmp_path: Path, settings: Any
) -> None:
    settings.LAKE_URL, settings.EXPORT_KEY = str(tmp_path / "lake"), "a key for tests"
    student = enrol()
    completed(student)
    (broken, *_) = (tmp_path / "lake" / "surveys").rglob("*.jsonl")
    whole = broken.read_bytes()
    broken.write_bytes(b"{half\n")
    erase(student)
    assert not erasures.follow_up(task_of(student))
    assert task_of(student).left == ["lake"]
    assert "1 lines of the lake cannot be read" in str(task_of(student).last_error)
    broken.write_bytes(whole)
    assert erasures.follow_up(task_of(student))


# --- web sessions


def test_browsers_that_are_bound_to_an_erased_session_are_let_go(table: str) -> None:
    student, other = enrol(), enrol()
    bound, foreign = signed_in("facilitator"), signed_in("admin")
    run, others = start_in(CODE, student), start_in(CODE, other)
    for client, each in ((bound, run), (foreign, others)):
        assert client.post(f"/sessions/{each.id}/hand-over/", {"pin": "4711"}).status_code == 302
    assert WebSession.objects.count() == 2
    erase(student)
    call_command("run_worker", once=True)
    (left,) = WebSession.objects.all()
    assert left.get_decoded()["confined"]["session_id"] == others.id
    assert bound.get(f"/run/{run.id}/")["Location"].startswith("/login/")
    assert web_sessions.end_those_of([]) == 0
    assert Run.load(others.id).is_open
