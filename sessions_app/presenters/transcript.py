"""What was said in a session: dialogue, assessments item by item, gain, survey, conflicts, cost of the tutor.

Pure, as `story.py` is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..domain import flow, scores
from ..domain.content.package import Package
from ..domain.models import AnswerConflict, Assessment, AssessmentQuestion, Intervention, Question
from ..domain.session import content_delivery
from ..domain.session.record import Run
from .session_timeline import UNKNOWN, count, segment_title, why_missing

SCORE_WORDS = {
    "question_clarity": "Question: clear",
    "question_relevance": "Question: to the point",
    "answer_depth": "Answer: depth",
    "answer_accuracy": "Answer: accuracy",
    "engagement_level": "Answer: engagement",
    "builds_on_previous": "Question: builds on the answer before",
    "synthesis_quality": "Question: draws together",
    "location_integration": "Question: uses the location",
}


@dataclass(frozen=True, slots=True)
class Talk:
    """The three questions after a segment. `status` says why there are fewer, or why no scores."""

    title: str
    exchanges: list[Exchange]
    status: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """`tone` is the chip's; scores are (words, 1 to 5)."""

    question: Question
    source: str
    tone: str
    scores: list[tuple[str, float]]


def dialogue(run: Run, package: Package) -> list[Talk]:
    return [_talk(run, stage, package) for stage in run.stages if stage.kind == "questions"]


def _talk(run: Run, stage: flow.Stage, package: Package) -> Talk:
    segment_id = stage.segment or 0
    title = f"After part {segment_id}: {segment_title(package, segment_id)}"
    record = run.interventions.get(segment_id)
    if record is None:
        return Talk(title, [], why_missing(run))
    exchanges = [_exchange(question, record.is_dynamic) for question in record.questions]
    return Talk(title, exchanges, _talk_status(run, record, exchanges))


def _talk_status(run: Run, record: Intervention, exchanges: list[Exchange]) -> str:
    if not record.is_whole:
        return f"{record.answered} of {flow.QUESTIONS} answers. {why_missing(run)}"
    return "" if any(exchange.scores for exchange in exchanges) else "The answers are being scored."


def _exchange(question: Question, dynamic: bool) -> Exchange:
    source, tone = _source(question, dynamic)
    scores = question.quality_scores
    known = [(words, getattr(scores, name)) for name, words in SCORE_WORDS.items()] if scores else []
    return Exchange(question, source, tone, [(words, value) for words, value in known if value is not None])


def _source(question: Question, dynamic: bool) -> tuple[str, str]:
    if question.question_source == "static_fallback":
        return "scripted question (fallback)", "warn"
    if not dynamic:
        return "scripted question", ""
    told = question.question_metadata
    model = told.model if told and told.model else ""
    if model.startswith("scripted"):
        return f"scripted tutor, {model}", "info"
    return (f"model {model}" if model else "model"), ""


# --- the assessments, item by item


@dataclass(frozen=True, slots=True)
class Given:
    """One answer to an item. `tone` is ok, bad, or info while it is being scored.

    `rubric`: criterion, points, most points.
    """

    question: AssessmentQuestion
    tone: str
    verdict: str
    rubric: list[tuple[str, float, float | None]]


@dataclass(frozen=True, slots=True)
class Compared:
    number: int
    asked: AssessmentQuestion
    before: Given | None
    after: Given | None

    @property
    def correct(self) -> str | None:
        """The right choice, where somebody did not make it."""
        missed = [given for given in (self.before, self.after) if given and given.tone == "bad"]
        return self.asked.correct_answer if missed else None


def compared(run: Run, package: Package) -> list[Compared]:
    """Every item that was answered at least once, in the order of the assessment."""
    before, after = (_by_id(run.assessments.get(kind)) for kind in ("baseline", "final"))
    ids = list(dict.fromkeys([*before, *after]))
    most = {item.question_id: {c.name: c.points for c in item.rubric} for item in package.assessment}
    return [
        Compared(
            number,
            before.get(name) or after[name],
            _given(before.get(name), most.get(name, {})),
            _given(after.get(name), most.get(name, {})),
        )
        for number, name in enumerate(ids, 1)
    ]


