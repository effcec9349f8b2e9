"""Verifies the seals of the audit log: every entry against its seal, and every seal against the one before.

Everything is read page by page. Kept in memory are one bit a seal (125 kB a million), and about 400 bytes for
each place where the order of entries departs from the order of sealing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from ..models import AuditHead
from ..models.audit import Image, stored_entry
from ..store import keys
from . import acknowledgments, seals
from .published_heads import Published
from .seal_keys import SealKeys
from .seals import GENESIS, entry_digest, pairs, seal_digest

PAGE_BITS = 15


@dataclass(frozen=True, slots=True)
class Fault:
    """What does not fit, and where. `sequence` is None where there is no seal to tell it.

    A doubt is a fault that has an honest explanation too, so an operator may acknowledge it with a reason.
    """

    what: str
    day: str = ""
    key: str = ""
    sequence: int | None = None
    is_doubt: bool = False

    def __str__(self) -> str:
        numbered = f"sequence {self.sequence}" if self.sequence is not None else ""
        place = ", ".join(part for part in (self.day, self.key, numbered) if part)
        return f"{place or 'the whole log'}: {self.what}"


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head that was written down earlier: `SEQUENCE:SHA256`. `source` says where it comes from."""

    sequence: int
    sha256: str
    source: str = ""

    @classmethod
    def of(cls, published: Published) -> Anchor:
        return cls(published.sequence, published.sha256, f"published {published.at}")

    @classmethod
    def read(cls, text: str) -> Anchor:
        """Raises ValueError."""
        sequence, _, sha256 = text.strip().partition(":")
        if not sequence.isascii() or not sequence.isdigit() or len(sha256) != len(GENESIS):
            raise ValueError(f"{text!r} is not a head like 1204:<64 hexadecimal digits>")
        return cls(int(sequence), sha256.lower())


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal as it was found. `key` is that of the entry it stands beside."""

    day: str
    key: str
    sequence: int
    entry_key: str
    entry_sha256: str
    previous: str
    sha256: str
    sealed_at: str
    outage: tuple[str, ...] = ()
    key_id: str = ""
    mac: str = ""

    @classmethod
    def read(cls, image: Image) -> Seal:
        """Raises LookupError, TypeError or ValueError for what is no whole seal."""
        sequence = int(image["sequence"]["N"])
        if sequence < 1:
            raise ValueError("the chain begins at 1")
        texts = ("entry_key", "entry_sha256", "previous", "sha256", "sealed_at")
        outage = [str(image[name]["S"]) for name in ("outage_from", "outage_to") if name in image]
        return cls(
            day=_day(image),
            key=_key(image),
            sequence=sequence,
            outage=tuple(outage),
            **{name: str(image[name]["S"]) for name in texts},
            **{name: str(image[name]["S"]) for name in ("key_id", "mac") if name in image},
        )

    def is_whole(self) -> bool:
        """Whether its digest is that of what it says, where it stands."""
        return self.entry_key == self.key and self.sha256 == seal_digest(
            sequence=self.sequence,
            partition=f"{keys.AUDIT_PREFIX}{self.day}",
            entry_key=self.entry_key,
            entry_sha256=self.entry_sha256,
            previous=self.previous,
            sealed_at=self.sealed_at,
            outage=self.outage,
        )

    def is_signed_by(self, signing: SealKeys) -> bool:
        return signing.has_signed({"key_id": self.key_id, "mac": self.mac}, "seal", self.sha256)

    def lateness(self) -> timedelta:
        """How long after the entry's own time it was made, unless an outage of the sealer explains it."""
        at, sealed_at = seals.entry_time(self.key), keys.moment(self.sealed_at)
        if at is None:
            return timedelta()
        if len(self.outage) == 2:
            start, end = map(keys.moment, self.outage)
            if seals.Outage(start, end).explains(self.key, sealed_at):
                return timedelta()
        return sealed_at - at

    @property
    def identity(self) -> tuple[int, str]:
        return self.sequence, self.sha256

    def fault(self, what: str, *, is_doubt: bool = False) -> Fault:
        return Fault(what, self.day, self.key, self.sequence, is_doubt)


def _day(image: Image) -> str:
    return str(image["PK"]["S"]).removeprefix(keys.AUDIT_PREFIX)


def _key(image: Image) -> str:
    return str(image["SK"]["S"]).removeprefix(keys.SEAL_PREFIX)


# --- the chain, put together from seals in any order


