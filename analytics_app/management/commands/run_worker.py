"""The work that no request waits for: grading, statistics from the table's stream, seals, lake, exports."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from pynamodb.exceptions import PynamoDBException

from analytics_app.export.worker import Exporter
from analytics_app.lake import configuration
from analytics_app.lake.storage import LakeAway
from analytics_app.lake.write import Lake
from analytics_app.statistics import rebuild
from analytics_app.statistics.erasures import Erasures
from analytics_app.streams import adoption, dispatch
from sessions_app import study
from sessions_app.access import accounts
from sessions_app.domain import study_settings
from sessions_app.domain.audit.published_heads import PublicationAway
from sessions_app.domain.audit.seal_keys import BadSealKey
from sessions_app.domain.grading import automated as automated_scoring
from sessions_app.domain.models import DutyState, GradingTask, Session, WorkerHeartbeat
from sessions_app.domain.session import abandoned
from sessions_app.domain.store import keys, table
from sessions_app.domain.stream_worker import dead_letters

log = logging.getLogger("worker")

IDLE_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 30.0
MAX_RETRY_DELAY = timedelta(hours=1)
BETWEEN_SWEEPS = timedelta(hours=1)
BETWEEN_NOTES = timedelta(minutes=1)
MAX_DAYS_BACK, DAYS_BACK = 100, 2

HEARTBEAT = "heartbeat"
BEAT_SECONDS = 15.0
RETRY_SECONDS = 30.0
FORGOTTEN_AFTER = timedelta(days=1)
TRIES_BEFORE_LETTER = 3

Step = Callable[[], bool]
"""One piece of work; whether there was any."""


class Duty(Protocol):
    def step(self) -> bool: ...


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
        accounts.refuse_demo_accounts()
        sealing: Sealing | None = None
        duties: dict[str, Duty] = {"grading": Grader(), "settings": Settings()}
        if not no_stream:
            require_seal_key()
            duties["statistics"] = Statistics()
            duties["sealing"] = sealing = Sealing()
            duties["retries"] = Retries()
            if settings.LAKE_URL:
                duties["lake"] = LakeWriter(configuration.lake())
        if settings.ABANDON_AFTER_HOURS:
            duties["sessions left behind"] = LeftBehind()
        stopping = threading.Event()
        duties["exports"] = Exporter(stopping)
        duties["erasures"] = Erasures()
        if once:
            drain([duty.step for duty in duties.values()])
            if sealing:
                sealing.end()
            return
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopping.set())
        log.info("working: %s", ", ".join(duties))
        work_until(stopping, duties)
        if sealing:
            sealing.end()
        log.info("stopped")


def require_seal_key() -> None:
    """Raises CommandError in production without a key, and everywhere with one that anybody could guess."""
    try:
        has_key = dispatch.signing() is not None
    except BadSealKey as error:
        raise CommandError(f"{error}") from None
    if settings.IN_PRODUCTION and not has_key:
        raise CommandError(
            "AUDIT_SEAL_KEY is missing: the worker signs the audit log with it. Set it for the worker alone "
            "(docs/operations.md), or use --no-stream where the functions of infra/template.yaml seal."
        )


def drain(steps: list[Step]) -> None:
    """Until no duty finds anything: what one does can be work for another."""
    while True:
        found = [step() for step in steps]
        if not any(found):
            return


def work_until(stopping: threading.Event, duties: dict[str, Duty]) -> None:
    """Each duty in a thread of its own: a slow tutor must not hold up the statistics."""
    pulse = Pulse(duties)
    steps: dict[str, Step] = {name: duty.step for name, duty in duties.items()}
    threads = [
        threading.Thread(target=keep_doing, args=(name, step, stopping, pulse), name=name, daemon=True)
        for name, step in {**steps, HEARTBEAT: pulse.step}.items()
    ]
    for thread in threads:
        thread.start()
    while not stopping.wait(0.5):  # short, so that a signal is seen soon
        pass
    for thread in threads:
        thread.join(timeout=10)  # a piece of work cut off here is done again at the next start


def keep_doing(name: str, step: Step, stopping: threading.Event, pulse: Pulse | None = None) -> None:
    """Work, rest while there is none, and wait ever longer while it fails; outages are said once."""
    failures = 0
    pulse = pulse or Pulse({})
    while not stopping.is_set():
        try:
            busy = step()
        except Exception as error:
            failures += 1
            pulse.note(name, error)
            if failures == 1:
                log.warning("%s waits: %s", name, type(error).__name__)
            stopping.wait(min(2.0 ** (failures - 1), MAX_BACKOFF_SECONDS))
            continue
        pulse.note(name)
        if failures:
            log.info("%s goes on", name)
            failures = 0
        if not busy:
            stopping.wait(IDLE_SECONDS)


class Pulse:
    """Tells the table every 15 seconds that this worker runs, and how its duties are."""

    def __init__(self, duties: Mapping[str, Duty]) -> None:
        self.duties = duties
        self.states: dict[str, dict[str, Any]] = {}
        self.name = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{socket.gethostname()[:40]}-{os.getpid()}")
        self.started_at = study.now()
        self.next_beat = float("-inf")
        self.lock = threading.Lock()

    def note(self, duty: str, error: Exception | None = None) -> None:
        """The end of a duty's step."""
        with self.lock:
            state = self.states.setdefault(duty, {})
            if error is None:
                state.update(done_at=study.now(), failing_since=None, error=None)
            else:
                state["failing_since"] = state.get("failing_since") or study.now()
                state["error"] = type(error).__name__

    def step(self) -> bool:
        """False: a heartbeat is no work that another duty could find something after."""
        if time.monotonic() < self.next_beat:
            return False
        if self.next_beat < 0:
            self._forget_the_dead()
        self._heartbeat().save()  # all our own: nothing unknown on it to lose
        self.next_beat = time.monotonic() + BEAT_SECONDS
        return False

    def _heartbeat(self) -> WorkerHeartbeat:
        with self.lock:
            states = [
                DutyState(name=name, as_of=self._as_of(name), **state)
                for name, state in sorted(self.states.items())
                if name in self.duties
            ]
        return WorkerHeartbeat(
            PK=keys.HEARTBEATS,
            SK=keys.heartbeat(self.name),
            worker=self.name,
            started_at=self.started_at,
            beat_at=study.now(),
            duties=states,
        )

    def _as_of(self, name: str) -> datetime | None:
        poller: dispatch.Poller | None = getattr(self.duties[name], "poller", None)
        return poller.as_of if poller else None

    def _forget_the_dead(self) -> None:
        for known in WorkerHeartbeat.all():
            if known.beat_at < study.now() - FORGOTTEN_AFTER:
                known.delete()


