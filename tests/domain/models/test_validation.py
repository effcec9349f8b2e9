"""A bad value is refused by the name of its field, and nothing is written."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest

from sessions_app.domain import models
from sessions_app.domain.models import InvalidField

EXAMPLES = Path(__file__).parents[2] / "examples"
NAN, INFINITE = math.nan, math.inf
MISSING = object()

# (example, path of the value, bad value, field that is named where it is not the path)
BAD: list[tuple[str, str, Any, str | None]] = [
    # student
    ("student_profile", "demographics.age", 4, None),
    ("student_profile", "demographics.age", 121, None),
    ("student_profile", "demographics.age", "16", None),
    ("student_profile", "demographics.age", True, None),
    ("student_profile", "demographics.age", 16.5, None),
    ("student_profile", "demographics.age", NAN, None),
    ("student_profile", "demographics.age", MISSING, None),
    ("student_profile", "demographics.grade_level", 0, None),
    ("student_profile", "demographics.grade_level", 17, None),
    ("student_profile", "demographics.school", 7, None),
    ("student_profile", "demographics.school", "x" * 121, None),
    ("student_profile", "demographics.richmond_resident", 1, None),
    ("student_profile", "demographics.richmond_resident", "true", None),
    ("student_profile", "demographics", MISSING, None),
    ("student_profile", "learning_profile.depth_preference", "bottomless", None),
    ("student_profile", "learning_profile.learning_style", "", None),
    ("student_profile", "learning_profile.prior_knowledge_topics", "civil_war", None),
    ("student_profile", "learning_profile.prior_knowledge_topics", ["civil_war", 3], None),
    ("student_profile", "consent_data.parent_consent", "yes", None),
    ("student_profile", "consent_data.student_assent", MISSING, None),
    ("student_profile", "consent_data.irb_consent_date", "2025-10-01", None),
    ("student_profile", "consent_data.irb_consent_date", "yesterday", None),
    ("student_profile", "consent_data.state", "perhaps", None),
    ("student_profile", "metadata.created_at", "2025-02-30T10:30:00Z", None),
    ("student_profile", "metadata.created_at", 1759314600, None),
    ("student_profile", "metadata.total_sessions", -1, None),
    ("student_profile", "metadata.total_sessions", 1.5, None),
    ("student_profile", "metadata.conditions_completed", ["L9-I1-D"], None),
    ("student_profile", "metadata", MISSING, None),
    ("student_profile", "student_id", 5, None),
    ("student_profile", "student_code", "Not A Code", None),
    ("student_profile", "GSI2PK", "", None),
    # session
    ("session", "experimental_condition.condition_code", "L5-I1-D", None),
    ("session", "experimental_condition.condition_code", "", None),
    ("session", "experimental_condition.condition_code", "L2-I1-D", "experimental_condition"),
    ("session", "experimental_condition.condition_code", "L1-I1-S", "experimental_condition"),
    ("session", "experimental_condition.location", "moon", None),
    ("session", "experimental_condition.interval_minutes", 3, None),
    ("session", "experimental_condition.interval_minutes", 5.0, None),
    ("session", "experimental_condition.intervention_type", "mixed", None),
    ("session", "experimental_condition", MISSING, None),
    ("session", "timeline.session_start", "2025-10-23 14:30", None),
    ("session", "timeline.session_start", MISSING, None),
    ("session", "timeline.total_duration_seconds", -1, None),
    ("session", "timeline.total_duration_seconds", INFINITE, None),
    ("session", "completion_status.completed", "true", None),
    ("session", "completion_status.interventions_completed", 5, None),
    ("session", "completion_status.interventions_completed", False, None),
    ("session", "student_metadata.age", 3, None),
    ("session", "state", "paused", None),
    ("session", "metadata.version", -1, None),
    ("session", "metadata.data_quality_flags", ["made_up"], None),
    ("session", "metadata.data_quality_flags", "resumed", None),
    ("session", "metadata.updated_at", "", None),
    # verification
    ("location_verification", "gps_data.latitude", 90.1, None),
    ("location_verification", "gps_data.latitude", -90.1, None),
    ("location_verification", "gps_data.latitude", "37.5", None),
    ("location_verification", "gps_data.longitude", 180.1, None),
    ("location_verification", "gps_data.longitude", -181, None),
    ("location_verification", "gps_data.longitude", NAN, None),
    ("location_verification", "gps_data.accuracy_meters", -0.1, None),
    ("location_verification", "gps_data.geofence_validated", "yes", None),
    ("location_verification", "gps_data.distance_from_target_meters", -1, None),
    ("location_verification", "location_data.type", "home", "gps_data"),
    ("location_verification", "location_data.type", "school", None),
    ("location_verification", "verification.method", "gps", None),
    ("location_verification", "verification.method", "manual", "verification.override_reason"),
    ("location_verification", "verification.verified", 1, None),
    ("location_verification", "verification.confidence", "certain", None),
    ("location_verification", "verification.verification_timestamp", "now", None),
    ("location_verification", "device_info.user_agent", "x" * 401, None),
    ("location_verification", "metadata.session_token_sha256", "eyJhbGc", None),
    # content
    ("content_delivery", "delivery_preferences.format_chosen", "podcast", None),
    ("content_delivery", "delivery_preferences.playback_speed", 0.4, None),
    ("content_delivery", "delivery_preferences.playback_speed", 2.1, None),
    ("content_delivery", "delivery_preferences.captions_enabled", None, None),
    ("content_delivery", "engagement_metrics.pause_count", 0.5, None),
    ("content_delivery", "engagement_metrics.completion_percentage", 100.1, None),
    ("content_delivery", "engagement_metrics.segments_completed", 5, None),
    ("content_delivery", "engagement_metrics.start_time", "2025-10-23T14:32:00-04:00", None),
    ("content_delivery", "segment_tracking.0.engagement_score", 1.01, "segment_tracking[0].engagement_score"),
    ("content_delivery", "segment_tracking.3.segment_id", 0, "segment_tracking[3].segment_id"),
    ("content_delivery", "segment_tracking.1.end_time", "later", "segment_tracking[1].end_time"),
    ("content_delivery", "segment_tracking.2.completed", "no", "segment_tracking[2].completed"),
    ("content_delivery", "segment_tracking", MISSING, None),
    # intervention
    ("intervention-dynamic", "intervention_metadata.type", "adaptive", None),
    ("intervention-dynamic", "intervention_metadata.type", "static", "static_questions"),
    ("intervention-dynamic", "intervention_metadata.sequence_number", 5, None),
    ("intervention-dynamic", "intervention_metadata.segment_id", 0, None),
    ("intervention-dynamic", "intervention_metadata.timestamp", "2025-10-23T14:34Z", None),
    ("intervention-dynamic", "location_context.location_type", "mars", None),
    ("intervention-dynamic", "socratic_sequence", MISSING, None),
    (
        "intervention-dynamic",
        "socratic_sequence.0.question_number",
        4,
        "socratic_sequence[0].question_number",
    ),
    ("intervention-dynamic", "socratic_sequence.0.question_number", 2, "socratic_sequence"),
    ("intervention-dynamic", "socratic_sequence.2.answer", MISSING, "socratic_sequence"),
    (
        "intervention-dynamic",
        "socratic_sequence.1.quality_scores.answer_depth",
        5.1,
        "socratic_sequence[1].quality_scores.answer_depth",
    ),
    (
        "intervention-dynamic",
        "socratic_sequence.1.quality_scores.builds_on_previous",
        0.9,
        "socratic_sequence[1].quality_scores.builds_on_previous",
    ),
    (
        "intervention-dynamic",
        "socratic_sequence.0.question_metadata.prompt_tokens",
        -1,
        "socratic_sequence[0].question_metadata.prompt_tokens",
    ),
    (
        "intervention-dynamic",
        "socratic_sequence.2.answer_metadata.timestamp",
        "soon",
        "socratic_sequence[2].answer_metadata.timestamp",
    ),
    ("intervention-dynamic", "intervention_summary.avg_question_quality", 6, None),
    ("intervention-dynamic", "ai_metadata.total_cost_usd", -0.01, None),
    ("intervention-static", "static_questions", MISSING, None),
    (
        "intervention-static",
        "static_questions.0.question_source",
        "made_up",
        "static_questions[0].question_source",
    ),
    ("intervention-static", "static_questions.1.question", MISSING, "static_questions[1].question"),
    # assessment
    ("assessment-baseline", "assessment_metadata.type", "midterm", None),
    ("assessment-baseline", "questions.0.points_earned", -1, "questions[0].points_earned"),
    ("assessment-baseline", "questions.0.points", True, "questions[0].points"),
    ("assessment-baseline", "questions.1.question_type", "essay", "questions[1].question_type"),
    ("assessment-baseline", "questions.1.difficulty", "fiendish", "questions[1].difficulty"),
    ("assessment-baseline", "questions.1.question_id", "q1", "questions"),
    ("assessment-baseline", "questions.1.options", ["a", None], "questions[1].options"),
    ("assessment-baseline", "questions.0", "q1", "questions[0].value"),
    ("assessment-baseline", "questions", "q1", None),
    ("assessment-baseline", "questions", MISSING, None),
    ("assessment-baseline", "questions.2.response_time_seconds", -3, "questions[2].response_time_seconds"),
    (
        "assessment-baseline",
        "questions.2.ai_scoring.rubric_breakdown",
        {"mentions_river": -1},
        "questions[2].ai_scoring.rubric_breakdown.mentions_river",
    ),
    (
        "assessment-baseline",
        "questions.2.ai_scoring.rubric_breakdown",
        {"mentions_river": "1"},
        "questions[2].ai_scoring.rubric_breakdown.mentions_river",
    ),
    ("assessment-baseline", "assessment_results.score_percentage", 100.1, None),
    ("assessment-baseline", "assessment_results.score_percentage", -0.1, None),
    ("assessment-baseline", "assessment_results.total_questions", 2.5, None),
    ("assessment-final", "learning_gain.baseline_score", 101, None),
    ("assessment-final", "learning_gain.absolute_gain", -100.5, None),
    ("assessment-final", "learning_gain.normalized_gain", NAN, None),
    ("assessment-final", "scoring_breakdown.mc_percentage", 200, None),
    # survey
    ("post_survey", "location_experience.location_impact_rating", 0, None),
    ("post_survey", "location_experience.location_impact_rating", 6, None),
    ("post_survey", "intervention_experience.intervention_helpful_rating", 3.5, None),
    ("post_survey", "learning_experience.pacing_rating", "4", None),
    ("post_survey", "learning_experience.overall_experience_rating", True, None),
    ("post_survey", "learning_experience.would_recommend_experience", "yes", None),
    ("post_survey", "learning_experience", MISSING, None),
    ("post_survey", "technical_experience.audio_quality_rating", 9, None),
    ("post_survey", "open_ended_responses.additional_comments", "x" * 4001, None),
    ("post_survey", "survey_metadata.duration_seconds", -1, None),
    # statistics
    ("condition_statistics", "condition.location", "moon", None),
    ("condition_statistics", "condition.intervention", "none", None),
    ("condition_statistics", "date_range.start_date", "October 2025", None),
    ("condition_statistics", "sample_statistics.total_sessions", -1, None),
    ("condition_statistics", "sample_statistics.completion_rate", 101, None),
    ("condition_statistics", "learning_outcomes.final_assessment.mean_score", 100.5, None),
    ("condition_statistics", "learning_outcomes.learning_gain.students_with_losses", 0.5, None),
    ("condition_statistics", "engagement_metrics.avg_engagement_score", 1.2, None),
    ("condition_statistics", "metadata.last_updated", "today", None),
    ("condition_statistics", "metadata.auto_generated", 0, None),
]


def example(name: str) -> dict[str, Any]:
    item: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text())
    return item


def placed(item: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with a value at a dotted path; MISSING takes it out."""
    changed = copy.deepcopy(item)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    target: Any = changed
    for part in way:
        target = target[part]
    if value is MISSING:
        del target[last]
    else:
        target[last] = value
    return changed


