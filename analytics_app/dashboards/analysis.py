"""The sessions behind the analysis of covariance, read one by one, and its result kept by version.

The statistics hold no pairs of scores, so this is the one page that reads sessions in number: of each
condition the index, and for every 100 sessions a batch of their contributions. Nothing is read again
while the statistics of these months stay as they are.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any, Generic, TypeVar

import pandas as pd  # type: ignore[import-untyped]

from sessions_app.domain.models import Contribution, Session
from sessions_app.domain.store import keys

from ..charts.sources import Rows
from ..charts.theme import PLACES
from ..inference import ancova
from ..inference.effects import Effect, cohens_d, hedges_g, paired_dav, paired_dz
from ..inference.results import TooFew, sample
from ..statistics import items as statistics_items
from ..statistics import queries
from ..statistics.queries import Months, Span
from ..statistics.sums import Month, merge
from . import session_scores
from .selection import Chosen

MAX_SESSIONS = 3_000  # read within a request; more are analysed by choosing fewer months
MAX_CACHED = 8
COMPARED = (
    ("type", "static", ("dynamic",)),
    ("location", "home", ("on-site", "learning-space", "classroom")),
)

_V = TypeVar("_V")

COLUMNS = {
    **dict.fromkeys(("session_id", "student_id", "condition", "location", "interval", "type"), "string"),
    "session_start": "datetime64[us, UTC]",
    "state": "string",
    **dict.fromkeys(("completed", "flagged"), "boolean"),
    **dict.fromkeys(("baseline_score", "final_score"), "Float64"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """`uncounted` sessions are not in the statistics yet, and so not in the frame; `void` ones never are."""

    sessions: pd.DataFrame
    uncounted: int
    void: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """Effects of one comparison; where they cannot be told, why, once."""

    label: str
    effects: tuple[Effect | TooFew, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    analysis: ancova.Analysis
    uncounted: int
    void: int
    pairs: tuple[tuple[float, float], ...]
    sizes: tuple[Sizes, ...]

    def before_after(self) -> Rows:
        counts: dict[tuple[float, float], int] = {}
        for pair in self.pairs:
            counts[pair] = counts.get(pair, 0) + 1
        return [{"baseline": one, "final": other, "n": n} for (one, other), n in sorted(counts.items())]


def version_of(read: Iterable[Month]) -> str:
    """Changes whenever a session's counting in these months does: sums of squares are among the sums."""
    whole = [(part.month, part.code, part.sums.as_list(), sorted(part.edges.items())) for part in read]
    return hashlib.sha256(repr(sorted(whole)).encode()).hexdigest()


class TooMany(ValueError):
    """More sessions than are read within a request; the message says what to do."""


def of(chosen: Chosen, *, with_flagged: bool) -> Outcome:
    """The analysis over all conditions in the months chosen. Raises TooMany."""
    read = queries.months_of_all_conditions(chosen.months, chosen.realm)
    if (n := merge(read).sessions) > MAX_SESSIONS:
        raise TooMany(
            f"These months hold {n:,} sessions. The analysis reads them one by one, at most "
            f"{MAX_SESSIONS:,} at a time: choose fewer months, or export the data."
        )
    version = version_of(read)
    return outcome(chosen.months, chosen.realm, version, with_flagged=with_flagged)


def outcome(months: Months, realm: str, version: str, *, with_flagged: bool) -> Outcome:
    key = (months, realm, version, with_flagged)
    if (known := _results.get(key)) is None:
        known = _outcome(sessions(months, realm, version), with_flagged)
        _results.put(key, known)
    return known


def _outcome(read: Read, with_flagged: bool) -> Outcome:
    analysed = ancova.eligible(read.sessions, with_flagged=with_flagged).sessions
    scores = (analysed[name].astype(float) for name in ("baseline_score", "final_score"))
    pairs = tuple(zip(*scores, strict=True))
    analysis = ancova.analyse(read.sessions, with_flagged=with_flagged)
    return Outcome(analysis, read.uncounted, read.void, pairs, _sizes(analysed))


def _sizes(analysed: pd.DataFrame) -> tuple[Sizes, ...]:
    """After against before; dynamic against static; each location against home."""
    gains = analysed["final_score"] - analysed["baseline_score"]
    before, after = (sample(analysed[f"{moment}_score"]) for moment in ("baseline", "final"))
    gain = sample(gains)
    found = [_told("final − baseline", paired_dz(gain), paired_dav(before, after, gain))]
    for factor, reference, others in COMPARED:
        first = sample(gains[analysed[factor] == reference])
        for other in others:
            second = sample(gains[analysed[factor] == other])
            label = f"{PLACES.get(other, other)} − {PLACES.get(reference, reference)}"
            found.append(_told(label, cohens_d(first, second), hedges_g(first, second)))
    return tuple(found)


def _told(label: str, *effects: Effect | TooFew) -> Sizes:
    return Sizes(label, effects if all(effect.enough for effect in effects) else effects[:1])


def sessions(months: Months, realm: str, version: str) -> Read:
    if (known := _frames.get((months, realm, version))) is None:
        known = _read(months, realm)
        _frames.put((months, realm, version), known)
    return known


def _read(months: Months, realm: str) -> Read:
    span = Span.of(statistics_items.first_day(months.first), statistics_items.last_day(months.last))
    rows, met, void = [], 0, 0
    for condition in keys.CONDITIONS:
        found = [s for s in queries.sessions_of_condition(condition, span) if s.realm == realm]
        counting = [session for session in found if not session.is_void]
        met += len(counting)
        void += len(found) - len(counting)
        rows += _rows(counting)
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return Read(frame, met - len(rows), void)


def _rows(found: list[Session]) -> list[dict[str, Any]]:
    counted = session_scores.contributions(found)
    return [dict(_row(one, counted[one.session_id])) for one in found if one.session_id in counted]


def _row(session: Session, counted: Contribution) -> Iterator[tuple[str, Any]]:
    """As the statistics count the session, so that both tell the same."""
    cell, sums = session.condition, counted.sums
    yield from (("session_id", session.session_id), ("student_id", session.student_id))
    yield from (("condition", cell.code), ("location", cell.location))
    yield from (("interval", cell.interval), ("type", cell.type))
    yield "session_start", session.start
    states = (state for state in ("completed", "stopped", "abandoned", "withdrawn") if sums.get(state))
    yield "state", next(states, "running")
    for name in ("completed", "flagged"):
        yield name, bool(sums.get(name))
    for moment in ("baseline", "final"):
        yield f"{moment}_score", session_scores.score(counted, moment)


class Kept(Generic[_V]):
    """The results used last. Threads may share it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._found: OrderedDict[Hashable, _V] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> _V | None:
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
            return self._found.get(key)

    def put(self, key: Hashable, value: _V) -> None:
        with self._lock:
            self._found[key] = value
            while len(self._found) > self.most:
                self._found.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._found.clear()


_results: Kept[Outcome] = Kept(MAX_CACHED)
_frames: Kept[Read] = Kept(2)


def forget() -> None:
    """For tests."""
    _results.clear()
    _frames.clear()
