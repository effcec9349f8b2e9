"""A record that a duty of the worker could not process, by its key and the reason, without its contents.

PK QUEUE#dead-letters  SK <duty>#<digest of the record's key>

One letter a record and duty: the next failure moves it, success deletes it.
"""

from __future__ import annotations

from typing import Any

from pynamodb.pagination import ResultIterator

from ..store import keys
from ..store.items import Count, Item, Map, Text, Timestamp

DUTIES = ("statistics", "sealing", "lake", "grading", "exports", "abandoned", "adoption")


class Dismissal(Map):
    by = Text(longest=150)
    at = Timestamp()
    reason = Text(longest=500)


class DeadLetter(Item, discriminator="dead_letter"):
    """`retry_at` is absent where only a change of the record leads to another try."""

    duty = Text(choices=DUTIES)
    record_pk = Text()
    record_sk = Text()
    reason = Text(longest=200)
    first_at = Timestamp()
    last_at = Timestamp()
    tries = Count()
    retry_at = Timestamp(null=True)
    dismissed = Dismissal(null=True)

    @property
    def is_open(self) -> bool:
        return self.attribute_values.get("dismissed") is None

    @classmethod
    def all(cls, **paging: Any) -> ResultIterator[Item]:
        return Item.query(keys.DEAD_LETTERS, consistent_read=True, **paging)
