"""Erasing: nothing of the student is left in the table but a tombstone and the log of what staff did."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from analytics_app.statistics import rebuild, updates
from sessions_app import study
from sessions_app.domain import models
from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.audit import seals, verification
from sessions_app.domain.consent.agreement import ConsentNotInForce
from sessions_app.domain.grading import automated as automated_scoring
from sessions_app.domain.models import (
    AuditEntry,
    AuditHead,
    ErasureTask,
    GradingTask,
    Item,
    Student,
    Tombstone,
)
from sessions_app.domain.models.audit import Unchangeable
from sessions_app.domain.models.statistics import CountedStudent
from sessions_app.domain.participants import enrolment, erasure
from sessions_app.domain.session import start as session_start
from sessions_app.domain.session import survey as session_survey
from sessions_app.domain.session.record import Run, SessionNotFound
from sessions_app.domain.session.start import StudentNotFound
from sessions_app.domain.store import keys
from sessions_app.domain.store import table as tables
from sessions_app.domain.tutor.scripted import ScriptedTutor
from socratic_site.local.dynamodb_local import REGION
from tests.domain.cast import ADMIN, NOON, PACKAGE, Participant, at_once, enrol, start, start_beside, start_in

Everything = Callable[[], list[dict[str, Any]]]
LATER = NOON + timedelta(hours=2)
SECRET_SCHOOL = "Zinnia Ridge Academy"
SECRET_ANSWER = "quokkas built the waterwheels by moonlight"


def erase(student_id: str, **changes: Any) -> Tombstone:
    told: dict[str, Any] = {"by": ADMIN, "reason": "asked to", "now": LATER, "wait": lambda _: None}
    return erasure.erase(student_id, **{**told, **changes})


def somebody(school: str = "Fall Line High School") -> Student:
    told = {"age": 16, "grade_level": 10, "school": school, "richmond_resident": True}
    return enrol(demographics=told)


def grade_all() -> None:
    for task in [each for each in Item.query(keys.GRADING_QUEUE) if isinstance(each, GradingTask)]:
        automated_scoring.work(task, package=PACKAGE, tutor=ScriptedTutor(), now=LATER)


def left_of(everything: Everything, *needles: str) -> set[str]:
    """The kinds of items that still hold any of these texts."""
    return {
        str(item["entity_type"]) for item in everything() if any(needle in str(item) for needle in needles)
    }


def test_nothing_is_left_of_a_student_but_the_tombstone_and_the_log(
    table: str, everything: Everything, raw: Any
) -> None:
    student, other = somebody(SECRET_SCHOOL), somebody()
    done = Participant(start_in("L4-I3-D", student))
    while done.run.step is not None:
        if done.run.step.stage.kind == "questions":
            segment, number = done.run.step.stage.segment or 0, done.run.step.number
            done.question(segment, number)
            done.answer_question(segment, number, SECRET_ANSWER)
        else:
            done.take_step()
    running = start(student, now=NOON + timedelta(hours=1))
    stays = Participant(start_in("L4-I3-D", other)).walk().run
    grade_all()
    for run in (done.run, running, stays):
        updates.apply(run.id, now=LATER)
    raw.put_item(Item={"PK": f"SESSION#{running.id}", "SK": "FOREIGN", "entity_type": "of others", "x": "y"})

    tombstone = erase(student.student_id)
    for run in (done.run, running):  # as the worker does
        updates.apply(run.id, now=LATER)

    needles = (student.student_id, done.run.id, running.id, str(student.student_code), SECRET_ANSWER)
    assert left_of(everything, *needles) == {"audit_entry", "tombstone", "erasure_task"}
    assert left_of(everything, SECRET_SCHOOL) == {"school"}  # a school is no person
    assert (tombstone.state, tombstone.sessions) == ("erased", 2)
    assert tombstone.items > 15
    assert Run.load(stays.id).session.state == "completed"


def test_statistics_follow_by_what_the_stream_tells(table: str) -> None:
    one, other = somebody(), somebody()
    gone = Participant(start_in("L4-I3-S", one)).walk().run
    stays = Participant(start_in("L4-I3-S", other)).walk().run
    grade_all()
    for run in (gone, stays):
        updates.apply(run.id, now=LATER)
    erase(one.student_id)
    updates.apply(gone.id, now=LATER)
    tallies = [t for t in Item.query(keys.counted(gone.session.condition)) if isinstance(t, CountedStudent)]
    assert [tally.student_id for tally in tallies] == [other.student_id]
    cell = rebuild.read(gone.session.condition, [stays.id], lambda: None)
    assert list(rebuild.differences(cell)) == []


def test_an_erasure_under_a_running_session_wins(table: str, everything: Everything) -> None:
    """Race: two sessions answer while everything goes; nothing is stored behind the eraser's back."""
    student = somebody()
    participants = [Participant(start_beside(student, now=NOON + timedelta(minutes=n))) for n in range(2)]

    def act(number: int) -> Any:
        if number == 2:
            return erase(student.student_id)
        for item in range(1, 11):
            participants[number].answer_item("baseline", item)
        return "finished"

    *others, tombstone = at_once(3, act)
    assert isinstance(tombstone, Tombstone)
    refusals = (ConsentNotInForce, SessionNotFound)
    assert all(other == "finished" or isinstance(other, refusals) for other in others), others
    ids = [participant.run.id for participant in participants]
    # The tombstone keeps the random ids: addresses of erased sessions answer 410.
    assert left_of(everything, *ids) <= {"audit_entry", "erasure_task", "tombstone"}


