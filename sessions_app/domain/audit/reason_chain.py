"""Typed reasons against the digests that sealed audit entries hold of them.

A reason is erased with its student; any other has to be there as it was typed.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..models import AuditReason, Tombstone
from ..models.audit import Image, stored_entry
from ..store import keys
from .verification import Fault


def check_entry(entry: Image) -> Iterator[Fault]:
    """The reason whose digest this entry holds is there as it was typed, unless its student was erased."""
    digest = entry.get("reason_sha256", {}).get("S")
    if not digest:
        return
    day, key = entry["PK"]["S"].removeprefix(keys.AUDIT_PREFIX), entry["SK"]["S"]
    partition = entry.get("GSI2PK", {}).get("S") or keys.REASONS
    stored = stored_entry(partition, keys.reason(key))
    if stored is None:
        student_id = entry.get("student_id", {}).get("S")
        if student_id is None:  # an administrator may have deleted a reason that names somebody
            yield Fault("its reason is missing", day, key, is_doubt=True)
        elif Tombstone.of_student(student_id) is None:
            yield Fault("its reason is missing, and the student was not erased", day, key, is_doubt=True)
    elif _digest_of(stored) != digest:
        yield Fault("its reason is not the one that was typed", day, key)


def _digest_of(stored: Image) -> str | None:
    texts = {name: stored.get(name, {}).get("S") for name in ("entry_id", "reason", "salt")}
    if None in texts.values():
        return None
    return AuditReason(**texts).digest()
