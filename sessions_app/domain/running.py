"""What happens in a session, in order: start, answers to the assessments, survey, stop.

Content is in `playing.py`, the three questions in `dialogue.py`. Each function stores before it returns,
in one transaction that also checks consent; sending the same thing twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pynamodb.expressions.update import Action

from . import assignment, keys, scoring
from .content import AssessmentItem, Location, Package
from .models import (
    AllocationEntry,
    AllocationTally,
    Assessment,
    AssessmentQuestion,
    GradingTask,
    LocationVerification,
    PostSurvey,
    Session,
    Student,
)
from .models.transaction import Busy, Refused, Transaction
from .run import (
    SHORT_ANSWER_CHARACTERS,
    ConsentNotInForce,
    DifferentAnswer,
    OutOfStep,
    Run,
    SessionClosed,
    clean_answer,
    commit,
    count_is,
    keep_conflict,
    seconds_between,
    timing_flags,
)

START_TRIES = 8


class StudentNotFound(LookupError):
    """No student has this id."""


class BadChoice(ValueError):
    """A multiple-choice answer that is none of the options."""


class OtherPlace(ValueError):
    """A condition that was set by hand belongs to another place than the one that was verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """How the place was made sure of: values of `LocationVerification`'s maps, and flags to raise."""

    method: str
    confidence: str
    gps: Mapping[str, Any] | None = None
    device: Mapping[str, str] | None = None
    network: str | None = None
    token_sha256: str | None = None
    override_reason: str | None = None
    attested_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A condition set by a person instead of drawn."""

    condition: keys.Condition
    reason: str
    by: str


def start(
    *,
    session_id: str,
    student_id: str,
    location: Location,
    verified: Verified,
    package: Package,
    facilitator: str,
    choose: Callable[[Sequence[keys.Condition]], keys.Condition],
    now: datetime,
    override: Override | None = None,
    simulated: bool = False,
) -> Run:
    """Draw the condition and store session, verification, counters and allocation in one transaction.

    Called again with the same `session_id` it gives back the session that exists.
    Raises StudentNotFound, ConsentNotInForce, OtherPlace, Busy.
    """
    if override and override.condition.location != location.key:
        raise OtherPlace(f"{override.condition.code} is not a condition of {location.name}")
    student, had = _student_and_history(student_id)
    for _ in range(START_TRIES):
        tally = AllocationTally.at(location.key)
        condition = (
            override.condition
            if override
            else assignment.draw(location=location.key, counts=tally.counts, had=had, choose=choose)
        )
        session = _new_session(
            session_id, student, condition, location, package, facilitator, override, now, simulated, verified
        )
        verification = _new_verification(session, location, verified, now)
        entry = _allocation_entry(session, tally, had, override, facilitator, now)
        try:
            commit(_starting(session, verification, entry, tally, condition))
        except Refused as refused:
            if "session" in refused.names:
                return Run.load(session_id)
            continue  # someone drew the same arm in between: draw again
        return Run(session, verification)
    raise Busy("many sessions are starting at this place; nothing was stored, try again")


def _student_and_history(student_id: str) -> tuple[Student, set[str]]:
    """The profile, and the codes of all conditions the student was ever given."""
    try:
        items = Student.with_sessions(student_id)
    except keys.BadKey:
        raise StudentNotFound(student_id) from None
    student = next((item for item in items if isinstance(item, Student)), None) or _just_enrolled(student_id)
    if not student.has_consent():
        raise ConsentNotInForce("consent is not in force; nothing was stored")
    given = {s.experimental_condition.condition_code for s in items if isinstance(s, Session)}
    return student, given | set(student.metadata.conditions_completed)


def _just_enrolled(student_id: str) -> Student:
    """The profile itself, where the index does not have it yet."""
    try:
        return Student.by_id(student_id)
    except Student.DoesNotExist:
        raise StudentNotFound(student_id) from None


def _new_session(
    session_id: str,
    student: Student,
    condition: keys.Condition,
    location: Location,
    package: Package,
    facilitator: str,
    override: Override | None,
    now: datetime,
    simulated: bool,
    verified: Verified,
) -> Session:
    flags = ["condition_override"] if override else []
    flags += ["location_override"] if verified.method == "manual" else []
    return Session.new(
        session_id=session_id,
        student_id=student.student_id,
        condition=condition,
        start=now,
        student_code=student.student_code,
        facilitator=facilitator,
        state="running",
        content_id=package.content_id,
        experimental_condition={
            "location": condition.location,
            "location_name": location.name,
            "interval_minutes": condition.minutes,
            "intervention_type": condition.type,
            "condition_code": condition.code,
        },
        timeline={"session_start": now},
        completion_status={
            "completed": False,
            "location_verified": True,
            "baseline_completed": False,
            "content_completed": False,
            "interventions_completed": 0,
            "final_assessment_completed": False,
            "post_survey_completed": False,
        },
        student_metadata={
            "age": student.demographics.age,
            "grade": student.demographics.grade_level,
            "richmond_resident": student.demographics.richmond_resident,
        },
        allocation={
            "method": "override" if override else "balanced",
            "reason": override.reason if override else None,
            "by": override.by if override else None,
        },
        metadata={
            "created_at": now,
            "updated_at": now,
            "version": 1,
            "data_quality_flags": flags,
            "simulated": simulated or None,
        },
    )


def _new_verification(
    session: Session, location: Location, verified: Verified, now: datetime
) -> LocationVerification:
    return LocationVerification(
        PK=session.PK,
        SK=keys.LOCATION_VERIFICATION,
        session_id=session.session_id,
        student_id=session.student_id,
        location_data={"type": location.key, "name": location.name, "address": location.address},
        verification={
            "method": verified.method,
            "verified": True,
            "verification_timestamp": now,
            "confidence": verified.confidence,
            "override_reason": verified.override_reason,
            "attested_by": verified.attested_by,
        },
        gps_data=verified.gps,
        device_info=verified.device,
        metadata={
            "timestamp": now,
            "ip_address": verified.network,
            "session_token_sha256": verified.token_sha256,
        },
    )


def _allocation_entry(
    session: Session,
    tally: AllocationTally,
    had: set[str],
    override: Override | None,
    facilitator: str,
    now: datetime,
) -> AllocationEntry:
    location = session.experimental_condition.location
    drawn_from = assignment.candidates(location=location, counts=tally.counts, had=had)
    return AllocationEntry.new(
        location=location,
        session_id=session.session_id,
        at=now,
        student_id=session.student_id,
        condition_code=session.experimental_condition.condition_code,
        method=session.allocation.method,
        reason=session.allocation.reason,
        by=override.by if override else facilitator,
        candidates=[condition.code for condition in drawn_from],
    )


def _starting(
    session: Session,
    verification: LocationVerification,
    entry: AllocationEntry,
    tally: AllocationTally,
    condition: keys.Condition,
) -> Transaction:
    transaction = Transaction()
    transaction.create("session", session)
    transaction.create("verification", verification)
    transaction.create("allocation", entry)
    student = Student(PK=keys.student(session.student_id), SK=keys.PROFILE)
    metadata: Any = Student.metadata
    counting = [
        metadata.total_sessions.set(metadata.total_sessions + 1),
        metadata.updated_at.set(session.start),
    ]
    transaction.update("consent", student, counting, Student.consent_in_force())
    _count(transaction, tally, condition.arm)
    return transaction


def _count(transaction: Transaction, tally: AllocationTally, arm: str) -> None:
    """Count the arm, on condition that nobody counted it since the tally was read."""
    seen = tally.counts.get(arm, 0)
    path: Any = AllocationTally.counts[arm]
    if tally.counts:
        unchanged = path == seen if seen else path.does_not_exist()
        transaction.upsert("tally", tally, [path.set(seen + 1)], unchanged)
    else:
        tally.counts = {arm: 1}
        transaction.create("tally", tally)


def answer_item(
    run: Run,
    *,
    kind: str,
    number: int,
    answer: str,
    submission_id: str,
    package: Package,
    now: datetime,
    shown_at: datetime | None = None,
) -> Run:
    """Store the answer to the `number`-th item (from 1) of the baseline or the final assessment.

    `shown_at` is when the first item came on screen; later ones were shown when the one before was stored.
    Raises BadAnswer, BadChoice, OutOfStep, SessionClosed, ConsentNotInForce, DifferentAnswer.
    """
    answer = clean_answer(answer)
    if not 1 <= number <= len(package.assessment):
        raise OutOfStep(run.step)
    item = package.assessment[number - 1]
    if item.question_type == "multiple_choice" and answer not in item.options:
        raise BadChoice("Please choose one of the answers.")
    if _already(run, kind, number, item, answer, submission_id, now):
        return run
    run.expect(kind, number)
    try:
        return _store_item(run, kind, item, answer, submission_id, package, now, shown_at)
    except Refused:
        fresh = Run.load(run.id)  # another tab was faster
        if _already(fresh, kind, number, item, answer, submission_id, now):
            return fresh
        fresh.expect(kind, number)
        raise Busy("another change was in the way; nothing was stored, send it again") from None


def _already(
    run: Run, kind: str, number: int, item: AssessmentItem, answer: str, submission_id: str, now: datetime
) -> bool:
    record = run.assessments.get(kind)
    if record is None or len(record.questions) < number:
        return False
    stored = record.questions[number - 1]
    if stored.student_answer == answer:
        return True
    same = stored.submission_id == submission_id
    keep_conflict(
        run, stage=kind, question=item.question_id, submission_id=submission_id, text=answer, now=now
    )
    raise DifferentAnswer(same_submission=same)


def _store_item(
    run: Run,
    kind: str,
    item: AssessmentItem,
    answer: str,
    submission_id: str,
    package: Package,
    now: datetime,
    shown_at: datetime | None,
) -> Run:
    start = run.stage_start(kind)
    record = run.assessments.get(kind) or _new_assessment(run, kind, start, package, now)
    shown = run.last_moment if record.questions else max(start, min(shown_at or start, now))
    question = _answered(item, answer, submission_id, seconds_between(shown, now), now)
    transaction = run.writing()
    earlier = len(record.questions)
    record.questions = [*record.questions, question]
    record.metadata.updated_at = now
    record.metadata.version += 1
    complete = len(record.questions) == len(package.assessment)
    if complete:
        record.assessment_metadata.duration_seconds = seconds_between(start, now)
        _complete_assessment(transaction, run, kind, record, now)
    if earlier == 0:
        transaction.create("record", record)
    else:
        transaction.update(
            "record", record, _appending(record, question), count_is(Assessment.questions, earlier)
        )
    commit(transaction)
    run.assessments[kind] = record
    return run


def _new_assessment(run: Run, kind: str, start: datetime, package: Package, now: datetime) -> Assessment:
    return Assessment(
        PK=keys.session(run.id),
        SK=keys.assessment(kind, start),
        session_id=run.id,
        student_id=run.session.student_id,
        assessment_id=f"asmt_{kind}_{run.id}",
        assessment_metadata={
            "type": kind,
            "version": package.assessment_version,
            "timestamp": start,
            "content_topic": package.content_topic,
        },
        questions=[],
        metadata={"created_at": now, "updated_at": now, "version": 0},
    )


def _answered(
    item: AssessmentItem, answer: str, submission_id: str, seconds: int, now: datetime
) -> AssessmentQuestion:
    question = AssessmentQuestion(
        question_id=item.question_id,
        question_text=item.question_text,
        question_type=item.question_type,
        student_answer=answer,
        points=item.points,
        response_time_seconds=seconds,
        difficulty=item.difficulty,
        answered_at=now,
        submission_id=submission_id,
    )
    if item.question_type == "multiple_choice":
        question.options = list(item.options)
        question.correct_answer = item.correct_answer
        question.is_correct = answer == item.correct_answer
        question.points_earned = scoring.choice_points(answer, str(item.correct_answer), item.points)
    else:
        question.rubric_points = item.points
    return question


def _appending(record: Assessment, question: AssessmentQuestion) -> list[Action]:
    place = len(record.questions) - 1
    return [
        Assessment.questions[place].set(question),
        Assessment.assessment_metadata.set(record.assessment_metadata),
        Assessment.metadata.set(record.metadata),
    ]


def _complete_assessment(
    transaction: Transaction, run: Run, kind: str, record: Assessment, now: datetime
) -> None:
    """The last item ends the stage: METADATA says so, and the short answers wait for their grading."""
    unchanged = run.unchanged_session()
    facts: dict[str, Any] = {
        f"completion_status__{'baseline' if kind == 'baseline' else 'final_assessment'}_completed": True
    }
    facts["timeline__assessment_duration_seconds"] = sum(
        other.assessment_metadata.duration_seconds or 0
        for other in {**run.assessments, kind: record}.values()
    )
    if kind == "baseline":
        facts["student_metadata__prior_knowledge_score"] = sum(
            question.points_earned or 0
            for question in record.questions
            if question.question_type == "multiple_choice"
        )
    actions = run.stage_done(now=now, flags=_assessment_flags(record), **facts)
    transaction.update("session", run.session, actions, unchanged)
    transaction.create("task", grading_task(run.id, kind, now))


def _assessment_flags(record: Assessment) -> list[str]:
    flags = []
    for question in record.questions:
        flags += timing_flags(question.response_time_seconds or 0)
        short = question.question_type == "short_answer"
        if short and len(question.student_answer or "") < SHORT_ANSWER_CHARACTERS:
            flags.append("short_answer")
    return flags


def grading_task(session_id: str, what: str, now: datetime) -> GradingTask:
    return GradingTask(
        PK=keys.GRADING_QUEUE,
        SK=keys.queued(now, session_id, what),
        session_id=session_id,
        what=what,
        queued_at=now,
        attempts=0,
        not_before=now,
    )


def submit_survey(
    run: Run,
    *,
    answers: Mapping[str, Mapping[str, Any]],
    submission_id: str,
    package: Package,
    now: datetime,
    shown_at: datetime | None = None,
) -> Run:
    """Store the survey (`answers` by group, then field) and complete the session.

    Raises InvalidField, OutOfStep, SessionClosed, ConsentNotInForce.
    """
    if run.survey is not None:
        return run
    run.expect("survey", 1)
    shown = max(run.last_moment, min(shown_at or run.last_moment, now))
    groups: dict[str, Any] = {group: dict(fields) for group, fields in answers.items()}
    survey = PostSurvey(
        PK=keys.session(run.id),
        SK=keys.POST_SURVEY,
        session_id=run.id,
        student_id=run.session.student_id,
        survey_metadata={
            "version": package.survey_version,
            "timestamp": now,
            "duration_seconds": seconds_between(shown, now),
        },
        metadata={"created_at": now, "updated_at": now, "submission_id": submission_id},
        **groups,
    )
    survey.serialize()  # faults are named before anything of the run is touched
    try:
        commit(_completing(run, survey, now))
    except Refused:
        fresh = Run.load(run.id)
        if fresh.survey is None:
            raise Busy("another change was in the way; nothing was stored, send it again") from None
        return fresh
    run.survey = survey
    return run


def _completing(run: Run, survey: PostSurvey, now: datetime) -> Transaction:
    """Survey, completed session, and the condition on the student's profile, all or nothing."""
    transaction = Transaction()
    unchanged = run.unchanged_session()
    transaction.create("survey", survey)
    facts = {
        "state": "completed",
        "completion_status__post_survey_completed": True,
        "completion_status__completed": True,
        **_ending(run, now),
    }
    expected = len([stage for stage in run.stages if stage.kind == "questions"])
    whole = run.session.completion_status.interventions_completed
    flags = ["intervention_count_mismatch"] if whole != expected else []
    transaction.update("session", run.session, run.stage_done(now=now, flags=flags, **facts), unchanged)
    student = Student(PK=keys.student(run.session.student_id), SK=keys.PROFILE)
    metadata: Any = Student.metadata
    completed = metadata.conditions_completed
    code = run.session.experimental_condition.condition_code
    growing = [completed.set(completed.append([code])), metadata.updated_at.set(now)]
    transaction.update("consent", student, growing, Student.consent_in_force())
    return transaction


