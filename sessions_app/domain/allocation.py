"""Allocation of interval and type at a location: a big-stick design. Pure; `starting.start` stores the draw.

The location is given by where the student is. There the arm is drawn among those less than TOLERANCE ahead of
the arm drawn least often. So arms are never more than TOLERANCE apart, and mostly all of them can be drawn:
whoever knows every earlier draw can hardly foresee the next one. All candidates have nearly equal chances; a
share of the draws takes the type first, because few arms left of a type would else give the type away.
"""

from __future__ import annotations

import hashlib
import secrets
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from itertools import accumulate
from math import prod

from .store import keys

TOLERANCE = 3
TYPE_FIRST = 6
"""One draw in so many takes the type first, each with the same chance, and then an arm of it."""
STRATA = ("location", "school", "facilitator")

Choose = Callable[[Sequence[keys.Condition]], keys.Condition]


@cache
def arms(location: str) -> tuple[keys.Condition, ...]:
    return tuple(condition for condition in keys.CONDITIONS if condition.location == location)


def candidates(
    *, location: str, counts: Mapping[str, float], had: Collection[str] = ()
) -> list[keys.Condition]:
    """The conditions to draw from. `counts` and `had` are by arm (`I1-D`).

    Arms that the student had at other locations are left out while that leaves any; balance comes first.
    """
    here = arms(location)
    fewest = min(counts.get(condition.arm, 0) for condition in here)
    drawable = [condition for condition in here if counts.get(condition.arm, 0) - fewest < TOLERANCE]
    return [condition for condition in drawable if condition.arm not in had] or drawable


def new_seed() -> str:
    """128 bits from the operating system."""
    return secrets.token_hex(16)


def weights(candidates: Sequence[keys.Condition]) -> list[int]:
    """The chances of the candidates, as whole numbers in proportion."""
    n = Counter(condition.type for condition in candidates)
    arms_of_all_types = prod(n.values())
    among_all = (TYPE_FIRST - 1) * len(n) * arms_of_all_types
    return [among_all + len(candidates) * arms_of_all_types // n[condition.type] for condition in candidates]


def by_seed(seed: str) -> Choose:
    """A choice that anybody with the seed can repeat: its SHA-256 as a number, modulo the sum of weights."""
    number = int(hashlib.sha256(seed.encode()).hexdigest(), 16)

    def choose(candidates: Sequence[keys.Condition]) -> keys.Condition:
        bounds = list(accumulate(weights(candidates)))
        return candidates[bisect(bounds, number % bounds[-1])]

    return choose


def stratum(*, realm: str, factors: Collection[str], school_id: str, facilitator: str) -> str:
    """Names the tally inside a location; empty for real sessions where `factors` has only the location."""
    parts = [] if realm == "real" else [realm]
    if "school" in factors:
        parts.append(f"school-{school_id}")
    if "facilitator" in factors:
        parts.append(f"facilitator-{hashlib.sha256(facilitator.encode()).hexdigest()[:16]}")
    return "#".join(parts)
