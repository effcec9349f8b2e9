"""Verifies the seals of the audit log: every entry against its seal, and every seal against the one before.

Everything is read page by page. Kept in memory are one bit a seal (125 kB a million), and about 400 bytes for
each place where the order of entries departs from the order of sealing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

from . import keys
from .models import AuditHead
from .models.audit import Image, stored_entry
from .seals import GENESIS, entry_digest, pairs, seal_digest

PAGE_BITS = 15


@dataclass(frozen=True, slots=True)
class Fault:
    """What does not fit, and where. `sequence` is None where there is no seal to tell it."""

    what: str
    day: str = ""
    key: str = ""
    sequence: int | None = None

    def __str__(self) -> str:
        numbered = f"sequence {self.sequence}" if self.sequence is not None else ""
        place = ", ".join(part for part in (self.day, self.key, numbered) if part)
        return f"{place or 'the whole log'}: {self.what}"


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head that was written down earlier: `SEQUENCE:SHA256`."""

    sequence: int
    sha256: str

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

    @classmethod
    def read(cls, image: Image) -> Seal:
        """Raises LookupError, TypeError or ValueError for what is no whole seal."""
        sequence = int(image["sequence"]["N"])
        if sequence < 1:
            raise ValueError("the chain begins at 1")
        texts = ("entry_key", "entry_sha256", "previous", "sha256", "sealed_at")
        return cls(
            day=_day(image),
            key=_key(image),
            sequence=sequence,
            **{name: str(image[name]["S"]) for name in texts},
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
        )

    def fault(self, what: str) -> Fault:
        return Fault(what, self.day, self.key, self.sequence)


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
    anchor: Anchor | None = None
    entries: int = 0
    unsealed: int = 0
    oldest_unsealed: datetime | None = None
    _chain: Chain = field(default_factory=Chain)
    _newest: Seal | None = None
    _anchored: bool = False

    def faults(self, days: Iterable[date], tick: Callable[[], object] = lambda: None) -> Iterator[Fault]:
        """Every fault, those of single entries as they are met. Takes the days that hold the log, in order.

        Entries and seals that come while it is read are not held against it. `tick` is called for each entry.
        """
        for day in days:
            for entry, seal in pairs(day):
                yield from self._pair(entry, seal)
                tick()
        yield from self._chain.gaps()
        yield from self._end()
        yield from self._anchor()

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
        yield from self._entry(entry, seal)
        yield from self._place(seal)

    def _wait(self, entry: Image) -> None:
        self.unsealed += 1
        try:
            at = keys.moment(_key(entry).partition("#")[0])
        except keys.BadKey:
            return
        self.oldest_unsealed = min(at, self.oldest_unsealed or at)

    def _entry(self, entry: Image | None, seal: Seal) -> Iterator[Fault]:
        # A seal without entry may be of one that was written after its page was read: look once more.
        entry = entry or stored_entry(f"{keys.AUDIT_PREFIX}{seal.day}", seal.key)
        if entry is None:
            yield seal.fault("the entry is missing; its seal is there")
        elif entry_digest(entry) != seal.entry_sha256:
            yield seal.fault("the entry was changed after it was sealed")

    def _place(self, seal: Seal) -> Iterator[Fault]:
        if self.anchor and seal.sequence == self.anchor.sequence:
            self._anchored = seal.sha256 == self.anchor.sha256
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

    def _anchor(self) -> Iterator[Fault]:
        if self.anchor and not self._anchored:
            yield Fault(
                "no sound seal has this sequence and the expected digest: this is not the log of that time",
                sequence=self.anchor.sequence,
            )
