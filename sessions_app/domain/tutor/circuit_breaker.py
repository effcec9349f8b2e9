"""When a model stays down, nobody waits for it: after failures in a row no call is tried for a while.

The state is this process's own. Each process learns it from at most `FAILURES` calls; what is shared would
cost every call a read of the table, to spare a handful of students some seconds in an outage.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sessions_app.domain.tutor.protocol import FailureReason, TutorFailed

FAILURES = 4
WINDOW_SECONDS = 120.0
REST_SECONDS = 30.0
OUTAGES: frozenset[FailureReason] = frozenset(
    {"timeout", "rate_limited", "overloaded", "network", "error", "unauthorised", "billing"}
)
"""Reasons that tell of the service. The others are about one text: the service answered."""


class Breaker:
    """Closed, open for `REST_SECONDS`, then half open: one call tries, and its end decides for all."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: list[float] = []
        self._open_until: float | None = None

    @property
    def is_open(self) -> bool:
        return self._open_until is not None

    def admit(self) -> None:
        """Raises TutorFailed while the model rests. Half open, it admits one call a rest."""
        with self._lock:
            if self._open_until is None:
                return
            if self._clock() < self._open_until:
                raise TutorFailed("not_answering", retryable=False)
            self._open_until = self._clock() + REST_SECONDS  # this one tries; the others go on resting

    def failed(self) -> bool:
        """Whether the breaker is open now."""
        with self._lock:
            now = self._clock()
            self._failures = [each for each in self._failures if now - each < WINDOW_SECONDS] + [now]
            if self._open_until is not None or len(self._failures) >= FAILURES:
                self._open_until = now + REST_SECONDS
            return self._open_until is not None

    def answered(self) -> bool:
        """Whether the breaker was open until now."""
        with self._lock:
            was_open, self._open_until = self._open_until is not None, None
            self._failures = []
            return was_open
