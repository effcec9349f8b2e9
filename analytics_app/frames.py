"""Items of the table as tidy data frames: one row a session, intervention, question, assessment item, survey.

Each column is declared once in `TABLES` with its type, meaning and place in the items; the code book is
made from the same declarations. What is not known is missing (NA), never 0 and never an empty text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import pandas as pd  # type: ignore[import-untyped]

from sessions_app.domain import keys, scoring
from sessions_app.domain.models import Item, Session
from sessions_app.domain.models.assessment import DIFFICULTIES, QUESTION_TYPES, TYPES
from sessions_app.domain.models.content import FORMATS
from sessions_app.domain.models.intervention import SOURCES
from sessions_app.domain.models.session import FLAGS, STATES
from sessions_app.domain.models.verification import CONFIDENCES, METHODS
from sessions_app.domain.run import Run

TEXT, WHOLE, NUMBER, YES_NO = "string", "Int64", "Float64", "boolean"
TIME, CHOICE = "datetime64[us, UTC]", "category"

CODES: Final = tuple(cell.code for cell in keys.CONDITIONS)


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `source` is a dotted path in the row's objects, or what computes the value from them.

    `values` are the categories of a CHOICE column, in their order.
    """

    name: str
    dtype: str
    meaning: str
    source: str | Callable[[Any], Any]
    unit: str = ""
    values: tuple[str, ...] = ()

    def of(self, row: Any) -> Any:
        return follow(row, self.source) if isinstance(self.source, str) else self.source(row)


def follow(start: Any, path: str) -> Any:
    """The value at a dotted path; None where any part of it is missing."""
    value = start
    for name in path.split("."):
        if value is None:
            return None
        value = getattr(value, name, None)
    return value


# --- what is computed rather than read


def state(session: Session) -> str:
    """`completed` and `running` also for items of writers that store no state."""
    return str(session.state or ("completed" if session.completion_status.completed else "running"))


def _gain(name: str) -> Callable[[Any], float | None]:
    def gain(row: Any) -> float | None:
        scores = (follow(row, f"{kind}.assessment_results.score_percentage") for kind in TYPES)
        baseline, final = scores
        return None if baseline is None or final is None else scoring.learning_gain(baseline, final)[name]

    return gain


def _engagement(row: Any) -> float | None:
    tracking = row.content.segment_tracking if row.content else ()
    return scoring.mean(t.engagement_score for t in tracking if t.engagement_score is not None)


def _segment_engagement(number: int) -> Callable[[Any], float | None]:
    def engagement(row: Any) -> float | None:
        tracking = row.content.segment_tracking if row.content else ()
        found: Iterator[Any] = (t.engagement_score for t in tracking if t.segment_id == number)
        return next(found, None)

    return engagement


def _flag(name: str) -> Callable[[Any], bool]:
    return lambda row: name in row.session.metadata.data_quality_flags


def _known(row: Any) -> str | None:
    return ";".join(row.session.metadata.data_quality_flags) or None


# --- the columns

_IDS = (
    Column("session_id", TEXT, "the session", "session.session_id"),
    Column("student_id", TEXT, "the student", "session.student_id"),
    Column("student_code", TEXT, "the student's readable code", "session.student_code"),
    Column("condition", CHOICE, "the condition's code", lambda r: r.condition.code, values=CODES),
    Column(
        "location", CHOICE, "where", lambda r: r.condition.location, values=tuple(keys.LOCATIONS.values())
    ),
    Column(
        "interval",
        CHOICE,
        "content between interventions",
        lambda r: r.condition.interval,
        unit="minutes",
        values=tuple(keys.INTERVALS.values()),
    ),
    Column(
        "type", CHOICE, "static or dynamic questions", lambda r: r.condition.type,
        values=tuple(keys.TYPES.values()),
    ),
)  # fmt: skip

