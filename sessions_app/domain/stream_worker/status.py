"""Whether the work behind the pages is done: which workers run, how far they are, what they passed over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from ..models import DutyState, Item, WorkerHeartbeat
from . import dead_letters

WORKER_DOWN_AFTER = timedelta(minutes=1)
LATE_AFTER = timedelta(minutes=2)
KEPT_FOR = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Status:
    """`workers`: newest heartbeat first, those that ended less than a day ago among them."""

    now: datetime
    workers: tuple[WorkerHeartbeat, ...]
    letters: int
    left_out: int = 0
    """Records that are in no figure, since they could not be read; also those that somebody dismissed."""

    @property
    def running(self) -> list[WorkerHeartbeat]:
        return [worker for worker in self.workers if worker.beat_at > self.now - WORKER_DOWN_AFTER]

    def _states(self, duty: str) -> list[DutyState]:
        return [state for worker in self.workers for state in worker.duties if state.name == duty]

    def as_of(self, duty: str = "statistics") -> datetime | None:
        """Every change of the table up to this moment is processed; None where no worker has told."""
        return max((state.as_of for state in self._states(duty) if state.as_of), default=None)

    def lag(self, duty: str = "statistics") -> timedelta | None:
        """How old that moment is. A heartbeat comes every 15 seconds, so up to that means nothing."""
        as_of = self.as_of(duty)
        return None if as_of is None else max(self.now - as_of, timedelta())

    @property
    def is_late(self) -> bool:
        lag = self.lag()
        return lag is not None and lag > LATE_AFTER

    @property
    def is_known(self) -> bool:
        """Whether any worker has ever told of itself; functions of the cloud do not."""
        return bool(self.workers)

    @property
    def failing(self) -> list[DutyState]:
        """Duties of running workers that fail at this moment."""
        return [state for worker in self.running for state in worker.duties if state.failing_since]

    @property
    def is_well(self) -> bool:
        return bool(self.running) and not (self.failing or self.is_late or self.letters)


@dataclass(slots=True)
class _Kept:
    table: str = ""
    status: Status | None = None


_KEPT = _Kept()


def recent(now: datetime) -> Status:
    """What was read less than 10 seconds ago, or else read now: for pages that many people open."""
    kept, table = _KEPT.status, Item.Meta.table_name
    if kept is None or _KEPT.table != table or abs(now - kept.now) > KEPT_FOR:
        kept = read(now)
        _KEPT.status, _KEPT.table = kept, table
    return kept


def forget() -> None:
    """For tests."""
    _KEPT.status = None


def read(now: datetime) -> Status:
    """Two queries of small items."""
    workers = sorted(WorkerHeartbeat.all(), key=lambda worker: worker.beat_at, reverse=True)
    letters = list(islice(dead_letters.letters(), dead_letters.MAX_COUNTED))
    left_out = sum(letter.duty == "statistics" for letter in letters)
    return Status(now, tuple(workers), sum(letter.is_open for letter in letters), left_out)
