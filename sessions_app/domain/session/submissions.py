"""A step as a participant sent it: stored, whatever became of its session meanwhile.

A running session takes it. One that only the clock closed takes it too, and opens again or completes. One
that staff stopped takes what was given before the stop, and stays stopped; what was given after it is kept
for staff. Only withdrawal and erasure refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pynamodb.expressions.update import Action

from ..audit import log as audit_log
from ..audit.log import SYSTEM, Actor
from ..consent.agreement import ConsentNotInForce
from ..models import Session, Student
from ..models.conflict import AFTER_END
from ..store import keys
from ..store.transactions import Busy, Refused, Transaction
from . import offline_timing, open_session
from .record import OutOfStep, Run, SessionClosed, commit, keep_conflict

MAX_TRIES: Final = 4
REOPENED: Final = "a late answer arrived"
NO_END: Final = {
    "timeline__session_end": None,
    "timeline__total_duration_seconds": None,
    "timeline__content_duration_seconds": None,
    "timeline__intervention_duration_seconds": None,
}


class KeptForStaff(Exception):
    """Given after the session had ended: kept for staff, and counted nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What was sent for a step. `question` and `text` are how it is kept where it does not count."""

    stage: str
    number: int = 1
    question: str
    text: str
    submission_id: str | None
    now: datetime
    held: offline_timing.Held | None = None


def take(run: Run, sent: Submission, *, already: Callable[[Run], bool], store: Callable[[Run], None]) -> Run:
    """Store it by `store`, which ends with `finish`, unless `already` finds it stored; the run as it is then.

    Raises OutOfStep, SessionClosed, KeptForStaff, ConsentNotInForce, Busy, and what the two raise.
    """
    was_open = run.is_open
    for _ in range(MAX_TRIES):
        if already(run):
            return run
        _admit(run, sent, was_open)
        try:
            store(run)
        except Refused as refused:
            run = Run.load(run.id)  # another tab was faster, or the session was closed at this moment
            if "hold" in refused.names:
                run.holds_student = _consenting(run).metadata.open_session == run.id
        else:
            return run
    raise Busy("another change was in the way; nothing was stored, send it again")


def _admit(run: Run, sent: Submission, was_open: bool) -> None:
    """Raises OutOfStep, SessionClosed or KeptForStaff unless this is what comes next and may be stored."""
    if not run.takes_late_answers:
        raise SessionClosed(str(run.session.state))
    if _has_ended(run) and not (was_open or _was_given_in_time(run, sent)):
        _keep(run, sent)
    step = run.next_step
    if step is None or (step.stage.name, step.number) != (sent.stage, sent.number):
        if _has_ended(run) and run.kept_after_end:
            _keep(run, sent)  # the step that it waits for is kept beside the session, and never comes
        raise OutOfStep(step)


def _has_ended(run: Run) -> bool:
    """Closed for good: by staff, or complete. What the clock closed is provisional."""
    return not run.is_open and run.session.state != "abandoned"


def _was_given_in_time(run: Run, sent: Submission) -> bool:
    """By the device's elapsed time. What comes without any was given as it arrived, so after the end."""
    end = run.session.timeline.session_end
    waited = sent.held is not None and sent.held.seconds > 0
    return waited and end is not None and offline_timing.given_at(sent.held, sent.now) <= end


def _keep(run: Run, sent: Submission) -> None:
    keep_conflict(
        run,
        step=run.step_of(sent.stage, sent.number),
        question=sent.question,
        submission_id=sent.submission_id or "unknown",
        text=sent.text,
        now=sent.now,
        kind=AFTER_END,
        held_seconds=offline_timing.held_seconds(sent.held),
    )
    raise KeptForStaff("the session had ended before this was given; it is kept for staff")


