"""Whether the worker runs, how far each duty is, and what it passed over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sessions_app import study
from sessions_app.domain.models import DutyState, WorkerHeartbeat
from sessions_app.domain.stream_worker import dead_letters
from sessions_app.domain.stream_worker import status as worker_status


class Command(BaseCommand):
    help = (
        "Prints the running workers, their duties, the age of the statistics and the dead letters; exits 1 "
        "when no worker runs, a duty fails, the statistics are late, or a dead letter is open."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        status = worker_status.read(study.now())
        for line in _lines(status):
            self.stdout.write(line)
        if not status.is_well:
            raise CommandError("the worker needs attention; see docs/operations.md")


def _lines(status: worker_status.Status) -> Iterator[str]:
    for worker in status.running:
        yield from _of_worker(worker, status.now)
    if not status.running:
        last = status.workers[0].beat_at if status.workers else None
        yield f"no worker runs; last heartbeat {_age(last, status.now)}"
    yield f"statistics as of {_moment(status.as_of())} ({_age(status.as_of(), status.now)})"
    yield f"dead letters: {status.letters}"
    for letter in dead_letters.open_letters()[:20]:
        record = f"{letter.record_pk} / {letter.record_sk}"
        yield f"  {letter.duty}: {record}: {letter.reason} (tries: {letter.tries})"


def _of_worker(worker: WorkerHeartbeat, now: datetime) -> Iterator[str]:
    started, beat = _moment(worker.started_at), _age(worker.beat_at, now)
    yield f"worker {worker.worker}, started {started}, last heartbeat {beat}"
    for state in worker.duties:
        yield f"  {state.name}: {_state(state, now)}"


def _state(state: DutyState, now: datetime) -> str:
    if state.failing_since:
        return f"fails since {_moment(state.failing_since)} ({state.error})"
    return f"last done {_age(state.done_at, now)}"


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else "unknown"


def _age(at: datetime | None, now: datetime) -> str:
    return f"{max((now - at).total_seconds(), 0):.0f} s ago" if at else "never"
