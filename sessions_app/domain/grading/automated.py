"""Scoring what cannot be scored at once: short answers by rubric, dialogue answers by quality.

A worker takes tasks from the queue, oldest first. Storing the scores and deleting the task are one
transaction, so an answer is scored once however often the worker is killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pynamodb.exceptions import UpdateError
from pynamodb.expressions.update import Action

from .. import scores, scoring
from ..consent.agreement import ConsentNotInForce
from ..content.package import Package
from ..models import Assessment, GradingTask, Intervention, Item, Review, Session, Student
from ..models.human_scoring import POINTS
from ..session.record import Run, SessionNotFound, commit
from ..store import keys
from ..store.items import same_version
from ..store.transactions import Refused, Transaction
from ..tutor import (
    Concept,
    Criterion,
    GradeRequest,
    RatedExchange,
    RatingRequest,
    RubricGrade,
    Tutor,
    TutorFailed,
)

MAX_WAIT = timedelta(hours=1)
MAX_TRIES = 9
"""After so many failures, over two and a half hours apart in all, people score instead of the model."""


def due(now: datetime) -> Iterator[GradingTask]:
    """Tasks that may be worked on now, oldest first."""
    for item in Item.query(keys.GRADING_QUEUE, consistent_read=True):
        if isinstance(item, GradingTask) and item.is_readable and item.not_before <= now:
            yield item


def work(task: GradingTask, *, package: Package, tutor: Tutor, now: datetime) -> bool:
    """Score one task. False when it has to wait: the tutor failed, or someone else changed the answers.

    A session without consent, or one that is gone, is not scored and its task is dropped.
    """
    try:
        run = Run.load(task.session_id)
        if not Student.consents(run.session.student_id):  # before a word of it goes to a model
            raise ConsentNotInForce(task.session_id)
        if task.what.startswith("questions-"):
            _rate_intervention(run, task, package, tutor, now)
        else:
            _grade_assessment(run, task, package, tutor, now)
    except (ConsentNotInForce, SessionNotFound):
        _drop(task)
    except TutorFailed as failure:
        try:
            _postpone(task, failure.reason, now)
        except ConsentNotInForce:
            _drop(task)
        return False
    except Refused as refused:
        return "task" in refused.names  # another worker was faster; otherwise the next round tries again
    return True


def _drop(task: GradingTask) -> None:
    task.delete()


def _postpone(task: GradingTask, reason: str, now: datetime) -> None:
    """Wait twice as long after every failure, from 30 seconds up to an hour; in the end hand it to people.

    Where the day's money is spent, the next try is tomorrow.
    """
    if task.attempts + 1 >= MAX_TRIES:
        _hand_over(task, now)
        return
    wait = min(timedelta(seconds=30) * 2 ** min(int(task.attempts), 12), MAX_WAIT)
    actions: list[Action] = [
        GradingTask.attempts.set(task.attempts + 1),
        GradingTask.not_before.set(_tomorrow(now) if reason == "spend_cap_day" else now + wait),
        GradingTask.last_failure.set(reason),
    ]
    with suppress(UpdateError):  # another worker has done it meanwhile
        task.update(actions=actions, condition=Item.PK.exists())


def _tomorrow(now: datetime) -> datetime:
    """Midnight in UTC, when the day's cap begins anew."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _hand_over(task: GradingTask, now: datetime) -> None:
    """Put the answers without a score into the lists of the grading pages; no model is asked again."""
    run = Run.load(task.session_id)
    record = run.record(task.what)
    if record is None:
        _drop(task)
        return
    transaction = run.writing()
    transaction.delete("task", task)
    _open_review(transaction, run, task, dict.fromkeys(record.unscored), record.metadata.version, now)
    with suppress(Refused):  # another worker was faster
        commit(transaction)


