"""What a condition's sessions add up to in a calendar month (UTC, by session start).

PK STATS#CONDITION#<location>#<interval>#<type>  SK AGGREGATE#<first day>_<last day>
"""

from __future__ import annotations

from .. import keys
from .base import Count, Flag, Item, Map, Number, Percent, Seconds, Text, Timestamp

DAY = r"\d{4}-\d{2}-\d{2}"


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
    condition = StatisticsCondition()
    date_range = DateRange()
    sample_statistics = SampleStatistics()
    learning_outcomes = LearningOutcomes()
    intervention_metrics = InterventionMetrics()
    engagement_metrics = EngagementSummary()
    survey_results = SurveyResults()
    metadata = StatisticsMetadata()

    @classmethod
    def of_condition(cls, condition: keys.Condition) -> list[Item]:
        """Every month of a condition, oldest first."""
        return list(Item.query(keys.statistics(condition)))
