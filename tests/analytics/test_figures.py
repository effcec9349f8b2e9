"""Figures against numbers from elsewhere: worked examples, and Python's own statistics module."""

import statistics
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_app.statistics.sums import (
    FIELDS,
    POINT,
    SCORE,
    Figures,
    Impossible,
    Month,
    Sums,
    median,
    merge,
    pooled_d,
    quantile,
    variance,
)

UNITS = st.lists(st.integers(0, SCORE), min_size=2, max_size=40)


def group(values: list[int]) -> tuple[int, int, int]:
    return len(values), sum(values), sum(value * value for value in values)


def scored(values: list[int], *, code: str = "L1-I1-D", month: str = "2025-10") -> Month:
    n, total, squares = group(values)
    counts = {"baseline_n": n, "baseline_sum": total, "baseline_squares": squares}
    histogram = {value: values.count(value) for value in values}
    sums = Sums(counts, {"baseline": histogram}) + Sums()
    return Month(code, month, sums, sums.extremes(), with_histograms=True)


def test_cohens_d_is_that_of_the_worked_example() -> None:
    # Two groups whose sums of squares about the mean are 10 and 10: pooled SD sqrt(20/8), means 3 and 8.
    assert pooled_d(*group([1, 2, 3, 4, 5]), *group([6, 7, 8, 9, 10])) == pytest.approx(5 / 2.5**0.5)


def test_cohens_d_weights_unequal_groups_by_their_degrees_of_freedom() -> None:
    # Variances 1 (n=3) and 4 (n=5)... (2*1 + 4*2.5)/6 = 2, so d = (3 - 2)/sqrt(2).
    assert pooled_d(*group([1, 2, 3]), *group([1, 2, 3, 4, 5])) == pytest.approx(1 / 2**0.5)


@pytest.mark.parametrize(("one", "other"), [([5], [1, 2]), ([1, 2], [5]), ([], []), ([3, 3], [4, 4])])
def test_cohens_d_is_null_below_two_in_a_group_or_where_nothing_varies(
    one: list[int], other: list[int]
) -> None:
    assert pooled_d(*group(one), *group(other)) is None


@pytest.mark.parametrize(
    ("values", "middle"),
    [
        ({}, None),
        ({7: 1}, 7),
        ({1: 1, 4: 1}, Fraction(5, 2)),
        ({1: 5, 9: 1}, 1),
        ({-3: 2, 4: 2}, Fraction(1, 2)),
    ],
)
def test_medians(values: dict[int, int], middle: Fraction | None) -> None:
    assert median(values) == middle


def test_quantiles_are_nearest_ranks() -> None:
    waits = dict.fromkeys(range(1, 101), 1)
    assert [quantile(waits, share) for share in (0.5, 0.95, 1)] == [50, 95, 100]
    assert quantile({}, 0.5) is None


@given(UNITS)
def test_figures_equal_those_of_the_statistics_module(values: list[int]) -> None:
    found = merge([scored(values)]).baseline
    percent = [value / POINT for value in values]
    assert found.n == len(values)
    assert found.mean == pytest.approx(statistics.mean(percent))
    assert found.sd == pytest.approx(statistics.stdev(percent), abs=1e-6)
    assert found.median == pytest.approx(statistics.median(percent))
    assert (found.least, found.most) == (min(percent), max(percent))


@given(st.lists(UNITS, min_size=1, max_size=5), st.randoms())
def test_months_add_up_to_any_range_in_any_order(parts: list[list[int]], chance: object) -> None:
    months = [scored(values, month=f"2025-{number:02}") for number, values in enumerate(parts, 1)]
    chance.shuffle(months)  # type: ignore[attr-defined]
    together, at_once = merge(months), merge([scored([value for part in parts for value in part])])
    assert together.baseline == at_once.baseline
    assert together.sums == at_once.sums


@given(UNITS, UNITS)
def test_what_is_added_and_taken_away_again_leaves_nothing(one: list[int], other: list[int]) -> None:
    first, second = scored(one).sums, scored(other).sums
    assert first + second - second == first
    assert not (first - first)


def test_sums_survive_the_compact_form() -> None:
    sums = Sums({name: place for place, name in enumerate(FIELDS) if place}, {"students": {0: 3, 202509: 1}})
    assert Sums.from_list(sums.as_list(), sums.histogram("students")) == sums


def test_nothing_at_all_has_no_figures_and_no_zeros_in_their_place() -> None:
    nothing = merge([])
    assert (nothing.sessions, nothing.students, nothing.completion_rate) == (0, 0, None)
    assert (nothing.gain.n, nothing.gain.mean, nothing.gain.sd, nothing.cohens_d) == (0, None, None, None)
    assert nothing.mean("overall", "survey_n") is None


def month_of_students(month: str, before: dict[int, int], code: str = "L1-I1-D") -> Month:
    return Month(code, month, Sums({}, {"students": before}), {}, with_histograms=False)


def test_a_student_of_several_months_is_counted_once_in_every_range() -> None:
    # One student came in August and October, another in October alone.
    august = month_of_students("2025-08", {0: 1})
    october = month_of_students("2025-10", {0: 1, 202508: 1})
    assert merge([august]).students == 1
    assert merge([october]).students == 2
    assert merge([october, august]).students == 2


def test_students_of_different_conditions_are_not_added_up() -> None:
    both = [month_of_students("2025-08", {0: 1}), month_of_students("2025-08", {0: 1}, code="L1-I1-S")]
    figures: Figures = merge(both)
    assert figures.students is None


def test_sums_of_no_values_have_no_variance() -> None:
    with pytest.raises(Impossible, match="2 values cannot add up to 200 and their squares to 18600"):
        variance(2, 200, 18600)


def test_the_variance_of_large_sums_is_exact() -> None:
    n = 10**6
    assert variance(2 * n, 2 * n * 999 + n, n * 999**2 + n * 1000**2) == Fraction(n, 2 * (2 * n - 1))