def _grade_assessment(run: Run, task: GradingTask, package: Package, tutor: Tutor, now: datetime) -> None:
    record = run.assessments.get(task.what)
    if record is None:
        raise SessionNotFound(task.session_id)
    unchanged: Any = same_version(Assessment.metadata.version, record.metadata.version)
    for question in record.questions:
        if question.question_type == "short_answer" and question.ai_scoring is None:
            grade = tutor.grade(_grade_request(run, package, question.question_id, question.student_answer))
            _apply(question, grade, now)
    record.metadata.grading_method = "automated_offline" if tutor.offline else "automated_with_ai"
    record.metadata.version = (record.metadata.version or 0) + 1
    record.metadata.updated_at = now
    record.assessment_results = scoring.results(record.questions)
    record.scoring_breakdown = scoring.breakdown(record.questions)
    transaction = run.writing()
    actions: list[Action] = [
        Assessment.questions.set(record.questions),
        Assessment.metadata.set(record.metadata),
        Assessment.assessment_results.set(record.assessment_results),
        Assessment.scoring_breakdown.set(record.scoring_breakdown),
    ]
    actions += gain(transaction, run, record, now)
    transaction.update("record", record, actions, unchanged)
    transaction.delete("task", task)
    points = {q.question_id: {POINTS: q.points_earned} for q in record.questions if q.ai_scoring}
    _open_review(transaction, run, task, points, record.metadata.version, now)
    commit(transaction)


def _grade_request(run: Run, package: Package, question_id: str, answer: str) -> GradeRequest:
    item = package.item(question_id)
    return GradeRequest(
        question_text=item.question_text,
        answer=answer,
        points=item.points,
        rubric=tuple(
            Criterion(name=c.name, description=c.description, points=c.points, cues=c.cues)
            for c in item.rubric
        ),
        student_ref=run.id,
        payer=run.payer,
    )


def _apply(question: Any, grade: RubricGrade, now: datetime) -> None:
    question.ai_scoring = {
        "model": grade.model,
        "raw_score": grade.raw_score,
        "rubric_breakdown": dict(grade.breakdown),
        "feedback": grade.feedback,
        "graded_at": now,
        "prompt_tokens": grade.prompt_tokens,
        "completion_tokens": grade.completion_tokens,
        "cost_usd": grade.cost_usd,
    }
    question.points_earned = scoring.rubric_points(grade.breakdown, question.points)
    question.is_correct = scoring.counts_as_correct(question.points_earned, question.points)


def _open_review(
    transaction: Transaction,
    run: Run,
    task: GradingTask,
    scores: Mapping[str, Mapping[str, float] | None],
    version: float,
    now: datetime,
) -> None:
    """What people may score now, with the model's scores where it gave any."""
    if scores:
        review = Review.new(
            session_id=run.id, what=task.what, scores=scores, record_version=version, scored_at=now
        )
        transaction.create("review", review)


def gain(transaction: Transaction, run: Run, record: Assessment, now: datetime) -> list[Action]:
    """The learning gain stands on the final assessment, as soon as both are scored, whichever comes last.

    `record` is the one that was scored just now, by the model or by a person.
    """
    baseline, final = run.assessments.get("baseline"), run.assessments.get("final")
    if baseline is None or final is None or not (baseline.is_graded and final.is_graded):
        _still_alone(transaction, run, record)
        return []
    unchanged: Any = same_version(Assessment.metadata.version, final.metadata.version)
    before, after = scores.score(baseline), scores.score(final)
    moved: list[Action] = []
    if before is not None and after is not None:
        final.learning_gain = scores.learning_gain(before, after)
        moved = [Assessment.learning_gain.set(final.learning_gain)]
    if record is final:
        _same_baseline(transaction, baseline)
        return moved
    final.metadata.version = (final.metadata.version or 0) + 1
    final.metadata.updated_at = now
    transaction.update("final", final, [*moved, Assessment.metadata.set(final.metadata)], unchanged)
    return []


