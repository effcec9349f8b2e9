"""The audit log: what staff do is told in the transaction that does it, and a refusal tells nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pynamodb.exceptions import PutError

from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.audit import seals
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.consent.agreement import ConsentNotInForce
from sessions_app.domain.models import AuditEntry, AuditSeal, InvalidField, Item
from sessions_app.domain.models.audit import Unchangeable
from sessions_app.domain.session import start as session_start
from sessions_app.domain.session import survey as session_survey
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from sessions_app.domain.store.transactions import Busy, Transaction
from tests.domain.cast import ADMIN, FACILITATOR, NOON, enrol, new_id, reason_of, start, start_in, verified

Items = Callable[..., list[dict[str, Any]]]
Everything = Callable[[], list[dict[str, Any]]]


def entries(everything: Everything) -> list[dict[str, Any]]:
    return [item for item in everything() if item["entity_type"] == "audit_entry"]


def test_an_enrolment_is_told_with_the_forms_that_were_given(table: str, stored: Items) -> None:
    student = enrol()
    (told,) = stored(keys.audit_day((NOON - timedelta(days=3)).date()))
    assert (told["action"], told["by"], told["role"]) == ("student.enrol", "facilitator", "facilitator")
    assert told["student_id"] == student.student_id
    assert set(told["new"]) == {"parental_permission", "assent"}
    assert "Fall Line" not in str(told)


def test_a_session_set_by_hand_is_told_with_its_condition_and_reason(table: str, stored: Items) -> None:
    run = start_in("L4-I1-D")
    (told,) = stored(keys.audit_day(NOON.date()))
    assert (told["action"], told["by"], told["role"]) == ("session.start", "admin", "admin")
    assert told["session_id"] == run.id
    assert (told["new"]["condition"], told["new"]["allocation"]) == ("L4-I1-D", "override")
    assert reason_of(told) == "a test"


def test_vouching_for_a_place_is_told_with_its_reason(table: str, stored: Items) -> None:
    vouched = session_start.Verified(
        method="manual", confidence="low", override_reason="no signal", attested_by="facilitator"
    )
    start(enrol(), "on-site", verified=vouched)
    (told,) = stored(keys.audit_day(NOON.date()))
    assert (told["new"]["location_method"], reason_of(told)) == ("manual", "no signal")


def test_a_start_that_is_repeated_is_told_once(table: str, everything: Everything) -> None:
    student, session_id = enrol(), new_id()
    for _ in range(3):
        start(student, session_id=session_id)
    assert [told["action"] for told in entries(everything)].count("session.start") == 1


def test_a_start_that_is_refused_is_not_told(
    table: str, everything: Everything, withdraw: Callable[[str], None]
) -> None:
    student = enrol()
    withdraw(student.student_id)
    with pytest.raises(ConsentNotInForce):
        start(student)
    assert [told["action"] for told in entries(everything)] == ["student.enrol"]


def test_stopping_tells_the_step_and_twice_is_told_once(table: str, everything: Everything) -> None:
    run = start(enrol())
    for _ in range(2):
        session_survey.stop(run, by=ADMIN, now=NOON + timedelta(minutes=1), reason="the bus leaves")
    told = [entry for entry in entries(everything) if entry["action"] == "session.stop"]
    assert [(one["old"], one["new"], reason_of(one)) for one in told] == [
        ({"state": "running", "step": "baseline/1"}, {"state": "stopped"}, "the bus leaves")
    ]


def test_a_stop_that_comes_too_late_is_not_told(table: str, everything: Everything) -> None:
    run, other = start(enrol()), None
    other = Run.load(run.id)
    session_survey.stop(run, by=FACILITATOR, now=NOON + timedelta(minutes=1), reason="the bell rang")
    with pytest.raises(Busy):
        session_survey.stop(other, by=FACILITATOR, now=NOON + timedelta(minutes=2), reason="the bell rang")
    assert [told["action"] for told in entries(everything)].count("session.stop") == 1


def test_entries_of_one_second_are_all_kept_and_read_newest_first(table: str) -> None:
    for minute in (0, 0, 1):
        audit_log.record(
            "consent.view", by=FACILITATOR, now=NOON + timedelta(minutes=minute), student_id="s-1"
        )
    times = [told.at for told in AuditEntry.on_day(NOON.date())]
    assert times == [NOON + timedelta(minutes=1), NOON, NOON]
    assert [told.at for told in AuditEntry.about_student("s-1")] == times


def test_an_entry_is_never_written_over(table: str) -> None:
    entry = audit_log.entry("consent.view", by=FACILITATOR, now=NOON, student_id="s-1")
    audit_log.record("sign_in", by=FACILITATOR, now=NOON)
    entry.save(condition=AuditEntry.PK.does_not_exist())
    with pytest.raises(PutError):
        entry.save(condition=AuditEntry.PK.does_not_exist())


@pytest.mark.parametrize("kind", [AuditEntry, AuditSeal])
def test_nothing_of_the_log_has_a_write_but_the_first(
    table: str, everything: Everything, kind: type[AuditEntry | AuditSeal]
) -> None:
    audit_log.record("sign_in", by=FACILITATOR, now=NOON)
    seals.sweep([NOON.date()], now=NOON)
    before = everything()
    item = next(item for item in Item.query(keys.audit_day(NOON.date())) if isinstance(item, kind))
    for write in (
        item.save,
        item.delete,
        lambda: item.save(Item.PK.exists()),
        lambda: item.update(actions=[Item.GSI1PK.remove()]),
        lambda: in_transaction("delete", item),
        lambda: in_transaction("update", item, [Item.GSI1PK.remove()]),
        lambda: in_transaction("upsert", item, [Item.GSI1PK.remove()]),
    ):
        with pytest.raises(Unchangeable):
            write()
    assert everything() == before


def in_transaction(name: str, *told: Any) -> None:
    transaction = Transaction()
    getattr(transaction, name)("it", *told)
    transaction.commit()


def test_only_exports_are_in_the_index_of_exports(table: str) -> None:
    audit_log.record("export", by=ADMIN, now=NOON, subject="consent.csv", new={"rows": 3})
    audit_log.record("consent.view", by=ADMIN, now=NOON, student_id="s-1")
    assert [told.subject for told in AuditEntry.exports(NOON)] == ["consent.csv"]
    assert list(AuditEntry.exports(NOON + timedelta(seconds=1))) == []


def test_an_unknown_action_names_the_field(table: str, everything: Everything) -> None:
    with pytest.raises(InvalidField, match="action must be one of"):
        audit_log.record("look", by=FACILITATOR, now=NOON)
    assert everything() == []


def test_the_profile_is_read_without_the_log_beside_it(table: str) -> None:
    student = enrol()
    audit_log.record("consent.view", by=FACILITATOR, now=NOON, student_id=student.student_id)
    start(student, "home", choose=random.Random(2).choice, verified=verified("home"))
    kinds = [type(item).__name__ for item in student.with_sessions(student.student_id)]
    assert kinds == ["Student", "Session"]


def test_several_roles_are_told_together(table: str) -> None:
    audit_log.record("sign_in", by=Actor("mia", "facilitator+irb"), now=NOON)
    assert [told.role for told in AuditEntry.on_day(NOON.date())] == ["facilitator+irb"]