def built(item: dict[str, Any]) -> models.Item:
    """The model of an item whose values may be anything."""
    values = {name: _elements(name, value) for name, value in item.items() if name != "entity_type"}
    return BY_TYPE[item["entity_type"]](**values)


def _elements(name: str, value: Any) -> Any:
    """Lists hold models, where a test did not put something else into them."""
    if name not in ELEMENTS or not isinstance(value, list):
        return value
    return [ELEMENTS[name](**each) if isinstance(each, dict) else each for each in value]


ELEMENTS: dict[str, Any] = {
    "questions": models.AssessmentQuestion,
    "socratic_sequence": models.Question,
    "static_questions": models.Question,
    "segment_tracking": models.SegmentTracking,
}
BY_TYPE: dict[str, type[models.Item]] = {
    "student_profile": models.Student,
    "session": models.Session,
    "location_verification": models.LocationVerification,
    "content_delivery": models.ContentDelivery,
    "intervention": models.Intervention,
    "assessment": models.Assessment,
    "post_survey": models.PostSurvey,
    "condition_statistics": models.ConditionStatistics,
}


@pytest.mark.parametrize("name", sorted({row[0] for row in BAD}))
def test_the_example_itself_is_valid(name: str) -> None:
    item = example(name)
    assert set(built(item).serialize()) == set(item)