@dataclass(slots=True)
class Chain:
    """Neighbours are compared as soon as both are there, and then let go of."""

    ends: dict[int, Seal] = field(default_factory=dict)
    starts: dict[int, Seal] = field(default_factory=dict)
    _seen: dict[int, bytearray] = field(default_factory=dict)

    def add(self, seal: Seal) -> Iterator[Fault]:
        if not self._is_first_of_its_sequence(seal.sequence):
            yield seal.fault("another seal has the same sequence: one of them is forged")
            return
        before, after = self.ends.pop(seal.sequence - 1, None), self.starts.pop(seal.sequence + 1, None)
        if before is not None or seal.sequence == 1:
            yield from _link(before, seal)
        else:
            self.starts[seal.sequence] = seal
        if after is not None:
            yield from _link(seal, after)
        else:
            self.ends[seal.sequence] = seal

    def _is_first_of_its_sequence(self, sequence: int) -> bool:
        page = self._seen.setdefault(sequence >> PAGE_BITS, bytearray(1 << PAGE_BITS - 3))
        place, bit = sequence % (1 << PAGE_BITS) >> 3, 1 << sequence % 8
        is_first = not page[place] & bit
        page[place] |= bit
        return is_first

    def gaps(self) -> Iterator[Fault]:
        """What is missing before each seal that has none before it."""
        for sequence, seal in sorted(self.starts.items()):
            first = max((end for end in self.ends if end < sequence), default=0) + 1
            missing = f"{first}" if first == sequence - 1 else f"{first} to {sequence - 1}"
            yield Fault(
                f"no sound seal has sequence {missing}: taken away, or broken; this is the next one",
                seal.day,
                seal.key,
                sequence,
            )

    def last(self) -> Seal | None:
        return self.ends[max(self.ends)] if self.ends else None


def _link(before: Seal | None, seal: Seal) -> Iterator[Fault]:
    if seal.previous != (before.sha256 if before else GENESIS):
        yield seal.fault("it does not follow on the seal before: one of the two is forged, or moved")


# --- the walk


