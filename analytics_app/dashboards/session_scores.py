"""Sessions one by one with their scores: the page of an index, and one batch of small items beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sessions_app.access import field_policy
from sessions_app.domain.models import Contribution, Session
from sessions_app.domain.store import keys

from ..statistics import items as statistics_items
from ..statistics.sums import POINT


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores in percent; None while the session is not completed, not graded or not counted yet."""

    session: Session
    baseline: float | None
    final: float | None

    @property
    def gain(self) -> float | None:
        if self.baseline is None or self.final is None:
            return None
        return self.final - self.baseline


def contributions(sessions: Iterable[Session]) -> dict[str, Contribution]:
    """By session id, what the statistics hold of each: a batch for every 100."""
    wanted = [(session.PK, keys.CONTRIBUTION) for session in sessions]
    return {item.session_id: item for item in Contribution.batch_get(wanted)} if wanted else {}


def score(item: Contribution | None, moment: str) -> float | None:
    if item is None or not statistics_items.is_current(item) or not item.sums.get(f"{moment}_n"):
        return None
    return item.sums.get(f"{moment}_sum", 0) / POINT


def scored(sessions: Iterable[Session], roles: frozenset[str]) -> list[Scored]:
    """In the order given; of each what these roles see."""
    listed = list(sessions)
    found = field_policy.masked(contributions(listed), roles)
    listed = field_policy.masked(listed, roles)
    return [
        Scored(
            session,
            *(score(found.get(session.session_id), moment) for moment in ("baseline", "final")),
        )
        for session in listed
    ]


def before_after(listed: Iterable[Scored]) -> list[dict[str, Any]]:
    """Rows of the chart of that name: each pair of scores with how often it occurs."""
    pairs: dict[tuple[float, float], int] = {}
    for one in listed:
        if one.baseline is not None and one.final is not None:
            pair = (one.baseline, one.final)
            pairs[pair] = pairs.get(pair, 0) + 1
    return [{"baseline": before, "final": after, "n": n} for (before, after), n in sorted(pairs.items())]


def over_sessions(listed: Iterable[Scored]) -> list[dict[str, Any]]:
    """Rows of the chart of a student's sessions, oldest first, without those that are void."""
    return [
        {
            "start": keys.stamp(one.session.start),
            "condition": one.session.condition.code,
            "baseline": one.baseline,
            "final": one.final,
        }
        for one in sorted(listed, key=lambda one: one.session.start)
        if not one.session.is_void
    ]