def _same_baseline(transaction: Transaction, baseline: Assessment) -> None:
    """Refuse if a person scored the baseline meanwhile. Its review is asked, as that is a small item."""
    unchanged: Any = Review.record_version == baseline.metadata.version
    key = keys.review(baseline.assessment_metadata.type)
    transaction.check("other", Review, baseline.PK, key, Item.PK.does_not_exist() | unchanged)


def _still_alone(transaction: Transaction, run: Run, record: Assessment) -> None:
    """Refuse if the other assessment is graded meanwhile: each grader would leave the gain to the other."""
    kind = record.assessment_metadata.type
    other = run.assessments.get("final" if kind == "baseline" else "baseline")
    if other is not None:
        ungraded: Any = Assessment.assessment_results.does_not_exist()
        transaction.check("other", Assessment, other.PK, other.SK, ungraded)
    elif kind == "baseline":
        unfinished: Any = Session.completion_status.final_assessment_completed == False  # noqa: E712
        transaction.check("other", Session, run.session.PK, run.session.SK, unfinished)


def _rate_intervention(run: Run, task: GradingTask, package: Package, tutor: Tutor, now: datetime) -> None:
    record = run.interventions.get(int(task.what.removeprefix("questions-")))
    if record is None or not record.is_whole:
        raise SessionNotFound(task.session_id)
    unchanged: Any = same_version(Intervention.metadata.version, record.metadata.version)
    rating = tutor.rate(_rating_request(run, record, package))
    for question, given in zip(record.questions, rating.scores, strict=True):
        question.quality_scores = dict(given)
    summarise(record)
    if record.is_dynamic:
        record.intervention_summary.progression_quality = _rounded(rating.progression_quality)
    record.grading = {
        "model": rating.model,
        "graded_at": now,
        "prompt_tokens": rating.prompt_tokens,
        "completion_tokens": rating.completion_tokens,
        "cost_usd": rating.cost_usd,
    }
    record.metadata.version = (record.metadata.version or 0) + 1
    record.metadata.updated_at = now
    transaction = run.writing()
    actions = [
        Intervention.list_attribute(record.intervention_metadata.type).set(record.questions),
        Intervention.intervention_summary.set(record.intervention_summary),
        Intervention.grading.set(record.grading),
        Intervention.metadata.set(record.metadata),
    ]
    transaction.update("record", record, actions, unchanged)
    transaction.delete("task", task)
    by_number = {str(number): dict(each) for number, each in enumerate(rating.scores, 1)}
    _open_review(transaction, run, task, by_number, record.metadata.version, now)
    commit(transaction)


def _rating_request(run: Run, record: Intervention, package: Package) -> RatingRequest:
    segment = package.segment(int(record.intervention_metadata.segment_id))
    return RatingRequest(
        type="dynamic" if record.is_dynamic else "static",
        location_type=record.location_context.location_type,
        location_name=record.location_context.location_name,
        segment_summary=segment.summary,
        key_concepts=tuple(Concept(phrase=c.phrase, cues=c.cues) for c in segment.key_concepts),
        exchanges=tuple(
            RatedExchange(
                question=q.question, answer=q.answer, is_dynamic=q.question_source != "static_fallback"
            )
            for q in record.questions
        ),
        student_ref=run.id,
        payer=run.payer,
    )


def summarise(record: Intervention) -> None:
    """Means over the questions. Question quality is the mean of clarity and relevance (dynamic only)."""
    summary = record.intervention_summary
    scored = [each.quality_scores for each in record.questions if each.quality_scores is not None]
    depths = [scores.answer_depth for scores in scored if scores.answer_depth is not None]
    summary.avg_answer_depth = _rounded(scoring.mean(depths))
    if record.is_dynamic:
        qualities = [
            (scores.question_clarity + scores.question_relevance) / 2
            for scores in scored
            if scores.question_clarity is not None  # a static question that stood in has none
        ]
        summary.avg_question_quality = _rounded(scoring.mean(qualities))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
