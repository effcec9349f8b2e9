"""A version of the analysis plan, and the signatures under it.

PK PLAN  SK VERSION#<number, four digits>

The first version is the plan, each later one an amendment. A version is stored with its first signature; text
and hash never change after that.
"""

from __future__ import annotations

from ..store import keys
from ..store.items import Count, Item, Map, Text, Timestamp
from .audit import SHA256

REVIEW_ROLES = ("irb", "admin")


class TwoSignatures(Map):
    """Of a researcher, and of the review board or an administrator: two accounts."""

    researcher = Text(longest=150, null=True)
    researcher_at = Timestamp(null=True)
    review = Text(longest=150, null=True)
    review_role = Text(choices=REVIEW_ROLES, null=True)
    review_at = Timestamp(null=True)


class PlanVersion(Item, discriminator="analysis_plan"):
    """`first_real_session` is that of the table at the moment of locking; none where the plan came first."""

    version = Count()
    sha256 = Text(pattern=SHA256)
    text = Text()
    plan_version = Text()
    reason = Text(null=True, longest=500)
    created_at = Timestamp()
    lock = TwoSignatures()
    locked_at = Timestamp(null=True)
    first_real_session = Timestamp(null=True)
    unlock = TwoSignatures(null=True)
    unlocked_at = Timestamp(null=True)

    @classmethod
    def all(cls) -> list[PlanVersion]:
        """Oldest first."""
        found = Item.query(keys.PLAN, consistent_read=True)
        return [item for item in found if isinstance(item, cls)]
