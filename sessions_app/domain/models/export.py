"""An export that was asked for, and what became of it.

Job     PK QUEUE#exports  SK <time asked>-<token>
Recall  PK EXPORTS        SK RECALL                 when a participant last withdrew

A worker claims the job by a conditional write and renews the claim while it works; a claim that was not
renewed for a while may be taken over. The file itself is no part of the table.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pynamodb.pagination import ResultIterator

from ..store import keys
from ..store.items import Count, Flag, Item, Map, Text, TextList, Timestamp
from .audit import SHA256
from .statistics import WholeMap

STATES = ("waiting", "running", "done", "failed", "expired", "destroyed")
PROFILES = ("coded", "public", "full")
DAY = r"\d{4}-\d{2}-\d{2}"


class ExportFilters(Map):
    """What was chosen. Days are the study's, both counted in; empty lists mean all."""

    start = Text(null=True, pattern=DAY)
    end = Text(null=True, pattern=DAY)
    conditions = TextList()
    levels = TextList()
    labels = Flag()
    simulated = Flag()


class ExportClaim(Map):
    """By whom it is being made. `begun_at` is before the first read, `seen_at` the last sign of life."""

    token = Text()
    begun_at = Timestamp()
    seen_at = Timestamp()


class ExportFile(Map):
    name = Text()
    sha256 = Text(pattern=SHA256)
    size = Count()
    version = Text()


class ExportRecall(Item, discriminator="export_recall"):
    """Exports for others that were begun before this moment may hold somebody who has withdrawn since."""

    withdrawn_at = Timestamp()

    @classmethod
    def last_withdrawal(cls) -> datetime | None:
        try:
            recall = cls.get(keys.EXPORTS, keys.RECALL, consistent_read=True)
        except cls.DoesNotExist:
            return None
        return recall.withdrawn_at


class ExportJob(Item, discriminator="export_job"):
    export_id = Text()
    state = Text(choices=STATES)
    profile = Text(choices=PROFILES)
    filters = ExportFilters()
    reason = Text(null=True, longest=500)
    asked_by = Text()
    asked_at = Timestamp()
    tries = Count()
    claim = ExportClaim(null=True)
    sessions_total = Count(null=True)
    sessions_done = Count(null=True)
    rows = WholeMap(null=True)
    excluded = WholeMap(null=True)
    file = ExportFile(null=True)
    finished_at = Timestamp(null=True)
    expires_at = Timestamp(null=True)
    fault = Text(null=True, longest=500)

    @classmethod
    def by_id(cls, export_id: str) -> ExportJob:
        """Raises ExportJob.DoesNotExist, BadKey."""
        return cls.get(keys.EXPORT_JOBS, keys.export_job(export_id), consistent_read=True)

    @classmethod
    def newest_first(cls, **paging: Any) -> ResultIterator[Item]:
        return Item.query(keys.EXPORT_JOBS, consistent_read=True, scan_index_forward=False, **paging)
