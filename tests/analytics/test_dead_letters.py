"""One odd record never stops the worker: it becomes a dead letter. Real engine, real stream."""

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from django.core.management import CommandError, call_command
from django.test import Client
from pynamodb.exceptions import QueryError

from analytics_app.management.commands import run_worker
from analytics_app.statistics import queries, updates
from analytics_app.streams import adoption, dispatch
from sessions_app import study
from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.audit.log import SYSTEM, Actor
from sessions_app.domain.models import (
    AuditEntry,
    AuditSeal,
    DeadLetter,
    DirectoryEntry,
    InvalidField,
    Item,
)
from sessions_app.domain.session import abandoned
from sessions_app.domain.session.record import SessionUnreadable
from sessions_app.domain.store import keys
from sessions_app.domain.store.transactions import Busy
from sessions_app.domain.stream_worker import dead_letters
from sessions_app.domain.stream_worker import status as worker_status
from support.cast import signed_in
from tests.analytics import cohort

CELL = keys.Condition.from_code("L1-I1-D")
POISON = {"PK": {"S": "SESSION#a b"}, "SK": {"S": "METADATA"}, "entity_type": {"S": "session"}}


@pytest.fixture
def table(own_table: str) -> str:
    """These tests follow the table's stream: it must hold nothing of others."""
    dispatch.LETTERS.read_at = float("-inf")
    worker_status.forget()
    return own_table


@pytest.fixture
def put(table: str, dynamodb: Any) -> Callable[[dict[str, Any]], None]:
    """Writes as another client does, past the models."""
    return lambda item: dynamodb.put_item(TableName=table, Item=item)


@pytest.fixture
def remove(table: str, dynamodb: Any) -> Callable[[dict[str, Any]], None]:
    return lambda item: dynamodb.delete_item(TableName=table, Key={"PK": item["PK"], "SK": item["SK"]})


def follow(table: str) -> dispatch.Poller:
    """Read the table's stream to its present end."""
    client = boto3.client("dynamodb", region_name="us-east-1")
    arn = dispatch.stream_of(client, table)
    poller = dispatch.Poller(dispatch.connect(region="us-east-1"), arn, take=adoption.take)
    while poller.poll():
        pass
    return poller


def letters() -> list[tuple[str, str]]:
    return [(letter.duty, letter.record_pk) for letter in dead_letters.open_letters()]


def sessions_counted() -> int:
    return queries.condition_figures(CELL).sessions


def raw(item: Item) -> dict[str, Any]:
    return item.serialize()


# --- the statistics go on


def test_a_poison_session_becomes_a_letter_and_later_ones_are_counted(table: str, put: Any) -> None:
    put(POISON)
    cohort.store(cohort.session())
    follow(table)
    assert letters() == [("statistics", "SESSION#a b")]
    assert sessions_counted() == 1


def test_a_poison_session_that_is_deleted_again_clears_its_letter(table: str, put: Any, remove: Any) -> None:
    put(POISON)
    follow(table)
    remove(POISON)
    cohort.store(cohort.session())
    follow(table)
    assert letters() == []
    assert sessions_counted() == 1


def test_a_poison_session_that_is_gone_before_it_is_read_leaves_no_letter(
    table: str, put: Any, remove: Any
) -> None:
    put(POISON)
    remove(POISON)
    cohort.store(cohort.session())
    follow(table)
    assert (letters(), sessions_counted()) == ([], 1)


def test_a_record_mended_later_is_counted_by_its_stream_event(table: str, put: Any) -> None:
    made = cohort.session()
    broken = {name: value for name, value in raw(made).items() if name != "experimental_condition"}
    put(broken)
    follow(table)
    assert letters() == [("statistics", made.PK)]
    put(raw(made))
    follow(table)
    assert (letters(), sessions_counted()) == ([], 1)


