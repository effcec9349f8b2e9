"""Sessions for the tests of statistics, stored item by item: only what is counted of them differs."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from analytics_app.statistics import queries
from analytics_app.statistics.queries import Months
from analytics_app.statistics.sums import Figures
from analytics_app.streams import dispatch
from sessions_app.domain.models import (
    Assessment,
    ContentDelivery,
    Intervention,
    Item,
    PostSurvey,
    Question,
    SegmentTracking,
    Session,
)
from sessions_app.domain.store import keys

NOON = datetime.fromisoformat("2025-10-23T12:00:00+00:00")
MONTH = "2025-10"


def new_id() -> str:
    return str(uuid.uuid4())


def session(
    code: str = "L1-I1-D",
    *,
    session_id: str | None = None,
    student_id: str | None = None,
    start: datetime = NOON,
    state: str = "running",
    version: int = 1,
    simulated: bool = False,
) -> Session:
    condition = keys.Condition.from_code(code)
    done = state == "completed"
    return Session.new(
        session_id=session_id or new_id(),
        student_id=student_id or new_id(),
        condition=condition,
        start=start,
        state=state,
        experimental_condition={
            "location": condition.location,
            "location_name": condition.location,
            "interval_minutes": condition.minutes,
            "intervention_type": condition.type,
            "condition_code": code,
        },
        timeline={"session_start": start, "total_duration_seconds": 2520 if done else None},
        completion_status={
            "completed": done,
            "location_verified": True,
            "baseline_completed": done,
            "content_completed": done,
            "interventions_completed": 0,
            "final_assessment_completed": done,
            "post_survey_completed": done,
        },
        student_metadata={"age": 16, "grade": 10, "richmond_resident": True},
        metadata={
            "created_at": start,
            "updated_at": start,
            "version": version,
            "data_quality_flags": [],
            "simulated": simulated or None,
        },
    )


def assessment(of: Session, kind: str, percent: float | None, *, version: int = 1) -> Assessment:
    """`percent` None: answered, not graded yet."""
    results = percent is not None and {
        "total_questions": 10,
        "questions_answered": 10,
        "correct_answers": 5,
        "total_points": 15,
        "points_earned": round(percent * 0.15, 4),
        "score_percentage": percent,
        "avg_response_time_seconds": 20,
    }
    return Assessment(
        PK=of.PK,
        SK=keys.assessment(kind, of.start + timedelta(minutes=0 if kind == "baseline" else 30)),
        session_id=of.session_id,
        student_id=of.student_id,
        assessment_id=f"asmt_{kind}",
        assessment_metadata={
            "type": kind,
            "version": "v1",
            "timestamp": of.start,
            "content_topic": "Tredegar",
        },
        questions=[],
        assessment_results=results or None,
        metadata={"created_at": of.start, "updated_at": of.start, "version": version},
    )


def intervention(of: Session, segment: int, *, depth: float = 3.5, quality: float = 4.25) -> Intervention:
    """A whole one: three questions, each answered after 40 seconds and generated in 1.25 s if dynamic."""
    dynamic = of.condition.type == "dynamic"
    at = of.start + timedelta(minutes=5 * segment)
    questions = [
        Question(
            question_number=number,
            timestamp=at,
            question="What do you see here?",
            question_metadata=(
                {"prompt_tokens": 400, "completion_tokens": 40, "generation_time_ms": 1250}
                if dynamic
                else None
            ),
            answer="The river",
            answer_metadata={
                "timestamp": at,
                "response_time_seconds": 40,
                "word_count": 2,
                "character_count": 9,
            },
        )
        for number in (1, 2, 3)
    ]
    return Intervention(
        PK=of.PK,
        SK=keys.intervention(at, segment),
        GSI4PK=keys.intervention_type(of.condition.type),
        GSI4SK=keys.stamp(at),
        session_id=of.session_id,
        student_id=of.student_id,
        intervention_id=f"int_{segment}",
        intervention_metadata={
            "type": of.condition.type,
            "sequence_number": segment,
            "timestamp": at,
            "segment_id": segment,
            "segment_summary": "The founding",
        },
        location_context={
            "location_type": of.condition.location,
            "location_name": "here",
            "location_aware_prompting": dynamic,
        },
        socratic_sequence=questions if dynamic else None,
        static_questions=None if dynamic else questions,
        intervention_summary={
            "total_duration_seconds": 150,
            "questions_asked": 3,
            "avg_response_time_seconds": 40,
            "avg_answer_depth": depth,
            "avg_question_quality": quality if dynamic else None,
        },
        metadata={"created_at": at, "updated_at": at, "version": 1},
    )


def content(of: Session) -> ContentDelivery:
    return ContentDelivery(
        PK=of.PK,
        SK=keys.CONTENT_DELIVERY,
        session_id=of.session_id,
        student_id=of.student_id,
        content_metadata={
            "content_id": "tredegar",
            "content_version": "v1",
            "topic": "Tredegar",
            "duration_seconds": 600,
            "difficulty_level": "grade 9-10",
        },
        delivery_preferences={
            "format_chosen": "text",
            "playback_speed": 1.0,
            "captions_enabled": False,
            "language": "en",
        },
        engagement_metrics={
            "start_time": of.start,
            "total_play_time_seconds": 595,
            "total_elapsed_time_seconds": 700,
            "pause_count": 3,
            "rewind_count": 2,
            "segments_completed": 4,
            "completion_percentage": 99.2,
        },
        segment_tracking=[
            SegmentTracking(
                segment_id=1,
                start_time=of.start,
                duration_seconds=150,
                completed=True,
                engagement_score=0.91,
            )
        ],
        metadata={"created_at": of.start, "updated_at": of.start},
    )


def survey(of: Session, *, impact: int = 4, recommends: bool = True) -> PostSurvey:
    return PostSurvey(
        PK=of.PK,
        SK=keys.POST_SURVEY,
        session_id=of.session_id,
        student_id=of.student_id,
        survey_metadata={"version": "v1", "timestamp": of.start, "duration_seconds": 90},
        location_experience={
            "location_impact_rating": impact,
            "location_enhanced_understanding": True,
            "location_was_distracting": False,
            "would_recommend_location": True,
        },
        intervention_experience={
            "intervention_helpful_rating": 5,
            "questions_were_engaging": True,
            "questions_were_appropriate": True,
            "questions_promoted_thinking": True,
        },
        learning_experience={
            "content_difficulty_rating": 3,
            "content_interest_rating": 4,
            "pacing_rating": 3,
            "overall_experience_rating": 4,
            "would_recommend_experience": recommends,
        },
        technical_experience={"interface_easy_to_use": True, "technical_issues_encountered": False},
        open_ended_responses={},
        metadata={"created_at": of.start, "updated_at": of.start},
    )


def whole(
    code: str = "L1-I1-D",
    *,
    baseline: float | None = 40.0,
    final: float | None = 73.3,
    segments: int = 1,
    **changes: Any,
) -> list[Item]:
    """A completed session with all that belongs to it, the session first."""
    made = session(code, state="completed", **changes)
    items: list[Item] = [made, assessment(made, "baseline", baseline), assessment(made, "final", final)]
    items += [intervention(made, segment) for segment in range(1, segments + 1)]
    return [*items, content(made), survey(made)]


def store(*items: Item) -> None:
    with Item.batch_write() as batch:
        for item in items:
            batch.save(item)


def erase(session_id: str, *, spare: str = "") -> None:
    """Everything of the session's partition, as an eraser would who knows nothing of statistics."""
    for item in list(Item.query(keys.session(session_id), consistent_read=True)):
        if str(item.SK) != spare:
            item.delete()


def record(
    new: Item | None = None, old: Item | None = None, *, sequence: int = 1, erased: Item | None = None
) -> dict[str, Any]:
    """A stream record as DynamoDB writes it."""
    item = new or old or erased
    assert item is not None
    change: dict[str, Any] = {
        "Keys": {"PK": {"S": item.PK}, "SK": {"S": item.SK}},
        "SequenceNumber": str(sequence).zfill(21),
    }
    if new is not None:
        change["NewImage"] = new.serialize()
    if old is not None or erased is not None:
        change["OldImage"] = (old or erased).serialize()  # type: ignore[union-attr]
    name = "REMOVE" if new is None else ("MODIFY" if old is not None else "INSERT")
    return {"eventName": name, "eventID": str(sequence), "dynamodb": change}


def figures_by_condition(months: Months = queries.ALL_MONTHS) -> dict[keys.Condition, Figures]:
    """All 24 conditions over a range of months, as the dashboards read them."""
    return queries.by_condition(queries.months_of_all_conditions(months))


def handle(record: Any) -> None:
    """What the worker does with one record of the stream; raises what it could not do."""
    for failure in dispatch.process([record]):
        raise failure.error
