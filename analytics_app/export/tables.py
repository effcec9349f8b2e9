"""The tables of an export, each one a list of columns. What a table's rows are made of is in `rows`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from fractions import Fraction
from functools import cache
from typing import Any, Final

from sessions_app.access.field_policy import SHARED_FLAGS
from sessions_app.domain import scores
from sessions_app.domain.models import Intervention
from sessions_app.domain.models.assessment import TYPES
from sessions_app.domain.models.session import FLAGS
from sessions_app.domain.session import location_check
from sessions_app.domain.survey_fields import SURVEY_FIELDS

from . import columns as c
from .columns import ID, LIST, NUMBER, TEXT, TIME, WHOLE, WORDS, YES_NO, Column, Made, Objects, Stored

WIDE: Final = "sessions_wide"
_CONDITION = "experimental_condition"
_QUALITY = ("answer_depth", "answer_accuracy", "engagement_level")
_TUTOR_QUALITY = (
    "question_clarity",
    "question_relevance",
    "builds_on_previous",
    "synthesis_quality",
    "location_integration",
)
EXACTLY: Final = "Of the points themselves, each item's capped at what it is worth; not rounded."
BANDS: Final = ("13 and under", "14 to 15", "16 to 17", "18 and over")


# --- what is worked out


def age_band(objects: Objects) -> str | None:
    age = c.value(objects, "session", "student_metadata.age", NUMBER)
    if age is None:
        return None
    return BANDS[(age >= 14) + (age >= 16) + (age >= 18)]


def _distance_band(objects: Objects) -> str | None:
    meters = c.value(objects, "verification", "gps_data.distance_from_target_meters", NUMBER)
    inside = c.value(objects, "verification", "gps_data.geofence_validated", YES_NO)
    if meters is None or inside is None:
        return None
    return location_check.distance_band(meters=meters, inside=inside)


def state(objects: Objects) -> str:
    """`completed` and `running` also for items of writers that store no state."""
    stored = c.value(objects, "session", "state", TEXT)
    done = c.value(objects, "session", "completion_status.completed", YES_NO)
    return stored or ("completed" if done else "running")


def _has_flag(name: str) -> Any:
    def has_flag(objects: Objects) -> bool:
        flags = c.at(objects["session"], ("metadata", "data_quality_flags")) or {}
        return any(flag.get("S") == name for flag in flags.get("L", ()))

    return has_flag


def _shared_flags(objects: Objects) -> str | None:
    """Raises Unreadable."""
    flags = c.read(LIST, c.at(objects.get("session"), ("metadata", "data_quality_flags"))) or ""
    return ";".join(flag for flag in flags.split(";") if flag in SHARED_FLAGS) or None


def _mean(of_intervention: Callable[[Intervention], Fraction | None]) -> Any:
    """As the schema's `flatten_session_data`: the mean over the interventions that have a value."""
    return lambda objects: _number(
        scores.mean(of_intervention(each) for each in objects["run"].interventions.values())
    )


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def _score(kind: str) -> Any:
    return lambda objects: scores.percent(getattr(objects["scores"], kind))


def _gain(name: str, scale: int) -> Any:
    def gain(objects: Objects) -> float | None:
        value = getattr(objects["scores"].gain, name, None)
        return None if value is None else float(scale * value)

    return gain


def _capped(path: str) -> Any:
    """Points of an item, no more than it is worth."""

    def points(objects: Objects) -> float | None:
        earned, worth = (c.value(objects, "item", each, NUMBER) for each in (path, "points"))
        return _number(scores.capped(earned, worth))

    return points


def _answers(objects: Objects) -> int:
    return sum("answer" in each for each in objects["questions"])


def _shown(objects: Objects) -> Any:
    """When a step was shown: stored where it is, else counted back from when its answer was stored."""
    step = objects["step"]
    if step["shown_at"] is not None or step["stored_at"] is None or step["seconds"] is None:
        return step["shown_at"]
    return step["stored_at"] - timedelta(seconds=round(step["seconds"]) + int(step["held_seconds"] or 0))


def _of_step(name: str) -> Any:
    return lambda objects: objects["step"][name]


# --- the columns that several tables share

