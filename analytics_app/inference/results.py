"""What all results share: an interval, a sample told by three numbers, and the answer "too few"."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class TooFew:
    """No number can be told; `why` says what is missing, in words for the page."""

    why: str
    enough: Literal[False] = field(default=False, init=False)


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval at `level` (0.95 for 95 %)."""

    low: float
    high: float
    level: float = LEVEL

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


class Summary(Protocol):
    """n, mean, sample standard deviation (n-1); None where undefined. The statistics' `Spread` is one."""

    @property
    def n(self) -> int: ...
    @property
    def mean(self) -> float | None: ...
    @property
    def sd(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Sample:
    """A summary of its own."""

    n: int
    mean: float | None
    sd: float | None


def known(values: Iterable[Any]) -> list[float]:
    """The values as floats, without what is missing (None, NA, NaN)."""
    return [float(value) for value in values if not _is_missing(value)]


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return math.isnan(value)


def sample(values: Iterable[Any]) -> Sample:
    """The summary of values; missing ones are left out."""
    numbers = known(values)
    return Sample(
        n=len(numbers),
        mean=statistics.fmean(numbers) if numbers else None,
        sd=statistics.stdev(numbers) if len(numbers) > 1 else None,
    )


def p_text(p: float) -> str:
    """A p-value as it is written: `p = 0.041`, `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
