"""The allocation of conditions inside a location.

Log    PK ALLOCATION#<location>  SK <time>#<session id>   append-only, one entry a session
Tally  PK ALLOCATION#<location>  SK TALLY                 how often each arm was drawn

The tally stands so that drawing costs one read, however long the log; it is written in the same
transaction as the log entry.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .. import keys
from .base import Item, NumberMap, Text, TextList, Timestamp


class AllocationEntry(Item, discriminator="allocation"):
    session_id = Text()
    student_id = Text(null=True)
    condition_code = Text()
    method = Text(choices=("balanced", "override"))
    reason = Text(null=True, longest=500)
    by = Text()
    at = Timestamp()
    candidates = TextList()

    @classmethod
    def new(cls, *, location: str, session_id: str, at: datetime, **attributes: Any) -> AllocationEntry:
        return cls(
            PK=keys.allocation(location),
            SK=keys.allocation_entry(at, session_id),
            session_id=session_id,
            at=at,
            **attributes,
        )


class AllocationTally(Item, discriminator="allocation_tally"):
    counts = NumberMap()

    @classmethod
    def at(cls, location: str) -> AllocationTally:
        try:
            return cls.get(keys.allocation(location), keys.TALLY, consistent_read=True)
        except cls.DoesNotExist:
            return cls(PK=keys.allocation(location), SK=keys.TALLY, counts={})
