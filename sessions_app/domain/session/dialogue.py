"""The three Socratic questions after a segment: prepared, asked, answered.

A question is stored before it is shown, and shown from the store ever after.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pynamodb.expressions.update import Action

from .. import flow, scoring
from ..content.package import Package, Segment
from ..models import Intervention, PreparedQuestion, Question
from ..store import keys
from ..store.transactions import Refused, Transaction
from ..tutor import AskedQuestion, Concept, Exchange, QuestionRequest, Tutor, ask_question
from . import offline_timing
from .assessment import grading_task
from .record import (
    SHORT_ANSWER_CHARACTERS,
    DifferentAnswer,
    OutOfStep,
    Run,
    clean_answer,
    commit,
    count_is,
    keep_conflict,
    seconds_between,
    timing_flags,
)
from .submissions import Submission, finish, take

PATIENCE_SECONDS = 9.0


def opened(run: Run, *, segment: Segment, package: Package, now: datetime) -> Intervention:
    """The record of an intervention as its segment ends, with its first question where there is one."""
    condition = run.session.condition
    dynamic = condition.type == "dynamic"
    prepared = run.prepared.get(segment.segment_id)
    first = _from_prepared(prepared, now) if dynamic else _fixed(segment, 1, package, now)
    questions = [first] if first else []
    sequence = flow.SCHEDULE[condition.interval].index(segment.segment_id) + 1
    return Intervention(
        PK=keys.session(run.id),
        SK=keys.intervention(now, segment.segment_id),
        session_id=run.id,
        student_id=run.session.student_id,
        intervention_id=f"int_{run.id}_{segment.segment_id}",
        intervention_metadata={
            "type": condition.type,
            "sequence_number": sequence,
            "timestamp": now,
            "segment_id": segment.segment_id,
            "segment_summary": segment.summary,
        },
        location_context={
            "location_type": condition.location,
            "location_name": run.session.experimental_condition.location_name,
            "location_aware_prompting": dynamic,
        },
        socratic_sequence=questions if dynamic else None,
        static_questions=None if dynamic else questions,
        metadata={"created_at": now, "updated_at": now, "version": 1, "data_quality_flags": _flags(prepared)},
    )


def _flags(prepared: PreparedQuestion | None) -> list[str]:
    return list(prepared.data_quality_flags or ()) if prepared else []


def _fixed(segment: Segment, number: int, package: Package, now: datetime) -> Question:
    return Question(
        question_number=number,
        timestamp=now,
        question=segment.static_questions[number - 1],
        question_source=package.static_question_set,
    )


def _from_prepared(prepared: PreparedQuestion | None, now: datetime) -> Question | None:
    if prepared is None:
        return None
    return Question(
        question_number=1,
        timestamp=now,
        question=prepared.question,
        question_source=prepared.question_source,
        question_metadata=prepared.question_metadata,
    )


def is_due(run: Run, segment_id: int) -> bool:
    """Whether a dynamic intervention follows this segment and its first question is still to be made."""
    condition = run.session.condition
    follows = condition.type == "dynamic" and segment_id in flow.SCHEDULE[condition.interval]
    return follows and segment_id not in run.prepared and segment_id not in run.interventions


def prepare(
    run: Run,
    *,
    segment_id: int,
    package: Package,
    tutor: Tutor,
    now: datetime,
    patience: float = PATIENCE_SECONDS,
) -> Run:
    """Make the first question while the segment plays. Twice, or too late, it does nothing."""
    if not run.is_open or not is_due(run, segment_id):
        return run
    asked = _asked(run, segment_id, 1, package, tutor, patience)
    prepared = PreparedQuestion.new(
        session_id=run.id,
        segment_id=segment_id,
        question=asked.text,
        question_source=asked.source,
        question_metadata=_question_metadata(asked, 1),
        data_quality_flags=list(asked.flags),
        created_at=now,
    )
    transaction = run.writing()
    transaction.create("prepared", prepared)
    try:
        commit(transaction)
    except Refused:
        return Run.load(run.id)
    run.prepared[segment_id] = prepared
    return run


def question(
    run: Run,
    *,
    segment_id: int,
    number: int,
    package: Package,
    tutor: Tutor,
    clock: Callable[[], datetime],
    patience: float = PATIENCE_SECONDS,
) -> Run:
    """Make sure that the `number`-th question is stored; a dynamic one is generated if it is not.

    `clock` is read after the tutor has answered: that is when the question is shown. `patience` is how many
    seconds the tutor has; with none left, the static question is asked.
    Raises OutOfStep, SessionClosed, ConsentNotInForce.
    """
    run.expect(f"questions-{segment_id}", number)
    record = _record(run, segment_id)
    if len(record.questions) >= number:
        return run
    new, flags = _made(run, segment_id, number, package, tutor, clock, patience)
    now = new.timestamp
    held = len(record.questions)
    record.socratic_sequence = [*record.questions, new]
    _touch(record, now, flags)
    sequence: Any = Intervention.socratic_sequence
    actions = [sequence[number - 1].set(new), Intervention.metadata.set(record.metadata)]
    transaction = run.writing()
    transaction.update("record", record, actions, count_is(sequence, held))
    try:
        commit(transaction)
    except Refused:
        return Run.load(run.id)  # another tab asked at the same time; its question is the one
    return run


def _made(
    run: Run,
    segment_id: int,
    number: int,
    package: Package,
    tutor: Tutor,
    clock: Callable[[], datetime],
    patience: float,
) -> tuple[Question, list[str]]:
    """The prepared question where there is one (it may have come after its segment ended), or a new one."""
    prepared = run.prepared.get(segment_id) if number == 1 else None
    from_prepared = _from_prepared(prepared, clock())
    if from_prepared is not None:
        return from_prepared, _flags(prepared)
    asked = _asked(run, segment_id, number, package, tutor, patience)
    question = Question(
        question_number=number,
        timestamp=clock(),
        question=asked.text,
        question_source=asked.source,
        question_metadata=_question_metadata(asked, number),
    )
    return question, list(asked.flags)


def _record(run: Run, segment_id: int) -> Intervention:
    record = run.interventions.get(segment_id)
    if record is None:
        raise OutOfStep(run.step)
    return record


def _touch(record: Intervention, now: datetime, flags: tuple[str, ...] | list[str]) -> None:
    known = list(record.metadata.data_quality_flags or ())
    record.metadata.data_quality_flags = known + [flag for flag in flags if flag not in known]
    record.metadata.updated_at = now
    record.metadata.version = (record.metadata.version or 0) + 1


def _asked(
    run: Run, segment_id: int, number: int, package: Package, tutor: Tutor, patience: float
) -> AskedQuestion:
    segment = package.segment(segment_id)
    location = run.session.experimental_condition
    record = run.interventions.get(segment_id)
    previous = tuple(
        Exchange(question=q.question, answer=q.answer)
        for q in (record.questions if record else ())
        if q.answer is not None
    )
    request = QuestionRequest(
        number=number,
        segment_title=segment.title,
        segment_summary=segment.summary,
        narration=segment.narration,
        key_concepts=tuple(Concept(phrase=c.phrase, cues=c.cues) for c in segment.key_concepts),
        location_type=location.location,
        location_name=location.location_name,
        framing={str(place): hint for place, hint in segment.framing.items()}[location.location],
        age=int(run.session.student_metadata.age),
        grade=int(run.session.student_metadata.grade),
        previous=previous,
        student_ref=run.id,
        payer=run.payer,
    )
    fixed = segment.static_questions[number - 1]
    return ask_question(tutor, request, static_question=fixed, deadline_seconds=patience)


def _question_metadata(asked: AskedQuestion, number: int) -> dict[str, Any]:
    generated = asked.source == "generated"
    return {
        "model": asked.model,
        "prompt_tokens": asked.prompt_tokens,
        "completion_tokens": asked.completion_tokens,
        "generation_time_ms": asked.generation_time_ms,
        "cost_usd": asked.cost_usd,
        "attempts": asked.attempts,
        "rejected": list(asked.rejected) or None,
        "incorporates_previous_answer": generated if number > 1 else None,
        "synthesis_question": generated if number == flow.QUESTIONS else None,
    }


def answer_question(
    run: Run,
    *,
    segment_id: int,
    number: int,
    answer: str,
    submission_id: str,
    package: Package,
    now: datetime,
    held: offline_timing.Held | None = None,
    fallback: bool = False,
) -> Run:
    """Store an answer; the third one completes the intervention and puts it into the index by type.

    `fallback`: the student was asked the fixed question, on a device that no generated one reached. It is
    stored with its answer, in place of a generated one that nobody has answered.
    Raises BadAnswer, and what `submissions.take` raises; DifferentAnswer.
    """
    answer = clean_answer(answer)
    if number < 1:
        raise OutOfStep(run.step)
    stage = f"questions-{segment_id}"
    sent = Submission(
        stage=stage,
        number=number,
        question=f"{stage}/{number}",
        text=answer,
        submission_id=submission_id,
        now=now,
        held=held,
    )

    def already(run: Run) -> bool:
        return _already(run, segment_id, number, answer, submission_id, now)

    def store(run: Run) -> None:
        _store_answer(run, segment_id, number, answer, submission_id, package, now, held, fallback)

    return take(run, sent, already=already, store=store)


def _already(run: Run, segment_id: int, number: int, answer: str, submission_id: str, now: datetime) -> bool:
    record = run.interventions.get(segment_id)
    if record is None or record.answered < number:
        return False
    stored = record.questions[number - 1]
    if stored.answer == answer:
        return True
    same = stored.answer_metadata.submission_id == submission_id
    stage = f"questions-{segment_id}"
    keep_conflict(
        run,
        step=run.step_of(stage, number),
        question=f"{stage}/{number}",
        submission_id=submission_id,
        text=answer,
        now=now,
    )
    raise DifferentAnswer(same_submission=same)


def _store_answer(
    run: Run,
    segment_id: int,
    number: int,
    answer: str,
    submission_id: str,
    package: Package,
    now: datetime,
    held: offline_timing.Held | None,
    fallback: bool,
) -> None:
    record = _record(run, segment_id)
    kind = run.session.condition.type
    sequence: Any = Intervention.list_attribute(kind)
    place, before = sequence[number - 1], len(record.questions)
    flags = offline_timing.flags(held)
    if fallback and record.is_dynamic:
        _fall_back(record, number, package.segment(segment_id), now, held)
        flags.append("ai_fallback")
    elif before < number:
        raise OutOfStep(run.step)  # a dynamic question that was never shown
    asked = record.questions[number - 1]
    seconds = offline_timing.response_time(held, seconds_between(asked.timestamp, now))
    asked.answer = answer
    asked.answer_metadata = {
        "timestamp": now,
        "response_time_seconds": seconds,
        "word_count": scoring.words(answer),
        "character_count": len(answer),
        "submission_id": submission_id,
        "held_seconds": offline_timing.held_seconds(held),
    }
    short = ["short_answer"] if len(answer) < SHORT_ANSWER_CHARACTERS else []
    _touch(record, now, [*short, *timing_flags(seconds), *flags])
    actions = [place.set(asked), Intervention.metadata.set(record.metadata)]
    if kind == "static" and number < flow.QUESTIONS:
        actions.append(_next_fixed(record, segment_id, number + 1, package, now))
    transaction, facts = Transaction(), dict[str, Any]()
    whole = number == flow.QUESTIONS
    if whole:
        actions += _complete(record, now)
        done = sum(1 for other in run.interventions.values() if other.is_whole)
        facts["completion_status__interventions_completed"] = done
        transaction.create("task", grading_task(run.id, f"questions-{segment_id}", now))
    unanswered = place.answer.does_not_exist() & count_is(sequence, before)
    transaction.update("record", record, actions, unanswered)
    raised = record.metadata.data_quality_flags if whole else ()
    finish(run, transaction, now=now, held=held, flags=raised or (), **facts)


def _fall_back(
    record: Intervention, number: int, segment: Segment, now: datetime, held: offline_timing.Held | None
) -> None:
    """The fixed question as the `number`-th; what the making of another one cost stays with it."""
    known = record.questions
    made = known[number - 1].question_metadata if number <= len(known) else None
    shown = offline_timing.given_at(held, now) - timedelta(seconds=(held and held.answering) or 0)
    fixed = Question(
        question_number=number,
        timestamp=shown,
        question=segment.static_questions[number - 1],
        question_source="static_fallback",
        question_metadata=made or None,
    )
    record.socratic_sequence = [*known[: number - 1], fixed, *known[number:]]


def _next_fixed(
    record: Intervention, segment_id: int, number: int, package: Package, now: datetime
) -> Action:
    question = _fixed(package.segment(segment_id), number, package, now)
    record.static_questions = [*record.questions, question]
    place: Any = Intervention.static_questions[number - 1]
    action: Action = place.set(question)
    return action


def _complete(record: Intervention, now: datetime) -> list[Action]:
    """Summary and index keys of an intervention that is whole."""
    record.intervention_summary = _summary(record, now)
    record.GSI4PK = keys.intervention_type(record.intervention_metadata.type)
    record.GSI4SK = keys.stamp(record.intervention_metadata.timestamp)
    record.check()
    actions: list[Action] = [
        Intervention.intervention_summary.set(record.intervention_summary),
        Intervention.GSI4PK.set(record.GSI4PK),
        Intervention.GSI4SK.set(record.GSI4SK),
    ]
    if record.is_dynamic:
        record.ai_metadata = _ai_metadata(record)
        actions.append(Intervention.ai_metadata.set(record.ai_metadata))
    return actions


def _summary(record: Intervention, now: datetime) -> dict[str, Any]:
    times = [q.answer_metadata.response_time_seconds for q in record.questions]
    came_late = any(q.answer_metadata.held_seconds for q in record.questions)
    measured = seconds_between(record.intervention_metadata.timestamp, now)
    summary: dict[str, Any] = {
        "total_duration_seconds": sum(times) if came_late else measured,
        "questions_asked": len(record.questions),
        "avg_response_time_seconds": round(scoring.mean(times) or 0, 1),
    }
    summary["location_awareness_utilized" if record.is_dynamic else "no_adaptive_followup"] = True
    return summary


def _ai_metadata(record: Intervention) -> dict[str, Any]:
    """Token and cost totals over the questions, rejected tries included."""
    told = [q.question_metadata for q in record.questions if q.question_metadata]
    models = [t.model for t in told if t.model]
    return {
        "model_version": models[-1] if models else "none",
        "total_prompt_tokens": sum(t.prompt_tokens for t in told),
        "total_completion_tokens": sum(t.completion_tokens for t in told),
        "total_cost_usd": round(sum(t.cost_usd or 0 for t in told), 6),
        "avg_generation_time_ms": round(scoring.mean(t.generation_time_ms for t in told) or 0),
    }