@dataclass(slots=True)
class Walk:
    """One verification: `faults` is walked through to its end, then the counts are those of the whole log."""

    head: AuditHead | None
    anchors: tuple[Anchor, ...] = ()
    signing: SealKeys | None = None
    published: tuple[Published, ...] = ()
    on_entry: Callable[[Image], Iterable[Fault]] = lambda entry: ()
    entries: int = 0
    unsealed: int = 0
    oldest_unsealed: datetime | None = None
    acknowledged: list[Fault] = field(default_factory=list)
    """Doubts that an operator acknowledged: they are named, but are no faults any more."""
    doubts: dict[tuple[int, str], list[Fault]] = field(default_factory=dict)
    """By sequence and digest of the seal."""
    _chain: Chain = field(default_factory=Chain)
    _newest: Seal | None = None
    _anchored: set[tuple[int, str]] = field(default_factory=set)
    _acknowledgments: set[tuple[int, str]] = field(default_factory=set)

    def faults(self, days: Iterable[date], tick: Callable[[], object] = lambda: None) -> Iterator[Fault]:
        """Every fault, those of single entries as they are met. Takes the days that hold the log, in order.

        Entries and seals that come while it is read are not held against it. `tick` is called for each entry.
        """
        for day in days:
            for entry, seal in pairs(day):
                yield from self._pair(entry, seal)
                tick()
        yield from self._unexplained()
        yield from self._chain.gaps()
        yield from self._end()
        yield from self._signed_head()
        yield from self._anchors()

    @property
    def signed_from(self) -> int | None:
        """The first sequence that must be signed, by the head and by what was published."""
        begun = [each.signed_from for each in self.published if each.signed_from]
        if self.head is not None and self.head.signed_from:
            begun.append(int(self.head.signed_from))
        return min(begun, default=None)

    def _pair(self, entry: Image | None, image: Image | None) -> Iterator[Fault]:
        self.entries += entry is not None
        if image is None:
            if entry is not None:
                self._wait(entry)
            return
        try:
            seal = Seal.read(image)
        except (LookupError, TypeError, ValueError):
            yield Fault("its seal cannot be read: it was changed", _day(image), _key(image))
            return
        if not seal.is_whole():
            yield seal.fault("its seal was changed: the digest does not fit")
            return
        signature = list(self._signature(seal))
        yield from self._certain((*signature, *self._entry(entry, seal, is_trusted=not signature)), seal)
        yield from self._place(seal)

    def _certain(self, faults: Iterable[Fault], seal: Seal) -> Iterator[Fault]:
        """All but doubts, which wait: an acknowledgment comes later in the log."""
        for fault in faults:
            if fault.is_doubt:
                numbered = replace(fault, sequence=seal.sequence)
                self.doubts.setdefault(seal.identity, []).append(numbered)
            else:
                yield fault

    def _unexplained(self) -> Iterator[Fault]:
        for identity, doubts in sorted(self.doubts.items()):
            if identity in self._acknowledgments:
                self.acknowledged += doubts
            else:
                yield from doubts

    def _signature(self, seal: Seal) -> Iterator[Fault]:
        if self.signed_from is None or seal.sequence < self.signed_from:
            return
        if not seal.mac:
            yield seal.fault(f"its seal is not signed, as all are from {self.signed_from} on: forged")
        elif self.signing and not seal.is_signed_by(self.signing):
            yield seal.fault("its seal was not signed with our key: forged")
        try:
            lateness = seal.lateness()
        except keys.BadKey:
            yield seal.fault("its seal holds a time that is none: forged")
            return
        if lateness > seals.LATE:
            minutes = round(lateness.total_seconds() / 60)
            yield seal.fault(
                f"sealed {minutes} minutes after its own time, and the sealer was at work: back-dated?",
                is_doubt=True,
            )
        elif lateness < -seals.LATE:
            yield seal.fault("its own time lies after that of its seal")

    def _wait(self, entry: Image) -> None:
        self.unsealed += 1
        try:
            at = keys.moment(_key(entry).partition("#")[0])
        except keys.BadKey:
            return
        self.oldest_unsealed = min(at, self.oldest_unsealed or at)

    def _entry(self, entry: Image | None, seal: Seal, *, is_trusted: bool) -> Iterator[Fault]:
        """Acknowledgments count only where nothing is wrong with their own seal (`is_trusted`)."""
        # A seal without entry may be of one that was written after its page was read: look once more.
        entry = entry or stored_entry(f"{keys.AUDIT_PREFIX}{seal.day}", seal.key)
        if entry is None:
            yield seal.fault("the entry is missing; its seal is there")
        elif entry_digest(entry) != seal.entry_sha256:
            yield seal.fault("the entry was changed after it was sealed")
        else:
            if is_trusted and (identity := acknowledgments.identity_in(entry)):
                self._acknowledgments.add(identity)
            yield from self.on_entry(entry)

    def _place(self, seal: Seal) -> Iterator[Fault]:
        if any(seal.sequence == anchor.sequence for anchor in self.anchors):
            self._anchored.add((seal.sequence, seal.sha256))
        if self.head is None or seal.sequence > self.head.sequence:
            if self._newest is None or seal.sequence > self._newest.sequence:
                self._newest = seal
            return
        yield from self._chain.add(seal)

    def _end(self) -> Iterator[Fault]:
        """The end of the chain against the head, as it was before the walk, and as it is now."""
        last = self._chain.last()
        if self.head is not None and (last is None or last.sequence < self.head.sequence):
            where = f"at {last.sequence}" if last else "before it begins"
            told = f"the chain ends {where}, its head says {self.head.sequence}: the end was cut off"
            yield last.fault(told) if last else Fault(told)
        elif self.head is not None and last is not None and last.sha256 != self.head.sha256:
            yield last.fault("the head holds another digest than the newest seal")
        now = AuditHead.read() if self._newest else None
        if self._newest and (now is None or now.sequence < self._newest.sequence):
            told = f"says {now.sequence}" if now else "is missing"
            yield self._newest.fault(f"there is a seal beyond the head, which {told}")

    def _signed_head(self) -> Iterator[Fault]:
        if self.head is None:
            return
        if self.signed_from is not None and self.head.signed_from != self.signed_from:
            yield Fault(
                f"the head does not say that seals are signed from {self.signed_from} on, as was published"
            )
        if self.signing is None:
            return
        if not self.head.signed_from:
            yield Fault(
                "the head is not signed, though there is a key: nothing was sealed with it, or it is forged"
            )
        elif not seals.is_head_signed(self.head, self.signing):
            yield Fault("the head was not signed with our key: forged")

    def _anchors(self) -> Iterator[Fault]:
        told = "no sound seal has this sequence and the expected digest: this is not the log of that time"
        for anchor in self.anchors:
            if (anchor.sequence, anchor.sha256) not in self._anchored:
                source = f" ({anchor.source})" if anchor.source else ""
                yield Fault(f"{told}{source}", sequence=anchor.sequence)
