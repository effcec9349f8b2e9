"""Answers that waited on a device before they were stored: which ones are late, and how long answering took.

What is stored keeps the moment of storing, since everything after it in a session counts from there. The
device's own measures stand beside it: how long an answer waited, and in the server's place how long it took.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LATE_AFTER_SECONDS: Final = 5  # what waited less is within the tolerance of every time that is stored
LONGEST_HELD_SECONDS: Final = 90 * 24 * 3600
LONGEST_RESPONSE_SECONDS: Final = 4 * 3600  # a page that was open for longer says nothing about its answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A late answer: `seconds` on the device, and `answering`, from the page shown to the answer sent."""

    seconds: int
    answering: int | None = None


def held(*, seconds: int | None, answering: int | None) -> Held | None:
    """None for an answer that came at once. What no clock can have measured is not believed."""
    if seconds is None or not LATE_AFTER_SECONDS <= seconds <= LONGEST_HELD_SECONDS:
        return None
    plausible = answering is not None and 0 <= answering <= LONGEST_RESPONSE_SECONDS
    return Held(seconds=seconds, answering=answering if plausible else None)


def response_time(late: Held | None, measured: int) -> int:
    """Seconds: the device's measure for a late answer that has one, else the server's."""
    return measured if late is None or late.answering is None else late.answering


def held_seconds(late: Held | None) -> int | None:
    return late.seconds if late else None


def flags(late: Held | None) -> list[str]:
    return ["late_sync"] if late else []
