"""Allocations as the design could have drawn them: the log, replayed with new chances.

The order of the draws, their strata, and what was set by hand stay; each draw is made again as
`sessions_app.domain.allocation` makes it. So the replayed allocations have the balance of the real one, which
shuffling arms would not keep.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import numpy as np

from sessions_app.domain import allocation
from sessions_app.domain.store import keys

from .confirmatory import INDEX, Ints


@dataclass(frozen=True, slots=True)
class Draw:
    """An entry of the allocation log. `avoided` are arms that the student had had elsewhere.

    `is_drawn` is False where a person set the condition: it is kept.
    """

    student_id: str
    condition: keys.Condition
    stratum: str
    is_drawn: bool = True
    avoided: frozenset[str] = frozenset()


@cache
def _bounds(drawable: tuple[keys.Condition, ...]) -> list[int]:
    return list(accumulate(allocation.weights(drawable)))


def replay(draws: Sequence[Draw], random: np.random.Generator) -> list[int]:
    """The cells of the draws, in their order, drawn again."""
    chances = random.random(len(draws))
    tallies: dict[tuple[str, str], list[int]] = {}
    found = []
    for draw, chance in zip(draws, chances.tolist(), strict=True):
        arms = allocation.arms(draw.condition.location)
        tally = tallies.setdefault((draw.condition.location, draw.stratum), [0] * len(arms))
        place = _drawn(arms, tally, draw.avoided, chance) if draw.is_drawn else arms.index(draw.condition)
        tally[place] += 1
        found.append(INDEX[arms[place].code])
    return found


def _drawn(arms: Sequence[keys.Condition], tally: list[int], avoided: Collection[str], chance: float) -> int:
    limit = min(tally) + allocation.TOLERANCE
    drawable = [place for place, n in enumerate(tally) if n < limit]
    if avoided:
        drawable = [place for place in drawable if arms[place].arm not in avoided] or drawable
    bounds = _bounds(tuple(arms[place] for place in drawable))
    return drawable[bisect(bounds, chance * bounds[-1])]


def of_students(
    draws: Sequence[Draw], students: Sequence[tuple[str, str]]
) -> Callable[[np.random.Generator], Ints]:
    """For `randomization_test`: new cells of these students, each at the location given with the id.

    Raises KeyError where one has no draw there.
    """
    place = {(draw.student_id, draw.condition.location): number for number, draw in enumerate(draws)}
    wanted = [place[student] for student in students]
    return lambda random: np.array(replay(draws, random))[wanted]
