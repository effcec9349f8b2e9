"""What a public export says of participants: the means of groups in which all rows look alike.

Whoever sat beside a participant knows the location and perhaps much else: format, times, a score that was
read aloud. So k is measured over every column, not over those that somebody thought of: at each location the
participants are split into groups of at least k by their gain, and all that a row says, but for the
condition, is its group's mean. Condition, interval and type stay, as they were drawn by lot within the
location. l is the least number of different values behind any mean, and of types and intervals in a group.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

SCORES: Final = 2
"""The first values, which every row has: final score and baseline."""
Means = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A participant. `values` are averaged; the first two, final score and baseline, are never None."""

    location: str
    condition: str
    interval: float
    type: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Grouped:
    """`rows` with the means and the size of their group. `kept` are the indexes of the published values."""

    rows: tuple[tuple[Row, Means, int], ...]
    kept: tuple[int, ...]
    k: int
    l: int  # noqa: E741  the name that everybody knows it by
    suppressed: int


@dataclass(frozen=True, slots=True)
class Rule:
    """The least that is allowed: participants in a group, and different values in it."""

    k: int
    l: int  # noqa: E741

    def allows(self, group: Sequence[Row], kept: Iterable[int]) -> bool:
        return (
            len(group) >= self.k
            and _arms(group) >= self.l
            and all(self.allows_value(group, index) for index in kept)
        )

    def allows_value(self, group: Sequence[Row], index: int) -> bool:
        """Whether a mean may be published: of k values, and not of equal ones, which it would give away."""
        known = [row.values[index] for row in group if row.values[index] is not None]
        return len(known) >= self.k and len(set(known)) >= self.l


def _arms(group: Sequence[Row]) -> int:
    return min(len({row.type for row in group}), len({row.interval for row in group}))


def grouped(rows: Iterable[Row], rule: Rule) -> Grouped:
    """Left out: locations that the rule does not allow, and values that it does not allow at the others."""
    by_location: dict[str, list[Row]] = defaultdict(list)
    total = 0
    for row in rows:
        by_location[row.location].append(row)
        total += 1
    whole = [group for _, group in sorted(by_location.items()) if rule.allows(group, range(SCORES))]
    width = len(whole[0][0].values) if whole else 0
    kept = tuple(
        index
        for index in range(width)
        if index < SCORES or all(rule.allows_value(group, index) for group in whole)
    )
    groups = [part for group in whole for part in _split(group, kept, rule)]
    published = tuple((row, _means(group, kept), len(group)) for group in groups for row in group)
    return Grouped(published, kept, _k(published), _l(groups, kept), total - len(published))


def _split(group: list[Row], kept: Sequence[int], rule: Rule) -> list[list[Row]]:
    """As many groups as k allows, by the gain, so that their means still show what a condition changes."""
    number = len(group) // rule.k
    if number < 2:
        return [group]
    ordered = sorted(group, key=_gain)
    for cut in _cuts(ordered, len(group) * (number // 2) / number):
        parts = ordered[:cut], ordered[cut:]
        if all(rule.allows(part, kept) for part in parts):
            return [small for part in parts for small in _split(part, kept, rule)]
    return [group]


def _cuts(ordered: Sequence[Row], target: float) -> list[int]:
    """Between different gains, so that groups do not depend on the order of equal rows; nearest first."""
    gains = [_gain(row) for row in ordered]
    cuts = [number for number in range(1, len(gains)) if gains[number - 1] != gains[number]]
    return sorted(cuts, key=lambda cut: abs(cut - target))


def _gain(row: Row) -> float:
    final, baseline = row.values[:SCORES]
    if final is None or baseline is None:
        raise ValueError("a score is missing")
    return round(final - baseline, 6)


def _means(group: Sequence[Row], kept: Iterable[int]) -> Means:
    columns = ([row.values[index] for row in group if row.values[index] is not None] for index in kept)
    return tuple(round(fmean(values), 1) for values in columns)  # type: ignore[arg-type]


# --- measured on what goes out


def _k(published: Iterable[tuple[Row, Means, int]]) -> int:
    """The least number of rows that are alike in every column but condition, interval and type."""
    alike = Counter((row.location, means, size) for row, means, size in published)
    return min(alike.values(), default=0)


def _l(groups: Iterable[Sequence[Row]], kept: Sequence[int]) -> int:
    least = [
        min(_arms(group), *(len({row.values[index] for row in group} - {None}) for index in kept))
        for group in groups
    ]
    return min(least, default=0)
