"""An experimental session.

PK SESSION#<id>  SK METADATA
GSI1 CONDITION#<location>#<interval>#<type> / <start>    GSI2 STUDENT#<id> / SESSION#<start>
GSI3 LOCATION#<location> / <start>                       GSI4 INTERVENTION#<type> / <start>
GSI5 DATE#<day in UTC> / <start>

All that happens in a session shares its partition, so that one query reads it whole. The item itself is
copied into five indexes: it is written when a stage of the session ends, not for every answer.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar

from pynamodb.pagination import ResultIterator

from ..realms import REALMS, realm_of
from ..store import keys
from ..store.items import Count, Flag, InvalidField, Item, Map, Number, Seconds, Text, TextList, Timestamp
from ..store.lenient_reading import NAIVE, Report
from .allocation import METHODS

STATES = ("running", "completed", "stopped", "abandoned", "withdrawn")
"""`stopped` by staff with a reason; `abandoned` by the clock, until a late answer arrives."""
FLAGS = (
    "safeguarding",
    "ai_fallback",
    "offline_tutor",
    "location_override",
    "resumed",
    "long_pause",
    "short_answer",
    "timing_deviation",
    "content_not_delivered",
    "intervention_count_mismatch",
    "late_sync",
    "human_regraded",
    "condition_override",
    "duplicate",
    "naive_timestamp",
    "clock_skew",
    "void",
)
STAGES = ("started", "baseline", "content", "final", "survey")
"""How far a session got, by the last part that was finished."""
VOID_KINDS = ("wrong_student", "spoiled", "other")


class ExperimentalCondition(Map):
    location = Text(choices=keys.LOCATIONS.values())
    location_name = Text()
    interval_minutes = Number()
    intervention_type = Text(choices=keys.TYPES.values())
    condition_code = Text()


class Timeline(Map):
    session_start = Timestamp()
    session_end = Timestamp(null=True)
    total_duration_seconds = Seconds(null=True)
    content_duration_seconds = Seconds(null=True)
    intervention_duration_seconds = Seconds(null=True)
    assessment_duration_seconds = Seconds(null=True)


class CompletionStatus(Map):
    ALIASES: ClassVar = {"final_completed": "final_assessment_completed"}

    completed = Flag()
    location_verified = Flag()
    baseline_completed = Flag()
    content_completed = Flag()
    interventions_completed = Number(least=0, most=4, whole=True)
    final_assessment_completed = Flag()
    post_survey_completed = Flag()


class StudentMetadata(Map):
    age = Number(least=5, most=120, whole=True)
    grade = Number(least=1, most=16, whole=True)
    richmond_resident = Flag()
    prior_knowledge_score = Number(least=0, null=True)


class Allocation(Map):
    """How the session got its condition (an addition): drawn, continued from the student's first session at
    the location, or set by a person with a reason.

    `earlier_sessions` and `farthest_stage` tell what the student had seen when this session started, at any
    location.
    """

    method = Text(choices=METHODS)
    reason = Text(null=True, longest=500)
    by = Text(null=True)
    attempt = Count(null=True)
    earlier_sessions = Count(null=True)
    farthest_stage = Text(choices=STAGES, null=True)


class Void(Map):
    """That the session's data cannot be used (an addition)."""

    at = Timestamp()
    by = Text(longest=150)
    kind = Text(choices=VOID_KINDS)
    reason = Text(longest=500)


class SessionRecordMetadata(Map):
    created_at = Timestamp()
    updated_at = Timestamp()
    version = Count()
    data_quality_flags = TextList()
    simulated = Flag(null=True)
    realm = Text(choices=REALMS, null=True)
    void = Void(null=True)


