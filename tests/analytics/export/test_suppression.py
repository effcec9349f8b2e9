"""What a public export tells cannot be solved for anything that it hides."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence

import pytest

from analytics_app.export import suppression
from analytics_app.export.suppression import SMALLEST_CLASS, Cell

K = 3  # small, so that every population there can be is tried


def populations(total: int, cells: int) -> Iterator[tuple[int, ...]]:
    """Every way to spread so many participants over so many cells."""
    if cells == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in populations(total - first, cells - 1):
            yield (first, *rest)


def published(counts: dict[Cell, int], smallest: int) -> dict[Cell, int]:
    """What an attacker sees: participants by what is told of them."""
    told = suppression.told(counts, smallest=smallest)
    seen: dict[Cell, int] = defaultdict(int)
    for cell, number in counts.items():
        if cell in told:
            seen[told[cell]] += number
    return dict(seen)


@pytest.mark.parametrize(
    ("circumstances", "most"),
    [(["ab"], 9), (["abc"], 9), (["abcd"], 8), (["abc", "xy"], 7), (["ab", "xy"], 10)],
)
def test_an_attacker_who_knows_the_rule_can_solve_for_no_small_cell(
    circumstances: Sequence[str], most: int
) -> None:
    """Of all populations that would have been published so, no sum of cells is sure to be 1 or 2."""
    cells: list[Cell] = list(itertools.product(*circumstances))
    solved, tried = [], 0
    for total in range(K, most + 1):
        by_view: dict[str, list[tuple[int, ...]]] = defaultdict(list)
        for population in populations(total, len(cells)):
            counts = {cell: number for cell, number in zip(cells, population, strict=True) if number}
            by_view[repr(sorted(published(counts, K).items(), key=str))].append(population)
        for view, possible in by_view.items():
            for chosen in range(1, 2 ** len(cells)):
                places = [place for place in range(len(cells)) if chosen >> place & 1]
                sums = {sum(population[place] for place in places) for population in possible}
                tried += 1
                if len(sums) == 1 and 0 < min(sums) < K:
                    solved.append((view, [cells[place] for place in places], sums))
    assert solved == []
    assert tried > 50


def study(students: int, seed: int) -> dict[Cell, int]:
    """A cohort as one is likely to be: 24 conditions, few participants each, several weeks."""
    chance, counts = random.Random(seed), defaultdict(int)
    for _ in range(students):
        cell = (
            chance.choice(("on-site", "learning-space", "classroom", "home")),
            chance.choice(("static", "dynamic")),
            chance.choice((2.5, 5.0, 10.0)),
            chance.choice(("14 to 15", "16 to 17", "16 to 17", "18 and over", None)),
            chance.randint(1, 6),
            chance.random() < 0.7,
        )
        counts[cell] += 1
    return dict(counts)


@pytest.mark.parametrize("students", [11, 48, 240, 3000])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_is_tabulated_no_count_is_1_to_10(students: int, seed: int) -> None:
    seen = published(study(students, seed), SMALLEST_CLASS)
    assert sum(seen.values()) == students
    width = len(suppression.CIRCUMSTANCES)
    for number in range(1, width + 1):
        for places in itertools.combinations(range(width), number):
            table: dict[Cell, int] = defaultdict(int)
            for told, count in seen.items():
                table[tuple(told[place] for place in places)] += count
            assert min(table.values()) >= SMALLEST_CLASS


def test_large_classes_are_told_whole() -> None:
    cells: list[Cell] = list(itertools.product(("on-site", "home"), ("static", "dynamic")))
    counts = dict.fromkeys(cells, 11)
    assert suppression.told(counts) == {cell: cell for cell in cells}


def test_the_smallest_neighbour_is_hidden_with_a_small_class() -> None:
    told = suppression.told({("home",): 3, ("on-site",): 30, ("classroom",): 12})
    assert told == {("home",): (None,), ("classroom",): (None,), ("on-site",): ("on-site",)}


def test_a_small_class_is_hidden_with_one_that_is_not_small_even_where_small_ones_would_do() -> None:
    told = suppression.told({("home",): 6, ("on-site",): 6, ("classroom",): 12, ("learning-space",): 40})
    hidden = {cell for cell, shown in told.items() if shown == (None,)}
    assert hidden == {("home",), ("on-site",), ("classroom",)}


def test_of_too_few_nothing_is_told() -> None:
    assert suppression.told({("home",): 10}) == {}
