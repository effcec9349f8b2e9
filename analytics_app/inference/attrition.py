"""Attrition and baseline equivalence as the What Works Clearinghouse judges them (Standards Handbook 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

_CAUTIOUS: Final = """5.7 5.8 5.9 5.9 6.0 6.1 6.2 6.3 6.3 6.3 6.3 6.2 6.2 6.1 6.0 5.9 5.9 5.8 5.7 5.5
5.4 5.3 5.2 5.1 4.9 4.8 4.7 4.5 4.4 4.3 4.1 4.0 3.8 3.6 3.5 3.3 3.2 3.1 2.9 2.8
2.6 2.5 2.3 2.1 2.0 1.8 1.6 1.5 1.3 1.2 1.0 0.9 0.7 0.6 0.4 0.3 0.2 0.0"""
_OPTIMISTIC: Final = """10.0 10.1 10.2 10.3 10.4 10.5 10.7 10.8 10.9 10.9 10.9 10.9 10.9 10.8 10.8 10.7
10.6 10.5 10.3 10.2 10.0 9.9 9.7 9.5 9.4 9.2 9.0 8.8 8.6 8.4 8.2 8.0 7.8 7.6 7.4
7.2 7.0 6.7 6.5 6.3 6.0 5.8 5.6 5.3 5.1 4.9 4.6 4.4 4.2 3.9 3.7 3.5 3.2 3.0 2.8
2.6 2.3 2.1"""
CAUTIOUS: Final = tuple(map(float, _CAUTIOUS.split()))
OPTIMISTIC: Final = tuple(map(float, _OPTIMISTIC.split()))
"""The most differential attrition, in percentage points, for an overall attrition of 0, 1, 2 ... percent."""


@dataclass(frozen=True, slots=True)
class Attrition:
    """In percent and percentage points. Boundaries are None where overall attrition is too high for any."""

    overall: float
    differential: float
    cautious: float | None
    optimistic: float | None

    @property
    def verdict(self) -> str:
        if self.cautious is not None and self.differential <= self.cautious:
            return "low, within the cautious boundary"
        if self.optimistic is not None and self.differential <= self.optimistic:
            return "low only by the optimistic boundary"
        return "high"


def attrition(allocated: tuple[int, int], analyzed: tuple[int, int]) -> Attrition | None:
    """Of two groups; None where a group is empty. Between two rows of the table the stricter one counts."""
    if not all(allocated):
        return None
    first, second = (Fraction(100 * (n - left), n) for n, left in zip(allocated, analyzed, strict=True))
    overall = float(100 - Fraction(100 * sum(analyzed), sum(allocated)))
    limits = [_limit(table, overall) for table in (CAUTIOUS, OPTIMISTIC)]
    return Attrition(overall, float(abs(first - second)), *limits)


def _limit(table: tuple[float, ...], overall: float) -> float | None:
    low = int(overall)
    around = table[low : low + 2] if overall > low else table[low : low + 1]
    return min(around) if around and (len(around) == 2 or overall == low) else None


def equivalence(effect: float) -> str:
    """What a difference of the baseline, in standard deviations, asks for."""
    size = abs(effect)
    if size <= 0.05:
        return "equivalent"
    return "equivalent when adjusted" if size <= 0.25 else "not equivalent"
