"""How a session ends: with its survey, stopped by staff or left to the clock. What was stored stays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from ..audit import log as audit_log
from ..audit.log import Actor
from ..content.package import Package
from ..models import InvalidField, PostSurvey, Session
from ..store import keys
from ..store.transactions import Busy, Refused, Transaction
from . import offline_timing, open_session
from .record import DifferentAnswer, Run, SessionClosed, commit, keep_conflict, seconds_between
from .submissions import Submission, finish, note_reopening, open_again, take


def submit_survey(
    run: Run,
    *,
    answers: Mapping[str, Mapping[str, Any]],
    submission_id: str,
    package: Package,
    now: datetime,
    shown_at: datetime | None = None,
    held: offline_timing.Held | None = None,
) -> Run:
    """Store the survey (`answers` by group, then field) and complete the session.

    Raises InvalidField, OutOfStep, SessionClosed, KeptForStaff, ConsentNotInForce, DifferentAnswer.
    """
    sent = Submission(
        stage="survey",
        question="survey",
        text="\n".join(f"{group}.{name}: {value}" for group, name, value in _values(answers)),
        submission_id=submission_id,
        now=now,
        held=held,
    )

    def already(run: Run) -> bool:
        return run.survey is not None and _is_same_survey(run, answers, submission_id, now)

    def store(run: Run) -> None:
        shown = max(run.last_moment, min(shown_at or run.last_moment, now))
        survey = _new_survey(run, answers, submission_id, package, now, held)
        survey.survey_metadata.duration_seconds = offline_timing.response_time(
            held, seconds_between(shown, now)
        )
        survey.serialize()  # faults are named before anything of the run is touched
        run.survey = survey
        transaction = Transaction()
        transaction.create("survey", survey)
        facts = {"completion_status__post_survey_completed": True}
        finish(run, transaction, now=now, held=held, flags=offline_timing.flags(held), **facts)

    return take(run, sent, already=already, store=store)


def _new_survey(
    run: Run,
    answers: Mapping[str, Mapping[str, Any]],
    submission_id: str,
    package: Package,
    now: datetime,
    held: offline_timing.Held | None,
) -> PostSurvey:
    groups: dict[str, Any] = {group: dict(fields) for group, fields in answers.items()}
    return PostSurvey(
        PK=keys.session(run.id),
        SK=keys.POST_SURVEY,
        session_id=run.id,
        student_id=run.session.student_id,
        survey_metadata={
            "version": package.survey_version,
            "timestamp": now,
            "held_seconds": offline_timing.held_seconds(held),
        },
        metadata={"created_at": now, "updated_at": now, "submission_id": submission_id},
        **groups,
    )


def _values(answers: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    for group, fields in answers.items():
        yield from ((group, name, value) for name, value in fields.items())


def _is_same_survey(
    run: Run, answers: Mapping[str, Mapping[str, Any]], submission_id: str, now: datetime
) -> bool:
    """Whether the stored survey says the same. Raises DifferentAnswer; the other one is kept."""
    stored: Any = run.survey
    other = [
        f"{group}.{field}: {value}"
        for group, fields in answers.items()
        for field, value in _all_fields(getattr(stored, group), fields)
        if getattr(getattr(stored, group), field, None) != value
    ]
    if not other:
        return True
    keep_conflict(
        run,
        step=run.step_of("survey"),
        question="survey",
        submission_id=submission_id,
        text="\n".join(other),
        now=now,
    )
    raise DifferentAnswer(same_submission=stored.metadata.submission_id == submission_id)


def _all_fields(stored: Any, told: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What was told, and as None what only the stored group has."""
    return [*told.items(), *((name, None) for name in stored.attribute_values if name not in told)]


def stop(run: Run, *, by: Actor, now: datetime, reason: str) -> Run:
    """Staff close a session before its end; what was stored stays. Stopping twice is harmless.

    Raises InvalidField without a reason, SessionClosed for a session that is closed otherwise, Busy.
    """
    if run.session.state == "stopped":
        return run
    reason = _required(reason)
    if not run.is_open:
        raise SessionClosed(str(run.session.state))
    try:
        closing(run, state="stopped", end=now, by=by, now=now, reason=reason).commit()
    except Refused:
        raise Busy("the session changed in the meantime; check it before you stop it") from None
    return run


def _required(reason: str) -> str:
    """Raises InvalidField."""
    reason = reason.strip()
    if not reason:
        raise InvalidField("reason", "is missing: say why")
    return reason


def closing(run: Run, *, state: str, end: datetime, by: Actor, now: datetime, reason: str) -> Transaction:
    """What closes an open session, not yet committed; the local copy is closed."""
    transaction = Transaction()
    unchanged = run.unchanged_session()
    before, step = str(run.session.state), run.step
    actions = run.stage_done(now=now, state=state, **run.ending(end))
    transaction.update("session", run.session, actions, unchanged)
    open_session.close(transaction, run.session)
    audit_log.note(
        transaction,
        "session.stop",
        by=by,
        now=now,
        student_id=run.session.student_id,
        session_id=run.id,
        old={"state": before, "step": step.slug if step else None},
        new={"state": state},
        reason=reason,
    )
    return transaction


def reopen(run: Run, *, by: Actor, now: datetime, reason: str) -> Run:
    """Staff open a session again that was stopped, or left to the clock. One that holds all steps completes.

    Raises InvalidField without a reason, SessionClosed for any other session and a void one,
    open_session.AlreadyOpen, ConsentNotInForce, Busy.
    """
    if run.session.is_void:
        raise SessionClosed("void")
    if run.session.is_void:
        raise SessionClosed("void")
    if run.session.state not in ("stopped", "abandoned"):
        raise SessionClosed(str(run.session.state))
    reason = _required(reason)
    transaction, unchanged = Transaction(), run.unchanged_session()
    facts: dict[str, Any] = {}
    flags: list[str] = []
    run.holds_student = open_session.is_held(run.session)
    open_again(run, transaction, facts, flags, now)
    note_reopening(transaction, run, facts, by=by, now=now, reason=reason)
    transaction.update("session", run.session, run.stage_done(now=now, flags=flags, **facts), unchanged)
    try:
        commit(transaction)
    except Refused:
        raise Busy("the session changed in the meantime; check it before you reopen it") from None
    return run


def is_stale(session: Session, *, now: datetime, after: timedelta) -> bool:
    """Whether a running session has not moved for so long that it counts as left behind."""
    return session.state == "running" and now - session.metadata.updated_at > after