_IDS: tuple[Stored | Made, ...] = (
    Stored("session", "session_id", form=ID),
    Stored("session", "student_id", form=ID),
    Stored("session", "student_code"),
)
_DESIGN: tuple[Stored | Made, ...] = (
    Stored("session", f"{_CONDITION}.condition_code", "condition"),
    Stored("session", f"{_CONDITION}.location"),
    Stored("session", f"{_CONDITION}.interval_minutes", "interval"),
    Stored("session", f"{_CONDITION}.intervention_type"),
)


def realm_of(item: c.Map | None) -> str:
    """Of a raw profile or session: `real` where nothing else is said."""
    realm = c.value({"x": item}, "x", "metadata.realm", TEXT)
    return str(realm or ("simulated" if c.value({"x": item}, "x", "metadata.simulated", YES_NO) else "real"))


def _realm(role: str) -> tuple[Made, Made]:
    """Never empty, so that every filter finds what it asks for."""
    return (
        Made("simulated", YES_NO, "Simulated", lambda o: realm_of(o.get(role)) == "simulated",
             note="True for simulated students and their sessions, otherwise false."),
        Made("realm", TEXT, "Realm", lambda o: realm_of(o.get(role)),
             note="Practice is in no export.",
             choices={"real": "a student of the study", "simulated": "made by the simulation"}),
    )  # fmt: skip


_KEYS = _IDS + _DESIGN
_WHO: tuple[Stored | Made, ...] = (
    Made("week", WHOLE, "Week of the study", lambda o: o["week"], "weeks",
         "1 for the seven days that begin with the study's first session."),
    Stored("session", "student_metadata.age"),
    Made("age_band", TEXT, "Age in bands", age_band, "years", choices=dict.fromkeys(BANDS, "")),
    Stored("session", "student_metadata.grade"),
    Stored("session", "student_metadata.richmond_resident"),
)  # fmt: skip

_STUDENTS = (
    Stored("student", "student_id", form=ID),
    Stored("student", "student_code"),
    Stored("student", "demographics.age"),
    Stored("student", "demographics.grade_level"),
    Stored("student", "demographics.school"),
    Stored("student", "demographics.richmond_resident"),
    Stored("student", "learning_profile.depth_preference"),
    Stored("student", "learning_profile.learning_style"),
    Stored("student", "learning_profile.prior_knowledge_topics"),
    Stored("student", "consent_data.irb_consent_date"),
    Stored("student", "consent_data.data_sharing_consent"),
    Stored("student", "consent_data.state", "consent_state"),
    Stored("student", "metadata.total_sessions"),
    *_realm("student"),
)


def _scores_of(kind: str) -> tuple[Stored | Made, ...]:
    breakdown = "scoring_breakdown"
    return (
        Made(f"{kind}_score", NUMBER, f"Score, {kind}", _score(kind), unit="percent", note=EXACTLY),
        Stored(
            kind, f"{breakdown}.mc_percentage", f"{kind}_mc_score", label=f"Multiple choice, score, {kind}"
        ),
        Stored(kind, f"{breakdown}.sa_percentage", f"{kind}_sa_score", label=f"Short answers, score, {kind}"),
    )