_STATUS = "session.completion_status"
_SESSIONS = (
    Column("session_start", TIME, "start of the session", "session.timeline.session_start"),
    Column("session_end", TIME, "end of the session", "session.timeline.session_end"),
    *(
        Column(name, NUMBER, meaning, f"session.timeline.{name}", unit="seconds")
        for name, meaning in (
            ("total_duration_seconds", "from start to end"),
            ("content_duration_seconds", "spent on the content"),
            ("intervention_duration_seconds", "spent on the questions along the way"),
            ("assessment_duration_seconds", "spent on both assessments"),
        )
    ),
    Column("state", CHOICE, "how the session stands", lambda r: state(r.session), values=STATES),
    *(
        Column(name, YES_NO, meaning, f"{_STATUS}.{name}")
        for name, meaning in (
            ("completed", "every stage is done"),
            ("location_verified", "the place was verified or vouched for"),
            ("baseline_completed", "the assessment before is done"),
            ("content_completed", "all four segments are done"),
            ("final_assessment_completed", "the assessment after is done"),
            ("post_survey_completed", "the survey is done"),
        )
    ),
    Column(
        "interventions_completed", WHOLE, "interventions with three answers",
        f"{_STATUS}.interventions_completed",
    ),
    Column("age", WHOLE, "age at the session", "session.student_metadata.age", unit="years"),
    Column("grade", WHOLE, "school grade at the session", "session.student_metadata.grade"),
    Column("richmond_resident", YES_NO, "lives in Richmond", "session.student_metadata.richmond_resident"),
    Column(
        "prior_knowledge_score", NUMBER, "prior knowledge as told at the start",
        "session.student_metadata.prior_knowledge_score",
    ),
    *(
        Column(
            f"{kind}_{name}", NUMBER, f"{meaning}, {kind} assessment", f"{kind}.{path}", unit="percent"
        )
        for kind in TYPES
        for name, meaning, path in (
            ("score", "share of the points", "assessment_results.score_percentage"),
            ("choice_score", "share of the multiple choice points", "scoring_breakdown.mc_percentage"),
            ("short_answer_score", "share of the short answer points", "scoring_breakdown.sa_percentage"),
        )
    ),
    Column("absolute_gain", NUMBER, "final - baseline", _gain("absolute_gain"), unit="percentage points"),
    Column(
        "relative_gain", NUMBER, "gain / baseline x 100; missing at a baseline of 0",
        _gain("relative_gain"), unit="percent",
    ),
    Column(
        "normalized_gain", NUMBER, "gain / (100 - baseline); missing at a baseline of 100",
        _gain("normalized_gain"),
    ),
    Column("format", CHOICE, "how the content was followed", "content.delivery_preferences.format_chosen",
           values=FORMATS),
    Column("content_completion", NUMBER, "share of the content played",
           "content.engagement_metrics.completion_percentage", unit="percent"),
    Column("pauses", WHOLE, "pauses in the content", "content.engagement_metrics.pause_count"),
    Column("rewinds", WHOLE, "rewinds in the content", "content.engagement_metrics.rewind_count"),
    Column("engagement", NUMBER, "coverage x attention, 0 to 1, mean over segments", _engagement),
    *(
        Column(f"engagement_{n}", NUMBER, f"engagement with segment {n}, 0 to 1", _segment_engagement(n))
        for n in (1, 2, 3, 4)
    ),
    Column("verification_method", CHOICE, "how the place was verified", "verification.verification.method",
           values=METHODS),
    Column("verification_confidence", CHOICE, "how sure the place is", "verification.verification.confidence",
           values=CONFIDENCES),
    Column("allocation_method", CHOICE, "how the condition was drawn", "session.allocation.method",
           values=("balanced", "override")),
    Column("content_id", TEXT, "the content package", "session.content_id"),
    Column("data_quality_flags", TEXT, "the flags, separated by ;", _known),
    Column("flagged", YES_NO, "has any flag", lambda r: bool(r.session.metadata.data_quality_flags)),
    *(Column(f"flag_{name}", YES_NO, f"has the flag {name}", _flag(name)) for name in FLAGS),
    Column("simulated", YES_NO, "made by the simulation, not by a student",
           lambda r: bool(r.session.metadata.simulated)),
)  # fmt: skip

_META = "intervention.intervention_metadata"
_SUMMARY = "intervention.intervention_summary"
_PLACE = (
    Column("intervention_id", TEXT, "the intervention", "intervention.intervention_id"),
    Column("sequence_number", WHOLE, "1 for the session's first intervention", f"{_META}.sequence_number"),
    Column("segment", WHOLE, "the segment it follows, 1 to 4", f"{_META}.segment_id"),
)
_INTERVENTIONS = (
    *_PLACE,
    Column("time", TIME, "end of the segment before", f"{_META}.timestamp"),
    Column("answers", WHOLE, "answers given, 0 to 3", "intervention.answered"),
    Column("duration_seconds", NUMBER, "the three questions and answers",
           f"{_SUMMARY}.total_duration_seconds", unit="seconds"),
    Column("response_time_seconds", NUMBER, "mean time to answer a question",
           f"{_SUMMARY}.avg_response_time_seconds", unit="seconds"),
    Column("question_quality", NUMBER, "mean of clarity and relevance over the questions, 1 to 5",
           f"{_SUMMARY}.avg_question_quality"),
    Column("answer_depth", NUMBER, "mean depth of the answers, 1 to 5", f"{_SUMMARY}.avg_answer_depth"),
    Column("progression_quality", NUMBER, "how well the questions built on each other, 1 to 5",
           f"{_SUMMARY}.progression_quality"),
    Column("model", TEXT, "the model that asked", "intervention.ai_metadata.model_version"),
    Column("prompt_tokens", WHOLE, "tokens sent", "intervention.ai_metadata.total_prompt_tokens"),
    Column("completion_tokens", WHOLE, "tokens received",
           "intervention.ai_metadata.total_completion_tokens"),
    Column("cost_usd", NUMBER, "cost of the questions", "intervention.ai_metadata.total_cost_usd",
           unit="US dollars"),
    Column("grading_cost_usd", NUMBER, "cost of scoring the answers", "intervention.grading.cost_usd",
           unit="US dollars"),
)  # fmt: skip