def test_any_change_of_a_partition_with_a_letter_is_another_try(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = cohort.whole()
    cohort.store(*items)
    with monkeypatch.context() as broken:
        broken.setattr(updates, "apply", lambda session_id, **_: 1 / 0)
        follow(table)
    assert letters() == [("statistics", items[0].PK)]
    delivery = next(item for item in items if item.SK == keys.CONTENT_DELIVERY)
    metadata: Any = type(delivery).metadata
    delivery.update(actions=[metadata.updated_at.set(cohort.NOON + timedelta(hours=1))])
    follow(table)
    assert (letters(), sessions_counted()) == ([], 1)


def test_a_table_that_is_away_makes_no_letter(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort.store(cohort.session())

    def away(*_: Any, **__: Any) -> bool:
        raise QueryError("away", EndpointConnectionError(endpoint_url="x"))

    with monkeypatch.context() as broken:
        broken.setattr(updates, "apply", away)
        with pytest.raises(QueryError):
            follow(table)
    assert letters() == []
    follow(table)
    assert sessions_counted() == 1


def test_a_condition_that_does_not_add_up_stops_no_other(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, good = cohort.session(), cohort.session("L2-I1-D")
    cohort.store(stuck, good)
    real = updates.apply

    def apply(session_id: str, **rest: Any) -> bool:
        if session_id == stuck.session_id:
            raise Busy("kept moving")
        return real(session_id, **rest)

    with monkeypatch.context() as broken:
        broken.setattr(updates, "apply", apply)
        follow(table)
        assert letters() == [("statistics", stuck.PK)]
        assert queries.condition_figures(good.condition).sessions == 1
    assert dispatch.retry_due(study.now()) == 0  # not yet
    assert dispatch.retry_due(study.now() + timedelta(minutes=2)) == 1
    assert (letters(), sessions_counted()) == ([], 1)


@pytest.mark.parametrize("state", ["running", "completed"])
def test_a_session_deleted_by_another_client_is_counted_no_longer(table: str, state: str) -> None:
    """The contribution of a running session has empty maps, which the local engine streams without type."""
    items = cohort.whole() if state == "completed" else [cohort.session()]
    cohort.store(*items)
    follow(table)
    assert sessions_counted() == 1
    cohort.erase(items[0].session_id)
    follow(table)
    assert sessions_counted() == 0
    assert letters() == []
    assert list(Item.query(keys.counted(CELL))) == []


# --- the other duties


def test_one_bad_entry_of_the_audit_log_holds_up_no_other(table: str, put: Any) -> None:
    audit_log.record("sign_in", by=SYSTEM, now=study.now())
    put({"PK": {"S": "AUDIT#someday"}, "SK": {"S": "x"}, "entity_type": {"S": "audit_entry"}})
    follow(table)
    (entry,) = [item for item in AuditEntry.on_day(study.now().date()) if isinstance(item, AuditEntry)]
    assert list(AuditSeal.of([entry])) == [entry.SK]
    assert letters() == [("sealing", "AUDIT#someday")]


def test_a_record_that_a_follower_cannot_take_is_passed_over_alone(table: str) -> None:
    good, bad = cohort.session(), cohort.session()
    cohort.store(good, bad)
    taken = []

    def take(records: list[dict[str, Any]], shard_id: str) -> None:
        if any(record["dynamodb"]["Keys"]["PK"]["S"] == bad.PK for record in records):
            raise KeyError("odd")
        taken.extend(record["dynamodb"]["Keys"]["PK"]["S"] for record in records)

    client = boto3.client("dynamodb", region_name="us-east-1")
    arn = dispatch.stream_of(client, table)
    poller = dispatch.Poller(dispatch.connect(region="us-east-1"), arn, worker="lake", take=take)
    while poller.poll():
        pass
    assert good.PK in taken
    assert letters() == [("lake", bad.PK)]


def test_a_session_that_cannot_be_closed_holds_up_no_other(
    table: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ABANDON_AFTER_HOURS = 24
    odd, plain = cohort.session(), cohort.session()
    cohort.store(odd, plain)
    real = abandoned.close

    def close(session_id: str, **rest: Any) -> bool:
        return bool(1 / 0) if session_id == odd.session_id else real(session_id, **rest)

    monkeypatch.setattr(abandoned, "close", close)
    monkeypatch.setattr(study, "now", lambda: cohort.NOON + timedelta(days=3))
    assert run_worker.LeftBehind().step() is True
    assert letters() == [("abandoned", odd.PK)]


def profile(**changes: Any) -> dict[str, Any]:
    told = {"age": {"N": "16"}, "grade_level": {"N": "10"}, "school": {"S": "Foreign High"}}
    demographics = {**told, "richmond_resident": {"BOOL": True}, **changes}
    return {
        "PK": {"S": "STUDENT#6bf46c69"},
        "SK": {"S": "PROFILE"},
        "entity_type": {"S": "student_profile"},
        "student_id": {"S": "6bf46c69"},
        "demographics": {"M": {name: value for name, value in demographics.items() if value}},
        "consent_data": {"M": {"parent_consent": {"BOOL": True}, "student_assent": {"BOOL": True}}},
        "metadata": {"M": {"created_at": {"S": "2026-11-30T07:30:14Z"}}},
    }


def test_a_student_that_another_client_enrolled_is_listed(table: str, put: Any) -> None:
    put(profile())
    follow(table)
    (entry,) = [item for item in DirectoryEntry.all() if isinstance(item, DirectoryEntry)]
    assert entry.student_id == "6bf46c69"
    assert letters() == []
    assert follow(table).poll() == 0  # what was built is not adopted again


def test_a_student_that_cannot_be_adopted_is_named_until_the_profile_is_mended(table: str, put: Any) -> None:
    put(profile(age=None))
    follow(table)
    (letter,) = dead_letters.open_letters()
    assert (letter.duty, letter.reason) == ("adoption", "demographics.age cannot be read")
    put(profile())
    follow(table)
    assert letters() == []


# --- letters


def test_a_letter_holds_the_key_and_the_reason_and_no_contents(table: str) -> None:
    error = InvalidField("student_metadata.age", "must be a number, not 'my secret'")
    for minutes in (0, 1):
        now = cohort.NOON + timedelta(minutes=minutes)
        dead_letters.write("statistics", "SESSION#s", "METADATA", error, now=now)
    (letter,) = dead_letters.open_letters()
    assert letter.reason == "student_metadata.age cannot be read (InvalidField)"
    assert (letter.first_at, letter.last_at, letter.tries) == (cohort.NOON, now, 2)
    assert letter.retry_at == now + timedelta(minutes=2)
    assert "secret" not in str(raw(letter))


def test_a_dismissed_letter_opens_again_for_another_reason_only(table: str) -> None:
    def fail(error: Exception) -> None:
        dead_letters.write("statistics", "SESSION#s", "METADATA", error, now=cohort.NOON)

    fail(KeyError("x"))
    (letter,) = dead_letters.open_letters()
    with pytest.raises(InvalidField):
        dead_letters.dismiss(letter, reason=" ", by=SYSTEM, now=cohort.NOON)
    dead_letters.dismiss(letter, reason="a test of another client", by=SYSTEM, now=cohort.NOON)
    fail(KeyError("y"))
    assert dead_letters.open_letters() == []
    fail(TypeError("z"))
    assert len(dead_letters.open_letters()) == 1


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "Query"), True),
        (ClientError({"Error": {"Code": "ValidationException"}}, "Query"), False),
        (EndpointConnectionError(endpoint_url="x"), True),
        (QueryError("away"), True),
        (DeadLetter.DoesNotExist(), False),
        (TimeoutError(), True),
        (KeyError("x"), False),
        (keys.BadKey("x"), False),
    ],
)
def test_only_what_waiting_mends_is_waited_for(error: Exception, transient: bool) -> None:
    assert dead_letters.is_transient(error) is transient