def test_two_erasers_at_once_leave_one_tombstone_that_counts_once(table: str) -> None:
    student = somebody()
    start(student)
    told = at_once(3, lambda _: erase(student.student_id))
    assert all(isinstance(each, Tombstone) for each in told), told
    assert [(each.state, each.sessions) for each in Tombstone.all()] == [("erased", 1)]


def test_an_erasure_broken_off_goes_on_where_it_was(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    student = somebody()
    runs = [start_beside(student, now=NOON + timedelta(minutes=n)) for n in range(3)]
    real, gone = erasure._erase_session, []

    def breaks(task: ErasureTask, session_id: str) -> None:
        if gone:
            raise ConnectionError
        gone.append(session_id)
        real(task, session_id)

    monkeypatch.setattr(erasure, "_erase_session", breaks)
    with pytest.raises(ConnectionError):
        erase(student.student_id)
    monkeypatch.undo()
    half = Tombstone.of_student(student.student_id)
    assert half is not None
    assert (half.state, half.sessions) == ("erasing", 1)
    assert erase(student.student_id).sessions == 3
    for run in runs:
        with pytest.raises(SessionNotFound):
            Run.load(run.id)


def test_an_index_that_lags_is_waited_for_and_told(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    student = somebody()
    start(student)
    real, waited = erasure._sessions, list[float]()
    monkeypatch.setattr(erasure, "_sessions", lambda student_id: real(student_id) if len(waited) >= 3 else [])
    assert erase(student.student_id, wait=waited.append).sessions == 1
    assert waited == [1, 1, 1]


def test_an_index_that_never_shows_a_session_is_no_success(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = somebody()
    start(student)
    monkeypatch.setattr(erasure, "_sessions", lambda _: [])
    with pytest.raises(erasure.NotAllFound, match="1 of 1 sessions"):
        erase(student.student_id)
    assert Student.by_id(student.student_id).consent_data.state == "withdrawn"


def test_erased_once_it_stays_erased(table: str, everything: Everything) -> None:
    student = somebody()
    erase(student.student_id)
    once = everything()
    assert erase(student.student_id).state == "erased"
    assert everything() == once
    with pytest.raises(enrolment.Erased):
        enrol(student_id=student.student_id)
    assert everything() == once


def test_exports_made_meanwhile_are_listed_for_destruction(table: str) -> None:
    student = somebody()
    audit_log.record("export", by=ADMIN, now=NOON - timedelta(days=30), subject="before.csv")
    audit_log.record("export", by=ADMIN, now=NOON, subject="consent.csv")
    assert erase(student.student_id).exports == ["2026-03-03T17:00:00Z consent.csv by admin"]


def test_the_log_names_who_erased_and_keeps_no_reason(table: str, everything: Everything) -> None:
    student = somebody()
    erase(student.student_id, reason="Zora's mother called")
    written = [entry for entry in AuditEntry.on_day(LATER.date()) if isinstance(entry, AuditEntry)]
    assert {entry.action for entry in written} == {"consent.withdraw", "student.erase"}
    assert {entry.by for entry in written} == {"admin"}
    assert left_of(everything, "Zora") == set()


def test_reasons_go_with_the_student_and_the_sealed_log_stays_whole(
    table: str, everything: Everything
) -> None:
    student, other = somebody(), somebody()
    for each in (student, other):
        session_survey.stop(start(each), by=ADMIN, now=NOON, reason=f"Zora hit {each.student_code}")
    override = session_start.Override(
        condition=keys.Condition.from_code("L4-I1-S"), reason="Zora asked for it"
    )
    start(student, now=NOON + timedelta(minutes=9), override=override, by=ADMIN)
    days = [NOON.date() - timedelta(days=3), NOON.date()]
    seals.sweep(days, now=LATER)

    erase(student.student_id)

    assert left_of(everything, "Zora") == {"audit_reason"}  # that of the other student
    assert left_of(everything, f"Zora hit {student.student_code}", "asked for it") == set()
    seals.sweep(days, now=LATER)
    assert list(verification.Walk(head=AuditHead.read()).faults(days)) == []


def test_nobody_is_erased_who_was_never_there(table: str, everything: Everything) -> None:
    for unknown in ("nobody", "no key!"):
        with pytest.raises(StudentNotFound):
            erase(unknown)
    assert everything() == []


# --- the command


def test_the_command_erases_by_code_and_names_the_exports(table: str) -> None:
    student = somebody()
    audit_log.record("export", by=ADMIN, now=NOON, subject="consent.csv")
    said = io.StringIO()
    call_command("erase_student", str(student.student_code), reason="a letter came", stdout=said)
    assert "erased: 0 sessions" in said.getvalue()
    assert "to be destroyed by hand: 2026-03-03T17:00:00Z consent.csv by admin" in said.getvalue()
    with pytest.raises(Student.DoesNotExist):
        Student.by_id(student.student_id)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["nobody-knows-1"], "--reason is missing"), (["nobody-knows-1", "--reason", "x"], "StudentNotFound")],
)
def test_the_command_names_what_is_wrong_and_changes_nothing(
    table: str, everything: Everything, arguments: list[str], told: str
) -> None:
    with pytest.raises(CommandError, match=told):
        call_command("erase_student", *arguments)
    assert everything() == []


