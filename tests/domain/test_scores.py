"""What a session's scores are, exactly."""

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from sessions_app.domain import scores


def item(earned: float | None, points: float) -> Any:
    return SimpleNamespace(points_earned=earned, points=points)


def assessment(percent: float | None, earned: float, total: float = 15, items: Any = ()) -> Any:
    results = SimpleNamespace(
        score_percentage=percent, points_earned=earned, total_points=total, total_questions=10
    )
    return SimpleNamespace(assessment_results=results, questions=list(items))


@pytest.mark.parametrize(
    ("percent", "earned", "score"),
    [
        (63.3, 9.5, Fraction(19, 30)),  # rounded from the points, which are exact
        (93.3, 14, Fraction(14, 15)),
        (50, 9.5, Fraction(1, 2)),  # the points contradict it: it stands as it is
        (100.4, 15, None),
        (-0.1, 0, None),
        (None, 15, None),
        (0, 0, Fraction(0)),
    ],
)
def test_a_score_is_made_of_the_points_it_was_rounded_from(
    percent: float | None, earned: float, score: Fraction | None
) -> None:
    assert scores.score(assessment(percent, earned)) == score


def test_points_of_an_item_are_capped_at_what_it_is_worth() -> None:
    items = [*(item(1, 1) for _ in range(7)), item(4.5, 3), item(1.5, 3), item(0, 2)]
    assert scores.score(assessment(93.3, 14, items=items)) == Fraction(23, 30)
    assert scores.capped(4.5, 3) == 3
    assert scores.capped(None, 3) is None
    assert scores.capped(-1, 3) is None


def test_items_without_points_or_not_all_of_them_leave_the_results() -> None:
    assert scores.score(assessment(93.3, 14, items=[item(0, 1)])) == Fraction(14, 15)
    items = [*(item(1, 1) for _ in range(9)), item(None, 3)]
    assert scores.score(assessment(93.3, 14, items=items)) == Fraction(14, 15)


def test_what_is_not_scored_has_no_score() -> None:
    assert scores.score(None) is None
    assert scores.score(SimpleNamespace(assessment_results=None)) is None  # type: ignore[arg-type]


def test_gains_are_exact_and_divide_once() -> None:
    found = scores.gain(Fraction(19, 30), Fraction(28, 30))
    assert found is not None
    assert (found.absolute, found.relative) == (Fraction(9, 30), Fraction(9, 19))
    assert found.normalized == Fraction(9, 11)
    assert scores.gain(None, Fraction(1)) is None


def dialogue(**summary: Any) -> Any:
    given = [
        SimpleNamespace(
            answer_metadata=SimpleNamespace(response_time_seconds=seconds),
            quality_scores=SimpleNamespace(
                answer_depth=depth, question_clarity=clarity, question_relevance=relevance
            ),
        )
        for seconds, depth, clarity, relevance in (
            (45, 3.2, 4.5, 4.8),
            (45, 4.1, 4.7, 4.9),
            (70, 4.8, 4.9, 5),
        )
    ]
    return SimpleNamespace(questions=given, intervention_summary=SimpleNamespace(**summary))


def test_means_of_an_intervention_are_those_of_its_questions() -> None:
    found = dialogue(avg_response_time_seconds=53.3, avg_answer_depth=4.03, avg_question_quality=4.8)
    assert scores.response_time(found) == Fraction(160, 3)
    assert scores.answer_depth(found) == Fraction(121, 30)
    assert scores.question_quality(found) == Fraction(48, 10)


def test_a_mean_that_its_questions_contradict_stands_and_none_stays_none() -> None:
    found = dialogue(avg_response_time_seconds=50, avg_answer_depth=None, avg_question_quality=4.7)
    assert scores.response_time(found) == 50
    assert scores.answer_depth(found) is None
    assert scores.question_quality(found) == Fraction(47, 10)


@pytest.mark.parametrize("value", [None, True, "9", float("nan"), float("inf")])
def test_only_a_finite_number_is_a_number(value: Any) -> None:
    assert scores.number(value) is None
