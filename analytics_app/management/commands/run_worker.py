"""The work that no request waits for: grading, statistics from the table's stream, seals, lake, exports."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from pynamodb.exceptions import PynamoDBException

from analytics_app import stream
from analytics_app.export.jobs import Exporter
from analytics_app.lake import setting
from analytics_app.lake.stores import LakeAway
from analytics_app.lake.writing import Lake
from sessions_app import staff, study
from sessions_app.domain import abandoned, grading, table
from sessions_app.domain.models import GradingTask

log = logging.getLogger("worker")

IDLE_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 30.0
LONGEST_REST = timedelta(hours=1)
BETWEEN_SWEEPS = timedelta(hours=1)
MAX_DAYS_BACK, DAYS_BACK = 100, 2

Step = Callable[[], bool]
"""One piece of work; whether there was any."""


class Command(BaseCommand):
    help = (
        "Grades answers, keeps the statistics up to date, seals the audit log and makes exports, until "
        "SIGTERM or Ctrl-C."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="do what is there, then end")
        parser.add_argument(
            "--no-stream",
            action="store_true",
            help="without statistics, seals and lake (they are made elsewhere)",
        )

    def handle(self, *args: Any, once: bool, no_stream: bool, **options: Any) -> None:
        staff.refuse_demo_accounts()
        duties: dict[str, Step] = {"grading": Grader().step}
        if not no_stream:
            duties["statistics"] = Statistics().step
            duties["sweep"] = Sweep().step
            if settings.LAKE_URL:
                duties["lake"] = LakeWriter(setting.lake()).step
        if settings.ABANDON_AFTER_HOURS:
            duties["sessions left behind"] = LeftBehind().step
        stopping = threading.Event()
        duties["exports"] = Exporter(stopping).step
        if once:
            drain(list(duties.values()))
            return
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopping.set())
        log.info("working: %s", ", ".join(duties))
        work_until(stopping, duties)
        log.info("stopped")


def drain(steps: list[Step]) -> None:
    """Until no duty finds anything: what one does can be work for another."""
    while True:
        found = [step() for step in steps]
        if not any(found):
            return


def work_until(stopping: threading.Event, duties: dict[str, Step]) -> None:
    """Each duty in a thread of its own: a slow tutor must not hold up the statistics."""
    threads = [
        threading.Thread(target=keep_doing, args=(name, step, stopping), name=name, daemon=True)
        for name, step in duties.items()
    ]
    for thread in threads:
        thread.start()
    while not stopping.wait(0.5):  # short, so that a signal is seen soon
        pass
    for thread in threads:
        thread.join(timeout=10)  # a piece of work cut off here is done again at the next start


def keep_doing(name: str, step: Step, stopping: threading.Event) -> None:
    """Work, rest while there is none, and wait ever longer while it fails; outages are said once."""
    failures = 0
    while not stopping.is_set():
        try:
            busy = step()
        except Exception as fault:
            failures += 1
            if failures == 1:
                log.warning("%s waits: %s", name, type(fault).__name__)
            stopping.wait(min(2.0 ** (failures - 1), LONGEST_BACKOFF_SECONDS))
            continue
        if failures:
            log.info("%s goes on", name)
            failures = 0
        if not busy:
            stopping.wait(IDLE_SECONDS)


class Grader:
    """Works on the queue of answers. A task that fails in an unforeseen way rests, and others go on."""

    def __init__(self) -> None:
        self.resting: dict[str, tuple[int, datetime]] = {}

    def step(self) -> bool:
        """Whether any task was done."""
        done = [self._work(task) for task in grading.due(study.now()) if self._is_rested(task)]
        return any(done)

    def _is_rested(self, task: GradingTask) -> bool:
        return task.SK not in self.resting or self.resting[task.SK][1] <= study.now()

    def _work(self, task: GradingTask) -> bool:
        try:
            done = grading.work(task, package=study.package(), tutor=study.tutor(), now=study.now())
        except PynamoDBException:
            raise  # the table is away: everything waits
        except Exception as fault:
            log.error("grading %s of session %s failed: %s", task.what, task.session_id, type(fault).__name__)
            self._rest(task)
            return False
        self.resting.pop(task.SK, None)
        return done

    def _rest(self, task: GradingTask) -> None:
        times = self.resting.get(task.SK, (0, study.now()))[0] + 1
        wait = min(timedelta(seconds=30) * 2 ** min(times - 1, 12), LONGEST_REST)
        self.resting[task.SK] = (times, study.now() + wait)


class LeftBehind:
    """Once an hour closes the sessions that nobody went on with.

    The first time and once a day it looks further back: a late answer may have opened an old session again.
    """

    def __init__(self) -> None:
        self.next: datetime | None = None

    def step(self) -> bool:
        """Whether any was closed."""
        now, after = study.now(), timedelta(hours=settings.ABANDON_AFTER_HOURS)
        if self.next is not None and now < self.next:
            return False
        is_first_today = self.next is None or (self.next - BETWEEN_SWEEPS).date() < now.date()
        days = MAX_DAYS_BACK if is_first_today else DAYS_BACK
        closed = 0
        for session in abandoned.left_behind(now=now, after=after, days=days):
            closed += abandoned.close(session.session_id, now=now, after=after)
        self.next = now + BETWEEN_SWEEPS
        if closed:
            log.info("closed %s sessions that were left behind", closed)
        return closed > 0


class Statistics:
    """Follows the table's stream. It is looked up at the first step: the table may be away at the start."""

    def __init__(self) -> None:
        self.poller: stream.Poller | None = None

    def step(self) -> bool:
        """Whether the stream held anything."""
        if self.poller is None:
            self.poller = stream.Poller(client=stream.connect(region=settings.AWS_REGION), arn=stream_arn())
        return self.poller.poll() > 0


def stream_arn() -> str:
    return stream.stream_of(table.connect(region=settings.AWS_REGION), settings.SOCRATIC_TABLE)


class LakeWriter:
    """Follows the stream too, with checkpoints of its own: it stops where the lake stops, alone."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.poller: stream.Poller | None = None
        self.said = ""

    def step(self) -> bool:
        """Whether the stream held anything."""
        if self.poller is None:
            arn = stream_arn()
            self.poller = stream.Poller(
                client=stream.connect(region=settings.AWS_REGION),
                arn=arn,
                worker="lake",
                take=lambda records, shard_id: self.lake.append(records, stream=arn, source=shard_id),
            )
        try:
            found = self.poller.poll() > 0
        except LakeAway as fault:
            if str(fault) != self.said:  # once, not with every try
                log.error("%s", fault)
            self.said = str(fault)
            raise
        self.said = ""
        return found


class Sweep:
    """Now and then looks for entries of the audit log that the stream never brought, first at the start."""

    def __init__(self) -> None:
        self.due: datetime | None = None

    def step(self) -> bool:
        """Whether any was found."""
        if self.due is not None and study.now() < self.due:
            return False
        sealed = stream.sweep()
        self.due = study.now() + BETWEEN_SWEEPS
        if sealed:
            log.info("sealed %d entries of the audit log that the stream had not brought", sealed)
        return sealed > 0