_SCORES: tuple[Stored | Made, ...] = tuple(column for kind in TYPES for column in _scores_of(kind))
_GAINS = (
    Made("learning_gain", NUMBER, "Absolute gain", _gain("absolute", 100), unit="percentage points"),
    Made("relative_gain", NUMBER, "Relative gain", _gain("relative", 100), unit="percent",
         note="Missing at a baseline of 0."),
    Made("normalized_gain", NUMBER, "Normalized gain", _gain("normalized", 1),
         note="Missing at a baseline of 100."),
)  # fmt: skip
_FLAGS = Made(
    "data_quality_flags",
    LIST,
    "Data-quality flags",
    _shared_flags,
    note="Without the flag safeguarding, which full exports have in a column of its own.",
)
_VERIFIED: tuple[Stored | Made, ...] = (
    Stored("verification", "verification.method", "verification_method"),
    Stored("verification", "verification.confidence", "verification_confidence"),
    Stored("verification", "verification.override_reason"),
    Stored("verification", "verification.attested_by"),
    Made("distance_band", TEXT, "Distance from the location, in bands", _distance_band,
         choices=dict.fromkeys(location_check.BANDS, "")),
    Stored("verification", "gps_data.latitude"),
    Stored("verification", "gps_data.longitude"),
    Stored("verification", "gps_data.accuracy_meters"),
    Stored("verification", "gps_data.distance_from_target_meters"),
    Stored("verification", "device_info.device_type"),
    Stored("verification", "device_info.os"),
    Stored("verification", "device_info.browser"),
    Stored("verification", "device_info.user_agent"),
    Stored("verification", "metadata.ip_address"),
)  # fmt: skip
_SESSIONS: tuple[Stored | Made, ...] = (
    *_KEYS,
    *_WHO,
    Stored("session", f"{_CONDITION}.location_name"),
    Stored("session", "facilitator"),
    Stored("session", "timeline.session_start"),
    Stored("session", "timeline.session_end"),
    Stored("session", "timeline.total_duration_seconds"),
    Stored("session", "timeline.content_duration_seconds"),
    Stored("session", "timeline.intervention_duration_seconds"),
    Stored("session", "timeline.assessment_duration_seconds"),
    Made("state", TEXT, "State of the session", state, choices={
        "running": "started, and takes answers", "completed": "the survey is stored",
        "stopped": "stopped by staff before its end", "abandoned": "closed by the clock before its end",
        "withdrawn": "consent was withdrawn"}),
    Stored("session", "completion_status.completed"),
    Stored("session", "completion_status.location_verified"),
    Stored("session", "completion_status.baseline_completed"),
    Stored("session", "completion_status.content_completed"),
    Stored("session", "completion_status.interventions_completed"),
    Stored("session", "completion_status.final_assessment_completed"),
    Stored("session", "completion_status.post_survey_completed"),
    Stored("session", "student_metadata.prior_knowledge_score"),
    Stored("session", "content_id"),
    Stored("content", "content_metadata.content_version"),
    Stored("content", "delivery_preferences.format_chosen"),
    Stored("content", "delivery_preferences.playback_speed"),
    Stored("content", "delivery_preferences.captions_enabled"),
    Stored("content", "delivery_preferences.language"),
    Stored("content", "engagement_metrics.total_play_time_seconds"),
    Stored("content", "engagement_metrics.total_elapsed_time_seconds"),
    Stored("content", "engagement_metrics.pause_count"),
    Stored("content", "engagement_metrics.rewind_count"),
    Stored("content", "engagement_metrics.segments_completed"),
    Stored("content", "engagement_metrics.completion_percentage"),
    *_VERIFIED,
    Stored("session", "allocation.method", "allocation_method"),
    Stored("session", "allocation.reason", "allocation_reason"),
    Stored("session", "allocation.attempt"),
    Stored("session", "allocation.earlier_sessions"),
    Stored("session", "allocation.farthest_stage"),
    _FLAGS,
    *(
        Made(f"flag_{name}", YES_NO, f"Flag {name.replace('_', ' ')}", _has_flag(name))
        for name in FLAGS
    ),
    *_realm("session"),
)  # fmt: skip

_WIDE: tuple[Stored | Made, ...] = (
    *_KEYS,
    *_WHO,
    Stored("session", "allocation.attempt"),
    Stored("session", "allocation.earlier_sessions"),
    Stored("session", "allocation.farthest_stage"),
    Stored("session", "timeline.session_start"),
    Stored("session", "timeline.total_duration_seconds", "total_duration"),
    Stored("session", "completion_status.completed"),
    *_SCORES,
    *_GAINS,
    Made("interventions_total", WHOLE, "Interventions", lambda o: len(o["interventions"])),
    Made("questions_answered", WHOLE, "Questions answered in them", _answers, "questions"),
    Made("avg_question_quality", NUMBER, "Mean question quality", _mean(scores.question_quality),
         "score 1–5", "Mean over the session's interventions."),
    Made("avg_answer_depth", NUMBER, "Mean answer depth", _mean(scores.answer_depth),
         "score 1–5", "Mean over the session's interventions."),
    Made("avg_response_time_seconds", NUMBER, "Mean response time",
         _mean(scores.response_time), "seconds",
         "Mean over the session's interventions."),
    Stored("survey", "location_experience.location_impact_rating"),
    Stored("survey", "intervention_experience.intervention_helpful_rating"),
    Stored("survey", "learning_experience.overall_experience_rating"),
    Stored("content", "delivery_preferences.format_chosen"),
    Stored("content", "engagement_metrics.completion_percentage"),
    _FLAGS,
    *_realm("session"),
)  # fmt: skip

