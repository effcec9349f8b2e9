"""Seals entries of the audit log into a hash chain, after they are written, so that writers never wait.

What is sealed is the entry as DynamoDB stores it, all attributes in canonical JSON. A seal stands beside its
entry and holds the digest of the seal before; the head tells where the chain ends. Whoever holds a head that
was written down elsewhere can tell whether any entry up to it was changed, moved or taken away.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

from . import keys
from .models import AuditEntry, AuditHead, AuditSeal, Item, readable
from .models.audit import Image, stored_entries, stored_seals
from .models.transaction import Busy, Refused, Transaction

GENESIS = "0" * 64
"""What the first seal names as the one before."""
BATCH = 50
TRIES = 30
LOOKED_AT = 100
"""How many of the newest entries `standing` looks at."""


# --- digests


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces, in UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_base64)
    return text.encode()


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def entry_digest(entry: Image) -> str:
    return hashlib.sha256(canonical(entry)).hexdigest()


def seal_digest(
    *, sequence: int, partition: str, entry_key: str, entry_sha256: str, previous: str, sealed_at: str
) -> str:
    """`sealed_at` is the text that is stored."""
    told = [sequence, partition, entry_key, entry_sha256, previous, sealed_at]
    return hashlib.sha256(canonical(told)).hexdigest()


# --- sealing


def seal(entries: Iterable[Image], *, now: datetime) -> int:
    """Seal those that are not sealed yet; returns how many those were. Doing it again changes nothing.

    Raises Busy when other sealers kept moving the head, PynamoDB's error when the table cannot be reached.
    """
    each_once = iter({_name(entry): entry for entry in entries}.items())
    sealed = 0
    while batch := dict(islice(each_once, BATCH)):
        sealed += _seal_batch(batch, now)
    return sealed


def _name(entry: Image) -> str:
    return f"{entry['PK']['S']} {entry['SK']['S']}"


def _seal_batch(entries: dict[str, Image], now: datetime) -> int:
    for attempt in range(TRIES):
        try:
            _sealing(entries, AuditHead.read(), now).commit()
        except Refused as refused:
            entries = {name: entry for name, entry in entries.items() if name not in refused.names}
            if not entries:
                return 0
            if "head" not in refused.names:
                continue
        except Busy:
            pass
        else:
            return len(entries)
        time.sleep(random.uniform(0, 0.01 * min(attempt + 1, 10)))  # noqa: S311  spreads the sealers
    raise Busy("other sealers kept moving the head of the audit log; nothing was changed")


def _sealing(entries: dict[str, Image], head: AuditHead | None, now: datetime) -> Transaction:
    """All the seals, and the head moved over them: both, or neither."""
    transaction = Transaction()
    sequence, previous = (int(head.sequence), head.sha256) if head else (0, GENESIS)
    for name, entry in entries.items():
        sequence += 1
        made = _seal_of(entry, sequence, previous, now)
        transaction.create(name, made)
        previous = made.sha256
    days = [keys.audit_date(entry["PK"]["S"]).isoformat() for entry in entries.values()]
    moved: dict[str, Any] = {
        "sequence": sequence,
        "sha256": previous,
        "first_day": min(days + ([head.first_day] if head else [])),
        "last_day": max(days + ([head.last_day] if head else [])),
        "updated_at": now,
    }
    if head is None:
        transaction.create("head", AuditHead(PK=keys.AUDIT_CHAIN, SK=keys.CHAIN_HEAD, **moved))
    else:
        actions = [getattr(AuditHead, name).set(value) for name, value in moved.items()]
        unmoved = (AuditHead.sequence == head.sequence) & (AuditHead.sha256 == head.sha256)
        transaction.update("head", head, actions, unmoved)
    return transaction


def _seal_of(entry: Image, sequence: int, previous: str, now: datetime) -> AuditSeal:
    partition, entry_key, digest = entry["PK"]["S"], entry["SK"]["S"], entry_digest(entry)
    return AuditSeal(
        PK=partition,
        SK=keys.seal(entry_key),
        sequence=sequence,
        entry_key=entry_key,
        entry_sha256=digest,
        previous=previous,
        sha256=seal_digest(
            sequence=sequence,
            partition=partition,
            entry_key=entry_key,
            entry_sha256=digest,
            previous=previous,
            sealed_at=keys.stamp(now),
        ),
        sealed_at=now,
    )


# --- entries that the stream has not brought


def pairs(day: date) -> Iterator[tuple[Image | None, Image | None]]:
    """Each entry of a day with its seal, in the order of the entries; None where one lacks the other.

    Both are read page by page side by side, so that a day of any length takes the memory of two pages.
    """
    entries, seals = stored_entries(day), stored_seals(day)
    entry, seal = next(entries, None), next(seals, None)
    while entry is not None or seal is not None:
        place = entry["SK"]["S"] if entry is not None else None
        sealed = seal["SK"]["S"].removeprefix(keys.SEAL_PREFIX) if seal is not None else None
        if sealed is None or (place is not None and place < sealed):
            yield entry, None
            entry = next(entries, None)
        elif place is None or sealed < place:
            yield None, seal
            seal = next(seals, None)
        else:
            yield entry, seal
            entry, seal = next(entries, None), next(seals, None)


def unsealed(days: Iterable[date]) -> Iterator[Image]:
    return (entry for day in days for entry, seal in pairs(day) if entry is not None and seal is None)


def sweep(days: Iterable[date], *, now: datetime) -> int:
    """Seal what the stream forgot, or never told: a worker away for more than a day, entries restored.

    Returns how many were sealed. Raises what `seal` raises.
    """
    found = unsealed(days)
    sealed = 0
    while batch := list(islice(found, BATCH)):
        sealed += seal(batch, now=now)
    return sealed


def days_from(first: date, last: date) -> Iterator[date]:
    """Both included."""
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


# --- how things stand


@dataclass(frozen=True, slots=True)
class Standing:
    """Of the newest entries, at most LOOKED_AT of yesterday and today: how many still wait for their seal.

    `sealed_to`: every one of them up to this moment is sealed; None where there is none.
    """

    looked_at: int
    unsealed: int
    oldest_unsealed: datetime | None
    sealed_to: datetime | None
    head: AuditHead | None


def standing(*, now: datetime) -> Standing:
    """Costs at most two queries, and two reads of items."""
    newest: list[AuditEntry] = []
    for day in (now.date(), now.date() - timedelta(days=1)):
        wanted = LOOKED_AT - len(newest)
        found: Iterable[Item] = (
            AuditEntry.on_day(day, limit=wanted, page_size=wanted, consistent_read=True) if wanted else ()
        )
        newest += readable(found, AuditEntry)
    held = AuditSeal.of(newest) if newest else {}
    waiting = [entry.at for entry in newest if entry.SK not in held]
    sealed = [entry.at for entry in newest if entry.SK in held and not (waiting and entry.at > min(waiting))]
    return Standing(
        looked_at=len(newest),
        unsealed=len(waiting),
        oldest_unsealed=min(waiting, default=None),
        sealed_to=max(sealed, default=None),
        head=AuditHead.read(),
    )
