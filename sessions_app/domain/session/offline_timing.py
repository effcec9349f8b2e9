"""Answers that waited on a device before they were stored: which ones are late, and how long answering took.

What is stored keeps the moment of storing, since everything after it in a session counts from there. The
device's own measures stand beside it: how long an answer waited, and in the server's place how long it took.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

LATE_AFTER_SECONDS: Final = 5  # what waited less is within the tolerance of every time that is stored
MAX_RESPONSE_SECONDS: Final = 4 * 3600  # a page that was open for longer says nothing about its answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a device says of an answer: `seconds` waiting there, and `answering`, from page shown to sent.

    `clock_skew`: the device's clock claimed more than the age of the session, so `seconds` is that age.
    """

    seconds: int
    answering: int | None = None
    clock_skew: bool = False

    @property
    def is_late(self) -> bool:
        return self.seconds >= LATE_AFTER_SECONDS


def held(*, seconds: int | None, answering: int | None, session_age: int) -> Held | None:
    """None where the device says nothing. No answer can have waited for longer than its session is old."""
    if seconds is None:
        return None
    plausible = answering is not None and 0 <= answering <= MAX_RESPONSE_SECONDS
    return Held(
        seconds=max(0, min(seconds, session_age)),
        answering=answering if plausible else None,
        clock_skew=seconds > session_age + LATE_AFTER_SECONDS,
    )


def given_at(held: Held | None, now: datetime) -> datetime:
    """When the participant gave what arrived at `now`."""
    return now - timedelta(seconds=held.seconds) if held else now


def response_time(held: Held | None, measured: int) -> int:
    """Seconds: the device's measure for a late answer that has one, else the server's."""
    if held is None or not held.is_late or held.answering is None:
        return measured
    return held.answering


def held_seconds(held: Held | None) -> int | None:
    return held.seconds if held and held.is_late else None


def flags(held: Held | None) -> list[str]:
    return (["late_sync"] if held and held.is_late else []) + skew_flags(held)


def skew_flags(held: Held | None) -> list[str]:
    return ["clock_skew"] if held and held.clock_skew else []
