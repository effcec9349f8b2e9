"""An erasure that is not proven yet: what is left to be done, and what stood in the way the last time.

PK QUEUE#erasures  SK <student id>

The worker works on it until nothing of the student is found in any place, then deletes it. It holds ids, for
without them nothing could be looked for.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pynamodb.pagination import ResultIterator

from ..store import keys
from ..store.items import Count, Item, Text, TextList, Timestamp

STEPS = ("table", "statistics", "web_sessions", "exports", "lake")


class ErasureTask(Item, discriminator="erasure_task"):
    student_id = Text()
    student_code = Text(null=True)
    sessions = TextList()
    by = Text()
    asked_at = Timestamp()
    left = TextList()
    tries = Count()
    tried_at = Timestamp(null=True)
    retry_at = Timestamp()
    last_error = Text(null=True, longest=200)

    @classmethod
    def new(cls, *, student_id: str, by: str, now: datetime) -> ErasureTask:
        return cls(
            PK=keys.ERASURES,
            SK=student_id,
            student_id=student_id,
            by=by,
            asked_at=now,
            sessions=[],
            left=list(STEPS),
            tries=0,
            retry_at=now,
        )

    @classmethod
    def of_student(cls, student_id: str) -> ErasureTask | None:
        try:
            return cls.get(keys.ERASURES, student_id, consistent_read=True)
        except cls.DoesNotExist:
            return None

    @classmethod
    def all(cls, **paging: Any) -> ResultIterator[Item]:
        return Item.query(keys.ERASURES, consistent_read=True, **paging)
