"""Groups of public data: k over all that rows say, l behind every mean, and what is left to find."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from statistics import fmean

import pytest

from analytics_app.export.grouping import Grouped, Row, Rule, grouped

RULE = Rule(k=11, l=2)
LOCATIONS = ("on-site", "learning-space", "classroom", "home")
INTERVALS = (2.5, 5.0, 10.0)
EFFECT = 12.0


def row(location: str, number: int, *values: float | None) -> Row:
    kind = "dynamic" if number % 2 else "static"
    return Row(location, f"{location} {number % 6}", INTERVALS[number % 3], kind, values)


def cohort(students: int, seed: int) -> list[Row]:
    """Final and baseline scores in steps of the assessment, and two ratings, some of them missing.

    On site dynamic questions raise the final score by EFFECT.
    """
    chance = random.Random(seed)
    rows = []
    for number in range(students):
        location = LOCATIONS[number % 4]
        baseline = min(100.0, max(0.0, chance.gauss(45, 15)))
        effect = EFFECT if location == "on-site" and (number // 4) % 2 else 0
        final = min(100.0, max(0.0, baseline + 20 + effect + chance.gauss(0, 10)))
        rating = None if chance.random() < 0.1 else float(chance.randint(1, 5))
        scores = (round(final * 0.3) / 0.3, round(baseline * 0.3) / 0.3)
        rows.append(row(location, number // 4, *scores, rating, float(chance.randint(3, 5))))
    return rows


def groups_of(result: Grouped) -> dict[tuple[object, ...], list[Row]]:
    """As a reader of the file would find them: rows that are alike but for the condition."""
    found = defaultdict(list)
    for source, means, size in result.rows:
        found[source.location, means, size].append(source)
    return found


@pytest.mark.parametrize("students", [44, 45, 70, 120, 240, 1000])
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("rule", [RULE, Rule(k=5, l=2), Rule(k=8, l=3)])
def test_no_fewer_than_k_rows_are_alike_and_no_mean_stands_for_fewer_than_l_values(
    students: int, seed: int, rule: Rule
) -> None:
    result = grouped(cohort(students, seed), rule)
    groups = groups_of(result)
    for (_, means, size), members in groups.items():  # type: ignore[misc]
        assert len(members) >= max(rule.k, size)  # type: ignore[operator]
        assert len({each.type for each in members}) == 2
        for mean, index in zip(means, result.kept, strict=True):  # type: ignore[call-overload]
            known = [each.values[index] for each in members if each.values[index] is not None]
            assert len(set(known)) >= rule.l
            assert mean == pytest.approx(fmean(known), abs=0.051)  # type: ignore[arg-type]
    if groups:
        assert result.k == min(map(len, groups.values()))
        assert result.l >= rule.l
    assert len(result.rows) + result.suppressed == students


def test_a_location_with_too_few_participants_is_left_out() -> None:
    rows = [row("home", n, 50.0 + n, 30.0 + n) for n in range(10)]
    rows += [row("on-site", n, 50.0 + n, 30.0 + n) for n in range(11)]
    result = grouped(rows, RULE)
    assert {source.location for source, _, _ in result.rows} == {"on-site"}
    assert (result.k, result.suppressed) == (11, 10)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row("home", n, 50.0 + n, 30.0 + n) for n in range(10)],
        [row("home", n, 100.0, 30.0 + n) for n in range(30)],  # the mean would be everybody's score
        [row("home", 2 * n, 50.0 + n, 30.0 + n) for n in range(30)],  # whoever was there had static questions
    ],
)
def test_what_cannot_be_hidden_is_not_published(rows: list[Row]) -> None:
    result = grouped(rows, RULE)
    assert (result.rows, result.suppressed) == ((), len(rows))


def test_a_rating_that_all_gave_alike_or_few_gave_is_dropped() -> None:
    rows = [row("home", n, 50.0 + n, 30.0 + n, 5.0, 1.0 + n % 5, None if n else 3.0) for n in range(30)]
    assert grouped(rows, RULE).kept == (0, 1, 3)


def test_no_group_mixes_locations_and_conditions_stay() -> None:
    rows = cohort(120, 1)
    result = grouped(rows, RULE)
    assert Counter(source.condition for source, _, _ in result.rows) == Counter(r.condition for r in rows)


def test_the_order_of_participants_changes_no_mean() -> None:
    rows = cohort(120, 1)
    shuffled = random.Random(2).sample(rows, len(rows))
    assert Counter(means for _, means, _ in grouped(rows, RULE).rows) == Counter(
        means for _, means, _ in grouped(shuffled, RULE).rows
    )


def difference(pairs: list[tuple[Row, float]]) -> float:
    """Dynamic less static, on site."""
    on_site = [(source.type, value) for source, value in pairs if source.location == "on-site"]
    return fmean(v for kind, v in on_site if kind == "dynamic") - fmean(
        v for kind, v in on_site if kind == "static"
    )


@pytest.mark.parametrize(("students", "least"), [(120, 0.55), (240, 0.75), (1000, 0.9)])
def test_an_effect_is_still_found_in_public_data(students: int, least: float) -> None:
    """The share of a difference that is left, over 40 cohorts; docs/exports.md names it."""
    kept = []
    for seed in range(40):
        rows = cohort(students, seed)
        true = difference([(each, float(each.values[0] or 0)) for each in rows])
        shown = difference([(source, means[0]) for source, means, _ in grouped(rows, RULE).rows])
        kept.append((shown, true))
    share = fmean(shown for shown, _ in kept) / fmean(true for _, true in kept)
    print(f"{students} students: {share:.2f} of the difference")
    assert least < share < 1.05