def test_a_restored_table_forgets_again_whom_the_newer_one_erased(
    own_table: str, dynamodb: Any, settings: Any
) -> None:
    """The table as a backup had it, beside the newer one that holds the tombstone."""
    student = somebody()
    run = start(student)
    backup = dynamodb.scan(TableName=own_table)["Items"]
    erase(student.student_id)
    restored = f"{own_table}-restored"
    tables.create(dynamodb, name=restored)
    try:
        for item in backup:
            dynamodb.put_item(TableName=restored, Item=item)
        settings.SOCRATIC_TABLE = restored
        models.configure(table_name=restored, region=REGION)
        assert Student.by_id(student.student_id).has_consent()
        said = io.StringIO()
        call_command("erase_student", replay=True, tombstones_of=own_table, stdout=said)
        assert "1 tombstones replayed" in said.getvalue()
        with pytest.raises(SessionNotFound):
            Run.load(run.id)
        assert [(each.student_id, each.state) for each in Tombstone.all()] == [(student.student_id, "erased")]
    finally:
        models.configure(table_name=own_table, region=REGION)
        dynamodb.delete_table(TableName=restored)


def test_tombstones_of_a_table_that_is_not_there_are_a_clear_error(table: str) -> None:
    with pytest.raises(CommandError, match="cannot be read: ResourceNotFoundException"):
        call_command("erase_student", replay=True, tombstones_of="NoSuchTable")


# --- the end of the study


def test_everybody_goes_once_the_last_day_has_passed(table: str, settings: Any) -> None:
    students = [somebody(), somebody()]
    settings.RETENTION_UNTIL = study.today() - timedelta(days=1)
    call_command("erase_student", expired=True, reason="the study is over", stdout=io.StringIO())
    assert {told.student_id for told in Tombstone.all()} == {student.student_id for student in students}
    assert [told.state for told in Tombstone.all()] == ["erased", "erased"]


@pytest.mark.parametrize("until", [lambda: None, study.today])  # a day may end while the tests run
def test_nobody_goes_before_that(table: str, settings: Any, until: Any) -> None:
    student = somebody()
    settings.RETENTION_UNTIL = until()
    with pytest.raises(CommandError, match="it has not passed"):
        call_command("erase_student", expired=True, reason="too early")
    assert Student.by_id(student.student_id).has_consent()


def test_a_day_that_has_passed_is_warned_of(settings: Any) -> None:
    settings.RETENTION_UNTIL = study.today() - timedelta(days=1)
    assert [told.id for told in study.check_retention(app_configs=None)] == ["sessions_app.W001"]
    settings.RETENTION_UNTIL = study.today()
    assert study.check_retention(app_configs=None) == []


def test_nothing_of_the_audit_log_is_ever_erased(table: str, everything: Everything) -> None:
    student = enrol()
    log = [item for item in everything() if item["PK"].startswith("AUDIT#")]
    assert len(log) == 1
    with pytest.raises(Unchangeable):
        erasure._delete(log[0]["PK"], log[0]["SK"])
    erase(student.student_id)
    assert log[0] in everything()
