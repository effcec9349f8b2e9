"""Part 7: how figures of parts 2 and 5, and of pages, grow with the number of sessions, as a power of it.

A line through the logarithms by least squares: its slope is the exponent, 0 for what does not grow, 1 for
what grows as the study does. The 95 % interval is that of the slope, by Student's t.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from scipy import stats  # type: ignore[import-untyped]

from . import plot
from .environment import Bench
from .results import Figure, Outcome, Table

FLAT: Final = 0.1
"""An exponent below which we call a figure flat: 100 times the sessions, 1.6 times the cost."""
FLAT_GROUPS: Final = ("read units of an analysis", "read units of a page")


class NothingKept(Exception):
    """The parts whose figures are fitted were not run."""


@dataclass(frozen=True, slots=True)
class Fit:
    exponent: float
    margin: float


def fit(values: Mapping[int, float]) -> Fit | None:
    """None where a logarithm is missing, or there are too few sizes to tell an error."""
    if len(values) < 3 or min(values.values()) <= 0:
        return None
    xs, ys = [math.log(n) for n in values], [math.log(value) for value in values.values()]
    x0, y0, free = fmean(xs), fmean(ys), len(values) - 2
    spread = sum((x - x0) ** 2 for x in xs)
    slope = sum((x - x0) * (y - y0) for x, y in zip(xs, ys, strict=True)) / spread
    rest = sum((y - y0 - slope * (x - x0)) ** 2 for x, y in zip(xs, ys, strict=True))
    margin = float(stats.t.ppf(0.975, free)) * math.sqrt(rest / free / spread)
    return Fit(round(slope, 3), round(margin, 3))


def measure(bench: Bench) -> Outcome:
    if not bench.series:
        raise NothingKept("parts 2 and 5 keep what is fitted here: run them too")
    plot.write(bench.series, bench.plot)
    return Outcome(list(_figures(bench)), [_table(group, bench) for group in _groups(bench)])


def _groups(bench: Bench) -> list[str]:
    return list(dict.fromkeys(group for group, _ in bench.series))


def _figures(bench: Bench) -> Iterator[Figure]:
    for (group, line), values in bench.series.items():
        found = fit(values)
        if found is None or not line.endswith("ours"):
            continue
        yield Figure(
            what=f"{group}: {line.removesuffix(', ours')}",
            value=found.exponent,
            unit="exponent",
            beside=f"± {found.margin:.2g} at {min(values):,} to {max(values):,} sessions",
            goal=FLAT if group in FLAT_GROUPS else None,
        )


def _table(group: str, bench: Bench) -> Table:
    lines = {line: values for (of, line), values in bench.series.items() if of == group}
    sizes = sorted({n for values in lines.values() for n in values})
    fits = {line: fit(values) for line, values in lines.items()}
    return Table(
        title=f"{group[0].upper()}{group[1:]}, by number of sessions",
        columns=("", *(f"{n:,}" for n in sizes), "exponent", "±"),
        rows=[
            (
                line,
                *(round(values[n], 5) if n in values else None for n in sizes),
                found.exponent if (found := fits[line]) else None,
                found.margin if found else None,
            )
            for line, values in lines.items()
        ],
    )
