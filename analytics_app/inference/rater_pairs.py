"""How graders agree: the model with the first person, the first person with the second, who scored blind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sessions_app.domain.grading.human import counting
from sessions_app.domain.models import Review
from sessions_app.domain.models.human_scoring import POINTS
from sessions_app.presenters.transcript import SCORE_WORDS

NEWEST = 200
"""Reviews read for it, so that the page costs the same however much was scored."""
MIN_PAIRS = 10
"""Answers with two scores below which no figure is shown: one answer would turn it over."""

Row = tuple[float | None, float | None, float | None]


@dataclass(frozen=True, slots=True)
class Agreement:
    """`n` answers were scored by both; `found` is `inference.agreement.Agreement`, None where n is small."""

    who: str
    n: int
    found: Any


@dataclass(frozen=True, slots=True)
class Compared:
    title: str
    between: tuple[Agreement, Agreement]


def compared(kind: str, realm: str = "real") -> list[Compared]:
    """By kind of score, from the newest reviews of a realm's sessions that are not void.

    One query and its batches.
    """
    reviews = counting(Review.listed(kind, "scored", limit=NEWEST, page_size=NEWEST), (realm,))
    return [
        Compared(title, (_agreement("Model and person", rows, 0), _agreement("Two people", rows, 1)))
        for title, rows in scores(reviews).items()
    ]


def scores(reviews: Iterable[Review]) -> dict[str, list[Row]]:
    """(model, first person, second person) of every answer that a person scored, by kind of score."""
    found: dict[str, list[Row]] = {}
    for review in reviews:
        for answer in review.answers:
            for name, given in (answer.human or {}).items():
                model, second = (answer.model or {}).get(name), (answer.second or {}).get(name)
                found.setdefault(name, []).append((model, given, second))
    order = {POINTS: "Points", **SCORE_WORDS}
    return {title: found[name] for name, title in order.items() if name in found}


def _agreement(who: str, rows: Sequence[Row], first: int) -> Agreement:
    from .agreement import agreement  # statsmodels takes seconds to load

    pairs = [(row[first], row[first + 1]) for row in rows]
    n = sum(1 for one, two in pairs if one is not None and two is not None)
    if n < MIN_PAIRS:
        return Agreement(who, n, None)
    return Agreement(who, n, agreement([one for one, _ in pairs], [two for _, two in pairs]))
