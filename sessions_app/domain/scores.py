"""The one reading of a session's scores: what its records are worth, exactly. `Run` says which ones count.

Pages, statistics, exports, the lake and the analyses all read scores here. A score is a fraction of the
points, made of the points themselves and never of a rounded percentage. It is rounded by whoever shows it,
and sums are divided once, at the end. A missing value is None and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .models import Assessment, Intervention

PERCENT_STEP = Fraction(1, 1000)
"""A stored percentage has one decimal."""
RATING_STEP = Fraction(1, 100)
SECONDS_STEP = Fraction(1, 10)


def number(value: Any) -> Fraction | None:
    """A stored number as the decimal that it is written as; None for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return Fraction(str(value))


def mean(values: Iterable[Fraction | None]) -> Fraction | None:
    known = [value for value in values if value is not None]
    return sum(known, Fraction()) / len(known) if known else None


def refined(stated: Fraction | None, exact: Fraction | None, step: Fraction) -> Fraction | None:
    """What a stored, rounded value was rounded from. Where the parts contradict it, it stands as it is."""
    if stated is None or exact is None or abs(exact - stated) > step / 2 * Fraction(101, 100):
        return stated
    return exact


# --- scores


def counted_points(item: Any) -> Fraction | None:
    """An item's points, no more than it is worth; None while it is not scored."""
    return capped(item.points_earned, item.points)


def capped(earned: Any, points: Any) -> Fraction | None:
    earned_points, worth = number(earned), number(points)
    if earned_points is None or worth is None or earned_points < 0:
        return None
    return min(earned_points, worth)


def score(assessment: Assessment | None) -> Fraction | None:
    """The share of the points, 0 to 1; None while it is not scored, or where it lies outside the scale.

    The items' points where all items are stored; else the stored points where they agree with the stored
    percentage; else the percentage.
    """
    results = assessment.assessment_results if assessment is not None else None
    if assessment is None or results is None:
        return None
    percent = number(results.score_percentage)
    if percent is None or not 0 <= percent <= 100:
        return None
    of_items = _share_of_items(assessment)
    if of_items is not None:
        return of_items
    earned, total = number(results.points_earned), number(results.total_points)
    exact = earned / total if earned is not None and total else None
    return refined(percent / 100, exact, PERCENT_STEP)


def _share_of_items(assessment: Assessment) -> Fraction | None:
    """None unless every item is stored with its points."""
    items = list(assessment.questions or ())
    if not items or len(items) != assessment.assessment_results.total_questions:
        return None
    earned = [counted_points(item) for item in items]
    total = sum((number(item.points) or Fraction() for item in items), Fraction())
    if not total or any(points is None for points in earned):
        return None
    return sum((points for points in earned if points is not None), Fraction()) / total


@dataclass(frozen=True, slots=True)
class Gain:
    """`absolute` = F - B as a share of the points; `relative` = (F - B) / B, None at B = 0; `normalized` =
    (F - B) / (1 - B), None at B = 1 (Hake 1998 defines it for a class average; here it is a student's own).
    """

    absolute: Fraction
    relative: Fraction | None
    normalized: Fraction | None


def gain(baseline: Fraction | None, final: Fraction | None) -> Gain | None:
    if baseline is None or final is None:
        return None
    absolute = final - baseline
    return Gain(
        absolute,
        absolute / baseline if baseline else None,
        absolute / (1 - baseline) if baseline < 1 else None,
    )


def learning_gain(baseline: Fraction, final: Fraction) -> dict[str, float | None]:
    """The schema's `learning_gain`: percentages and percentage points to one decimal, the share to two."""
    found = gain(baseline, final)
    assert found is not None  # noqa: S101  for the type checker: both scores are given
    return {
        "baseline_score": rounded_percent(baseline),
        "final_score": rounded_percent(final),
        "absolute_gain": rounded_percent(found.absolute),
        "relative_gain": rounded_percent(found.relative),
        "normalized_gain": None if found.normalized is None else float(round(found.normalized, 2)),
    }


def percent(share: Fraction | None) -> float | None:
    """A share as a percentage, exact to the last bit."""
    return None if share is None else float(100 * share)


def rounded_percent(share: Fraction | None) -> float | None:
    return None if share is None else float(round(100 * share, 1))


@dataclass(frozen=True, slots=True)
class Scores:
    """A session's two scores and its gain."""

    baseline: Fraction | None
    final: Fraction | None

    @classmethod
    def of(cls, assessments: Mapping[str, Assessment]) -> Scores:
        """Of the assessments that count, by kind."""
        return cls(score(assessments.get("baseline")), score(assessments.get("final")))

    @property
    def gain(self) -> Gain | None:
        return gain(self.baseline, self.final)


# --- the dialogue, one value an intervention


def response_time(intervention: Intervention) -> Fraction | None:
    """Mean seconds to an answer."""
    times = (question.answer_metadata for question in intervention.questions)
    exact = mean(number(about.response_time_seconds) for about in times if about is not None)
    return _of_summary(intervention, "avg_response_time_seconds", exact, SECONDS_STEP)


def answer_depth(intervention: Intervention) -> Fraction | None:
    given = (question.quality_scores for question in intervention.questions)
    exact = mean(number(scores.answer_depth) for scores in given if scores is not None)
    return _of_summary(intervention, "avg_answer_depth", exact, RATING_STEP)


def question_quality(intervention: Intervention) -> Fraction | None:
    """The mean over the questions of the mean of clarity and relevance."""
    given = (question.quality_scores for question in intervention.questions)
    exact = mean(_quality(scores) for scores in given if scores is not None)
    return _of_summary(intervention, "avg_question_quality", exact, RATING_STEP)


def _quality(scores: Any) -> Fraction | None:
    clarity, relevance = number(scores.question_clarity), number(scores.question_relevance)
    return None if clarity is None or relevance is None else (clarity + relevance) / 2


def _of_summary(
    intervention: Intervention, name: str, exact: Fraction | None, step: Fraction
) -> Fraction | None:
    return refined(number(getattr(intervention.intervention_summary, name, None)), exact, step)
