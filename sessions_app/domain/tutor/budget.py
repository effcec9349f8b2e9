"""Caps on what models may cost: for a student, a session, and a day (UTC, as the provider's bill has it).

Before a call its dearest price is set aside in each counter, on condition that the cap holds; afterwards the
counters are told the true price. So calls at the same time cannot pass a cap together.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from pynamodb.exceptions import PynamoDBException, UpdateError
from pynamodb.expressions.update import Action

from ..models import Spending, TutorHealth
from ..store import keys
from . import FailureReason, Payer, TutorFailed

log = logging.getLogger(__name__)
Scope = Literal["student", "session", "day"]
MICRO = 1_000_000
FRESH = timedelta(minutes=5)
REASONS: dict[Scope, FailureReason] = {
    "student": "spend_cap_student",
    "session": "spend_cap_session",
    "day": "spend_cap_day",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """US dollars; 0 sets no cap."""

    student: float = 0
    session: float = 0
    day: float = 0


@dataclass(frozen=True, slots=True)
class Purse:
    caps: Caps
    clock: Callable[[], datetime]

    def hold(self, payer: Payer, usd: float) -> Callable[[float], None]:
        """Raises TutorFailed at a cap; nothing is set aside then."""
        now, held = self.clock(), math.ceil(usd * MICRO)
        counters: list[Spending] = []
        for scope, name, cap in self._counters(payer, now):
            counter = Spending(PK=keys.spending(scope, name), SK=keys.TOTAL, scope=scope)
            if not _add(counter, held, now, most=round(cap * MICRO)):
                _give_back(counters, held, now)
                raise TutorFailed(REASONS[scope], retryable=False)
            counters.append(counter)
        return lambda cost: _give_back(counters, held - math.ceil(cost * MICRO), now)

    def _counters(self, payer: Payer, now: datetime) -> Iterator[tuple[Scope, str, float]]:
        scopes: tuple[tuple[Scope, str, float], ...] = (
            ("student", payer.student_id, self.caps.student),
            ("session", payer.session_id, self.caps.session),
            ("day", keys.stamp(now)[:10], self.caps.day),
        )
        return (each for each in scopes if each[2] > 0)


def _add(counter: Spending, amount: int, now: datetime, *, most: int | None = None) -> bool:
    """False when the counter would pass `most`."""
    if most is not None and amount > most:
        return False
    spent: Any = Spending.microdollars
    room = None if most is None else spent.does_not_exist() | (spent <= most - amount)
    actions = [
        spent.add(amount),
        Spending.updated_at.set(now),
        Spending.scope.set(counter.scope),
        Spending.entity_type.set(Spending),
    ]
    try:
        counter.update(actions=actions, condition=room)
    except UpdateError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        return False
    return True


def _give_back(counters: list[Spending], amount: int, now: datetime) -> None:
    for counter in counters:
        try:
            _add(counter, -amount, now)
        except PynamoDBException as error:  # too much stays counted: the safe side
            log.warning("a spending counter was not settled: %s", type(error).__name__)


@dataclass(frozen=True, slots=True)
class ToldHealth:
    """Lets staff see on the board that the model does not answer."""

    clock: Callable[[], datetime]

    def fails(self, reason: str) -> None:
        now, since = self.clock(), TutorHealth.since
        told = TutorHealth(PK=keys.TUTOR, SK=keys.HEALTH)
        actions: list[Action] = [
            since.set(since | now),
            TutorHealth.last_failure_at.set(now),
            TutorHealth.reason.set(reason),
            TutorHealth.entity_type.set(TutorHealth),
        ]
        with suppress(PynamoDBException):
            told.update(actions=actions)

    def answers(self) -> None:
        with suppress(PynamoDBException):
            TutorHealth(PK=keys.TUTOR, SK=keys.HEALTH).delete()


def health(now: datetime) -> TutorHealth | None:
    """What is told of a model that does not answer: one read. None when all is well, or nothing is known."""
    try:
        told = TutorHealth.get(keys.TUTOR, keys.HEALTH)
    except TutorHealth.DoesNotExist:
        return None
    return told if now - told.last_failure_at < FRESH else None
