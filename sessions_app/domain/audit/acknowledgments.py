"""Acknowledged doubts about the audit log: an operator says, with a reason, why a seal came late.

An acknowledgment is an audit entry itself, so it is sealed, and names its author. It holds the digest of the
seal it is about: it does not speak for a seal that takes the other one's place.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from ..models.audit import Image
from . import log
from .log import Actor

ACTION: Final = "audit.acknowledge"


def acknowledge(*, sequence: int, sha256: str, what: str, reason: str, by: Actor, now: datetime) -> None:
    """`what` is the doubt in words. Raises as `log.record`."""
    log.record(
        ACTION,
        by=by,
        now=now,
        subject=f"sequence {sequence}: {what}"[:200],
        new={"sequence": sequence, "sha256": sha256},
        reason=reason,
    )


def identity_in(entry: Image) -> tuple[int, str] | None:
    """Sequence and digest of the seal that an entry acknowledges; None for entries about anything else."""
    try:
        if entry["action"]["S"] != ACTION:
            return None
        facts = entry["new"]["M"]
        return int(facts["sequence"]["S"]), str(facts["sha256"]["S"])
    except (LookupError, TypeError, ValueError):
        return None
