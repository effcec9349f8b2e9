"""That a student's data were erased: what stays, so that a restored table can be put right again.

PK TOMBSTONES  SK <student id>

The id was random and leads nowhere once the data are gone. `exports` names the files that may still hold
copies and are to be destroyed. `proved_at` is when every place had been looked up again, in the table and
outside of it, and nothing was found. By `session_ids`, which are random too, the addresses of erased sessions
answer that the data were erased.
"""

from __future__ import annotations

from datetime import datetime

from ..store import keys
from ..store.items import Count, Item, Text, TextList, Timestamp

STATES = ("erasing", "erased")


class Tombstone(Item, discriminator="tombstone"):
    student_id = Text()
    state = Text(choices=STATES)
    by = Text()
    asked_at = Timestamp()
    erased_at = Timestamp(null=True)
    sessions = Count()
    items = Count()
    exports = TextList()
    sealed_reasons = Count(null=True)
    proved_at = Timestamp(null=True)
    session_ids = TextList(null=True)

    @classmethod
    def new(cls, *, student_id: str, by: str, asked_at: datetime) -> Tombstone:
        return cls(
            PK=keys.TOMBSTONES,
            SK=student_id,
            student_id=student_id,
            state="erasing",
            by=by,
            asked_at=asked_at,
            sessions=0,
            items=0,
            exports=[],
        )

    @classmethod
    def of_student(cls, student_id: str) -> Tombstone | None:
        try:
            return cls.get(keys.TOMBSTONES, student_id, consistent_read=True)
        except cls.DoesNotExist:
            return None

    @classmethod
    def all(cls) -> list[Tombstone]:
        found = Item.query(keys.TOMBSTONES, consistent_read=True)
        return [item for item in found if isinstance(item, Tombstone)]
