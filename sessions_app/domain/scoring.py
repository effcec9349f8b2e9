"""Scores and gains. Pure: plain values in, plain values out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

CORRECT_SHARE = 2 / 3  # of its points make a short answer count as correct


class ScoredItem(Protocol):
    question_type: str
    points: float
    points_earned: float | None
    is_correct: bool | None
    student_answer: str | None
    response_time_seconds: float | None


def choice_points(answer: str, correct: str, points: float) -> float:
    return points if answer == correct else 0


def rubric_points(breakdown: Mapping[str, float], points: float) -> float:
    """The sum of the criteria, capped at the item's points."""
    return round(min(sum(breakdown.values()), points), 1)


def counts_as_correct(earned: float, points: float) -> bool:
    return earned >= points * CORRECT_SHARE - 1e-9


def percentage(part: float, whole: float) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


def mean(values: Iterable[float]) -> float | None:
    """None for nothing: a missing value is left out, never zero."""
    known = list(values)
    return sum(known) / len(known) if known else None


def results(items: Sequence[ScoredItem]) -> dict[str, float]:
    """The schema's `assessment_results`; every item must be scored."""
    earned = sum(item.points_earned or 0 for item in items)
    possible = sum(item.points for item in items)
    seconds = mean(item.response_time_seconds for item in items if item.response_time_seconds is not None)
    return {
        "total_questions": len(items),
        "questions_answered": sum(1 for item in items if item.student_answer),
        "correct_answers": sum(1 for item in items if item.is_correct),
        "total_points": possible,
        "points_earned": round(earned, 1),
        "score_percentage": percentage(earned, possible),
        "avg_response_time_seconds": round(seconds or 0, 1),
    }


def breakdown(items: Sequence[ScoredItem]) -> dict[str, float]:
    """The schema's `scoring_breakdown`."""
    score, possible = {}, {}
    for kind in ("multiple_choice", "short_answer"):
        score[kind] = round(sum(i.points_earned or 0 for i in items if i.question_type == kind), 1)
        possible[kind] = sum(i.points for i in items if i.question_type == kind)
    return {
        "multiple_choice_score": score["multiple_choice"],
        "multiple_choice_possible": possible["multiple_choice"],
        "short_answer_score": score["short_answer"],
        "short_answer_possible": possible["short_answer"],
        "mc_percentage": percentage(score["multiple_choice"], possible["multiple_choice"]),
        "sa_percentage": percentage(score["short_answer"], possible["short_answer"]),
    }


def engagement(*, played: float, duration: float, elapsed: float, speed: float = 1) -> float:
    """Engagement with a segment, 0 to 1: coverage x attention.

    Coverage is the share of the segment's seconds that were played (rewinds do not count twice);
    attention the share of the time between start and end in which it was playing, at the chosen speed.
    Pauses lower it.
    """
    if duration <= 0:
        return 0.0
    coverage = min(played / duration, 1)
    attention = min(played / (elapsed * speed), 1) if elapsed > 0 else 1
    return round(coverage * attention, 2)


def words(text: str) -> int:
    return len(text.split())