@pytest.mark.parametrize(
    ("name", "path", "value", "field"),
    BAD,
    ids=[f"{row[0]}:{row[1]}={'missing' if row[2] is MISSING else str(row[2])[:12]}" for row in BAD],
)
def test_a_bad_value_is_named(name: str, path: str, value: Any, field: str | None) -> None:
    with pytest.raises(InvalidField) as refused:
        built(placed(example(name), path, value)).serialize()
    assert refused.value.field == (field or path)
    assert str(refused.value).startswith(refused.value.field)


def test_nothing_of_all_that_is_written(table: str, raw: Any) -> None:
    for name, path, value, _ in BAD:
        with pytest.raises(InvalidField):
            built(placed(example(name), path, value)).save()
    assert raw.scan()["Count"] == 0


def test_an_update_is_checked_like_a_whole_item(table: str, raw: Any) -> None:
    item = example("student_profile")
    student: Any = built(item)
    student.save()
    before = raw.scan()["Items"]
    demographics: Any = models.Student.demographics
    for attribute, value in (
        (demographics.age, 130),
        (demographics.age, True),
        (demographics.richmond_resident, "yes"),
        (models.Student.metadata, {"created_at": "never"}),
        (models.Student.student_code, "no code"),
    ):
        with pytest.raises(InvalidField):
            student.update(actions=[attribute.set(value)])
    assert raw.scan()["Items"] == before