def test_letters_of_records_that_are_gone_are_forgotten(table: str, put: Any) -> None:
    put(POISON)
    for pk, sk in (("SESSION#a b", "METADATA"), ("QUEUE#grading", "2026-01-01T00:00:00Z#erased#final")):
        dead_letters.write("grading", pk, sk, KeyError("x"), now=cohort.NOON)
    assert dead_letters.forget_gone() == 1
    assert letters() == [("grading", "SESSION#a b")]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            SessionUnreadable("timeline.session_start is 'my secret', not a time"),
            "timeline.session_start cannot be read",
        ),
        (SessionUnreadable("L1-I4-D (7.5 minutes) is no condition"), "experimental_condition cannot be read"),
        (keys.BadKey("'my secret' is no id"), "an id, a code or a time cannot be used in a key (BadKey)"),
        (KeyError("my secret"), "KeyError"),
        (updates.Unreadable("s", "KeyError"), "KeyError"),
    ],
)
def test_a_reason_names_the_place_and_no_value(error: Exception, reason: str) -> None:
    assert dead_letters.describe(error) == reason


# --- what is seen of it


def beat(**states: Any) -> run_worker.Pulse:
    duty = run_worker.Statistics()
    duty.poller = dispatch.Poller(client=None, arn="")
    duty.poller.as_of = study.now()
    pulse = run_worker.Pulse({"statistics": duty})
    pulse.note("statistics", states.get("error"))
    pulse.step()
    return pulse


def status() -> tuple[str, bool]:
    told, failed = io.StringIO(), False
    try:
        call_command("worker_status", stdout=told)
    except CommandError:
        failed = True
    return told.getvalue(), failed


