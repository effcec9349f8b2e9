"""What staff do is told in the table: in the transaction of the change, or by itself where nothing changes.

What a participant answers is a record of its own and is not repeated here. No entry holds an answer, a
position, a token, a password, free text, or a person's name other than the account that acted.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..models.audit import AuditEntry, AuditReason
from ..models.consent import ConsentEvent
from ..store.items import Item
from ..store.transactions import Transaction
from .digests import item_digest


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: an account, and the role in which it does (several joined by +)."""

    name: str
    role: str


SYSTEM = Actor("system", "system")
PARTICIPANT = Actor("participant", "participant")
"""Whoever holds the tablet, or opened the link: participants have no account."""


def entry(
    action: str,
    *,
    by: Actor,
    now: datetime,
    student_id: str | None = None,
    session_id: str | None = None,
    subject: str | None = None,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    events: Iterable[ConsentEvent] = (),
) -> AuditEntry:
    """An entry not yet stored. `old` and `new` name what changed; None and absent are the same.

    `events` are consent events of the same transaction: the entry holds their digests, so that its seal
    vouches for them.
    """
    return AuditEntry.new_entry(
        entry_id=uuid.uuid4().hex,
        at=now,
        action=action,
        by=by.name,
        role=by.role,
        student_id=student_id,
        session_id=session_id,
        subject=subject,
        old=_texts(old),
        new=_texts(new),
        event_digests={str(event.SK): item_digest(event.serialize()) for event in events},
    )


def _texts(facts: Mapping[str, Any] | None) -> dict[str, str]:
    return {name: str(value) for name, value in (facts or {}).items() if value is not None}


def note(transaction: Transaction, action: str, *, reason: str | None = None, **details: Any) -> None:
    """Write the entry with the change: both are stored, or neither. Takes what `entry` takes.

    `reason` is free text and may name a person: it becomes an item of its own, for which the entry holds a
    digest, so that it can be erased while the entry and its seal stay.
    """
    made = entry(action, **details)
    if reason:
        transaction.create("reason", AuditReason.new_reason(made, reason))
    transaction.create("audit", made)


def record(action: str, *, reason: str | None = None, **details: Any) -> None:
    """Write an entry by itself, where the table holds no change: a view, an export, a sign-in.

    Takes what `note` takes. Raises InvalidField, Busy, or PynamoDB's error when the table cannot be reached:
    what is to be audited must then not happen.
    """
    if reason:
        transaction = Transaction()
        note(transaction, action, reason=reason, **details)
        transaction.commit()
    else:
        entry(action, **details).save(condition=Item.PK.does_not_exist())
