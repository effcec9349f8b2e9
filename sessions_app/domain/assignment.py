"""Balanced allocation: interval x type inside a location. Pure; `starting.start` writes what is drawn.

The location is given by where the student is. Inside it the arm is drawn at random among those drawn
least often so far (minimisation on the arm alone), leaving out arms that the student already had while
others are left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from . import keys


def arms(location: str) -> list[keys.Condition]:
    return [condition for condition in keys.CONDITIONS if condition.location == location]


def candidates(*, location: str, counts: Mapping[str, float], had: Collection[str]) -> list[keys.Condition]:
    """The conditions to draw from. `counts` by arm (`I1-D`), `had` as condition codes."""
    fresh = [condition for condition in arms(location) if condition.code not in had] or arms(location)
    fewest = min(counts.get(condition.arm, 0) for condition in fresh)
    return [condition for condition in fresh if counts.get(condition.arm, 0) == fewest]


def draw(
    *,
    location: str,
    counts: Mapping[str, float],
    had: Collection[str],
    choose: Callable[[Sequence[keys.Condition]], keys.Condition],
) -> keys.Condition:
    """`choose` is the source of chance, e.g. `random.SystemRandom().choice`."""
    return choose(candidates(location=location, counts=counts, had=had))
