"""Answers are graded and counted by the worker; outages and failing tasks do not stop it."""

import logging
import os
import signal
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from pynamodb.exceptions import QueryError

from analytics_app.management.commands import run_worker
from analytics_app.statistics import queries, rebuild
from sessions_app import study
from sessions_app.domain.grading import automated as automated_scoring
from sessions_app.domain.models import AuditEntry, GradingTask, Item
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from tests.analytics import cohort

ROOT = Path(__file__).parents[2]


@pytest.fixture
def table(own_table: str) -> str:
    """These tests follow the table's stream: it must hold nothing of others."""
    return own_table


def task(session_id: str = "s", what: str = "final") -> GradingTask:
    return GradingTask(
        PK=keys.GRADING_QUEUE,
        SK=keys.queued(cohort.NOON, session_id, what),
        session_id=session_id,
        what=what,
        queued_at=cohort.NOON,
        attempts=0,
        not_before=cohort.NOON,
    )


def test_answers_of_a_simulated_session_are_graded_and_counted(table: str) -> None:
    call_command("simulate", students=1, seed=3, condition="L1-I3-D", verbosity=0)
    call_command("run_worker", once=True)
    condition = keys.cell("L1-I3-D", "simulated")
    cell = rebuild.read(condition, rebuild.sessions_of(condition), lambda: None)
    assert list(rebuild.differences(cell)) == []
    (share,) = cell.shares.values()
    run = Run.load(share.session_id)
    assert list(Item.query(keys.GRADING_QUEUE)) == []
    if run.session.state == "completed":
        told = run.assessments["final"].learning_gain.absolute_gain
        assert queries.condition_figures(condition).gain.mean == pytest.approx(told)


def test_a_session_left_behind_is_closed_once_an_hour_at_most(
    table: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ABANDON_AFTER_HOURS = 24
    old = cohort.session(state="running", start=cohort.NOON)
    old.save()
    monkeypatch.setattr(study, "now", lambda: cohort.NOON + timedelta(days=20))
    duty = run_worker.LeftBehind()
    assert duty.step() is True
    assert Run.load(old.session_id).session.state == "abandoned"
    assert duty.next == cohort.NOON + timedelta(days=20, hours=1)
    monkeypatch.setattr(run_worker.abandoned, "left_behind", lambda **told: pytest.fail("looked again"))
    assert duty.step() is False


def test_an_old_session_that_a_late_answer_opened_is_closed_again_within_a_day(
    table: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ABANDON_AFTER_HOURS = 24
    duty = run_worker.LeftBehind()
    noon = cohort.NOON + timedelta(days=20)
    monkeypatch.setattr(study, "now", lambda: noon)
    assert duty.step() is False
    old = cohort.session(state="running", start=cohort.NOON)
    old.save()
    for hours, closed in ((2, False), (11, False), (13, True)):
        monkeypatch.setattr(study, "now", lambda hours=hours: noon + timedelta(hours=hours))
        assert duty.step() is closed


def test_once_with_nothing_to_do_ends_and_records_settings_and_forms(table: str) -> None:
    call_command("run_worker", once=True)
    entries = [item for item in AuditEntry.on_day(study.now().date()) if isinstance(item, AuditEntry)]
    assert {entry.action for entry in entries} == {"setting.change", "form.publish"}


def test_without_stream_nothing_is_counted(table: str) -> None:
    items = cohort.whole()
    cohort.store(*items)
    call_command("run_worker", once=True, no_stream=True)
    assert cohort.figures_by_condition()[items[0].condition].sessions == 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The time that the worker sees, to be moved."""
    now = [cohort.NOON]
    monkeypatch.setattr(study, "now", lambda: now[0])
    return now


def test_a_failing_task_rests_while_others_go_on(
    monkeypatch: pytest.MonkeyPatch, clock: list[datetime], caplog: pytest.LogCaptureFixture
) -> None:
    worked = []

    def work(one: GradingTask, **_: Any) -> bool:
        worked.append(one.session_id)
        if one.session_id == "bad":
            raise KeyError("the student's secret words")
        return True

    monkeypatch.setattr(automated_scoring, "due", lambda now: iter([task("bad"), task("good")]))
    monkeypatch.setattr(automated_scoring, "work", work)
    grader = run_worker.Grader()
    assert grader.step() is True
    assert grader.step() is True
    assert worked == ["bad", "good", "good"]
    clock[0] += timedelta(seconds=31)
    grader.step()
    assert worked[3:] == ["bad", "good"]
    assert "bad" in caplog.text
    assert "KeyError" in caplog.text
    assert "secret" not in caplog.text


def test_a_task_that_has_to_wait_is_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automated_scoring, "due", lambda now: iter([task()]))
    monkeypatch.setattr(automated_scoring, "work", lambda *_, **__: False)
    assert run_worker.Grader().step() is False


def test_a_table_that_is_away_stops_the_round_not_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> bool:
        raise QueryError("away")

    monkeypatch.setattr(automated_scoring, "due", lambda now: iter([task()]))
    monkeypatch.setattr(automated_scoring, "work", away)
    grader = run_worker.Grader()
    with pytest.raises(QueryError):
        grader.step()
    assert grader.resting == {}


class Impatient(threading.Event):
    """Notes how long it was asked to wait, and does not."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return self.is_set()


def test_an_outage_is_said_once_and_waited_for_ever_longer(caplog: pytest.LogCaptureFixture) -> None:
    stopping, rounds = Impatient(), iter([1, 1, 1, 0])

    def step() -> bool:
        if next(rounds):
            raise QueryError("the address of the table")
        stopping.set()
        return True

    with caplog.at_level(logging.INFO):
        run_worker.keep_doing("grading", step, stopping)
    assert stopping.waits == [1, 2, 4]
    assert [record.getMessage() for record in caplog.records] == [
        "grading waits: QueryError",
        "grading goes on",
    ]


def test_a_worker_rests_only_when_there_was_nothing() -> None:
    stopping, rounds = Impatient(), iter([True, True, False])

    def step() -> bool:
        found = next(rounds)
        if not found:
            stopping.set()
        return found

    run_worker.keep_doing("grading", step, stopping)
    assert stopping.waits == [run_worker.IDLE_SECONDS]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_when_asked_to(table: str, number: signal.Signals) -> None:
    environment = os.environ | {"SOCRATIC_TABLE": table, "DJANGO_SETTINGS_MODULE": "socratic_site.settings"}
    worker = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "run_worker"],
        env=environment,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert worker.stderr is not None
    with worker.stderr:
        first = worker.stderr.readline()
        worker.send_signal(number)
        rest = worker.stderr.read()
    assert worker.wait(timeout=30) == 0
    assert "working: grading, settings, statistics" in first
    assert "stopped" in rest
    assert "Traceback" not in rest