class Retries:
    """Now and then tries the records with dead letters again, each at its time."""

    def __init__(self) -> None:
        self.next = float("-inf")

    def step(self) -> bool:
        """Whether any letter was cleared."""
        if time.monotonic() < self.next:
            return False
        cleared = dispatch.retry_due(study.now())
        self.next = time.monotonic() + RETRY_SECONDS
        if cleared:
            log.info("%d records with a dead letter could be processed now", cleared)
        return cleared > 0


class Grader:
    """Works on the queue of answers. A task that fails in an unforeseen way rests, and others go on."""

    def __init__(self) -> None:
        self.resting: dict[str, tuple[int, datetime]] = {}

    def step(self) -> bool:
        """Whether any task was done."""
        done = [self._work(task) for task in automated_scoring.due(study.now()) if self._is_rested(task)]
        return any(done)

    def _is_rested(self, task: GradingTask) -> bool:
        return task.SK not in self.resting or self.resting[task.SK][1] <= study.now()

    def _work(self, task: GradingTask) -> bool:
        try:
            done = automated_scoring.work(task, package=study.package(), tutor=study.tutor(), now=study.now())
        except Exception as error:
            if dead_letters.is_transient(error):
                raise  # the table is away: everything waits
            log.error("grading %s of session %s failed: %s", task.what, task.session_id, type(error).__name__)
            self._rest(task, error)
            return False
        if self.resting.pop(task.SK, (0, None))[0] >= TRIES_BEFORE_LETTER:
            dead_letters.clear("grading", task.PK, task.SK)
        return done

    def _rest(self, task: GradingTask, error: Exception) -> None:
        times = self.resting.get(task.SK, (0, study.now()))[0] + 1
        wait = min(timedelta(seconds=30) * 2 ** min(times - 1, 12), MAX_RETRY_DELAY)
        self.resting[task.SK] = (times, study.now() + wait)
        if times >= TRIES_BEFORE_LETTER:
            dead_letters.write("grading", task.PK, task.SK, error, now=study.now(), may_retry=False)


