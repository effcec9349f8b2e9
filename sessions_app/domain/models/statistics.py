"""What a condition's sessions add up to in a calendar month (UTC, by session start).

Aggregate     PK STATS#CONDITION#<location>#<interval>#<type>  SK AGGREGATE#<first day>_<last day>
Contribution  PK SESSION#<id>            SK CONTRIBUTION            what one session adds
Month         PK STATS#MONTHS            SK <month>#<condition>     the aggregate's sums alone, small
Day           PK STATS#DAYS              SK DATE#<day in UTC>       counts of a day by condition
Tally         PK COUNTED#CONDITION#...   SK STUDENT#<id>            the student's sessions that are counted

Those of simulated sessions stand apart: the partition keys of all but the contribution end with #simulated.
The last four are additions. All five are written in one transaction, whole numbers only, so that they
always agree with each other; the schema's rounded figures are worked out from the sums beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pynamodb.attributes import Attribute

from ..realms import REALMS
from ..store import keys
from ..store.items import Count, Flag, InvalidField, Item, Map, Number, Percent, Seconds, Text, Timestamp

DAY = r"\d{4}-\d{2}-\d{2}"
MONTH = r"\d{4}-\d{2}"


def _whole(name: str, value: Any) -> dict[str, str]:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidField(name, f"must be a whole number, not {value!r}")
    return {"N": str(value)}


class WholeMap(Attribute[dict[str, int]]):
    """A map from free names to whole numbers."""

    attr_type = "M"

    def serialize(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise InvalidField(str(self.attr_name), f"must be a map of whole numbers, not {value!r}")
        return {name: _whole(f"{self.attr_name}.{name}", number) for name, number in value.items()}

    def deserialize(self, value: dict[str, Any]) -> dict[str, int]:
        return {name: int(number["N"]) for name, number in value.items()}


class Histograms(Attribute[dict[str, dict[int, int]]]):
    """By name, how often each whole value occurred."""

    attr_type = "M"

    def serialize(self, value: Any) -> dict[str, Any]:
        return {
            name: {"M": {str(at): _whole(f"{self.attr_name}.{name}.{at}", n) for at, n in counts.items()}}
            for name, counts in value.items()
        }

    def deserialize(self, value: dict[str, Any]) -> dict[str, dict[int, int]]:
        return {
            name: {int(at): int(n["N"]) for at, n in counts["M"].items()} for name, counts in value.items()
        }


class WholeList(Attribute[list[int]]):
    """Whole numbers in an order that the reader knows."""

    attr_type = "L"

    def serialize(self, value: Any) -> list[dict[str, str]]:
        return [_whole(f"{self.attr_name}[{place}]", number) for place, number in enumerate(value)]

    def deserialize(self, value: list[dict[str, str]]) -> list[int]:
        return [int(number["N"]) for number in value]


class CountedSessions(Attribute[dict[str, str]]):
    """A map from session ids to months."""

    attr_type = "M"

    def serialize(self, value: Any) -> dict[str, dict[str, str]]:
        return {session_id: {"S": month} for session_id, month in value.items()}

    def deserialize(self, value: dict[str, Any]) -> dict[str, str]:
        return {session_id: month["S"] for session_id, month in value.items()}


class StatisticsCondition(Map):
    location = Text(choices=keys.LOCATIONS.values())
    interval = Number()
    intervention = Text(choices=keys.TYPES.values())


class DateRange(Map):
    start_date = Text(pattern=DAY)
    end_date = Text(pattern=DAY)
    days_elapsed = Count()


class SampleStatistics(Map):
    total_sessions = Count()
    completed_sessions = Count()
    completion_rate = Percent(null=True)
    unique_students = Count()
    avg_session_duration_seconds = Seconds(null=True)


class ScoreSummary(Map):
    mean_score = Percent(null=True)
    median_score = Percent(null=True)
    std_dev = Number(least=0, null=True)
    min_score = Percent(null=True)
    max_score = Percent(null=True)
    n = Count()


class GainSummary(Map):
    mean_absolute_gain = Number(null=True)
    median_absolute_gain = Number(null=True)
    mean_normalized_gain = Number(null=True)
    effect_size_cohens_d = Number(null=True)
    students_with_gains = Count()
    students_with_no_change = Count()
    students_with_losses = Count()


class LearningOutcomes(Map):
    baseline_assessment = ScoreSummary()
    final_assessment = ScoreSummary()
    learning_gain = GainSummary()


class InterventionMetrics(Map):
    avg_interventions_per_session = Number(least=0, null=True)
    avg_intervention_duration_seconds = Seconds(null=True)
    avg_questions_per_intervention = Number(least=0, null=True)
    avg_response_time_seconds = Seconds(null=True)
    avg_question_quality_score = Number(null=True)
    avg_answer_depth_score = Number(null=True)
    avg_progression_quality = Number(null=True)


class EngagementSummary(Map):
    avg_content_completion_rate = Percent(null=True)
    avg_pause_count = Number(least=0, null=True)
    avg_rewind_count = Number(least=0, null=True)
    avg_engagement_score = Number(least=0, most=1, null=True)


class SurveyResults(Map):
    avg_location_impact = Number(null=True)
    avg_intervention_helpful = Number(null=True)
    avg_overall_experience = Number(null=True)
    would_recommend_pct = Percent(null=True)


class StatisticsMetadata(Map):
    last_updated = Timestamp()
    aggregation_version = Text()
    auto_generated = Flag()


class ConditionStatistics(Item, discriminator="condition_statistics"):
    """The schema's figures; `sums`, `histograms`, `layout` and `revision` are additions."""

    condition = StatisticsCondition()
    date_range = DateRange()
    sample_statistics = SampleStatistics()
    learning_outcomes = LearningOutcomes()
    intervention_metrics = InterventionMetrics()
    engagement_metrics = EngagementSummary()
    survey_results = SurveyResults()
    metadata = StatisticsMetadata()
    sums = WholeMap(null=True)
    histograms = Histograms(null=True)
    layout = Count(null=True)
    revision = Text(null=True)

    @property
    def month(self) -> str:
        return str(self.date_range.start_date)[:7]

    @classmethod
    def of_condition(cls, condition: keys.Condition) -> list[Item]:
        """Every month of a condition, oldest first."""
        months = Item.SK.startswith(keys.AGGREGATE_PREFIX)
        return list(Item.query(keys.statistics(condition), months, consistent_read=True))


