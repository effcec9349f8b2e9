"""Withdrawing: nothing is collected or scored from the next request on, whoever was under way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sessions_app.domain.consent.agreement import ConsentNotInForce
from sessions_app.domain.grading import automated as automated_scoring
from sessions_app.domain.models import DirectoryEntry, GradingTask, Item, Student
from sessions_app.domain.participants.withdrawal import withdraw
from sessions_app.domain.session import dialogue
from sessions_app.domain.session.record import Run, SessionClosed
from sessions_app.domain.session.start import StudentNotFound
from sessions_app.domain.store import keys
from sessions_app.domain.tutor.scripted import ScriptedTutor
from tests.domain.cast import (
    FACILITATOR,
    NOON,
    PACKAGE,
    Participant,
    at_once,
    consent_events,
    enrol,
    start,
    start_beside,
    start_in,
)

Items = Callable[..., list[dict[str, Any]]]
LATER = NOON + timedelta(hours=1)


class Unasked(ScriptedTutor):
    """A model that must not hear of the student any more."""

    def ask(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("the tutor was asked")

    grade = rate = ask


def leave(student_id: str, *, keep: bool = True, **changes: Any) -> Student:
    told: dict[str, Any] = {"keep": keep, "by": FACILITATOR, "reason": "moves away", "now": LATER}
    return withdraw(student_id, **{**told, **changes})


def test_the_profile_the_list_and_the_history_tell_it(table: str, stored: Items) -> None:
    student = enrol()
    leave(student.student_id)
    profile = Student.by_id(student.student_id)
    assert (profile.consent_data.state, profile.consent_data.withdrawn_at) == ("withdrawn", LATER)
    assert not profile.has_consent()
    assert profile.consent_data.permission is not None  # what was given before stays on record
    assert [each.student_code for each in DirectoryEntry.in_state("withdrawn")] == [student.student_code]
    assert list(DirectoryEntry.in_state("complete")) == []
    last = consent_events(student.student_id)[-1]
    assert (last.action, last.kind, last.data_kept, last.reason) == (
        "withdrawn",
        "participation",
        True,
        "moves away",
    )
    (entry,) = stored(keys.audit_day(LATER.date()))
    assert (entry["action"], entry["old"]["state"], entry["new"]["earlier data"]) == (
        "consent.withdraw",
        "complete",
        "kept",
    )


def test_withdrawing_twice_changes_nothing(table: str, everything: Callable[[], Any]) -> None:
    student = enrol()
    leave(student.student_id)
    once = everything()
    leave(student.student_id, keep=False, now=LATER + timedelta(hours=1))
    assert everything() == once


def test_two_at_once_are_told_once(table: str, everything: Callable[[], Any]) -> None:
    student = enrol()
    said = at_once(4, lambda n: leave(student.student_id, now=LATER + timedelta(seconds=n)))
    assert all(isinstance(each, Student) for each in said)
    kinds = [item["action"] for item in everything() if item["entity_type"] == "audit_entry"]
    assert kinds.count("consent.withdraw") == 1


def test_a_running_session_is_closed_as_withdrawn_and_a_complete_one_stays(table: str) -> None:
    student = enrol()
    complete = Participant(start_in("L4-I3-S", student)).walk().run
    running = start(student, now=NOON + timedelta(minutes=40))
    leave(student.student_id)
    assert Run.load(complete.id).session.state == "completed"
    after = Run.load(running.id)
    assert (after.session.state, after.step) == ("withdrawn", None)
    assert after.session.timeline.session_end == LATER


def test_the_next_answer_is_refused_even_from_a_page_that_is_open(table: str) -> None:
    participant = Participant(start(enrol()))
    participant.answer_item("baseline", 1)
    held = Run.load(participant.run.id)
    leave(held.session.student_id)
    before = Run.load(held.id).assessments["baseline"].questions
    participant.run = held
    with pytest.raises(ConsentNotInForce):
        participant.answer_item("baseline", 2)
    participant.run = Run.load(held.id)
    with pytest.raises((ConsentNotInForce, SessionClosed)):
        participant.answer_item("baseline", 2)
    assert len(Run.load(held.id).assessments["baseline"].questions) == len(before) == 1


def test_no_question_is_made_for_somebody_who_left(table: str) -> None:
    run = start_in("L4-I1-D")
    leave(run.session.student_id)
    fresh = Run.load(run.id)
    after = dialogue.prepare(fresh, segment_id=1, package=PACKAGE, tutor=Unasked(), now=LATER)
    assert after.prepared == {}


def test_waiting_answers_are_not_scored_and_no_model_reads_them(table: str) -> None:
    student = enrol()
    run = Participant(start_in("L4-I3-S", student)).walk().run
    tasks = [task for task in Item.query(keys.GRADING_QUEUE) if isinstance(task, GradingTask)]
    assert len(tasks) >= 2
    leave(student.student_id)
    assert all(automated_scoring.work(task, package=PACKAGE, tutor=Unasked(), now=LATER) for task in tasks)
    assert list(Item.query(keys.GRADING_QUEUE)) == []
    assert not any(record.is_graded for record in Run.load(run.id).assessments.values())


class LeavesMeanwhile(ScriptedTutor):
    """The family says no while the model is thinking."""

    def grade(self, *told: Any, **named: Any) -> Any:
        for student in Item.query(keys.STUDENT_DIRECTORY):
            if isinstance(student, DirectoryEntry):
                leave(student.student_id)
        return super().grade(*told, **named)


def test_a_score_that_comes_after_the_no_is_thrown_away(table: str) -> None:
    run = Participant(start_in("L4-I3-S")).walk().run
    tasks = [task for task in Item.query(keys.GRADING_QUEUE) if isinstance(task, GradingTask)]
    for task in tasks:
        automated_scoring.work(task, package=PACKAGE, tutor=LeavesMeanwhile(), now=LATER)
    baseline = next(task.what for task in tasks if task.what in ("baseline", "final"))
    assert not Run.load(run.id).assessments[baseline].is_graded
    assert list(Item.query(keys.GRADING_QUEUE)) == []


def test_a_session_under_way_collects_nothing_after_the_withdrawal_returned(table: str) -> None:
    """Race: students answer as fast as they can while the family's no is stored."""
    student = enrol()
    participants = [Participant(start_beside(student, now=NOON + timedelta(minutes=n))) for n in range(3)]

    def act(number: int) -> Any:
        if number == len(participants):
            leave(student.student_id)
            return {p.run.id: len(answers(p.run.id)) for p in participants}
        for item in range(1, 11):
            participants[number].answer_item("baseline", item)
        return "finished"

    *others, counted = at_once(len(participants) + 1, act)
    assert all(
        other == "finished" or isinstance(other, ConsentNotInForce | SessionClosed) for other in others
    )
    assert {p.run.id: len(answers(p.run.id)) for p in participants} == counted
    # What a session had reached before is closed, whatever it was doing.
    assert {Run.load(p.run.id).session.state for p in participants} == {"withdrawn"}


def answers(session_id: str) -> list[Any]:
    record = Run.load(session_id).assessments.get("baseline")
    return list(record.questions) if record else []


def test_nobody_withdraws_who_is_not_there(table: str) -> None:
    for unknown in ("nobody", "not a key!"):
        with pytest.raises(StudentNotFound):
            leave(unknown)
