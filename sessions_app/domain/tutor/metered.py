"""A tutor that costs money and can be down, kept within its caps and left in peace while it rests."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from sessions_app.domain.tutor.circuit_breaker import OUTAGES, Breaker
from sessions_app.domain.tutor.protocol import (
    Draft,
    GradeRequest,
    InterventionRating,
    Payer,
    QuestionRequest,
    RatingRequest,
    RubricGrade,
    Tutor,
    TutorFailed,
)

log = logging.getLogger(__name__)
MadeT = TypeVar("MadeT", Draft, RubricGrade, InterventionRating)
Settle = Callable[[float], None]


class Purse(Protocol):
    def hold(self, payer: Payer, usd: float) -> Settle:
        """Set so much aside; what comes back is told the true cost. Raises TutorFailed at a cap."""


class Health(Protocol):
    """Tells staff. Neither call may raise."""

    def fails(self, reason: str) -> None: ...

    def answers(self) -> None: ...


class GuardedTutor:
    """`question_at_most` and `judgement_at_most` are what one call can cost, in dollars."""

    def __init__(
        self,
        tutor: Tutor,
        *,
        breaker: Breaker,
        purse: Purse,
        health: Health,
        question_at_most: float,
        judgement_at_most: float,
    ) -> None:
        self.tutor = tutor
        self.breaker = breaker
        self.purse = purse
        self.health = health
        self.question_at_most = question_at_most
        self.judgement_at_most = judgement_at_most

    @property
    def model(self) -> str:
        return self.tutor.model

    @property
    def offline(self) -> bool:
        return self.tutor.offline

    def ask(self, request: QuestionRequest, *, timeout_seconds: float, feedback: str | None) -> Draft:
        started = time.monotonic()

        def call() -> Draft:
            left = timeout_seconds - (time.monotonic() - started)
            draft = self.tutor.ask(request, timeout_seconds=max(left, 0.1), feedback=feedback)
            if time.monotonic() - started > timeout_seconds:  # nobody waits any more
                raise _too_late(draft)
            return draft

        return self._guarded(request.payer, self.question_at_most, call)

    def grade(self, request: GradeRequest) -> RubricGrade:
        return self._guarded(request.payer, self.judgement_at_most, lambda: self.tutor.grade(request))

    def rate(self, request: RatingRequest) -> InterventionRating:
        return self._guarded(request.payer, self.judgement_at_most, lambda: self.tutor.rate(request))

    def _guarded(self, payer: Payer, at_most: float, call: Callable[[], MadeT]) -> MadeT:
        self.breaker.admit()
        settle = self.purse.hold(payer, at_most)
        try:
            made = call()
        except TutorFailed as failed:
            # What was asked and never answered may well be billed.
            settle(at_most if failed.reason == "timeout" and not failed.cost_usd else failed.cost_usd)
            self._note(failed)
            raise
        except Exception:
            settle(at_most)
            self._note(TutorFailed("error", retryable=False))
            raise
        settle(made.cost_usd)
        if self.breaker.answered():
            self.health.answers()
        return made

    def _note(self, failed: TutorFailed) -> None:
        if failed.reason not in OUTAGES:
            if self.breaker.answered():
                self.health.answers()
        elif self.breaker.failed():
            self.health.fails(failed.reason)


def _too_late(draft: Draft) -> TutorFailed:
    return TutorFailed(
        "timeout",
        retryable=False,
        prompt_tokens=draft.prompt_tokens,
        completion_tokens=draft.completion_tokens,
        cost_usd=draft.cost_usd,
    )
