"""The entities of the records pages, each one declaration, in the order of the index page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from sessions_app.domain import models
from sessions_app.domain.store import keys

from .declarations import (
    CODE,
    CONDITION,
    DAY,
    DAYS,
    MONTH,
    PLACE,
    REVIEWED,
    SESSION_PAGE,
    STATE,
    STUDENT,
    STUDENT_PAGE,
    TYPE,
    WORKER,
    Column,
    Entity,
    Related,
    Source,
    by_student,
    days_between,
    directory_key,
    in_session,
    profile_key,
    session_key,
)
from .raw_items import Span

PEOPLE, RUNS, NUMBERS, WORK = "Students and consent", "Sessions", "Statistics", "System"


def each_realm(name: str, title: str) -> tuple[tuple[str, str, str], ...]:
    """Name, title and realm of the sources of statistics, which stand apart for simulated sessions."""
    return (name, title, "real"), ("simulated", f"{title}, simulated", "simulated")


# --- the entities, in the order of the index page

ENTITIES: Final[tuple[Entity, ...]] = (
    Entity(
        title="Students",
        group=PEOPLE,
        model=models.DirectoryEntry,
        columns=[
            Column("student_code", "Code", link=True),
            Column("consent_state", "Consent", show="consent"),
            Column("created_at", "Enrolled"),
            Column("simulated", "Simulated"),
        ],
        sources=[
            Source(
                "newest", "By enrollment", index=5, partition=lambda **_: keys.STUDENTS_BY_TIME, reverse=True
            ),
            Source(
                "state",
                "By consent",
                STATE,
                index=3,
                partition=lambda state, **_: keys.consent_state(state),
                reverse=True,
            ),
            Source(
                "code",
                "By code",
                CODE,
                partition=lambda **_: keys.STUDENT_DIRECTORY,
                span=lambda code, **_: Span(prefix=code),
                orders=("A to Z", "Z to A"),
            ),
        ],
        find=directory_key,
        actions=[STUDENT_PAGE],
    ),
    Entity(
        title="Student profiles",
        group=PEOPLE,
        model=models.Student,
        columns=[
            Column("student_code", "Code", link=True),
            Column("demographics.age"),
            Column("consent_data.state", "Consent", show="consent"),
            Column("metadata.total_sessions"),
            Column("metadata.created_at", "Enrolled"),
        ],
        sources=[by_student(keys.PROFILE)],
        find=profile_key,
        related=[
            Related(title="Consent events", path="student_id", entity="consent_event", source="student")
        ],
        actions=[STUDENT_PAGE],
    ),
    Entity(
        title="Class lists",
        group=PEOPLE,
        model=models.Roster,
        columns=[
            Column("name", "Class", link=True),
            Column("size", "Students"),
            Column("refusals", "Refusals"),
            Column("created_at", "Imported"),
        ],
        sources=[
            Source("newest", "By import", index=5, partition=lambda **_: keys.ROSTERS, reverse=True),
        ],
    ),
    Entity(
        title="Class list entries",
        group=PEOPLE,
        model=models.RosterEntry,
        columns=[
            Column("student_code", "Code", link=True),
            Column("age"),
            Column("grade_level"),
            Column("enrolled_at", "Enrolled"),
        ],
        sources=[
            Source(
                "code",
                "By code",
                CODE,
                partition=lambda **_: keys.ROSTER_DIRECTORY,
                span=lambda code, **_: Span(prefix=code),
                orders=("A to Z", "Z to A"),
            ),
        ],
    ),
    Entity(
        title="Consent events",
        group=PEOPLE,
        model=models.ConsentEvent,
        columns=[
            Column("at", "When", link=True),
            Column("kind", "Form"),
            Column("action", "Action"),
            Column("form_version", "Version"),
            Column("method", "How"),
            Column("attested_by", "Attested by"),
        ],
        sources=[by_student(keys.CONSENT_PREFIX)],
    ),
    Entity(
        title="Sessions",
        group=RUNS,
        model=models.Session,
        columns=[
            Column("timeline.session_start", "Started", link=True),
            Column("student_code", "Student"),
            Column("experimental_condition.condition_code", "Condition"),
            Column("state", "State", show="state"),
            Column("timeline.total_duration_seconds", "Duration"),
            Column("metadata.data_quality_flags", "Flags"),
        ],
        sources=[
            Source("day", "By day", DAY, index=5, partition=lambda day, **_: keys.day(day), reverse=True),
            Source(
                "condition",
                "By condition",
                CONDITION,
                index=1,
                partition=lambda condition, **_: keys.condition(keys.Condition.from_code(condition)),
                reverse=True,
            ),
            Source(
                "student",
                "By student",
                STUDENT,
                index=2,
                partition=lambda student, **_: keys.student(student),
                span=lambda **_: Span(prefix=keys.SESSION_PREFIX),
                reverse=True,
            ),
            Source(
                "place",
                "By location",
                PLACE,
                index=3,
                partition=lambda place, **_: keys.location(place),
                reverse=True,
            ),
            # A session leaves up to four interventions in this index beside itself.
            Source(
                "type",
                "By type",
                TYPE,
                index=4,
                partition=lambda type, **_: keys.intervention_type(type),
                only=True,
                read=5,
                reverse=True,
            ),
        ],
        find=session_key,
        related=[
            Related(
                title="Statistics of the condition",
                path="experimental_condition.condition_code",
                entity="condition_statistics",
                source="condition",
            ),
            Related(title="Interventions", path="session_id", entity="intervention", source="session"),
            Related(title="Assessments", path="session_id", entity="assessment", source="session"),
            Related(title="Answer conflicts", path="session_id", entity="answer_conflict", source="session"),
        ],
        actions=[SESSION_PAGE],
    ),
    Entity(
        title="Location verifications",
        group=RUNS,
        model=models.LocationVerification,
        columns=[
            Column("verification.verification_timestamp", "Verified", link=True),
            Column("location_data.type", "Location", show="place"),
            Column("verification.method"),
            Column("verification.confidence", "Confidence"),
            Column("gps_data.accuracy_meters", "Accuracy"),
            Column("gps_data.distance_from_target_meters", "Distance"),
        ],
        sources=[in_session(keys.LOCATION_VERIFICATION)],
        actions=[SESSION_PAGE],
    ),
    Entity(
        title="Content deliveries",
        group=RUNS,
        model=models.ContentDelivery,
        columns=[
            Column("engagement_metrics.start_time", "Started", link=True),
            Column("delivery_preferences.format_chosen", "Format"),
            Column("engagement_metrics.segments_completed", "Segments"),
            Column("engagement_metrics.completion_percentage", "Played"),
            Column("engagement_metrics.pause_count", "Pauses"),
            Column("engagement_metrics.rewind_count", "Rewinds"),
        ],
        sources=[in_session(keys.CONTENT_DELIVERY)],
        actions=[SESSION_PAGE],
    ),
    Entity(
        title="Interventions",
        group=RUNS,
        model=models.Intervention,
        columns=[
            Column("intervention_metadata.timestamp", "Started", link=True),
            Column("intervention_metadata.segment_id", "Segment"),
            Column("location_context.location_type", "Location", show="place"),
            Column("intervention_summary.avg_response_time_seconds", "Response time"),
            Column("intervention_summary.avg_answer_depth", "Answer depth"),
            Column("intervention_summary.avg_question_quality", "Question quality"),
        ],
        sources=[
            Source(
                "type",
                "By type and days",
                {**TYPE, **DAYS},
                index=4,
                partition=lambda type, **_: keys.intervention_type(type),
                span=days_between,
                only=True,
                read=2,
                reverse=True,
            ),
            in_session(keys.INTERVENTION_PREFIX),
        ],
        actions=[SESSION_PAGE],
    ),
    Entity(
        title="Assessments",
        group=RUNS,
        model=models.Assessment,
        columns=[
            Column("assessment_metadata.timestamp", "Started", link=True),
            Column("assessment_metadata.type", "Which"),
            Column("assessment_results.points_earned", "Points"),
            Column("assessment_results.score_percentage", "Score"),
            Column("learning_gain.absolute_gain", "Gain"),
            Column("metadata.grading_method", "Graded by"),
        ],
        sources=[in_session(keys.ASSESSMENT_PREFIX)],
        actions=[SESSION_PAGE],
    ),
    Entity(
        title="Post surveys",
        group=RUNS,
        model=models.PostSurvey,
        columns=[
            Column("survey_metadata.timestamp", "Answered", link=True),
            Column("learning_experience.overall_experience_rating", "Overall"),
            Column("location_experience.location_impact_rating", "Location"),
            Column("intervention_experience.intervention_helpful_rating", "Questions"),
            Column("survey_metadata.duration_seconds", "Duration"),
        ],
        sources=[in_session(keys.POST_SURVEY)],
        actions=[SESSION_PAGE],
    ),
    Entity(
        title="Prepared questions",
        group=RUNS,
        model=models.PreparedQuestion,
        columns=[
            Column("created_at", "Made", link=True),
            Column("segment_id", "Segment"),
            Column("question_source", "Source"),
            Column("question"),
        ],
        sources=[in_session(keys.PREPARED_PREFIX)],
        actions=[SESSION_PAGE],
    ),
    Entity(
        title="Answer conflicts",
        group=RUNS,
        model=models.AnswerConflict,
        columns=[
            Column("at", "When", link=True),
            Column("stage"),
            Column("question"),
            Column("text", "The other text"),
        ],
        sources=[in_session(keys.CONFLICT_PREFIX)],
        actions=[SESSION_PAGE],
    ),
    Entity(
        title="Linked devices",
        group=RUNS,
        model=models.Browser,
        columns=[
            Column("bound_at", "Bound", link=True),
            Column("kind", "Kind"),
            Column("by", "By"),
            Column("ended_at", "Ended"),
            Column("pin_tries", "PIN tries"),
        ],
        sources=[in_session(keys.BROWSER_PREFIX)],
        actions=[SESSION_PAGE],
    ),
    Entity(
        title="Participants' links",
        group=RUNS,
        model=models.ParticipantLink,
        columns=[
            Column("created_at", "Made", link=True),
            Column("created_by", "By"),
            Column("expires_at", "Runs out"),
            Column("revoked_at", "Revoked"),
        ],
        sources=[in_session(keys.LINK_PREFIX)],
        actions=[SESSION_PAGE],
    ),
    Entity(
        title="Notes and calls for help",
        group=RUNS,
        model=models.Call,
        columns=[
            Column("at", "When", link=True),
            Column("kind", "Kind"),
            Column("text", "Text"),
            Column("by", "By"),
            Column("answered_at", "Answered"),
        ],
        sources=[in_session(keys.CALL_PREFIX)],
        actions=[SESSION_PAGE],
    ),
    Entity(
        title="Safeguarding calls that wait",
        group=WORK,
        model=models.OpenCall,
        columns=[Column("at", "When", link=True), Column("session_id", "Session")],
        sources=[Source("queue", "The queue", partition=lambda **_: keys.SAFEGUARDING_QUEUE)],
        actions=[SESSION_PAGE],
    ),
    Entity(
        title="Condition statistics",
        group=NUMBERS,
        model=models.ConditionStatistics,
        columns=[
            Column("date_range.start_date", "Month", link=True),
            Column("sample_statistics.total_sessions", "Sessions"),
            Column("sample_statistics.completed_sessions", "Completed"),
            Column("sample_statistics.unique_students", "Students"),
            Column("learning_outcomes.learning_gain.mean_absolute_gain", "Mean gain"),
            Column("learning_outcomes.learning_gain.effect_size_cohens_d", "Cohen's d"),
        ],
        sources=[
            Source(
                name,
                title,
                CONDITION,
                partition=lambda condition, realm=realm, **_: keys.statistics(keys.cell(condition, realm)),
                span=lambda **_: Span(prefix=keys.AGGREGATE_PREFIX),
                reverse=True,
            )
            for name, title, realm in each_realm("condition", "By condition")
        ],
    ),
    Entity(
        title="Monthly totals by condition",
        group=NUMBERS,
        model=models.ConditionMonth,
        columns=[Column("month", link=True), Column("condition_code", "Condition"), Column("layout")],
        sources=[
            Source(
                name,
                title,
                MONTH,
                partition=lambda realm=realm, **_: keys.statistics_by_month(realm),
                span=lambda month, **_: Span(prefix=month),
                reverse=True,
            )
            for name, title, realm in each_realm("month", "By month")
        ],
    ),
    Entity(
        title="Daily totals",
        group=NUMBERS,
        model=models.DayCounts,
        columns=[
            Column("day", link=True),
            Column("started", show="sum"),
            Column("completed", show="sum"),
            *(Column(name, show="sum") for name in ("stopped", "abandoned", "withdrawn")),
            Column("gains", show="sum"),
        ],
        sources=[
            Source(
                name,
                title,
                DAYS,
                partition=lambda realm=realm, **_: keys.statistics_by_day(realm),
                span=lambda start, end, **_: Span(
                    low=keys.day(start or date(2000, 1, 1)), high=keys.day(end or date(2199, 12, 31))
                ),
                reverse=True,
            )
            for name, title, realm in each_realm("days", "By days")
        ],
    ),
    Entity(
        title="Statistics contributions",
        group=NUMBERS,
        model=models.Contribution,
        columns=[
            Column("updated_at", "Worked out", link=True),
            Column("condition_code", "Condition"),
            Column("day", "Session day"),
        ],
        sources=[in_session(keys.CONTRIBUTION)],
        actions=[SESSION_PAGE],
    ),
    Entity(
        title="Students counted",
        group=NUMBERS,
        model=models.CountedStudent,
        columns=[Column("student_id", "Student", link=True), Column("sessions", show="count")],
        sources=[
            Source(
                name,
                title,
                CONDITION,
                partition=lambda condition, realm=realm, **_: keys.counted(keys.cell(condition, realm)),
                orders=("By id", "By id, reversed"),
            )
            for name, title, realm in each_realm("condition", "By condition")
        ],
    ),
    Entity(
        title="Grading queue",
        group=WORK,
        model=models.GradingTask,
        columns=[
            Column("queued_at", "Queued", link=True),
            Column("what", "What"),
            Column("attempts", "Attempts"),
            Column("not_before", "Not before"),
            Column("last_failure", "Last failure"),
        ],
        sources=[Source("queue", "The queue", partition=lambda **_: keys.GRADING_QUEUE)],
        actions=[SESSION_PAGE],
    ),
    Entity(
        title="Reviews of scores",
        group=WORK,
        model=models.Review,
        columns=[
            Column("scored_at", "Scored by the model", link=True),
            Column("kind", "Kind"),
            Column("what", "What"),
            Column("record_version", "Version scored"),
        ],
        sources=[
            *(
                Source(
                    name,
                    title,
                    REVIEWED,
                    index=index,
                    partition=lambda kind, name=name, **_: keys.review_list(kind, name),
                    reverse=True,
                )
                for name, title, index in (
                    ("open", "Model alone", 1),
                    ("second", "Waiting for a second score", 3),
                    ("scored", "Graded", 5),
                )
            ),
            in_session(keys.REVIEW_PREFIX),
        ],
        actions=[SESSION_PAGE],
    ),
    Entity(
        title="Allocation log",
        group=WORK,
        model=models.AllocationEntry,
        columns=[
            Column("at", "When", link=True),
            Column("condition_code", "Condition"),
            Column("method", "Method"),
            Column("candidates"),
            Column("by", "By"),
            Column("reason", "Reason"),
        ],
        sources=[
            Source(
                "place",
                "By location",
                PLACE,
                partition=lambda place, **_: keys.allocation(place),
                only=True,  # the tally shares the partition
                reverse=True,
            )
        ],
        actions=[SESSION_PAGE],
    ),
    Entity(
        title="Allocation tallies",
        group=WORK,
        model=models.AllocationTally,
        columns=[Column("PK", "Location", link=True), Column("counts", show="sum")],
        sources=[
            Source(
                "place",
                "By location",
                PLACE,
                partition=lambda place, **_: keys.allocation(place),
                span=lambda **_: Span(prefix=keys.TALLY),
            )
        ],
    ),
    Entity(
        title="Students' allocations",
        group=WORK,
        model=models.StudentAllocation,
        columns=[
            Column("at", "When", link=True),
            Column("condition_code", "Condition"),
            Column("method", "Method"),
            Column("attempts", "Attempts"),
        ],
        sources=[by_student(keys.ALLOCATION_PREFIX)],
        actions=[STUDENT_PAGE],
    ),
    Entity(
        title="Stream checkpoints",
        group=WORK,
        model=models.ShardCheckpoint,
        columns=[
            Column("shard_id", link=True),
            Column("finished", "Finished"),
            Column("updated_at", "Updated"),
        ],
        sources=[
            Source(
                "worker",
                "By worker",
                WORKER,
                partition=lambda worker, **_: keys.worker(worker),
                orders=("By shard", "By shard, reversed"),
            )
        ],
    ),
)

# A school's key is a digest of its name, and an address may not hold even that; staff meet schools by name.
# Pages of their own show the rest: audit log, consent, its forms, exports, the tutor's dashboard. A question
# in the making lives for seconds.
LEFT_OUT: Final = frozenset(
    {
        *(
            "school",
            "audit_entry",
            "audit_reason",
            "audit_seal",
            "audit_head",
            "audit_sealer",
            "tombstone",
            "form_text",
            "renewal_decision",
        ),
        *("spending", "tutor_health", "question_making", "export_job", "export_recall", "erasure_task"),
        *("dead_letter", "worker_heartbeat", "study_settings", "analysis_plan"),
    }
)

BY_NAME: Final[Mapping[str, Entity]] = {entity.name: entity for entity in ENTITIES}