_SCORES = (
    "question_clarity",
    "question_relevance",
    "answer_depth",
    "answer_accuracy",
    "engagement_level",
    "builds_on_previous",
    "synthesis_quality",
    "location_integration",
)
_QUESTIONS = (
    *_PLACE,
    Column("question_number", WHOLE, "1 to 3", "question.question_number"),
    Column("source", CHOICE, "where the question came from; of dynamic ones missing in foreign items",
           "question.question_source", values=SOURCES),
    Column("asked_at", TIME, "shown to the student", "question.timestamp"),
    Column("answered_at", TIME, "answer stored", "question.answer_metadata.timestamp"),
    Column("response_time_seconds", NUMBER, "time to answer",
           "question.answer_metadata.response_time_seconds", unit="seconds"),
    Column("words", WHOLE, "words of the answer", "question.answer_metadata.word_count"),
    Column("characters", WHOLE, "characters of the answer", "question.answer_metadata.character_count"),
    *(
        Column(name, NUMBER, f"{name.replace('_', ' ')}, 1 to 5", f"question.quality_scores.{name}")
        for name in _SCORES
    ),
    Column("generation_ms", WHOLE, "time the model took",
           "question.question_metadata.generation_time_ms", unit="milliseconds"),
    Column("attempts", WHOLE, "tries until the question passed the gate",
           "question.question_metadata.attempts"),
    Column("prompt_tokens", WHOLE, "tokens sent", "question.question_metadata.prompt_tokens"),
    Column("completion_tokens", WHOLE, "tokens received", "question.question_metadata.completion_tokens"),
    Column("cost_usd", NUMBER, "cost of the question", "question.question_metadata.cost_usd",
           unit="US dollars"),
    Column("question", TEXT, "the question", "question.question"),
    Column("answer", TEXT, "the answer", "question.answer"),
)  # fmt: skip

_ITEMS = (
    Column("moment", CHOICE, "before or after", "assessment.assessment_metadata.type", values=TYPES),
    Column("question_id", TEXT, "the item", "item.question_id"),
    Column("question_type", CHOICE, "form of the item", "item.question_type", values=QUESTION_TYPES),
    Column("difficulty", CHOICE, "difficulty as the package says", "item.difficulty", values=DIFFICULTIES),
    Column("points", NUMBER, "points to be had", "item.points", unit="points"),
    Column("points_earned", NUMBER, "points given; missing while not scored", "item.points_earned",
           unit="points"),
    Column("is_correct", YES_NO, "right, or a short answer with 2/3 of its points", "item.is_correct"),
    Column("response_time_seconds", NUMBER, "time to answer", "item.response_time_seconds", unit="seconds"),
    Column("answered_at", TIME, "answer stored", "item.answered_at"),
    Column("model", TEXT, "the model that scored", "item.ai_scoring.model"),
    Column("model_score", NUMBER, "points the model gave", "item.ai_scoring.raw_score", unit="points"),
    Column("answer", TEXT, "the answer", "item.student_answer"),
)  # fmt: skip

