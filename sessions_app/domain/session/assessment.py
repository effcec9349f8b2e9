"""The answers to the two assessments of a session.

Its start is in `starting.py`, content in `playing.py`, the three questions in `dialogue.py`, its end in
`ending.py`. Each function there stores before it returns, in one transaction that also checks consent;
sending the same thing twice changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pynamodb.expressions.update import Action

from .. import scoring
from ..content.package import AssessmentItem, Package
from ..models import Assessment, AssessmentQuestion, GradingTask
from ..store import keys
from ..store.transactions import Transaction
from . import offline_timing
from .record import (
    SHORT_ANSWER_CHARACTERS,
    DifferentAnswer,
    OutOfStep,
    Run,
    clean_answer,
    count_is,
    keep_conflict,
    seconds_between,
    timing_flags,
)
from .submissions import Submission, finish, take


class BadChoice(ValueError):
    """A multiple-choice answer that is none of the options."""


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
    held: offline_timing.Held | None = None,
) -> Run:
    """Store the answer to the `number`-th item (from 1) of the baseline or the final assessment.

    `shown_at` is when the first item came on screen; later ones were shown when the one before was stored.
    Raises BadAnswer, BadChoice, and what `submissions.take` raises; DifferentAnswer.
    """
    answer = clean_answer(answer)
    if not 1 <= number <= len(package.assessment):
        raise OutOfStep(run.step)
    item = package.assessment[number - 1]
    if item.question_type == "multiple_choice" and answer not in item.options:
        raise BadChoice("Please choose one of the answers.")
    sent = Submission(
        stage=kind,
        number=number,
        question=str(item.question_id),
        text=answer,
        submission_id=submission_id,
        now=now,
        held=held,
    )

    def already(run: Run) -> bool:
        return _already(run, kind, number, item, answer, submission_id, now)

    def store(run: Run) -> None:
        _store_item(run, kind, item, answer, submission_id, package, now, shown_at, held)

    return take(run, sent, already=already, store=store)


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
        run,
        step=run.step_of(kind, number),
        question=item.question_id,
        submission_id=submission_id,
        text=answer,
        now=now,
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
    held: offline_timing.Held | None,
) -> None:
    start = run.stage_start(kind)
    record = run.assessments.get(kind) or _new_assessment(run, kind, start, package, now)
    shown = run.last_moment if record.questions else max(start, min(shown_at or start, now))
    seconds = offline_timing.response_time(held, seconds_between(shown, now))
    question = _answered(item, answer, submission_id, seconds, now)
    question.held_seconds = offline_timing.held_seconds(held)
    transaction, facts, flags = Transaction(), dict[str, Any](), list[str]()
    earlier = len(record.questions)
    record.questions = [*record.questions, question]
    record.metadata.updated_at = now
    record.metadata.version = (record.metadata.version or 0) + 1
    run.assessments[kind] = record
    if len(record.questions) == len(package.assessment):
        record.assessment_metadata.duration_seconds = _duration(record, seconds_between(start, now))
        facts, flags = _completion(run, kind), _assessment_flags(record)
        transaction.create("task", grading_task(run.id, kind, now))
    if earlier == 0:
        transaction.create("record", record)
    else:
        transaction.update(
            "record", record, _appending(record, question), count_is(Assessment.questions, earlier)
        )
    finish(run, transaction, now=now, held=held, flags=flags, **facts)


def _duration(record: Assessment, measured: int) -> float:
    """Seconds for all items. Late ones arrive together: then what each took is added up."""
    if not any(question.held_seconds for question in record.questions):
        return measured
    return sum(question.response_time_seconds or 0 for question in record.questions)


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


def _completion(run: Run, kind: str) -> dict[str, Any]:
    """What METADATA says once the last item of an assessment is stored."""
    durations = [record.assessment_metadata.duration_seconds or 0 for record in run.assessments.values()]
    facts = {"timeline__assessment_duration_seconds": sum(durations)}
    if kind == "final":
        return facts | {"completion_status__final_assessment_completed": True}
    points = (
        question.points_earned or 0
        for question in run.assessments[kind].questions
        if question.question_type == "multiple_choice"
    )
    return facts | {
        "completion_status__baseline_completed": True,
        "student_metadata__prior_knowledge_score": sum(points),
    }


def _assessment_flags(record: Assessment) -> list[str]:
    flags = []
    for question in record.questions:
        flags += timing_flags(question.response_time_seconds or 0)
        short = question.question_type == "short_answer"
        if short and len(question.student_answer or "") < SHORT_ANSWER_CHARACTERS:
            flags.append("short_answer")
        if question.held_seconds:
            flags.append("late_sync")
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