def finish(
    run: Run,
    transaction: Transaction,
    *,
    now: datetime,
    held: offline_timing.Held | None = None,
    flags: Iterable[str] = (),
    **facts: Any,
) -> None:
    """Commit what a step stores, and what it changes of its session. The run holds the step already.

    METADATA is written where the step tells something of the session, and checked otherwise: an answer and
    the closing of its session, both at once, come one after the other. Raises Refused, ConsentNotInForce.
    """
    state = str(run.session.state)
    unchanged = run.unchanged_session()
    flags = [*flags, *offline_timing.skew_flags(held)]
    if state == "stopped":
        facts |= run.ending(run.session.timeline.session_end or run.last_given)
        flags += offline_timing.flags(held)
        _student(transaction, run, now)
    elif state == "abandoned":
        _open_if_free(run, transaction, facts, flags, now)
    elif run.next_step is None:
        _complete(run, transaction, facts, flags, now)
    else:
        _student(transaction, run, now)
    if facts or flags:
        transaction.update("session", run.session, run.stage_done(now=now, flags=flags, **facts), unchanged)
    else:
        transaction.check("session", Session, run.session.PK, keys.METADATA, _same_state(run))
    commit(transaction)


def _open_if_free(
    run: Run, transaction: Transaction, facts: dict[str, Any], flags: list[str], now: datetime
) -> None:
    """By a late answer. Beside another open session of the student it stays closed, until it is whole."""
    flags.append("late_sync")
    try:
        open_again(run, transaction, facts, flags, now)
    except open_session.AlreadyOpen:
        facts |= run.ending(run.last_given)
        _student(transaction, run, now)
    else:
        note_reopening(transaction, run, facts, by=SYSTEM, now=now, reason=REOPENED)


def open_again(
    run: Run, transaction: Transaction, facts: dict[str, Any], flags: list[str], now: datetime
) -> None:
    """Add what opens a closed session, or completes it where everything is there.

    Raises open_session.AlreadyOpen, ConsentNotInForce.
    """
    if run.next_step is None:
        return _complete(run, transaction, facts, flags, now)
    student = _consenting(run)
    other = open_session.find(student, Session.of_student(student.student_id))
    if other is not None and other.session_id != run.id:
        raise open_session.AlreadyOpen(other)
    taking, free = open_session.take(transaction, student, run.id)
    _student(transaction, run, now, taking, free, name="hold")
    facts |= {"state": "running", **NO_END}


def _consenting(run: Run) -> Student:
    """The profile; a change of consent in this moment is then told apart from one of the hold."""
    try:
        student = Student.by_id(run.session.student_id)
    except Student.DoesNotExist:
        raise ConsentNotInForce("the student was erased; nothing was stored") from None
    if not student.has_consent():
        raise ConsentNotInForce("consent is not active; nothing was saved")
    return student


def _complete(
    run: Run, transaction: Transaction, facts: dict[str, Any], flags: list[str], now: datetime
) -> None:
    facts |= {"state": "completed", "completion_status__completed": True, **run.ending(run.last_given)}
    expected = len([stage for stage in run.stages if stage.kind == "questions"])
    if run.session.completion_status.interventions_completed != expected:
        flags.append("intervention_count_mismatch")
    completed: Any = Student.metadata.conditions_completed
    code = run.session.experimental_condition.condition_code
    actions: list[Action] = [completed.set(completed.append([code]))]
    if run.holds_student is False:
        return _student(transaction, run, now, actions)
    released, free = open_session.release(run.id)  # nearly always right, and saves a read; else `take` looks
    _student(transaction, run, now, actions + released, free, name="hold")


def _student(
    transaction: Transaction,
    run: Run,
    now: datetime,
    actions: Sequence[Action] = (),
    condition: Any = None,
    name: str = "consent",
) -> None:
    """The student's part of a transaction, which holds only while consent is in force."""
    key, in_force = keys.student(run.session.student_id), Student.consent_in_force()
    if not actions:
        transaction.check(name, Student, key, keys.PROFILE, in_force)
        return
    metadata: Any = Student.metadata
    student = Student(PK=key, SK=keys.PROFILE)
    both = in_force if condition is None else in_force & condition
    transaction.update(name, student, [*actions, metadata.updated_at.set(now)], both)


def note_reopening(
    transaction: Transaction,
    run: Run,
    facts: dict[str, Any],
    *,
    by: Actor,
    now: datetime,
    reason: str,
) -> None:
    """To be called before `stage_done`, which changes the state."""
    audit_log.note(
        transaction,
        "session.reopen",
        by=by,
        now=now,
        student_id=run.session.student_id,
        session_id=run.id,
        old={"state": run.session.state},
        new={"state": facts["state"]},
        reason=reason,
    )


def _same_state(run: Run) -> Any:
    """Condition: the session was neither closed nor opened since it was read."""
    state = run.session.state
    return Session.state.does_not_exist() if state is None else Session.state == state