_SURVEY = {
    "location_experience": (
        ("location_impact_rating", WHOLE, "how much the place helped, 1 to 5"),
        ("location_enhanced_understanding", YES_NO, "the place helped to understand"),
        ("location_was_distracting", YES_NO, "the place made it hard to focus"),
        ("would_recommend_location", YES_NO, "would recommend such a place"),
        ("location_feedback", TEXT, "in words, on the place"),
    ),
    "intervention_experience": (
        ("intervention_helpful_rating", WHOLE, "how helpful the questions were, 1 to 5"),
        ("questions_were_engaging", YES_NO, "the questions kept the interest"),
        ("questions_were_appropriate", YES_NO, "the questions fitted"),
        ("questions_promoted_thinking", YES_NO, "the questions made think"),
        ("preferred_intervention_type", TEXT, "the kind of questions preferred"),
        ("intervention_feedback", TEXT, "in words, on the questions"),
    ),
    "learning_experience": (
        ("content_difficulty_rating", WHOLE, "how difficult the content was, 1 to 5"),
        ("content_interest_rating", WHOLE, "how interesting the content was, 1 to 5"),
        ("pacing_rating", WHOLE, "the pace, 1 to 5"),
        ("overall_experience_rating", WHOLE, "all in all, 1 to 5"),
        ("would_recommend_experience", YES_NO, "would recommend the session"),
        ("general_feedback", TEXT, "in words, in general"),
    ),
    "technical_experience": (
        ("interface_easy_to_use", YES_NO, "easy to use"),
        ("audio_quality_rating", WHOLE, "quality of the sound, 1 to 5"),
        ("technical_issues_encountered", YES_NO, "something went wrong"),
        ("technical_feedback", TEXT, "in words, on the technology"),
    ),
    "open_ended_responses": (
        ("most_valuable_aspect", TEXT, "in words, the best of it"),
        ("least_valuable_aspect", TEXT, "in words, the least of it"),
        ("suggestions_for_improvement", TEXT, "in words, what to improve"),
        ("additional_comments", TEXT, "in words, anything else"),
    ),
}
_SURVEYS = (
    Column("time", TIME, "survey stored", "survey.survey_metadata.timestamp"),
    Column("duration_seconds", NUMBER, "time for the survey", "survey.survey_metadata.duration_seconds",
           unit="seconds"),
    *(
        Column(name, dtype, meaning, f"survey.{group}.{name}")
        for group, fields in _SURVEY.items()
        for name, dtype, meaning in fields
    ),
)  # fmt: skip

TABLES: Final[Mapping[str, tuple[Column, ...]]] = {
    "sessions": _IDS + _SESSIONS,
    "interventions": _IDS + _INTERVENTIONS,
    "questions": _IDS + _QUESTIONS,
    "assessment_items": _IDS + _ITEMS,
    "surveys": _IDS + _SURVEYS,
}


# --- the rows


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """The five tables of the same sessions."""

    sessions: pd.DataFrame
    interventions: pd.DataFrame
    questions: pd.DataFrame
    assessment_items: pd.DataFrame
    surveys: pd.DataFrame


def build(source: Iterable[Run | Item]) -> Frames:
    """Frames of whole sessions, given as runs or as their items in any order (see `runs`)."""
    rows: dict[str, list[Any]] = {name: [] for name in TABLES}
    for run in runs(source):
        for name, row in _rows(run):
            rows[name].append(row)
    return Frames(**{name: _frame(TABLES[name], found) for name, found in rows.items()})


def runs(source: Iterable[Run | Item]) -> Iterator[Run]:
    """Runs as they are, then items put together by session.

    Items that belong to no session, or to one whose own item is not among them, are left out.
    """
    parts: dict[str, list[Item]] = defaultdict(list)
    for thing in source:
        if isinstance(thing, Run):
            yield thing
        elif session_id := getattr(thing, "session_id", None):
            parts[session_id].append(thing)
    for items in parts.values():
        if any(isinstance(item, Session) for item in items):
            yield Run.of(items)


def _rows(run: Run) -> Iterator[tuple[str, Any]]:
    common = {"session": run.session, "condition": run.session.condition}
    yield (
        "sessions",
        SimpleNamespace(
            **common,
            verification=run.verification,
            content=run.content,
            **{kind: run.assessments.get(kind) for kind in TYPES},
        ),
    )
    for _, record in sorted(run.interventions.items()):
        yield "interventions", SimpleNamespace(**common, intervention=record)
        for question in record.questions:
            yield "questions", SimpleNamespace(**common, intervention=record, question=question)
    for kind in TYPES:
        for item in run.assessments[kind].questions if kind in run.assessments else ():
            yield "assessment_items", SimpleNamespace(**common, assessment=run.assessments[kind], item=item)
    if run.survey is not None:
        yield "surveys", SimpleNamespace(**common, survey=run.survey)


def _frame(columns: tuple[Column, ...], rows: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({column.name: _series(column, rows) for column in columns})


def _series(column: Column, rows: list[Any]) -> pd.Series:
    values = [column.of(row) for row in rows]
    if column.dtype == CHOICE:
        return pd.Series(pd.Categorical(values, categories=list(column.values)))
    if column.dtype == TIME:
        return pd.Series(pd.to_datetime(pd.Series(values, dtype="object"), utc=True)).astype(TIME)
    if column.dtype == NUMBER:
        values = [None if value is None else float(value) for value in values]
    return pd.Series(values, dtype=column.dtype)
