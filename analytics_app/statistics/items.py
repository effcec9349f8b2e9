"""Sums as items of the table, with the schema's figures worked out of them, and back."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

from sessions_app.domain.models import ConditionMonth, ConditionStatistics
from sessions_app.domain.store import keys

from .sums import LAYOUT, MEANS, NORMALIZED, POINT, Figures, Month, Spread, Sums, merge

VERSION = "v1.0"


def first_day(month: str) -> date:
    """`2025-10` -> 1 October 2025."""
    return date.fromisoformat(f"{month}-01")


def last_day(month: str) -> date:
    return (first_day(month) + timedelta(days=31)).replace(day=1) - timedelta(days=1)


class Outdated(ValueError):
    """Stored statistics use other units than the current ones: run `rebuild_statistics`."""

    def __init__(self) -> None:
        super().__init__("the statistics have an older layout; run rebuild_statistics")
        self.reason = str(self)


def is_current(item: Any) -> bool:
    """Whether an item of the statistics has today's layout. One of another writer has no sums, and none."""
    return item.layout == LAYOUT or (isinstance(item, ConditionStatistics) and item.sums is None)


def sums_of(item: ConditionStatistics) -> Sums:
    """Empty for an aggregate that another writer made, which has no sums. Raises Outdated."""
    if not is_current(item):
        raise Outdated
    return Sums(item.sums or {}, item.histograms or {}) + Sums()


def month_of(item: ConditionStatistics) -> Month:
    condition = condition_of(item)
    sums = sums_of(item)
    return Month(condition.code, item.month, sums, sums.extremes(), with_histograms=True)


def condition_of(item: ConditionStatistics) -> keys.Condition:
    told = item.condition
    return keys.Condition(told.location, keys.interval_key(told.interval), told.intervention)


def compact_month_of(item: ConditionMonth) -> Month:
    """Raises Outdated."""
    if not is_current(item):
        raise Outdated
    students = {int(before): n for before, n in item.students.items()}
    sums = Sums.from_list(item.sums, students)
    return Month(item.condition_code, item.month, sums, item.extremes, with_histograms=False)


def compact(condition: keys.Condition, month: str, sums: Sums, *, layout: int = LAYOUT) -> ConditionMonth:
    return ConditionMonth.new(
        condition=condition,
        month=month,
        layout=layout,
        sums=sums.as_list(),
        extremes=sums.extremes(),
        students={str(before): n for before, n in sums.histogram("students").items()},
    )


def aggregate(
    condition: keys.Condition, month: str, sums: Sums, *, revision: str, now: datetime
) -> ConditionStatistics:
    """The schema's entity 8. `days_elapsed` counts from the first day to the last, as the schema's example
    does: 30 for October. `unique_students` are those of this condition in this month."""
    first, last = first_day(month), last_day(month)
    return ConditionStatistics(
        PK=keys.statistics(condition),
        SK=keys.aggregate(first),
        condition={
            "location": condition.location,
            "interval": condition.minutes,
            "intervention": condition.type,
        },
        date_range={
            "start_date": first.isoformat(),
            "end_date": last.isoformat(),
            "days_elapsed": (last - first).days,
        },
        metadata={"last_updated": now, "aggregation_version": VERSION, "auto_generated": True},
        sums=dict(sums.counts),
        histograms={name: dict(values) for name, values in sums.histograms.items()},
        layout=LAYOUT,
        revision=revision,
        **derived(sums),
    )


def derived(sums: Sums) -> dict[str, Any]:
    """The schema's five groups of figures, rounded as there; null where there is nothing to tell."""
    month = Month("", "0001-01", sums, sums.extremes(), with_histograms=True)
    figures = merge([month])
    return {
        "sample_statistics": _sample(figures, sum(sums.histogram("students").values())),
        "learning_outcomes": _outcomes(figures),
        "intervention_metrics": _interventions(figures),
        "engagement_metrics": {
            "avg_content_completion_rate": mean(figures, "content_sum", "content_n", 10, places=1),
            "avg_pause_count": mean(figures, "pauses", "pauses_n", places=1),
            "avg_rewind_count": mean(figures, "rewinds", "rewinds_n", places=1),
            "avg_engagement_score": mean(figures, "engagement_sum", "engagement_n", 100, places=2),
        },
        "survey_results": {
            "avg_location_impact": mean(figures, "location_impact", "location_impact_n", places=2),
            "avg_intervention_helpful": mean(figures, "helpful", "helpful_n", places=2),
            "avg_overall_experience": mean(figures, "overall", "overall_n", places=2),
            "would_recommend_pct": mean(figures, "recommended", "recommended_n", Fraction(1, 100), places=1),
        },
    }


def mean(figures: Figures, total: str, n: str, scale: int | Fraction = 1, *, places: int) -> float | None:
    """Rounded from the exact fraction, halves to even."""
    if not figures[n]:
        return None
    return float(round(Fraction(figures[total], figures[n]) / scale, places))


def _rounded(value: float | None, places: int) -> float | None:
    return None if value is None else round(value, places)


def _sample(figures: Figures, students: int) -> dict[str, Any]:
    seconds = mean(figures, "duration_sum", "duration_n", places=0)
    return {
        "total_sessions": figures.sessions,
        "completed_sessions": figures.completed,
        "completion_rate": mean(figures, "completed", "sessions", Fraction(1, 100), places=1),
        "unique_students": students,
        "avg_session_duration_seconds": None if seconds is None else int(seconds),
    }


def _outcomes(figures: Figures) -> dict[str, Any]:
    gain = figures.gain
    return {
        "baseline_assessment": _scores(figures, "baseline", figures.baseline),
        "final_assessment": _scores(figures, "final", figures.final),
        "learning_gain": {
            "mean_absolute_gain": mean(figures, "gain_sum", "gain_n", POINT, places=1),
            "median_absolute_gain": _rounded(gain.median, 2),
            "mean_normalized_gain": mean(figures, "normalized_sum", "normalized_n", NORMALIZED, places=2),
            "effect_size_cohens_d": _rounded(figures.cohens_d, 2),
            "students_with_gains": figures["gained"],
            "students_with_no_change": figures["unchanged"],
            "students_with_losses": figures["lost"],
        },
    }


def _scores(figures: Figures, name: str, spread: Spread) -> dict[str, Any]:
    return {
        "mean_score": mean(figures, f"{name}_sum", f"{name}_n", POINT, places=1),
        "median_score": _rounded(spread.median, 2),
        "std_dev": _rounded(spread.sd, 1),
        "min_score": _rounded(spread.least, 1),
        "max_score": _rounded(spread.most, 1),
        "n": spread.n,
    }


def _interventions(figures: Figures) -> dict[str, Any]:
    return {
        "avg_interventions_per_session": mean(figures, "interventions", "completed", places=1),
        "avg_intervention_duration_seconds": mean(figures, "asking_sum", "asking_n", 10, places=1),
        "avg_questions_per_intervention": mean(figures, "questions", "interventions", places=1),
        "avg_response_time_seconds": mean(figures, "response_sum", "response_n", MEANS, places=1),
        "avg_question_quality_score": mean(figures, "quality_sum", "quality_n", MEANS, places=2),
        "avg_answer_depth_score": mean(figures, "depth_sum", "depth_n", MEANS, places=2),
        "avg_progression_quality": mean(figures, "progression_sum", "progression_n", MEANS, places=2),
    }