class Session(Item, discriminator="session"):
    ROW_NEEDS: ClassVar = (
        "session_id",
        "student_id",
        "experimental_condition.condition_code",
        "timeline.session_start",
    )

    is_arm_hidden = False
    """True of a copy for a reader who must not see which arm the session is in."""

    session_id = Text()
    student_id = Text()
    student_code = Text(null=True)
    facilitator = Text(null=True)
    site = Text(null=True, pattern=r"[0-9a-f]{16}")
    state = Text(choices=STATES, null=True)
    experimental_condition = ExperimentalCondition()
    timeline = Timeline()
    completion_status = CompletionStatus()
    student_metadata = StudentMetadata()
    allocation = Allocation(null=True)
    content_id = Text(null=True)
    pages_cached_at = Timestamp(null=True)
    metadata = SessionRecordMetadata()

    @classmethod
    def new(
        cls,
        *,
        session_id: str,
        student_id: str,
        condition: keys.Condition,
        start: datetime,
        **attributes: Any,
    ) -> Session:
        at = keys.stamp(start)
        return cls(
            PK=keys.session(session_id),
            SK=keys.METADATA,
            GSI1PK=keys.condition(condition),
            GSI1SK=at,
            GSI2PK=keys.student(student_id),
            GSI2SK=keys.student_session(start),
            GSI3PK=keys.location(condition.location),
            GSI3SK=at,
            GSI4PK=keys.intervention_type(condition.type),
            GSI4SK=at,
            GSI5PK=keys.day(keys.moment(at).date()),
            GSI5SK=at,
            session_id=session_id,
            student_id=student_id,
            **attributes,
        )

    @property
    def condition(self) -> keys.Condition:
        return keys.Condition.from_code(self.experimental_condition.condition_code)

    @property
    def start(self) -> datetime:
        return self.timeline.session_start

    @property
    def is_open(self) -> bool:
        """Other clients write no `state`: their sessions are open until they are completed."""
        return self.state in (None, "running") and not self.completion_status.completed

    @classmethod
    def in_realm(cls, realm: str) -> Any:
        """The condition on items for a list of one realm: the same reading as `realm`."""
        stated: Any = cls.metadata.realm
        marked: Any = cls.metadata.simulated
        practice = stated == "practice"
        simulated = (stated == "simulated") | (~stated.is_in(*REALMS) & (marked == True))  # noqa: E712
        return {"practice": practice, "simulated": simulated}.get(realm, ~practice & ~simulated)

    @property
    def realm(self) -> str:
        return realm_of(self.metadata.realm, self.metadata.simulated)

    @property
    def is_void(self) -> bool:
        return self.metadata.void is not None

    @property
    def was_of_another_student(self) -> bool:
        return self.is_void and self.metadata.void.kind == "wrong_student"

    @property
    def stage(self) -> str:
        """How far it got; a part that was skipped or lost does not hide a later one."""
        status = self.completion_status
        finished = (
            (status.post_survey_completed or status.completed, "survey"),
            (status.final_assessment_completed, "final"),
            (status.content_completed, "content"),
            (status.baseline_completed, "baseline"),
        )
        return next((stage for done, stage in finished if done), "started")

    @classmethod
    def still_open(cls) -> Any:
        """Condition: the session is there and open, the same rule as `is_open`."""
        state: Any = cls.state
        completed: Any = cls.completion_status.completed
        running = state.does_not_exist() | (state == "running")
        return Item.PK.exists() & running & (completed.does_not_exist() | (completed == False))  # noqa: E712

    @property
    def unreadable_reason(self) -> str:
        if self.is_arm_hidden:
            return ""
        return super().unreadable_reason or self._contradiction()

    def _contradiction(self) -> str:
        """An arm that the study has not, or a code that says another arm than the three factors."""
        told = self.experimental_condition
        try:
            condition = keys.Condition.from_code(told.condition_code)
        except keys.BadKey:
            return f"{told.condition_code} ({told.interval_minutes} minutes) is no condition of the study"
        stored = (told.location, told.interval_minutes, told.intervention_type)
        if stored == (condition.location, condition.minutes, condition.type):
            return ""
        return f"experimental_condition does not agree with its code {condition.code}"

    def complete(self, report: Report) -> None:
        """The code and the three factors follow from each other; a time without a zone raises its flag."""
        super().complete(report)
        told: Any = self.experimental_condition
        try:
            if told.condition_code is None:
                interval = keys.interval_key(told.interval_minutes)
                condition = keys.Condition(told.location, interval, told.intervention_type)
            else:
                condition = keys.Condition.from_code(told.condition_code)
        except (keys.BadKey, TypeError):
            pass
        else:
            self._fill_in(condition, report)
        if any(why == NAIVE for _, why in report.adjustments):
            self.raise_flag("naive_timestamp")

    def _fill_in(self, condition: keys.Condition, report: Report) -> None:
        told = self.experimental_condition
        factors = {
            "condition_code": condition.code,
            "location": condition.location,
            "interval_minutes": condition.minutes,
            "intervention_type": condition.type,
        }
        for name, value in factors.items():
            if getattr(told, name) is None:
                setattr(told, name, value)
                report.is_known(f"experimental_condition.{name}", f"follows from the rest: {value}")

    def raise_flag(self, flag: str) -> None:
        """In this copy; it is stored with the next stage."""
        if flag not in self.metadata.data_quality_flags:
            self.metadata.data_quality_flags = [*self.metadata.data_quality_flags, flag]

    @classmethod
    def whole(cls, session_id: str) -> list[Item]:
        """Access pattern 1: everything of a session in one consistent query."""
        return list(Item.query(keys.session(session_id), consistent_read=True))

    @classmethod
    def of_condition(cls, condition: keys.Condition, **paging: Any) -> ResultIterator[Item]:
        """Access pattern 2, newest first."""
        return Item.by_condition.query(keys.condition(condition), scan_index_forward=False, **paging)

    @classmethod
    def of_student(cls, student_id: str, **paging: Any) -> ResultIterator[Item]:
        """Access pattern 3, newest first; the profile shares the partition and is kept out by the prefix."""
        return Item.by_student.query(
            keys.student(student_id),
            Item.GSI2SK.startswith(keys.SESSION_PREFIX),
            scan_index_forward=False,
            **paging,
        )

    @classmethod
    def at_location(cls, location: str, **paging: Any) -> ResultIterator[Item]:
        """Access pattern 4, newest first."""
        return Item.by_location.query(keys.location(location), scan_index_forward=False, **paging)

    @classmethod
    def of_type(cls, kind: str, *, filter_condition: Any = None, **paging: Any) -> ResultIterator[Item]:
        """Sessions of an intervention type, newest first; interventions share the index and are filtered."""
        of_sessions = Item.entity_type == Session
        return Item.by_type.query(
            keys.intervention_type(kind),
            filter_condition=of_sessions if filter_condition is None else of_sessions & filter_condition,
            scan_index_forward=False,
            **paging,
        )

    @classmethod
    def on_day(cls, day: date, **paging: Any) -> ResultIterator[Item]:
        """Access pattern 6: one UTC day, newest first."""
        return Item.by_day.query(keys.day(day), scan_index_forward=False, **paging)

    def check(self) -> None:
        told = self.experimental_condition
        try:
            condition = keys.Condition.from_code(told.condition_code)
        except keys.BadKey as error:
            raise InvalidField("experimental_condition.condition_code", f"is unknown: {error}") from None
        if told.interval_minutes != condition.minutes:
            raise InvalidField("experimental_condition.interval_minutes", f"is not that of {condition.code}")
        if (told.location, told.intervention_type) != (condition.location, condition.type):
            raise InvalidField("experimental_condition", f"does not agree with its code {condition.code}")
        strange = [flag for flag in self.metadata.data_quality_flags if flag not in FLAGS]
        if strange:
            raise InvalidField("metadata.data_quality_flags", f"has unknown flags: {', '.join(strange)}")