class Settings:
    """Once after the start: what the study runs with is in the audit log where it changed."""

    def __init__(self) -> None:
        self.is_recorded = False

    def step(self) -> bool:
        """Whether anything had changed."""
        if self.is_recorded:
            return False
        changed = study_settings.record_changes(study.settings_in_force(), now=study.now())
        self.is_recorded = True
        if changed:
            log.info("recorded changed settings: %s", ", ".join(changed))
        return bool(changed)


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
            closed += self._close(session, now, after)
        self.next = now + BETWEEN_SWEEPS
        if closed:
            log.info("closed %s sessions that were left behind", closed)
        return closed > 0

    def _close(self, session: Session, now: datetime, after: timedelta) -> bool:
        """One that cannot be closed holds up no other."""
        session_id = str(session.PK).removeprefix(keys.SESSION_PREFIX)
        try:
            closed = abandoned.close(session_id, now=now, after=after)
        except Exception as error:
            if dead_letters.is_transient(error):
                raise
            dead_letters.write("abandoned", session.PK, session.SK, error, now=now, may_retry=False)
            return False
        dispatch.settled("abandoned", session.PK, session.SK)
        return closed


class Statistics:
    """Follows the table's stream. It is looked up at the first step: the table may be away at the start."""

    def __init__(self) -> None:
        self.poller: dispatch.Poller | None = None

    def step(self) -> bool:
        """Whether the stream held anything."""
        if self.poller is None:
            arn = stream_arn()
            migrate()
            self.poller = dispatch.Poller(
                client=dispatch.connect(region=settings.AWS_REGION), arn=arn, take=adoption.take
            )
        return self.poller.poll() > 0


def migrate() -> None:
    """Statistics that an older version stored in other units are counted anew before any is moved."""
    if not rebuild.is_outdated():
        return
    log.info("the statistics have an older layout: they are rebuilt")
    try:
        call_command("rebuild_statistics", no_stream=True, quiet=True)
    except CommandError as error:
        log.error("%s", error)


def stream_arn() -> str:
    return dispatch.stream_of(table.connect(region=settings.AWS_REGION), settings.SOCRATIC_TABLE)


class LakeWriter:
    """Follows the stream too, with checkpoints of its own: it stops where the lake stops, alone."""

    def __init__(self, lake: Lake) -> None:
        self.lake = replace(lake, on_poison=self._note_poison)
        self.poller: dispatch.Poller | None = None
        self.said = ""
        self.poison: set[tuple[str, str]] = set()

    def step(self) -> bool:
        """Whether the stream held anything."""
        if self.poller is None:
            self.poller = dispatch.Poller(
                client=dispatch.connect(region=settings.AWS_REGION),
                arn=stream_arn(),
                worker="lake",
                take=self._append,
                waits_for=(LakeAway,),
            )
        try:
            found = self.poller.poll() > 0
        except LakeAway as error:
            if str(error) != self.said:  # once, not with every try
                log.error("%s", error)
            self.said = str(error)
            raise
        self.said = ""
        return found

    def _append(self, records: list[dict[str, Any]], shard_id: str) -> None:
        """A record that could be converted clears the dead letter of an older version of it."""
        assert self.poller is not None  # noqa: S101  for the type checker: the poller calls this
        self.poison.clear()
        self.lake.append(records, stream=self.poller.arn, source=shard_id)
        for pk, sk in {_key_of(record) for record in records} - self.poison:
            dispatch.settled("lake", pk, sk)

    def _note_poison(self, record: Mapping[str, Any], error: Exception) -> None:
        pk, sk = _key_of(record)
        self.poison.add((pk, sk))
        dispatch.give_up("lake", pk, sk, error, may_retry=False)


def _key_of(record: Mapping[str, Any]) -> tuple[str, str]:
    at = record["dynamodb"]["Keys"]
    return at["PK"]["S"], at["SK"]["S"]


class Sealing:
    """Beside the stream: notes that the sealer is at work, looks for entries of the audit log that the stream
    never brought, first at the start, and for dead letters of records that are gone; publishes the head once
    a day and at the end."""

    def __init__(self) -> None:
        self.noted: datetime | None = None
        self.swept: datetime | None = None

    def step(self) -> bool:
        """Whether any entry was found."""
        now = study.now()
        if self.noted is None or now - self.noted >= BETWEEN_NOTES:
            dispatch.at_work()
            self.noted = now
        if self.swept is not None and now - self.swept < BETWEEN_SWEEPS:
            return False
        sealed = dispatch.sweep()
        dead_letters.forget_gone()
        dispatch.publish_head(settings.AUDIT_HEAD_URL)
        self.swept = now
        if sealed:
            log.info("sealed %d entries of the audit log that the stream had not brought", sealed)
        return sealed > 0

    def end(self) -> None:
        """Publish how the log stands at the end of the work."""
        try:
            dispatch.publish_head(settings.AUDIT_HEAD_URL, at_once=True)
        except (PublicationAway, PynamoDBException) as error:
            log.error("the head of the audit log was not published: %s", error)
