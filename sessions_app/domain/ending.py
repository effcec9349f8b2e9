"""How a session ends: with its survey, or stopped before. What was stored stays."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from . import audit, keys, late, open_session
from .audit import Actor
from .content import Package
from .models import (
    PostSurvey,
    Session,
    Student,
)
from .models.transaction import Busy, Refused, Transaction
from .run import (
    DifferentAnswer,
    Run,
    SessionClosed,
    commit,
    keep_conflict,
    seconds_between,
)


def submit_survey(
    run: Run,
    *,
    answers: Mapping[str, Mapping[str, Any]],
    submission_id: str,
    package: Package,
    now: datetime,
    shown_at: datetime | None = None,
    held: late.Held | None = None,
) -> Run:
    """Store the survey (`answers` by group, then field) and complete the session.

    Raises InvalidField, OutOfStep, SessionClosed, ConsentNotInForce, DifferentAnswer.
    """
    if run.survey is not None:
        return _same_survey(run, answers, submission_id, now)
    run.expect("survey", 1)
    shown = max(run.last_moment, min(shown_at or run.last_moment, now))
    survey = _new_survey(run, answers, submission_id, package, now, held)
    survey.survey_metadata.duration_seconds = late.response_time(held, seconds_between(shown, now))
    survey.serialize()  # faults are named before anything of the run is touched
    try:
        commit(_completing(run, survey, now, late.flags(held)))
    except Refused:
        fresh = Run.load(run.id)
        if fresh.survey is None:
            raise Busy("another change was in the way; nothing was stored, send it again") from None
        return _same_survey(fresh, answers, submission_id, now)
    run.survey = survey
    return run


def _new_survey(
    run: Run,
    answers: Mapping[str, Mapping[str, Any]],
    submission_id: str,
    package: Package,
    now: datetime,
    held: late.Held | None,
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
            "held_seconds": late.held_seconds(held),
        },
        metadata={"created_at": now, "updated_at": now, "submission_id": submission_id},
        **groups,
    )


def _same_survey(
    run: Run, answers: Mapping[str, Mapping[str, Any]], submission_id: str, now: datetime
) -> Run:
    """The run as it is, if the stored survey says the same. Raises DifferentAnswer; the other one is kept."""
    stored: Any = run.survey
    other = [
        f"{group}.{field}: {value}"
        for group, fields in answers.items()
        for field, value in _all_fields(getattr(stored, group), fields)
        if getattr(getattr(stored, group), field, None) != value
    ]
    if not other:
        return run
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


def _completing(run: Run, survey: PostSurvey, now: datetime, late_flags: list[str]) -> Transaction:
    """Survey, completed session, and the condition on the student's profile, all or nothing."""
    transaction = Transaction()
    unchanged = run.unchanged_session()
    transaction.create("survey", survey)
    facts = {
        "state": "completed",
        "completion_status__post_survey_completed": True,
        "completion_status__completed": True,
        **run.ending(now),
    }
    expected = len([stage for stage in run.stages if stage.kind == "questions"])
    whole = run.session.completion_status.interventions_completed
    flags = late_flags + (["intervention_count_mismatch"] if whole != expected else [])
    transaction.update("session", run.session, run.stage_done(now=now, flags=flags, **facts), unchanged)
    student = Student(PK=keys.student(run.session.student_id), SK=keys.PROFILE)
    metadata: Any = Student.metadata
    completed = metadata.conditions_completed
    code = run.session.experimental_condition.condition_code
    growing = [completed.set(completed.append([code])), metadata.updated_at.set(now)]
    condition = Student.consent_in_force()
    if open_session.is_held(run.session):
        released, unheld = open_session.release(run.id)
        growing, condition = growing + released, condition & unheld
    transaction.update("consent", student, growing, condition)
    return transaction


def stop(run: Run, *, by: Actor, now: datetime, reason: str | None = None) -> Run:
    """Close a session before its end; what was stored stays. Closing twice is harmless.

    Raises SessionClosed for a session that is already complete.
    """
    if run.session.state == "abandoned":
        return run
    if not run.is_open:
        raise SessionClosed(str(run.session.state))
    try:
        stopping(run, by=by, now=now, reason=reason).commit()
    except Refused:
        raise Busy("the session moved on meanwhile; look again before you stop it") from None
    return run


def stopping(run: Run, *, by: Actor, now: datetime, reason: str | None) -> Transaction:
    """What closes an open session, not yet committed; the local copy is closed."""
    transaction = Transaction()
    unchanged = run.unchanged_session()
    before, step = str(run.session.state), run.step
    actions = run.stage_done(now=now, state="abandoned", **run.ending(now))
    transaction.update("session", run.session, actions, unchanged)
    open_session.close(transaction, run.session)
    audit.note(
        transaction,
        "session.stop",
        by=by,
        now=now,
        student_id=run.session.student_id,
        session_id=run.id,
        old={"state": before, "step": step.slug if step else None},
        new={"state": "abandoned"},
        reason=reason,
    )
    return transaction


def is_stale(session: Session, *, now: datetime, after: timedelta) -> bool:
    """Whether a running session has not moved for so long that it counts as left behind."""
    return session.state == "running" and now - session.metadata.updated_at > after