def _by_id(record: Assessment | None) -> dict[str, AssessmentQuestion]:
    named = (question for question in record.questions if question.question_id) if record else ()
    return {question.question_id: question for question in named}


def _given(question: AssessmentQuestion | None, most: dict[str, float]) -> Given | None:
    if question is None:
        return None
    graded = question.ai_scoring.rubric_breakdown if question.ai_scoring else {}
    rubric = [(name.replace("_", " "), points, most.get(name)) for name, points in graded.items()]
    return Given(question, *_verdict(question), rubric)


def _verdict(question: AssessmentQuestion) -> tuple[str, str]:
    earned: float | None = question.points_earned
    if earned is None:
        return "info", "being scored"
    points = f"{earned:g} of {UNKNOWN if question.points is None else f'{question.points:g}'}"
    return ("ok", f"correct, {points}") if question.is_correct else ("bad", f"incorrect, {points}")


@dataclass(frozen=True, slots=True)
class Gain:
    """Scores in percent; None where they are not there yet, and `why` says so."""

    baseline: float | None
    final: float | None
    absolute: float | None
    relative: float | None
    normalized: float | None
    why: str


def gain(run: Run) -> Gain:
    found = scores.Scores.of(run.assessments)
    change = found.gain
    missing = _why_no_gain(run, run.assessments.get("baseline"), run.assessments.get("final"))
    return Gain(
        scores.percent(found.baseline),
        scores.percent(found.final),
        scores.percent(change.absolute) if change else None,
        scores.percent(change.relative) if change else None,
        float(change.normalized) if change and change.normalized is not None else None,
        "" if change else missing,
    )


def _why_no_gain(run: Run, baseline: Assessment | None, final: Assessment | None) -> str:
    for record, name in ((baseline, "baseline"), (final, "final")):
        if record is None:
            return f"The {name} assessment has not been reached. {why_missing(run)}"
        if count(record.questions) < flow.ITEMS and not record.is_graded:
            return f"The {name} assessment is not complete. {why_missing(run)}"
        if record.is_graded and scores.score(record) is None:
            return f"The score of the {name} assessment lies outside the scale; it is in no figure."
    return "The short answers are being scored; the gain follows."


# --- survey, conflicts, cost


@dataclass(frozen=True, slots=True)
class Said:
    """One answer of the survey; `rating` is 1 to 5 for ratings."""

    label: str
    text: str
    rating: int | None = None
    ends: str = ""


def survey(run: Run, package: Package) -> list[tuple[str, list[Said]]]:
    """The answers by group; empty when there is no survey."""
    if run.survey is None:
        return []
    return [
        (group.title, [_said(run, group.name, field) for field in group.fields]) for group in package.survey
    ]


def _said(run: Run, group: str, field: Any) -> Said:
    value = getattr(getattr(run.survey, group), field.name, None)
    if value is None:
        return Said(field.label, "")
    if field.kind == "rating":
        return Said(field.label, f"{value:g} of 5", int(value), f"1 {field.low_label}, 5 {field.high_label}")
    if field.kind == "yes_no":
        return Said(field.label, "Yes" if value else "No")
    chosen = {option.value: option.label for option in field.options}
    return Said(field.label, chosen.get(value, str(value)))


@dataclass(frozen=True, slots=True)
class Conflict:
    where: str
    stored: str
    other: str
    at: datetime
    given_at: datetime


def conflicts(run: Run) -> list[Conflict]:
    """Second texts for answered questions, beside what counts."""
    return [_conflict(run, other) for other in run.conflicts if not other.is_after_end]


def after_end(run: Run) -> list[Conflict]:
    """What was given after the session had ended, by when it was given."""
    kept = [_conflict(run, other) for other in run.kept_after_end]
    return sorted(kept, key=lambda conflict: conflict.given_at)