_SEGMENTS = (
    *_KEYS,
    Stored("segment", "segment_id", "segment"),
    Stored("segment", "start_time"),
    Stored("segment", "end_time"),
    Stored("segment", "duration_seconds"),
    Stored("segment", "completed"),
    Stored("segment", "engagement_score"),
    Stored("segment", "position_seconds"),
    Stored("segment", "play_time_seconds"),
    Stored("segment", "pause_count"),
    Stored("segment", "rewind_count"),
    Stored("segment", "delivered_by"),
    Stored("segment", "heard"),
    Stored("segment", "heard_seconds"),
    Stored("segment", "muted_seconds"),
    Stored("segment", "skip_reason"),
    Stored("segment", "held_seconds"),
)

_IN_DIALOGUE = (
    Stored("intervention", "intervention_id"),
    Stored("intervention", "intervention_metadata.sequence_number"),
    Stored("intervention", "intervention_metadata.segment_id", "segment"),
)
_INTERVENTIONS = (
    *_KEYS,
    *_IN_DIALOGUE,
    Stored("intervention", "intervention_metadata.timestamp", "started_at"),
    Made("answers", WHOLE, "Answers given", _answers, unit="answers"),
    Stored("intervention", "intervention_summary.total_duration_seconds"),
    Stored("intervention", "intervention_summary.avg_response_time_seconds"),
    Stored("intervention", "intervention_summary.avg_question_quality"),
    Stored("intervention", "intervention_summary.avg_answer_depth"),
    Stored("intervention", "intervention_summary.progression_quality"),
    Stored("intervention", "intervention_summary.location_awareness_utilized"),
    Stored("intervention", "ai_metadata.model_version"),
    Stored("intervention", "ai_metadata.total_prompt_tokens"),
    Stored("intervention", "ai_metadata.total_completion_tokens"),
    Stored("intervention", "ai_metadata.total_cost_usd"),
    Stored("intervention", "ai_metadata.avg_generation_time_ms"),
    Stored("intervention", "grading.model", "grading_model"),
    Stored("intervention", "grading.graded_at"),
    Stored("intervention", "grading.cost_usd", "grading_cost_usd"),
)

_QUESTIONS = (
    *_KEYS,
    *_IN_DIALOGUE,
    Stored("question", "question_number"),
    Stored("question", "question_source"),
    Stored("question", "timestamp", "asked_at"),
    Stored("question", "answer_metadata.timestamp", "answered_at"),
    Stored("question", "answer_metadata.response_time_seconds"),
    Stored("question", "answer_metadata.held_seconds"),
    Stored("question", "answer_metadata.word_count"),
    Stored("question", "answer_metadata.character_count"),
    *(Stored("question", f"quality_scores.{name}") for name in (*_QUALITY, *_TUTOR_QUALITY)),
    *(
        Stored(
            "question",
            f"model_scores.{name}",
            f"model_{name}",
            label=f"{name.replace('_', ' ')}, by the model",
        )
        for name in (*_QUALITY, *_TUTOR_QUALITY)
    ),
    Stored("question", "human_scoring.at", "human_scored_at"),
    Stored("question", "human_scoring.by", "human_scored_by"),
    Stored("question", "question_metadata.model", "question_model"),
    Stored("question", "question_metadata.generation_time_ms"),
    Stored("question", "question_metadata.attempts"),
    Stored("question", "question_metadata.prompt_tokens"),
    Stored("question", "question_metadata.completion_tokens"),
    Stored("question", "question_metadata.cost_usd"),
    Stored("question", "question", form=WORDS),
    Stored("question", "answer", form=WORDS),
)

