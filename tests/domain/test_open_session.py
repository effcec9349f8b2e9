"""One open session a student: who holds, who takes over, who releases, and eight starts at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sessions_app.domain.models import Item, Session, Student
from sessions_app.domain.participants.withdrawal import withdraw
from sessions_app.domain.session import abandoned, open_session
from sessions_app.domain.session import start as session_start
from sessions_app.domain.session import survey as session_survey
from sessions_app.domain.session.open_session import AlreadyOpen
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from sessions_app.domain.store.transactions import Refused, Transaction

from .cast import FACILITATOR, NOON, Participant, at_once, enrol, new_id, start, start_beside, start_in

Items = Callable[..., list[dict[str, Any]]]
Everything = Callable[[], list[dict[str, Any]]]
LATER = NOON + timedelta(hours=30)


def profile(student: Student) -> Student:
    return Student.by_id(student.student_id)


def hold_of(student: Student) -> str | None:
    held: str | None = profile(student).metadata.open_session
    return held


def set_hold(student: Student, session_id: str | None) -> None:
    hold: Any = Student.metadata.open_session
    student.update(actions=[hold.set(session_id) if session_id else hold.remove()])


def stop(run: Run) -> Run:
    return session_survey.stop(
        Run.load(run.id), by=FACILITATOR, now=NOON + timedelta(minutes=1), reason="a test"
    )


# --- taking


def test_eight_starts_at_once_start_one_session(table: str, stored: Items, everything: Everything) -> None:
    student, ids = enrol(), [new_id() for _ in range(8)]

    def begin(number: int) -> Run:
        return start(student, session_id=ids[number], choose=random.Random(number).choice)

    results = at_once(8, begin)
    runs = [result for result in results if isinstance(result, Run)]
    assert len(runs) == 1, results
    refusals = [result for result in results if isinstance(result, AlreadyOpen)]
    assert [refusal.session.session_id for refusal in refusals] == [runs[0].id] * 7
    assert hold_of(student) == runs[0].id
    assert profile(student).metadata.total_sessions == 1
    assert sum(stored("ALLOCATION#home", "TALLY")[0]["counts"].values()) == 1
    assert [entry["session_id"] for entry in stored("ALLOCATION#home", "2026")] == [runs[0].id]
    assert [item["session_id"] for item in everything() if item["entity_type"] == "session"] == [runs[0].id]
    assert stop(runs[0]).session.state != "running"
    assert start(student).is_open


def test_a_refused_start_changes_nothing(table: str, everything: Everything) -> None:
    student = enrol()
    run = start(student)
    before = everything()
    with pytest.raises(AlreadyOpen) as refused:
        start(student)
    assert refused.value.session.session_id == run.id
    assert everything() == before


def test_a_start_sent_again_gives_back_its_session_whatever_came_after(
    table: str, everything: Everything
) -> None:
    student = enrol()
    first = start(student)
    stop(first)
    second = start(student)
    before = everything()
    assert start(student, session_id=first.id).session.state == Run.load(first.id).session.state
    assert start(student, session_id=second.id).is_open
    assert everything() == before


def test_an_open_session_without_a_hold_counts_as_one(table: str, everything: Everything) -> None:
    student = enrol()
    run = start(student)
    set_hold(student, None)  # as sessions from before, and those of other clients
    before = everything()
    with pytest.raises(AlreadyOpen) as refused:
        start(student)
    assert refused.value.session.session_id == run.id
    assert everything() == before


def test_a_session_of_another_client_counts_by_the_schemas_own_attributes(table: str) -> None:
    student = enrol()
    run = start(student)
    set_hold(student, None)
    state: Any = Session.state
    run.session.update(actions=[state.remove()])  # the schema knows no state
    with pytest.raises(AlreadyOpen):
        start(student)
    run.session.update(actions=[Session.completion_status.completed.set(True)])
    assert start(student).is_open


@pytest.mark.parametrize("named", ["no-such-session", "not a key#"])
def test_a_hold_of_nothing_is_taken_over(table: str, named: str) -> None:
    student = enrol()
    set_hold(student, named)
    assert hold_of(student) == named
    run = start(student)
    assert hold_of(student) == run.id


def test_a_hold_that_outlived_its_session_is_taken_over(table: str) -> None:
    student = enrol()
    closed = stop(start(student))
    set_hold(student, closed.id)
    run = start(student)
    assert hold_of(student) == run.id


def test_a_session_that_opens_again_meanwhile_is_not_started_beside(
    table: str, monkeypatch: pytest.MonkeyPatch, everything: Everything
) -> None:
    """Race: the profile still names a closed session, which opens between the look and the write."""
    student = enrol()
    closed = stop(start(student))
    set_hold(student, closed.id)
    real, opened = session_start.Transaction.commit, list[str]()

    def opens_first(transaction: Transaction) -> None:
        if not opened:
            opened.append(closed.id)
            closed.session.update(actions=[Session.state.set("running")])
        real(transaction)

    monkeypatch.setattr(session_start.Transaction, "commit", opens_first)
    with pytest.raises(AlreadyOpen) as refused:
        start(student)
    assert refused.value.session.session_id == closed.id
    assert len([item for item in everything() if item["entity_type"] == "session"]) == 1
    assert hold_of(student) == closed.id


def test_an_index_that_lags_starts_no_second_session(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    student = enrol()
    old = profile(student)
    run = start(student)
    monkeypatch.setattr(Student, "with_sessions", lambda _: [old])  # the index shows neither hold nor session
    with pytest.raises(AlreadyOpen) as refused:
        start(student)
    assert refused.value.session.session_id == run.id


# --- releasing


def completed(participant: Participant) -> None:
    participant.walk()


def stopped(participant: Participant) -> None:
    stop(participant.run)


def left(participant: Participant) -> None:
    assert abandoned.close(participant.run.id, now=LATER, after=timedelta(hours=24))


def withdrawn(participant: Participant) -> None:
    withdraw(participant.run.session.student_id, keep=True, by=FACILITATOR, now=LATER)


CLOSINGS = (completed, stopped, left, withdrawn)


@pytest.mark.parametrize("close", CLOSINGS)
def test_whatever_closes_a_session_releases_the_student(
    table: str, close: Callable[[Participant], None]
) -> None:
    student = enrol()
    participant = Participant(start_in("L4-I3-S", student))
    assert hold_of(student) == participant.run.id
    close(participant)
    assert not Run.load(participant.run.id).is_open
    assert hold_of(student) is None


@pytest.mark.parametrize("close", CLOSINGS[:3])
def test_the_hold_of_another_session_is_never_released(
    table: str, close: Callable[[Participant], None]
) -> None:
    student = enrol()
    participant = Participant(start_in("L4-I3-S", student))
    other = start_beside(student, "L4-I3-D")
    assert hold_of(student) == other.id
    close(participant)
    assert not Run.load(participant.run.id).is_open
    assert hold_of(student) == other.id


def test_the_write_itself_refuses_to_release_another_session(table: str) -> None:
    student = enrol()
    held, other = start(student), new_id()
    transaction = Transaction()
    transaction.update("hold", profile(student), *open_session.release(other))
    with pytest.raises(Refused):
        transaction.commit()
    assert hold_of(student) == held.id


def test_a_session_whose_student_is_gone_can_be_stopped(table: str, everything: Everything) -> None:
    student = enrol()
    run = start(student)
    student.delete()
    assert not stop(run).is_open
    assert [item for item in everything() if item["entity_type"] == "student_profile"] == []


def test_eight_starts_and_a_stop_at_once_leave_at_most_one_open(table: str) -> None:
    student = enrol()
    first = start(student)

    def act(number: int) -> Any:
        return stop(first) if number == 8 else start(student, choose=random.Random(number).choice)

    at_once(9, act)
    sessions = [item for item in Session.of_student(student.student_id) if isinstance(item, Session)]
    still_open = [session.session_id for session in sessions if session.is_open]
    assert not Run.load(first.id).is_open
    assert len(still_open) <= 1
    assert hold_of(student) == (still_open[0] if still_open else None)
    assert Item.count(keys.allocation("home")) == 1 + len(sessions)


# --- requests


def test_stopping_is_a_read_more(table: str, requests_made: list[str]) -> None:
    run = start(enrol())
    requests_made.clear()
    session_survey.stop(run, by=FACILITATOR, now=NOON, reason="a test")
    assert requests_made == ["GetItem", "TransactWriteItems"]
