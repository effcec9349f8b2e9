"""How far a worker has read the table's stream, so that it goes on there after any end; which workers run.

Checkpoint  PK WORKER#<name>       SK SHARD#<shard id>
Heartbeat   PK WORKER#heartbeats   SK PROCESS#<machine>-<process id>
Settings    PK WORKER#settings     SK CURRENT
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ..store import keys
from ..store.items import Flag, Item, ListOf, Map, Text, Timestamp
from .audit import Facts


class ShardCheckpoint(Item, discriminator="stream_checkpoint"):
    worker = Text()
    shard_id = Text()
    sequence_number = Text(null=True)
    finished = Flag()
    updated_at = Timestamp()

    @classmethod
    def new(
        cls, *, worker: str, shard_id: str, sequence_number: str | None, finished: bool, now: datetime
    ) -> ShardCheckpoint:
        return cls(
            PK=keys.worker(worker),
            SK=keys.shard(shard_id),
            worker=worker,
            shard_id=shard_id,
            sequence_number=sequence_number,
            finished=finished,
            updated_at=now,
        )

    @classmethod
    def of_worker(cls, worker: str) -> dict[str, ShardCheckpoint]:
        """By shard id."""
        found = Item.query(keys.worker(worker), consistent_read=True)
        return {item.shard_id: item for item in found if isinstance(item, ShardCheckpoint)}


class DutyState(Map):
    """`as_of`: the duty has processed every change of the table up to this moment."""

    name = Text()
    done_at = Timestamp(null=True)
    failing_since = Timestamp(null=True)
    error = Text(null=True)
    as_of = Timestamp(null=True)


class WorkerHeartbeat(Item, discriminator="worker_heartbeat"):
    """A running worker: written every 15 seconds, removed a day after the worker has ended."""

    worker = Text()
    started_at = Timestamp()
    beat_at = Timestamp()
    duties = ListOf(of=DutyState)

    @classmethod
    def all(cls) -> list[WorkerHeartbeat]:
        found = Item.query(keys.HEARTBEATS)
        return [item for item in found if isinstance(item, WorkerHeartbeat)]


class StudySettings(Item, discriminator="study_settings"):
    """The settings and forms that the study ran with when a worker last started."""

    values_in_force = Facts()
    updated_at = Timestamp()

    @classmethod
    def new(cls, values: Mapping[str, str], now: datetime) -> StudySettings:
        return cls(PK=keys.worker("settings"), SK=keys.CURRENT, values_in_force=dict(values), updated_at=now)

    @classmethod
    def current(cls) -> StudySettings | None:
        try:
            return cls.get(keys.worker("settings"), keys.CURRENT, consistent_read=True)
        except cls.DoesNotExist:
            return None