def test_worker_status_prints_duties_lag_and_letters(table: str) -> None:
    assert status() == (
        "no worker runs; last heartbeat never\nstatistics as of unknown (never)\ndead letters: 0\n",
        True,
    )
    beat()
    text, failed = status()
    assert not failed
    assert "statistics: last done" in text
    dead_letters.write("statistics", "SESSION#a b", "METADATA", KeyError("x"), now=study.now())
    text, failed = status()
    assert failed
    assert "  statistics: SESSION#a b / METADATA: KeyError (tries: 1)" in text


def test_a_duty_that_fails_is_told_until_it_works(table: str) -> None:
    pulse = beat(error=QueryError("away"))
    (state,) = worker_status.read(study.now()).failing
    assert (state.name, state.error) == ("statistics", "QueryError")
    pulse.note("statistics")
    pulse.next_beat = 0
    pulse.step()
    assert worker_status.read(study.now()).failing == []


def test_a_heartbeat_is_written_every_15_seconds_and_makes_no_work(table: str) -> None:
    pulse = beat()
    written = [item.beat_at for item in Item.query(keys.HEARTBEATS)]
    assert pulse.step() is False
    assert [item.beat_at for item in Item.query(keys.HEARTBEATS)] == written
    poller = follow(table)
    assert poller.poll() == 0
    assert poller.as_of is not None


@pytest.mark.django_db
def test_readyz_tells_the_numbers_when_asked_for_all(table: str) -> None:
    beat()
    dead_letters.write("statistics", "SESSION#a b", "METADATA", KeyError("x"), now=study.now())
    assert Client().get("/readyz").content == b"ready\n"
    lines = Client().get("/readyz?full").content.decode().splitlines()
    assert lines[:3] == ["ready", "workers 1", "failing_duties 0"]
    assert lines[4] == "dead_letters 1"


@pytest.mark.django_db
def test_an_administrator_tries_again_and_dismisses_with_a_reason(table: str, put: Any) -> None:
    put(POISON)
    made = cohort.session()
    cohort.store(made)
    follow(table)
    dead_letters.write("statistics", made.PK, "METADATA", Busy("x"), now=study.now())
    admin = signed_in("admin")
    page = admin.get("/system/dead-letters/").content.decode()
    assert "SESSION#a b" in page
    by_record = {letter.record_pk: letter.SK for letter in dead_letters.open_letters()}
    for key in by_record.values():
        assert admin.post("/system/dead-letters/retry/", {"key": key}).status_code == 302
    assert letters() == [("statistics", "SESSION#a b")]
    address, key = "/system/dead-letters/dismiss/", by_record["SESSION#a b"]
    admin.post(address, {"key": key, "reason": ""})
    assert len(letters()) == 1
    admin.post(address, {"key": key, "reason": "a typing error of the office"})
    assert letters() == []
    assert "a typing error of the office" in admin.get("/system/dead-letters/").content.decode()
    done = [item.action for item in AuditEntry.on_day(study.now().date()) if isinstance(item, AuditEntry)]
    assert (done.count("dead_letter.retry"), done.count("dead_letter.dismiss")) == (2, 1)
    assert admin.post("/system/dead-letters/retry/", {"key": "nothing"}).status_code == 404


@pytest.mark.django_db
def test_dashboards_tell_how_old_their_figures_are(table: str) -> None:
    beat()
    dead_letters.write("statistics", "SESSION#a b", "METADATA", KeyError("x"), now=study.now())
    page = " ".join(signed_in("researcher").get("/dashboards/conditions/").content.decode().split())
    assert "Figures as of" in page
    assert "1 session could not be read and is left out of the figures." in page
    assert 'href="/sessions/">The list of sessions names them' in page
    assert "/system/dead-letters/" not in page


@pytest.mark.django_db
def test_dashboards_count_what_is_in_no_figure_also_when_it_was_dismissed(table: str) -> None:
    now = study.now()
    dead_letters.write("statistics", "SESSION#a b", "METADATA", KeyError("x"), now=now)
    dead_letters.write("grading", "SESSION#c", "GRADING#final", KeyError("x"), now=now)
    (dismissed,) = (letter for letter in dead_letters.letters() if letter.duty == "statistics")
    by = Actor("ada", "admin")
    dead_letters.dismiss(dismissed, by=by, now=now, reason="a test of the office")
    status = worker_status.read(now)
    assert (status.letters, status.left_out) == (1, 1)
    worker_status.forget()
    page = " ".join(signed_in("admin").get("/dashboards/conditions/").content.decode().split())
    assert "1 session could not be read and is left out of the figures." in page
    assert "1 record could not be processed." in page