class Contribution(Item, discriminator="contribution"):
    """What one session adds to its condition's month. `source` tells from which state of its items."""

    session_id = Text()
    student_id = Text()
    condition_code = Text()
    realm = Text(choices=REALMS, null=True)
    day = Text(pattern=DAY)
    sums = WholeMap()
    histograms = Histograms()
    layout = Count(null=True)
    source = Text()
    revision = Text()
    updated_at = Timestamp()

    @classmethod
    def of_session(cls, session_id: str) -> Contribution | None:
        try:
            return cls.get(keys.session(session_id), keys.CONTRIBUTION, consistent_read=True)
        except cls.DoesNotExist:
            return None


class ConditionMonth(Item, discriminator="condition_month"):
    """An aggregate's sums in the order of `layout`, and the extremes that its histograms would tell."""

    condition_code = Text()
    month = Text(pattern=MONTH)
    layout = Count()
    sums = WholeList()
    extremes = WholeMap()
    students = WholeMap()

    @classmethod
    def new(cls, *, condition: keys.Condition, month: str, **attributes: Any) -> ConditionMonth:
        return cls(
            PK=keys.statistics_by_month(condition.realm),
            SK=keys.condition_month(month, condition),
            condition_code=condition.code,
            month=month,
            **attributes,
        )


class DayCounts(Item, discriminator="day_counts"):
    """By condition code: sessions started, and how they ended; gains known, and their sum in units."""

    COUNTS: ClassVar = ("started", "completed", "stopped", "abandoned", "withdrawn", "gains", "gain_units")

    day = Text(pattern=DAY)
    started = WholeMap()
    completed = WholeMap()
    stopped = WholeMap(null=True)
    abandoned = WholeMap(null=True)
    withdrawn = WholeMap(null=True)
    gains = WholeMap()
    gain_units = WholeMap(null=True)
    layout = Count(null=True)
    revision = Text()


class CountedStudent(Item, discriminator="counted_student"):
    """The sessions of a student that a condition's statistics hold, by id, with the month of each."""

    student_id = Text()
    sessions = CountedSessions()
    revision = Text()
