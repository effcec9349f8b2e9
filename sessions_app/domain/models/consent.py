"""Consent as it happened, the exact texts that were agreed to, and decisions that they be agreed to again.

Event     PK STUDENT#<id>    SK CONSENT#<time>#<event id>   GSI4 FORM#<sha256> / <time>, where it is a yes
Form      PK FORM#<sha256>   SK TEXT                        GSI1 FORMS / <kind>#<first used>
Decision  PK FORM#<sha256>   SK RENEWAL

Events and texts are only ever added. A decision is about the form whose text it stands beside: whoever
agreed to an older one must agree to this one. It also tells how far the students were gone through.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from ..store import keys
from ..store.items import Count, Flag, Item, Text, Timestamp, readable

FORM_KINDS = ("parental_permission", "assent", "child_assent", "adult_consent")
# An event about no single form is about taking part as a whole.
KINDS = (*FORM_KINDS, "participation")
ACTIONS = ("granted", "refused", "renewed", "renewal_required", "withdrawn", "reviewed")
AGREED = ("granted", "renewed")
OUTCOMES = ("accepted", "returned")
RELATIONS = ("mother", "father", "guardian", "self")
METHODS = ("on_screen", "paper_seen")
SHA256 = r"[0-9a-f]{64}"
FINGERPRINT = 12  # hex digits of a SHA-256: enough to tell the texts of a study apart


class ConsentEvent(Item, discriminator="consent_event"):
    student_id = Text()
    event_id = Text()
    kind = Text(choices=KINDS)
    action = Text(choices=ACTIONS)
    form_id = Text(null=True)
    form_version = Text(null=True)
    form_sha256 = Text(null=True, pattern=SHA256)
    relation = Text(choices=RELATIONS, null=True)
    method = Text(choices=METHODS, null=True)
    signed_on = Text(null=True, pattern=r"\d{4}-\d{2}-\d{2}")
    affirmed = Flag(null=True)
    data_sharing = Flag(null=True)
    data_kept = Flag(null=True)
    attested_by = Text()
    at = Timestamp()
    outcome = Text(choices=OUTCOMES, null=True)
    reason = Text(null=True, longest=500)

    @classmethod
    def new(
        cls, *, student_id: str, event_id: str, at: datetime, action: str, **attributes: Any
    ) -> ConsentEvent:
        sha256 = attributes.get("form_sha256") if action in AGREED else None
        return cls(
            PK=keys.student(student_id),
            SK=keys.consent_event(at, event_id),
            GSI4PK=keys.form(sha256) if sha256 else None,
            GSI4SK=keys.stamp(at) if sha256 else None,
            student_id=student_id,
            event_id=event_id,
            at=at,
            action=action,
            **attributes,
        )

    @classmethod
    def students_of_form(cls, sha256: str, most: int) -> int:
        """How many students ever agreed to this text, among its first `most` agreements."""
        found = Item.by_type.query(keys.form(sha256), limit=most, page_size=most)
        return len({event.student_id for event in found if isinstance(event, ConsentEvent)})


class FormText(Item, discriminator="form_text"):
    """The text of a form, word for word, under its own SHA-256."""

    kind = Text(choices=FORM_KINDS)
    form_id = Text()
    version = Text()
    title = Text()
    text = Text()
    first_used = Timestamp()

    @classmethod
    def new(cls, *, sha256: str, kind: str, first_used: datetime, **attributes: Any) -> FormText:
        return cls(
            PK=keys.form(sha256),
            SK=keys.FORM_TEXT,
            GSI1PK=keys.FORMS,
            GSI1SK=keys.form_entry(kind, first_used),
            kind=kind,
            first_used=first_used,
            **attributes,
        )

    @classmethod
    def of(cls, sha256: str) -> FormText | None:
        try:
            return cls.get(keys.form(sha256), keys.FORM_TEXT)
        except cls.DoesNotExist:
            return None

    @classmethod
    def all(cls) -> list[FormText]:
        """Every text that anybody ever agreed to, by kind, oldest first."""
        return list(readable(Item.by_condition.query(keys.FORMS), FormText))

    @property
    def sha256(self) -> str:
        """Of the text as it is stored now, not what its key says."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def is_genuine(self) -> bool:
        return bool(keys.form(self.sha256) == self.PK)

    @property
    def sha256_of_key(self) -> str:
        """Under which it was stored, and which its signers agreed to."""
        return keys.form_sha256(self.PK)

    @property
    def fingerprint(self) -> str:
        return self.sha256_of_key[:FINGERPRINT]


class RenewalDecision(Item, discriminator="renewal_decision"):
    """`last_code` is the code of the student who was looked at last; codes are gone through in order."""

    kind = Text(choices=FORM_KINDS)
    form_version = Text()
    reason = Text(longest=500)
    decided_by = Text()
    decided_at = Timestamp()
    last_code = Text(null=True)
    looked_at = Count()
    marked = Count()
    finished_at = Timestamp(null=True)

    @property
    def is_finished(self) -> bool:
        return self.finished_at is not None

    @classmethod
    def about(cls, sha256: str) -> RenewalDecision | None:
        try:
            return cls.get(keys.form(sha256), keys.RENEWAL, consistent_read=True)
        except cls.DoesNotExist:
            return None
