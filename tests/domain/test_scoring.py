import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions_app.domain import scores, scoring

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text())
    return read


@dataclass
class Item:
    question_type: str = "multiple_choice"
    points: float = 1
    points_earned: float | None = 0
    is_correct: bool | None = False
    student_answer: str | None = "an answer"
    response_time_seconds: float | None = 10


def ten(choices_right: int, short: list[float]) -> list[Item]:
    """Seven choices, of which so many are right, and three short answers worth 3, 3 and 2."""
    choices = [Item(points_earned=int(i < choices_right), is_correct=i < choices_right) for i in range(7)]
    written = [
        Item("short_answer", points, earned, scoring.counts_as_correct(earned, points))
        for points, earned in zip((3, 3, 2), short, strict=True)
    ]
    return choices + written


def test_the_baseline_of_the_example_adds_up() -> None:
    told = example("assessment-baseline")
    items = ten(6, [1.5, 1.5, 0.5])
    assert scoring.breakdown(items) == told["scoring_breakdown"]
    results = scoring.results(items)
    assert (results["points_earned"], results["total_points"]) == (9.5, 15)
    assert results["score_percentage"] == told["assessment_results"]["score_percentage"] == 63.3
    assert results["correct_answers"] == told["assessment_results"]["correct_answers"]


def test_the_final_of_the_example_adds_up() -> None:
    told = example("assessment-final")
    items = ten(7, [3, 3, 1])
    assert scoring.breakdown(items) == told["scoring_breakdown"]
    assert (
        scoring.results(items)["score_percentage"] == told["assessment_results"]["score_percentage"] == 93.3
    )


def test_the_gain_of_the_example_adds_up() -> None:
    gain = scores.learning_gain(Fraction(19, 30), Fraction(28, 30))
    assert gain == example("assessment-final")["learning_gain"]


def test_the_rubrics_of_the_examples_add_up() -> None:
    for name in ("assessment-baseline", "assessment-final"):
        for question in example(name)["questions"]:
            if told := question.get("ai_scoring"):
                earned = scoring.rubric_points(told["rubric_breakdown"], question["points"])
                assert earned == question["points_earned"] == told["raw_score"]


@pytest.mark.parametrize(
    ("parts", "most", "points"),
    [
        ({}, 3, 0),
        ({"a": 1.0, "b": 0.5}, 3, 1.5),
        ({"a": 1, "b": 1, "c": 1, "d": 1}, 3, 3),
        ({"a": 0.1, "b": 0.2}, 3, 0.3),
    ],
)
def test_a_rubric_is_a_sum_capped_at_the_points(parts: dict[str, float], most: float, points: float) -> None:
    assert scoring.rubric_points(parts, most) == points


@pytest.mark.parametrize(
    ("earned", "points", "correct"),
    [(2, 3, True), (1.9, 3, False), (1.4, 2, True), (1.3, 2, False), (0, 3, False)],
)
def test_two_thirds_of_the_points_count_as_correct(earned: float, points: float, correct: bool) -> None:
    assert scoring.counts_as_correct(earned, points) is correct


def test_a_choice_is_right_or_wrong() -> None:
    assert scoring.choice_points("Iron production", "Iron production", 1) == 1
    assert scoring.choice_points("iron production", "Iron production", 1) == 0


@pytest.mark.parametrize(
    ("baseline", "final", "absolute", "relative", "normalized"),
    [
        (0, 50, 50, None, 0.5),
        (100, 100, 0, 0, None),
        (100, 80, -20, -20, None),
        (50, 50, 0, 0, 0),
        (80, 40, -40, -50, -2),
        (0, 0, 0, None, 0),
    ],
)
def test_gains_are_null_where_they_are_undefined_and_negative_where_knowledge_fell(
    baseline: float, final: float, absolute: float, relative: float | None, normalized: float | None
) -> None:
    gain = scores.learning_gain(Fraction(baseline) / 100, Fraction(final) / 100)
    assert (gain["absolute_gain"], gain["relative_gain"], gain["normalized_gain"]) == (
        absolute,
        relative,
        normalized,
    )


def test_missing_values_leave_the_mean() -> None:
    assert scoring.mean([]) is None
    assert scoring.mean([1, 2, 6]) == 3
    timed = [Item(response_time_seconds=12), Item(response_time_seconds=None), Item(response_time_seconds=18)]
    assert scoring.results(timed)["avg_response_time_seconds"] == 15


def test_a_percentage_of_nothing_is_zero() -> None:
    assert scoring.percentage(0, 0) == 0
    assert scoring.percentage(1, 3) == 33.3


@pytest.mark.parametrize(
    ("played", "elapsed", "score"),
    [
        (150, 150, 1),
        (150, 300, 0.5),
        (75, 75, 0.5),
        (75, 150, 0.25),
        (150, 75, 1),
        (0, 150, 0),
        (200, 200, 1),
        (150, 0, 1),
    ],
)
def test_engagement_is_coverage_times_attention(played: float, elapsed: float, score: float) -> None:
    assert scoring.engagement(played=played, duration=150, elapsed=elapsed) == score


def test_a_segment_of_no_length_engages_nobody() -> None:
    assert scoring.engagement(played=1, duration=0, elapsed=1) == 0


@given(played=st.floats(0, 1e4), duration=st.floats(0, 1e4), elapsed=st.floats(0, 1e4))
def test_engagement_lies_between_nothing_and_one(played: float, duration: float, elapsed: float) -> None:
    assert 0 <= scoring.engagement(played=played, duration=duration, elapsed=elapsed) <= 1


SHARES = st.fractions(0, 1, max_denominator=3000)


@given(SHARES, SHARES)
def test_nobody_gains_more_than_there_was_to_gain(baseline: Fraction, final: Fraction) -> None:
    gain = scores.learning_gain(baseline, final)
    assert gain["normalized_gain"] is None or gain["normalized_gain"] <= 1


def test_words_are_counted_between_white_space() -> None:
    assert [scoring.words(text) for text in ("", "one", " two  words\n", "it's one-off")] == [0, 1, 2, 2]


def test_engagement_allows_for_the_chosen_speed() -> None:
    assert scoring.engagement(played=150, duration=150, elapsed=150 / 0.8, speed=0.8) == 1
    assert scoring.engagement(played=150, duration=150, elapsed=250, speed=1.2) == 0.5
