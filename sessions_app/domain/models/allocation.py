"""The allocation of conditions inside a location.

Log      PK ALLOCATION#<location>  SK <time>#<session id>   append-only, one entry a session
Tally    PK ALLOCATION#<location>  SK TALLY[#<stratum>]     how many students each arm has
Student  PK STUDENT#<id>           SK ALLOCATION#<location> the student's condition at the location, for good

The tally stands so that drawing costs one read, however long the log. All three are written in the
transaction of the start.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..store import keys
from ..store.items import Count, Item, NumberMap, Text, TextList, Timestamp

METHODS = ("balanced", "override", "continued")


class AllocationEntry(Item, discriminator="allocation"):
    """`counts` is the tally that the draw saw; with `candidates` and `seed` it can be repeated."""

    session_id = Text()
    student_id = Text(null=True)
    condition_code = Text()
    method = Text(choices=METHODS)
    reason = Text(null=True, longest=500)
    by = Text()
    at = Timestamp()
    candidates = TextList()
    counts = NumberMap(null=True)
    stratum = Text(null=True)
    attempt = Count(null=True)
    seed = Text(null=True)

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
    def at(cls, location: str, stratum: str | None = None) -> AllocationTally:
        pk, sk = keys.allocation(location), keys.tally(stratum)
        try:
            return cls.get(pk, sk, consistent_read=True)
        except cls.DoesNotExist:
            return cls(PK=pk, SK=sk, counts={})


class StudentAllocation(Item, discriminator="student_allocation"):
    """The first allocation of a student at a location, which every later start there continues.

    `attempts` counts the sessions started under it. `places` counts those that are not void: the student
    has a place in the tally of `stratum` while there is one.
    """

    student_id = Text()
    condition_code = Text()
    method = Text(choices=METHODS)
    session_id = Text()
    at = Timestamp()
    stratum = Text(null=True)
    attempts = Count()
    places = Count()

    @classmethod
    def new(cls, *, student_id: str, condition: keys.Condition, **attributes: Any) -> StudentAllocation:
        return cls(
            PK=keys.student(student_id),
            SK=keys.allocation(condition.location),
            student_id=student_id,
            condition_code=condition.code,
            **attributes,
        )

    @classmethod
    def of(cls, student_id: str, location: str) -> StudentAllocation | None:
        try:
            return cls.get(keys.student(student_id), keys.allocation(location), consistent_read=True)
        except (cls.DoesNotExist, keys.BadKey):
            return None

    @classmethod
    def with_tally(
        cls, student_id: str, location: str, stratum: str
    ) -> tuple[StudentAllocation | None, AllocationTally]:
        """The student's allocation, and the tally of `stratum`, in one request."""
        tally = AllocationTally(PK=keys.allocation(location), SK=keys.tally(stratum), counts={})
        wanted = [(keys.student(student_id), keys.allocation(location)), (tally.PK, tally.SK)]
        held = None
        for item in Item.batch_get(wanted, consistent_read=True):
            if isinstance(item, AllocationTally):
                tally = item
            elif isinstance(item, cls):
                held = item
        return held, tally

    @property
    def condition(self) -> keys.Condition:
        return keys.Condition.from_code(self.condition_code)

    def unchanged(self) -> Any:
        """Condition: as it was read."""
        attempts: Any = StudentAllocation.attempts
        places: Any = StudentAllocation.places
        return (attempts == self.attempts) & (places == self.places)