def _ending(run: Run, now: datetime) -> dict[str, Any]:
    played = run.content.engagement_metrics.total_play_time_seconds if run.content else 0
    asked: list[float] = [
        record.intervention_summary.total_duration_seconds
        for record in run.interventions.values()
        if record.intervention_summary
    ]
    return {
        "timeline__session_end": now,
        "timeline__total_duration_seconds": seconds_between(run.session.start, now),
        "timeline__content_duration_seconds": played,
        "timeline__intervention_duration_seconds": sum(asked),
    }


def stop(run: Run, *, now: datetime) -> Run:
    """Close a session before its end; what was stored stays. Closing twice is harmless.

    Raises SessionClosed for a session that is already complete.
    """
    if run.session.state == "abandoned":
        return run
    if not run.is_open:
        raise SessionClosed(str(run.session.state))
    transaction = Transaction()
    unchanged = run.unchanged_session()
    actions = run.stage_done(now=now, state="abandoned", **_ending(run, now))
    transaction.update("session", run.session, actions, unchanged)
    try:
        transaction.commit()
    except Refused:
        raise Busy("the session moved on meanwhile; look again before you stop it") from None
    return run


def is_stale(session: Session, *, now: datetime, after: timedelta) -> bool:
    """Whether a running session has not moved for so long that it counts as left behind."""
    return session.state == "running" and now - session.metadata.updated_at > after
