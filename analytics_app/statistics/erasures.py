"""What an erasure leaves to the worker: statistics, web sessions, files and lake, until none holds anything.

Each step does its work and looks again. One that fails stays in the task with the kind of its error, is tried
again later and later, and is shown to admins and the review board (`/erasures/`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from django.conf import settings

from sessions_app import study
from sessions_app.access import web_sessions
from sessions_app.domain import export_jobs
from sessions_app.domain.models import CountedStudent, ErasureTask
from sessions_app.domain.participants import erasure
from sessions_app.domain.store import keys

from ..export import bundle
from ..export.worker import delete_files
from ..lake import compaction, configuration
from . import rebuild, updates

log = logging.getLogger("worker")

LOOKS_EVERY = 5.0  # seconds


class NotDone(Exception):
    """A step ended without an error, and something is there still."""


def table(task: ErasureTask) -> None:
    erasure.finish_table(task, now=study.now())


def statistics(task: ErasureTask) -> None:
    """Move the statistics by what the student's sessions added, then see that no tally names them."""
    now = study.now()
    for session_id in task.sessions:
        updates.apply(session_id, now=now)
    for tally in _tallies(task.student_id):
        _recount(tally, now)


def _tallies(student_id: str) -> list[CountedStudent]:
    wanted = [(keys.counted(cell), keys.student(student_id)) for cell in keys.CELLS]
    return list(CountedStudent.batch_get(wanted, consistent_read=True))


def _recount(tally: CountedStudent, now: datetime) -> None:
    """A contribution that vanished cannot be subtracted, so its condition is recomputed."""
    condition = next(each for each in keys.CELLS if keys.counted(each) == tally.PK)
    rebuild.rebuild(condition, rebuild.sessions_of(condition), now=now, tick=lambda: None)
    for month in sorted(set(tally.sessions.values())):
        counted = rebuild.counted_in(month, condition.realm)
        for day in rebuild.stored_days(condition.realm):
            if day.startswith(month):
                rebuild.rebuild_day(day, counted, condition.realm)


def sql(task: ErasureTask) -> None:
    web_sessions.end_those_of([task.student_id, *task.sessions])


def files(task: ErasureTask) -> None:
    if failed := delete_files(list(export_jobs.jobs()), now=study.now()):
        raise NotDone(f"{len(failed)} files of exports could not be deleted")


def lake(task: ErasureTask) -> None:
    """Compact what the lake holds, which takes out whoever left."""
    if not settings.LAKE_URL:
        return
    store, coder = (lake := configuration.lake()).store, lake.coder
    gone = compaction.Gone(compaction.who_left(coder), store)
    faults: list[str] = []
    with bundle.workshop(Path(settings.VAR_DIR) / "compacting", "lake's Parquet") as shop:
        for month in compaction.tasks(store):
            faults += compaction.compact(month, store, gone, shop).faults
    if faults:
        raise NotDone(f"{len(faults)} lines of the lake cannot be read, so nobody knows whose they are")


STEPS: Final[Mapping[str, Callable[[ErasureTask], None]]] = {
    "table": table,
    "statistics": statistics,
    "web_sessions": sql,
    "exports": files,
    "lake": lake,
}


class Erasures:
    """The worker's duty."""

    def __init__(self) -> None:
        self.next = float("-inf")
        self.adopted = False

    def step(self) -> bool:
        """Whether any erasure is proven now."""
        if time.monotonic() < self.next:
            return False
        if not self.adopted:
            erasure.adopt_unproven(now=study.now())
            self.adopted = True
        due = [task for task in erasure.open_tasks() if task.retry_at <= study.now()]
        proven = [task for task in due if follow_up(task)]
        self.next = time.monotonic() + LOOKS_EVERY
        return bool(proven)


def follow_up(task: ErasureTask) -> bool:
    """Do what is left of a task; whether it is proven now that nothing is left of the student."""
    now, left, first_error = study.now(), list[str](), None
    for name in task.left:
        if name == "lake" and not erasure.is_settled(task, now=now):
            left.append(name)  # its reader may still be bringing in what came before the erasure
            continue
        try:
            STEPS[name](task)
        except Exception as error:
            log.error("erasure: %s has to be done again: %s", name, type(error).__name__)
            left.append(name)
            first_error = first_error or _describe(name, error)
    if not left and erasure.prove(task, now=now):
        log.info("an erasure is proven: nothing of the student was found in any place")
        return True
    erasure.note_progress(task, left=left or ["table", "statistics"], error=first_error, now=now)
    return False


def _describe(step: str, error: Exception) -> str:
    """Nothing of a record: our own words, or else only the kind of the error."""
    words = str(error) if isinstance(error, NotDone | erasure.NotAllFound) else type(error).__name__
    return f"{step}: {words}"[:200]
