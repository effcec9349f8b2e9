"""Exports in the background: a step of the worker takes back what is over, then makes what waits longest."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import Final

from django.conf import settings

from sessions_app import study
from sessions_app.domain import export_jobs
from sessions_app.domain.audit.log import SYSTEM
from sessions_app.domain.models import ExportJob

from . import bundle
from .bundle import Tick
from .read import BadChoice, Chosen
from .request import Choice, folder, name_of, path_of

log = logging.getLogger("worker")

BETWEEN_SIGNS: Final = 3.0  # seconds between two signs of life, at least


class Stopping(Exception):
    """The worker was asked to end."""


def choice_of(job: ExportJob) -> Choice:
    told = job.filters
    return Choice(
        profile=job.profile,
        chosen=Chosen(_day(told.start), _day(told.end), tuple(told.conditions)),
        levels=tuple(told.levels),
        labels=told.labels,
        simulated=told.simulated,
    )


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _is_whole(job: ExportJob) -> bool:
    """A job that another client stored without what a job needs holds up no other."""
    return not job.faults


class Exporter:
    """The worker's duty. `stopping` gives a job back unfinished, for the next worker to begin anew."""

    def __init__(self, stopping: threading.Event) -> None:
        self.stopping = stopping
        self.stuck: set[str] = set()

    def step(self) -> bool:
        """Whether there was anything to do."""
        known, now = [job for job in export_jobs.jobs() if _is_whole(job)], study.now()
        stuck = {job.export_id for job in delete_files(known, now=now)}
        for export_id in sorted(stuck - self.stuck):  # once, not with every step
            log.error("export %s: its file cannot be deleted", export_id)
        self.stuck = stuck
        for job in export_jobs.due(known, now=now):
            if export_jobs.claim(job, now=now):
                self._make(job)
                return True
        return False

    def _make(self, job: ExportJob) -> None:
        """Whatever fails in an unforeseen way is tried again, a few times, by whichever worker comes next."""
        try:
            make(job, self._sign_of_life(job))
        except export_jobs.LostClaim:
            log.warning("export %s was taken over by another worker", job.export_id)
        except export_jobs.Outdated:
            log.info("export %s starts over: a participant was erased in the meantime", job.export_id)
            export_jobs.release(job, now=study.now(), counts=False)
        except Stopping:
            export_jobs.release(job, now=study.now(), counts=False)
        except (BadChoice, bundle.CannotWrite) as error:
            log.error("export %s failed: %s", job.export_id, type(error).__name__)
            export_jobs.fail(job, str(error), now=study.now())
        except Exception as error:
            log.error("export %s failed: %s", job.export_id, type(error).__name__)
            export_jobs.release(job, now=study.now(), counts=True)
            raise

    def _sign_of_life(self, job: ExportJob) -> Tick:
        return signs(job, stopping=self.stopping, clock=time.monotonic)


def delete_files(known: Iterable[ExportJob], *, now: datetime) -> list[ExportJob]:
    """Delete the files that nobody may have any more; those that could not be deleted are given back."""
    stuck = []
    for job, state in export_jobs.over(filter(_is_whole, known), now=now):
        try:
            path_of(job).unlink(missing_ok=True)
        except OSError:
            stuck.append(job)
            continue
        export_jobs.take_back(job, state)
        log.info("export %s is %s: its file was deleted", job.export_id, state)
    return stuck


def signs(job: ExportJob, *, stopping: threading.Event, clock: Callable[[], float]) -> Tick:
    """A tick that tells the table how far the job is, not more often than need be."""
    last = [clock()]

    def tick(done: int, total: int) -> None:
        if stopping.is_set():
            raise Stopping
        if clock() - last[0] >= BETWEEN_SIGNS:
            last[0] = clock()
            export_jobs.seen(job, done=done, total=total, now=study.now())

    return tick


def make(job: ExportJob, tick: Tick) -> None:
    """Make the file of a claimed job. It has its name from the moment on at which the table knows it.

    Raises LostClaim, Outdated, BadChoice, CannotWrite, what `tick` raises, and errors of the table.
    """
    with bundle.workshop(folder()) as shop:
        built = bundle.build(choice_of(job), shop, zone=study.zone(), tick=tick)
        export_jobs.seen(job, done=built.sessions, total=built.sessions, now=study.now())
        os.replace(built.path, path_of(job))
        try:
            export_jobs.finish(
                job,
                file={
                    "name": name_of(job),
                    "sha256": built.sha256,
                    "size": built.size,
                    "version": built.version,
                },
                rows=built.rows,
                excluded=built.excluded,
                lasts=timedelta(hours=settings.EXPORT_HOURS),
                by=SYSTEM,
                now=study.now(),
            )
        except BaseException:
            path_of(job).unlink(missing_ok=True)
            raise