def _conflict(run: Run, other: AnswerConflict) -> Conflict:
    return Conflict(
        where=_where(other.question),
        stored=_stored(run, other.stage, other.question),
        other=other.text,
        at=other.at,
        given_at=other.at - timedelta(seconds=other.held_seconds or 0),
    )


def _where(question: str) -> str:
    stage, _, number = question.partition("/")
    if number:
        return f"Questions after part {stage.split('-')[-1]}, question {number}"
    if stage.startswith("segment-"):
        return f"Part {stage.split('-')[-1]}, as the player reported it"
    return {"format": "Format", "survey": "Survey"}.get(stage, f"Item {question}")


def _stored(run: Run, stage: str, question: str) -> str:
    if stage in run.assessments:
        record = run.assessments[stage]
        return next((q.student_answer or "" for q in record.questions if q.question_id == question), "")
    if stage in ("format", "survey") or stage.startswith("segment-"):
        return _stored_whole(run, stage)
    segment, _, number = question.removeprefix("questions-").partition("/")
    talk = run.interventions.get(int(segment)) if segment.isdigit() else None
    asked = talk.questions if talk else []
    return next((q.answer or "" for q in asked if str(q.question_number) == number), "")


def _stored_whole(run: Run, stage: str) -> str:
    """What counts of a step that is more than one answer."""
    if stage == "survey":
        return "See the survey on this page."
    if run.content is None:
        return ""
    if stage == "format":
        told: Any = run.content.delivery_preferences
        return content_delivery.choice_in_words(
            told.format_chosen, told.playback_speed, told.captions_enabled
        )
    tracking = content_delivery.tracking_of(run, int(stage.removeprefix("segment-")))
    return (tracking.report or "") if tracking else ""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one kind of work by the tutor took. `milliseconds` is the mean, where it was measured."""

    what: str
    model: str
    prompt: int
    completion: int
    dollars: float
    milliseconds: float | None = None


def costs(run: Run) -> list[Cost]:
    """One line a piece of work, in the order of the session."""
    talks = [run.interventions[segment] for segment in sorted(run.interventions)]
    return [*_question_costs(talks), *_rating_costs(talks), *_grading_costs(run)]


def _question_costs(talks: list[Intervention]) -> Iterator[Cost]:
    for talk in talks:
        told = talk.ai_metadata
        if told is not None:
            yield Cost(
                f"Questions after part {talk.intervention_metadata.segment_id}",
                told.model_version or UNKNOWN,
                int(told.total_prompt_tokens or 0),
                int(told.total_completion_tokens or 0),
                told.total_cost_usd or 0,
                told.avg_generation_time_ms,
            )


def _rating_costs(talks: list[Intervention]) -> Iterator[Cost]:
    for talk in talks:
        told = talk.grading
        if told is not None:
            what = f"Scores of the dialogue after part {talk.intervention_metadata.segment_id}"
            yield Cost(
                what,
                told.model or UNKNOWN,
                int(told.prompt_tokens or 0),
                int(told.completion_tokens or 0),
                told.cost_usd or 0,
            )


def _grading_costs(run: Run) -> Iterator[Cost]:
    for kind in ("baseline", "final"):
        record = run.assessments.get(kind)
        graded = [q.ai_scoring for q in record.questions if q.ai_scoring] if record else []
        if graded:
            yield Cost(
                f"Short answers, {kind}",
                graded[-1].model or UNKNOWN,
                int(sum(told.prompt_tokens or 0 for told in graded)),
                int(sum(told.completion_tokens or 0 for told in graded)),
                sum(told.cost_usd or 0 for told in graded),
            )


def total(lines: list[Cost]) -> Cost:
    timed = [line.milliseconds for line in lines if line.milliseconds is not None]
    return Cost(
        "All",
        "",
        sum(line.prompt for line in lines),
        sum(line.completion for line in lines),
        sum(line.dollars for line in lines),
        sum(timed) / len(timed) if timed else None,
    )
