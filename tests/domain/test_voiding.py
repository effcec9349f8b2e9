"""Void sessions: who may mark them, what goes with the mark, and what comes back without it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sessions_app.domain.audit.log import Actor
from sessions_app.domain.models import InvalidField, Session, Student
from sessions_app.domain.session import abandoned, voiding
from sessions_app.domain.session import survey as session_survey
from sessions_app.domain.session.record import Run, SessionClosed
from sessions_app.domain.store import keys
from sessions_app.domain.store.transactions import Busy

from .cast import ADMIN, FACILITATOR, NOON, Participant, at_once, enrol, reason_of, start, start_in

Items = Callable[..., list[dict[str, Any]]]
Everything = Callable[[], list[dict[str, Any]]]
RICHMOND = ZoneInfo("America/New_York")
RESEARCHER, COLLEAGUE = Actor("researcher", "researcher"), Actor("colleague", "facilitator")
LATER = NOON + timedelta(hours=2)


def void(run: Run, by: Actor = FACILITATOR, **changes: Any) -> Run:
    details: dict[str, Any] = {"kind": "wrong_student", "reason": "It was the sister.", "now": LATER}
    return voiding.void(Run.load(run.id), by=by, zone=RICHMOND, **{**details, **changes})


def unvoid(run: Run, by: Actor = FACILITATOR, **changes: Any) -> Run:
    details: dict[str, Any] = {"reason": "It was the right one after all.", "now": LATER}
    return voiding.unvoid(Run.load(run.id), by=by, zone=RICHMOND, **{**details, **changes})


def completed(student: Student | None = None) -> Run:
    return Participant(start(student or enrol())).walk().run


def counts(stored: Items) -> dict[str, int]:
    return {arm: int(n) for arm, n in stored("ALLOCATION#home", "TALLY")[0]["counts"].items() if n}


def codes(run: Run) -> list[str]:
    return list(Student.by_id(run.session.student_id).metadata.conditions_completed)


def entries(everything: Everything, action: str) -> list[dict[str, Any]]:
    return [item for item in everything() if item.get("action") == action]


def without_marks(item: dict[str, Any]) -> dict[str, Any]:
    """An item without what every change of it moves."""
    kept = {name: value for name, value in item["metadata"].items() if name not in ("version", "updated_at")}
    return item | {"metadata": kept}


# --- the mark


def test_a_mark_is_stored_with_who_when_and_why(table: str, stored: Items, everything: Everything) -> None:
    run = completed()
    void(run)
    (session,) = stored(keys.session(run.id), "METADATA")
    assert session["metadata"]["void"] == {
        "at": keys.stamp(LATER),
        "by": "facilitator",
        "kind": "wrong_student",
        "reason": "It was the sister.",
    }
    assert session["metadata"]["data_quality_flags"][-1] == "void"
    assert Run.load(run.id).session.is_void
    (entry,) = entries(everything, "session.void")
    assert (entry["by"], entry["session_id"]) == ("facilitator", run.id)
    assert reason_of(entry) == "It was the sister."
    assert entry["new"] == {"kind": "wrong_student"}


def test_what_the_session_holds_stays(table: str, stored: Items) -> None:
    run = completed()
    before = {item["SK"]: item for item in stored(keys.session(run.id))}
    void(run)
    after = {item["SK"]: item for item in stored(keys.session(run.id))}
    assert before.keys() == after.keys()
    assert [key for key in before if before[key] != after[key]] == ["METADATA"]


def test_removing_the_mark_leaves_everything_as_it_was(
    table: str, stored: Items, everything: Everything
) -> None:
    run = completed()
    (before,), tally = stored(keys.session(run.id), "METADATA"), counts(stored)
    void(run)
    unvoid(run)
    (after,) = stored(keys.session(run.id), "METADATA")
    assert without_marks(after) == without_marks(before)
    assert counts(stored) == tally
    assert codes(run) == [run.session.condition.code]
    (entry,) = entries(everything, "session.unvoid")
    assert entry["old"] == {"kind": "wrong_student"}
    assert reason_of(entry) == "It was the right one after all."


def test_marking_twice_and_removing_twice_change_nothing_more(table: str, everything: Everything) -> None:
    run = completed()
    void(run)
    before = everything()
    void(run, reason="Again.")
    assert everything() == before
    unvoid(run)
    before = everything()
    unvoid(run)
    assert everything() == before


# --- what goes with it


def test_the_place_in_the_balance_is_given_back_and_taken_again(table: str, stored: Items) -> None:
    run, other = completed(), start_in("L4-I3-S")
    assert counts(stored) == {run.session.condition.arm: 1, other.session.condition.arm: 1}
    void(run)
    assert counts(stored) == {other.session.condition.arm: 1}
    unvoid(run)
    assert counts(stored) == {run.session.condition.arm: 1, other.session.condition.arm: 1}


def test_a_place_that_was_never_counted_is_not_given_back(table: str, stored: Items) -> None:
    run, other = start_in("L4-I1-D"), start_in("L4-I1-D")
    allocation: Any = Session.allocation
    run.session.update(actions=[allocation.remove()])  # as other clients write sessions
    void(run, ADMIN)
    assert counts(stored) == {"I1-D": 2}
    void(other, ADMIN)
    assert counts(stored) == {"I1-D": 1}


def test_a_completed_condition_is_forgotten_and_remembered(table: str) -> None:
    student = enrol()
    first, second = completed(student), completed(student)
    void(first)
    assert codes(first) == [second.session.condition.code]
    assert Student.by_id(student.student_id).metadata.total_sessions == 2
    unvoid(first)
    assert set(codes(first)) == {first.session.condition.code, second.session.condition.code}


def test_an_open_session_is_stopped_and_the_student_can_start_at_once(
    table: str, stored: Items, everything: Everything
) -> None:
    run = Participant(start(enrol())).walk_to("baseline/4").run
    void(run)
    after = Run.load(run.id)
    assert not after.is_open
    assert after.session.is_void
    assert after.session.timeline.session_end == LATER
    assert len(after.assessments["baseline"].questions) == 3
    assert counts(stored) == {}
    assert [len(entries(everything, action)) for action in ("session.stop", "session.void")] == [1, 1]
    student = Student.by_id(run.session.student_id)
    assert student.metadata.open_session is None
    assert start(student).is_open


def test_a_void_session_opens_again_neither_by_staff_nor_by_a_late_answer(table: str) -> None:
    run = start(enrol())
    abandoned.close(run.id, now=NOON + timedelta(hours=30), after=timedelta(hours=24))
    assert void(run, ADMIN).session.state == "stopped"
    with pytest.raises(SessionClosed, match="void"):
        session_survey.reopen(Run.load(run.id), by=ADMIN, now=LATER, reason="a test")
    unvoid(run, ADMIN)
    assert session_survey.reopen(Run.load(run.id), by=ADMIN, now=LATER, reason="a test").is_open


@pytest.mark.parametrize("kind", ["wrong_student", "spoiled"])
def test_a_void_session_gives_the_place_back_but_never_another_arm(
    table: str, stored: Items, kind: str
) -> None:
    student = enrol()
    run = completed(student)
    arm = run.session.condition.arm
    void(run, kind=kind)
    assert counts(stored) == {}
    again = start(student, choose=None)
    assert again.session.condition == run.session.condition
    assert counts(stored) == {arm: 1}
    assert again.session.allocation.attempt == 2
    seen = (again.session.allocation.earlier_sessions, again.session.allocation.farthest_stage)
    assert seen == ((0, None) if kind == "wrong_student" else (1, "survey"))


def test_the_place_stays_while_another_session_of_the_student_counts(table: str, stored: Items) -> None:
    student = enrol()
    first, second = completed(student), completed(student)
    arm = first.session.condition.arm
    assert counts(stored) == {arm: 1}
    void(first)
    assert counts(stored) == {arm: 1}
    void(second)
    assert counts(stored) == {}
    unvoid(first)
    unvoid(second)
    assert counts(stored) == {arm: 1}


# --- who may


@pytest.mark.parametrize(
    ("by", "now", "allowed"),
    [
        (FACILITATOR, LATER, True),
        (COLLEAGUE, LATER, False),
        (FACILITATOR, datetime(2026, 3, 4, 4, 59, tzinfo=UTC), True),  # 23:59 in Richmond
        (FACILITATOR, datetime(2026, 3, 4, 5, 0, tzinfo=UTC), False),
        (RESEARCHER, LATER + timedelta(days=90), True),
        (ADMIN, LATER + timedelta(days=90), True),
        (Actor("irb", "irb"), LATER, False),
        (Actor("nobody", "none"), LATER, False),
    ],
)
def test_facilitators_mark_their_own_sessions_of_the_day(
    table: str, everything: Everything, by: Actor, now: datetime, allowed: bool
) -> None:
    run = completed()
    before = everything()
    if allowed:
        assert void(run, by, now=now).session.is_void
        return
    with pytest.raises(voiding.NotAllowed):
        void(run, by, now=now)
    assert everything() == before


def test_researchers_leave_open_sessions_alone(table: str) -> None:
    run = start(enrol())
    with pytest.raises(voiding.NotAllowed, match="still open"):
        void(run, RESEARCHER)
    assert Run.load(run.id).is_open


def test_a_facilitator_removes_only_the_own_mark(table: str) -> None:
    run = completed()
    void(run, RESEARCHER)
    with pytest.raises(voiding.NotAllowed, match="researcher marked"):
        unvoid(run)
    assert not unvoid(run, ADMIN).session.is_void


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"kind": "boring"}, "kind"),
    ],
)
@pytest.mark.parametrize("is_open", [True, False])
def test_bad_input_is_named_and_changes_nothing(
    table: str, everything: Everything, changes: dict[str, str], field: str, is_open: bool
) -> None:
    run = start(enrol()) if is_open else completed()
    before = everything()
    with pytest.raises(InvalidField) as refused:
        void(run, **changes)
    assert refused.value.field == field
    assert everything() == before


# --- at once


def test_eight_marks_at_once_are_one(table: str, stored: Items, everything: Everything) -> None:
    run, other = start_in("L4-I1-D"), start_in("L4-I1-D")
    results = at_once(8, lambda _: void(run, ADMIN))
    assert all(isinstance(result, Run | Busy) for result in results), results
    assert Run.load(run.id).session.is_void
    assert counts(stored) == {"I1-D": 1}
    assert len(entries(everything, "session.void")) == 1
    assert Run.load(other.id).is_open


def test_marks_and_starts_at_once_leave_the_balance_exact(table: str, stored: Items) -> None:
    runs, students = [start(enrol()) for _ in range(4)], [enrol() for _ in range(4)]
    results = at_once(8, lambda n: void(runs[n], ADMIN) if n < 4 else start(students[n - 4]))
    started = [result for result in results[4:] if isinstance(result, Run)]
    voided = [run for run in runs if Run.load(run.id).session.is_void]
    assert len(started) == 4, results
    assert sum(counts(stored).values()) == 8 - len(voided)
