"""A class list: codes and a few facts, before anybody consents. Nobody on it is a participant yet.

Roster  PK ROSTER#<id>        SK METADATA  GSI1 ROSTERS#<school id> / <created>  GSI5 ROSTERS / <created>
Entry   PK DIRECTORY#rosters  SK <code>    GSI1 ROSTER#<id> / <number>

The code is the entry's key, so that no two lists hand out the same one; enrollment takes it over.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self

from pynamodb.pagination import ResultIterator

from ..store import keys
from ..store.items import Count, Flag, Item, Number, Text, Timestamp, readable
from .student import LearningProfile

CODE = r"[a-z]+-[a-z]+-\d+"


class Roster(Item, discriminator="roster"):
    ROW_NEEDS: ClassVar = ("roster_id", "name", "created_at")

    roster_id = Text()
    name = Text(longest=60)
    school = Text(longest=120)
    site = Text()
    rows_sha256 = Text(pattern=r"[0-9a-f]{64}")
    size = Count()
    refusals = Count()
    created_at = Timestamp()
    created_by = Text(longest=150)

    @classmethod
    def new(cls, *, roster_id: str, site: str, created_at: datetime, **attributes: Any) -> Self:
        created = keys.stamp(created_at)
        return cls(
            PK=keys.roster(roster_id),
            SK=keys.METADATA,
            GSI1PK=keys.rosters_of(site),
            GSI1SK=created,
            GSI5PK=keys.ROSTERS,
            GSI5SK=created,
            roster_id=roster_id,
            site=site,
            created_at=created_at,
            **attributes,
        )

    @classmethod
    def by_id(cls, roster_id: str) -> Self:
        """Raises Roster.DoesNotExist."""
        return cls.get(keys.roster(roster_id), keys.METADATA, consistent_read=True)

    @classmethod
    def of_site(cls, site: str, **paging: Any) -> ResultIterator[Item]:
        """Newest first."""
        return Item.by_condition.query(keys.rosters_of(site), scan_index_forward=False, **paging)

    @classmethod
    def newest_first(cls, **paging: Any) -> ResultIterator[Item]:
        return Item.by_day.query(keys.ROSTERS, scan_index_forward=False, **paging)

    def entries(self) -> list[RosterEntry]:
        """In the order of the list; who refused is not among them."""
        found = Item.by_condition.query(keys.roster(str(self.roster_id)))
        return list(readable(found, RosterEntry))


class RosterEntry(Item, discriminator="roster_entry"):
    """`student_id` is the id that enrollment will use, so that enrolling twice enrolls once."""

    ROW_NEEDS: ClassVar = ("student_code", "roster_id", "student_id", "age")

    student_code = Text(pattern=CODE)
    roster_id = Text()
    student_id = Text()
    number = Count()
    age = Number(least=5, most=120, whole=True)
    grade_level = Number(least=1, most=16, whole=True)
    richmond_resident = Flag()
    learning_profile = LearningProfile(null=True)
    enrolled_at = Timestamp(null=True)

    @classmethod
    def new(cls, *, student_code: str, roster_id: str, number: int, **attributes: Any) -> Self:
        return cls(
            PK=keys.ROSTER_DIRECTORY,
            SK=student_code,
            GSI1PK=keys.roster(roster_id),
            GSI1SK=keys.roster_place(number),
            student_code=student_code,
            roster_id=roster_id,
            number=number,
            **attributes,
        )

    @classmethod
    def with_code(cls, code: str) -> Self | None:
        try:
            return cls.get(keys.ROSTER_DIRECTORY, code, consistent_read=True)
        except cls.DoesNotExist:
            return None