_ITEMS = (
    *_KEYS,
    Stored("assessment", "assessment_metadata.type", "assessment_type"),
    Stored("item", "question_id"),
    Stored("item", "question_type"),
    Stored("item", "difficulty"),
    Stored("item", "points"),
    Made("points_earned", NUMBER, "Points earned", _capped("points_earned"), unit="points"),
    Stored("item", "is_correct"),
    Stored("item", "response_time_seconds"),
    Stored("item", "held_seconds"),
    Stored("item", "answered_at"),
    Stored("item", "ai_scoring.model", "scoring_model"),
    Made("model_score", NUMBER, "Points by the model", _capped("ai_scoring.raw_score"), unit="points"),
    Stored("item", "ai_scoring.feedback", form=WORDS),
    Made("human_score", NUMBER, "Points by a person", _capped("human_scoring.raw_score"), unit="points"),
    Stored("item", "human_scoring.by", "human_scored_by"),
    Made(
        "second_human_score",
        NUMBER,
        "Points by a second person",
        _capped("second_scoring.raw_score"),
        unit="points",
    ),
    Stored("item", "student_answer", form=WORDS),
)

_ASSESSMENTS = (
    *_KEYS,
    Stored("assessment", "assessment_id"),
    Stored("assessment", "assessment_metadata.type", "assessment_type"),
    Stored("assessment", "assessment_metadata.version", "assessment_version"),
    Stored("assessment", "assessment_metadata.timestamp", "started_at"),
    Stored("assessment", "assessment_metadata.duration_seconds"),
    Made("score", NUMBER, "Score", lambda o: scores.percent(scores.score(o["record"])), unit="percent",
         note=EXACTLY),
    *(
        Stored("assessment", f"assessment_results.{name}")
        for name in (
            "total_questions", "questions_answered", "correct_answers", "total_points", "points_earned",
            "score_percentage", "avg_response_time_seconds",
        )
    ),
    *(
        Stored("assessment", f"scoring_breakdown.{name}")
        for name in (
            "multiple_choice_score", "multiple_choice_possible", "short_answer_score",
            "short_answer_possible", "mc_percentage", "sa_percentage",
        )
    ),
    *(
        Stored("assessment", f"learning_gain.{name}")
        for name in ("absolute_gain", "relative_gain", "normalized_gain")
    ),
    Stored("assessment", "metadata.grading_method"),
)  # fmt: skip

_SURVEYS = (
    *_KEYS,
    Stored("survey", "survey_metadata.version", "survey_version"),
    Stored("survey", "survey_metadata.timestamp", "answered_at"),
    Stored("survey", "survey_metadata.duration_seconds"),
    Stored("survey", "survey_metadata.held_seconds"),
    *(
        Stored("survey", f"{group}.{name}", form=WORDS if kind in ("text", "choice") else "")
        for group, fields in SURVEY_FIELDS.items()
        for name, kind in fields.items()
    ),
)

_STAGES = {
    "baseline": "assessment before", "format": "choice of format", "segment": "segment of the content",
    "questions": "dialogue", "final": "assessment after", "survey": "survey",
}  # fmt: skip
_PAGE_TIMES = (
    *_IDS,
    Made("stage", TEXT, "Stage", _of_step("stage"), choices=_STAGES),
    Made("segment", WHOLE, "Segment", _of_step("segment"), note="Of segments and of dialogues."),
    Made("number", WHOLE, "Number in the stage", _of_step("number")),
    Made(
        "shown_at",
        TIME,
        "Shown",
        _shown,
        note="Of assessment items and surveys counted back from the answer.",
    ),
    Made("stored_at", TIME, "Answer stored", _of_step("stored_at")),
    Made("seconds", NUMBER, "Time on the page", _of_step("seconds"), unit="seconds"),
    Made("held_seconds", WHOLE, "Held on the device", _of_step("held_seconds"), unit="seconds"),
)

DECLARED: Final[Mapping[str, tuple[Stored | Made, ...]]] = {
    WIDE: _WIDE,
    "students": _STUDENTS,
    "sessions": _SESSIONS,
    "segments": _SEGMENTS,
    "interventions": _INTERVENTIONS,
    "questions": _QUESTIONS,
    "assessment_items": _ITEMS,
    "assessments": _ASSESSMENTS,
    "surveys": _SURVEYS,
    "page_times": _PAGE_TIMES,
}
LEVELS: Final = tuple(DECLARED)
PUBLIC: Final = frozenset({WIDE})
"""Public data are one table: tables that join would single out whoever has a rare sequence of rows."""


@cache
def columns(level: str) -> tuple[Column, ...]:
    return tuple(c.column(declared) for declared in DECLARED[level])
