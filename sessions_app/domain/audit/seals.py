"""Seals entries of the audit log into a hash chain, after they are written, so that writers never wait.

What is sealed is the entry as DynamoDB stores it, all attributes in canonical JSON. A seal stands beside its
entry and holds the digest of the seal before; the head tells where the chain ends. Whoever holds a head that
was written down elsewhere can tell whether any entry up to it was changed, moved or taken away.

With keys every seal is signed from some sequence on: who can only write to the table can make no such seal.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

from ..models import AuditEntry, AuditHead, AuditSeal, Item, Sealer, readable
from ..models.audit import Image, stored_entries, stored_seals
from ..store import keys
from ..store.transactions import Busy, Refused, Transaction
from . import published_heads
from .digests import canonical, item_digest
from .seal_keys import SealKeyMissing, SealKeys

GENESIS = "0" * 64
"""What the first seal names as the one before."""
BATCH = 50
TRIES = 30
LOOKED_AT = 100
"""How many of the newest entries `standing` looks at."""
LATE = timedelta(minutes=15)
"""An entry that is sealed longer after its own time needs an outage of the sealer that explains it."""


# --- digests


def entry_digest(entry: Image) -> str:
    return item_digest(entry)


def seal_digest(
    *,
    sequence: int,
    partition: str,
    entry_key: str,
    entry_sha256: str,
    previous: str,
    sealed_at: str,
    outage: tuple[str, ...] = (),
) -> str:
    """`sealed_at` and the two ends of the outage are the texts that are stored."""
    parts = [sequence, partition, entry_key, entry_sha256, previous, sealed_at, *outage]
    return hashlib.sha256(canonical(parts)).hexdigest()


def entry_time(entry_key: str) -> datetime | None:
    """The time in an entry's sort key; None where somebody else's item has none."""
    try:
        return keys.moment(entry_key.partition("#")[0])
    except keys.BadKey:
        return None


def is_late(entry_key: str, sealed_at: datetime) -> bool:
    at = entry_time(entry_key)
    return at is not None and sealed_at - at > LATE


# --- sealing


def seal(entries: Iterable[Image], *, now: datetime, signing: SealKeys | None = None) -> int:
    """Seal those that are not sealed yet; returns how many those were. Doing it again changes nothing.

    Raises Busy when other sealers kept moving the head, SealKeyMissing, PublicationAway when signing begins
    and nobody can say whether it began before, PynamoDB's error when the table cannot be reached.
    """
    each_once = iter({_name(entry): entry for entry in entries}.items())
    sealed = 0
    while batch := dict(islice(each_once, BATCH)):
        sealed += _seal_batch(batch, now, signing)
    return sealed


def _name(entry: Image) -> str:
    return f"{entry['PK']['S']} {entry['SK']['S']}"


def _seal_batch(entries: dict[str, Image], now: datetime, signing: SealKeys | None) -> int:
    outage = _outage_behind(entries.values(), now, signing)
    for attempt in range(TRIES):
        try:
            _sealing(entries, AuditHead.read(), now, signing, outage).commit()
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


def _sealing(
    entries: dict[str, Image],
    head: AuditHead | None,
    now: datetime,
    signing: SealKeys | None,
    outage: Outage | None,
) -> Transaction:
    """All the seals, and the head moved over them: both, or neither."""
    transaction = Transaction()
    sequence, previous = (int(head.sequence), head.sha256) if head else (0, GENESIS)
    signed_from = _signed_from(head, signing)
    for name, entry in entries.items():
        sequence += 1
        explained = outage if outage and outage.explains(entry["SK"]["S"], now) else None
        made = _seal_of(entry, sequence, previous, now, explained)
        if signing:
            _sign(made, signing, "seal", made.sha256)
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
    if signing:
        moved["signed_from"] = signed_from
        moved |= signing.sign("head", *head_parts(sequence, previous, signed_from))
    if head is None:
        transaction.create("head", AuditHead(PK=keys.AUDIT_CHAIN, SK=keys.CHAIN_HEAD, **moved))
    else:
        actions = [getattr(AuditHead, name).set(value) for name, value in moved.items()]
        unmoved = (AuditHead.sequence == head.sequence) & (AuditHead.sha256 == head.sha256)
        transaction.update("head", head, actions, unmoved)
    return transaction


def head_parts(sequence: float, sha256: str, signed_from: float | None) -> tuple[object, ...]:
    """What the head's signature is of."""
    return int(sequence), sha256, int(signed_from or 0)


