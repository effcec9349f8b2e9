"""Consent as it happened: append-only, one item an event.

PK STUDENT#<id>  SK CONSENT#<time>#<event id>
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .. import keys
from .base import Flag, Item, Text, Timestamp

KINDS = ("parental_permission", "assent", "child_assent", "adult_consent")
ACTIONS = ("granted", "refused", "renewed", "withdrawn", "reviewed")
RELATIONS = ("mother", "father", "guardian", "self")
METHODS = ("on_screen", "paper_seen")


class ConsentEvent(Item, discriminator="consent_event"):
    student_id = Text()
    event_id = Text()
    kind = Text(choices=KINDS)
    action = Text(choices=ACTIONS)
    form_id = Text(null=True)
    form_version = Text(null=True)
    form_sha256 = Text(null=True, pattern=r"[0-9a-f]{64}")
    relation = Text(choices=RELATIONS, null=True)
    method = Text(choices=METHODS, null=True)
    affirmed = Flag(null=True)
    data_sharing = Flag(null=True)
    attested_by = Text()
    at = Timestamp()
    reason = Text(null=True, longest=500)

    @classmethod
    def new(cls, *, student_id: str, event_id: str, at: datetime, **attributes: Any) -> ConsentEvent:
        return cls(
            PK=keys.student(student_id),
            SK=keys.consent_event(at, event_id),
            student_id=student_id,
            event_id=event_id,
            at=at,
            **attributes,
        )

    @classmethod
    def history(cls, student_id: str) -> list[Item]:
        """Every event of a student, oldest first."""
        return list(
            Item.query(
                keys.student(student_id), Item.SK.startswith(keys.CONSENT_PREFIX), consistent_read=True
            )
        )