@pytest.mark.parametrize(
    ("name", "count"), [("intervention-dynamic", 2), ("intervention-dynamic", 4), ("intervention-static", 0)]
)
def test_a_whole_intervention_has_exactly_three_questions(name: str, count: int) -> None:
    item = example(name)
    sequence = "socratic_sequence" if "dynamic" in name else "static_questions"
    item[sequence] = (item[sequence] * 2)[:count]
    with pytest.raises(InvalidField, match="exactly 3") as refused:
        built(item).serialize()
    assert refused.value.field == sequence


def test_an_intervention_that_is_under_way_may_have_fewer() -> None:
    item = example("intervention-dynamic")
    del item["GSI4PK"], item["GSI4SK"]
    item["socratic_sequence"] = item["socratic_sequence"][:2]
    assert len(built(item).serialize()["socratic_sequence"]["L"]) == 2


def test_an_intervention_has_the_list_of_its_type_alone() -> None:
    item = example("intervention-dynamic")
    item["static_questions"] = item["socratic_sequence"]
    with pytest.raises(InvalidField) as refused:
        built(item).serialize()
    assert refused.value.field == "socratic_sequence"


@pytest.mark.parametrize("key", ["PK", "SK"])
def test_a_key_is_never_empty(key: str) -> None:
    with pytest.raises(InvalidField) as refused:
        built(placed(example("session"), key, "")).serialize()
    assert refused.value.field == key