def _signed_from(head: AuditHead | None, signing: SealKeys | None) -> int | None:
    """The first sequence that is signed. It begins once: a head that lost it gets the one that was published.

    Raises SealKeyMissing, PublicationAway.
    """
    if head is not None and head.signed_from:
        if signing is None:
            raise SealKeyMissing("the audit log is signed: set AUDIT_SEAL_KEY where it is sealed")
        return int(head.signed_from)
    if signing is None:
        return None
    begun = published_heads.signed_from(signing.head_url)
    return begun or (int(head.sequence) if head else 0) + 1


def _sign(item: AuditSeal | Sealer, signing: SealKeys, purpose: str, *parts: object) -> None:
    for name, value in signing.sign(purpose, *parts).items():
        setattr(item, name, value)


def _seal_of(entry: Image, sequence: int, previous: str, now: datetime, outage: Outage | None) -> AuditSeal:
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
            outage=outage.stamps if outage else (),
        ),
        sealed_at=now,
        outage_from=outage.start if outage else None,
        outage_to=outage.end if outage else None,
    )


# --- outages of the sealer


@dataclass(frozen=True, slots=True)
class Outage:
    """The sealer was not at work in between, so what was written then is sealed late."""

    start: datetime
    end: datetime

    @property
    def stamps(self) -> tuple[str, ...]:
        return keys.stamp(self.start), keys.stamp(self.end)

    def explains(self, entry_key: str, sealed_at: datetime) -> bool:
        """Whether an entry is late, and was written while the sealer was away."""
        at = entry_time(entry_key)
        return at is not None and is_late(entry_key, sealed_at) and self.start - LATE <= at <= self.end


def at_work(*, now: datetime, signing: SealKeys | None) -> Outage | None:
    """Note that the sealer is at work; returns its newest outage. Call it every few minutes."""
    known = Sealer.read()
    if known is not None and signing and not signing.has_signed(_signature(known), "sealer", *_times(known)):
        known = None  # written by somebody else: it explains nothing
    outage = Outage(known.outage_from, known.outage_to) if known and known.outage_from else None
    if known is not None and now - known.at > LATE:
        outage = Outage(known.at, now)
    sealer = Sealer(
        PK=keys.AUDIT_CHAIN,
        SK=keys.SEALER,
        at=now,
        outage_from=outage.start if outage else None,
        outage_to=outage.end if outage else None,
    )
    if signing:
        _sign(sealer, signing, "sealer", *_times(sealer))
    sealer.save()  # all its own, like a checkpoint: there is nothing unknown on it to lose
    return outage


def _signature(item: AuditHead | Sealer) -> dict[str, Any]:
    return {"key_id": item.key_id, "mac": item.mac}


def _times(sealer: Sealer) -> tuple[str, ...]:
    times = (sealer.at, sealer.outage_from, sealer.outage_to)
    return tuple(keys.stamp(time) if time else "" for time in times)


def _outage_behind(entries: Iterable[Image], now: datetime, signing: SealKeys | None) -> Outage | None:
    """The outage that may explain why some of these are late; asked for only where some are."""
    late = any(is_late(entry["SK"]["S"], now) for entry in entries)
    return at_work(now=now, signing=signing) if late and signing else None


def is_head_signed(head: AuditHead, signing: SealKeys) -> bool:
    parts = head_parts(head.sequence, head.sha256, head.signed_from)
    return signing.has_signed(_signature(head), "head", *parts)


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


def sweep(days: Iterable[date], *, now: datetime, signing: SealKeys | None = None) -> int:
    """Seal what the stream forgot, or never told: a worker away for more than a day, entries restored.

    Returns how many were sealed. Raises what `seal` raises.
    """
    found = unsealed(days)
    sealed = 0
    while batch := list(islice(found, BATCH)):
        sealed += seal(batch, now=now, signing=signing)
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
