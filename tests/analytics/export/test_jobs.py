"""Exports in the background: claimed once, taken up again, taken back, and audited."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from analytics_app.export import bundle, worker, write
from analytics_app.export import request as export_request
from analytics_app.export.worker import Exporter, Stopping
from sessions_app import study
from sessions_app.domain import export_jobs
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.models import AuditEntry, ExportJob, InvalidField, Tombstone
from sessions_app.domain.participants import erasure, withdrawal
from sessions_app.domain.store import keys
from tests.analytics import cohort
from tests.analytics.export import participants
from tests.analytics.export.participants import profile, took_part
from tests.domain.cast import enrol

RESEARCHER, ADMIN = Actor("miriam", "researcher"), Actor("ada", "admin")
NOW = cohort.NOON + timedelta(days=3)
FILTERS = {"conditions": [], "levels": ["sessions"], "labels": False, "simulated": False}


@pytest.fixture
def table(fresh_queue: str) -> str:
    return fresh_queue


@pytest.fixture(scope="module", autouse=True)
def some(module_table: str) -> None:
    student = profile()
    participants.store((student, took_part(student)))


@pytest.fixture
def clock(table: str, var: Path, monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The moment that it is, to be moved on."""
    moment = [NOW]
    monkeypatch.setattr(study, "now", lambda: moment[0])
    return moment


def asked(by: Actor = RESEARCHER, **changes: Any) -> ExportJob:
    told: dict[str, Any] = {
        "export_id": keys.export_id(study.now(), cohort.new_id()[:8]),
        "profile": "coded",
        "filters": FILTERS,
        "reason": None,
        "by": by,
        "now": study.now(),
    }
    return export_jobs.ask(**{**told, **changes})


def again(job: ExportJob) -> ExportJob:
    return ExportJob.by_id(job.export_id)


def work() -> bool:
    return Exporter(threading.Event()).step()


def audited(job: ExportJob) -> list[tuple[str, str]]:
    """Action and step of each entry about the job."""
    found = AuditEntry.on_day(study.now().date())
    entries = [each for each in found if isinstance(each, AuditEntry) and job.export_id in str(each.subject)]
    return sorted((each.action, (each.new or {}).get("step", "")) for each in entries)


def files() -> list[str]:
    return sorted(each.name for each in export_request.folder().glob("*"))


# --- asking


def test_what_is_asked_twice_is_stored_once(clock: list[datetime]) -> None:
    job = asked()
    assert asked(export_id=job.export_id).asked_at == job.asked_at
    assert len(list(export_jobs.jobs())) == 1
    assert audited(job) == [("export.ask", "")]


@pytest.mark.parametrize("role", ["facilitator", "irb", "none"])
def test_no_other_role_can_ask(clock: list[datetime], role: str) -> None:
    with pytest.raises(export_jobs.NotAllowed):
        asked(Actor("somebody", role))
    assert list(export_jobs.jobs()) == []


def test_everything_is_for_an_admin_with_a_reason(clock: list[datetime]) -> None:
    with pytest.raises(export_jobs.NotAllowed, match="Only an admin"):
        asked(RESEARCHER, profile="full", reason="curious")
    with pytest.raises(InvalidField, match="reason"):
        asked(ADMIN, profile="full", reason=" ")
    assert (
        asked(ADMIN, profile="full", reason="an audit of the consents").reason == "an audit of the consents"
    )


# --- making


def test_a_worker_makes_the_file_and_the_job_tells_of_it(clock: list[datetime]) -> None:
    job = asked()
    assert work()
    done = again(job)
    assert (done.state, done.rows, done.excluded) == ("done", {"sessions": 1}, {})
    path = export_request.path_of(done)
    assert path.stat().st_mode & 0o777 == 0o600
    assert export_request.folder().stat().st_mode & 0o777 == 0o700
    assert write.sha256(path) == done.file.sha256
    assert done.file.size == path.stat().st_size
    assert done.expires_at == NOW + timedelta(hours=72)
    assert audited(job) == [("export", "finished"), ("export.ask", "")]
    assert not work()


def test_of_two_workers_one_gets_the_job(clock: list[datetime]) -> None:
    job = asked()
    one, other = again(job), again(job)
    assert [export_jobs.claim(one, now=NOW), export_jobs.claim(other, now=NOW)] == [True, False]
    assert again(job).claim.token == one.claim.token
    assert export_jobs.due(export_jobs.jobs(), now=NOW) == []


def test_what_a_dead_worker_left_is_taken_up_again(clock: list[datetime]) -> None:
    job = asked()
    dead = again(job)
    assert export_jobs.claim(dead, now=NOW)
    clock[0] = NOW + export_jobs.SILENCE - timedelta(seconds=1)
    assert not work()
    clock[0] = NOW + export_jobs.SILENCE
    assert work()
    assert (again(job).state, again(job).tries) == ("done", 2)


def test_who_lost_the_claim_leaves_no_file(clock: list[datetime]) -> None:
    slow = again(asked())
    export_jobs.claim(slow, now=NOW)
    clock[0] = NOW + export_jobs.SILENCE
    fast = again(slow)
    export_jobs.claim(fast, now=clock[0])
    with pytest.raises(export_jobs.LostClaim):
        worker.make(slow, lambda done, total: None)
    assert files() == []
    worker.make(fast, lambda done, total: None)
    assert files() == [export_request.name_of(fast)]


def test_a_sign_of_life_renews_the_claim_and_moves_the_bar(clock: list[datetime]) -> None:
    job = again(asked())
    export_jobs.claim(job, now=NOW)
    clock[0] = NOW + timedelta(seconds=90)
    times = iter([0.0, 1.0, 10.0, 10.0])
    tick = worker.signs(job, stopping=threading.Event(), clock=lambda: next(times))
    tick(1, 40)
    assert again(job).sessions_done == 0  # too soon after the last
    tick(20, 40)
    seen = again(job)
    assert (seen.sessions_done, seen.sessions_total, seen.claim.seen_at) == (20, 40, clock[0])


def test_a_worker_that_is_asked_to_end_gives_the_job_back(clock: list[datetime]) -> None:
    job, stopping = asked(), threading.Event()
    stopping.set()
    assert Exporter(stopping).step()
    assert (again(job).state, again(job).tries, files()) == ("waiting", 0, [])
    with pytest.raises(Stopping):
        worker.signs(job, stopping=stopping, clock=lambda: 0.0)(0, 1)
    assert work()
    assert again(job).state == "done"


def test_what_fails_in_an_unforeseen_way_is_tried_a_few_times(
    clock: list[datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(bundle, "build", broken)
    job = asked()
    for _ in range(export_jobs.MAX_TRIES):
        with pytest.raises(RuntimeError):
            work()
    assert not work()
    assert again(job).state == "failed"
    assert "begun 3 times" in again(job).fault


def test_a_disk_without_room_fails_the_job_with_its_reason(
    clock: list[datetime], settings: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    settings.EXPORT_DIR = str(tmp_path / "file")
    job = asked()
    assert work()
    assert again(job).state == "failed"
    assert "could not be written" in again(job).fault


# --- giving out, and taking back


def test_a_public_export_of_too_few_fails_and_says_what_to_do(clock: list[datetime]) -> None:
    job = asked(profile="public", filters={**FILTERS, "levels": []})
    assert work()
    failed = again(job)
    assert (failed.state, files()) == ("failed", [])
    assert "EXPORT_PUBLIC_K" in str(failed.fault)
    assert len(str(failed.fault)) < 500


def hand_out(job: ExportJob, *, by: Actor, now: datetime) -> None:
    export_jobs.may_hand_out(job, by=by, now=now)
    export_jobs.note_handed_out(job, by=by, now=now)


def done_job() -> ExportJob:
    job = asked()
    work()
    return again(job)


def test_every_download_is_told_before_it_begins(clock: list[datetime]) -> None:
    job = done_job()
    hand_out(job, by=RESEARCHER, now=clock[0])
    assert ("export", "downloaded") in audited(job)


def test_only_the_owner_and_an_admin_may_have_it(clock: list[datetime]) -> None:
    job = done_job()
    with pytest.raises(export_jobs.NotAllowed):
        hand_out(job, by=Actor("naomi", "researcher"), now=clock[0])
    hand_out(job, by=ADMIN, now=clock[0])
    with pytest.raises(export_jobs.NotAllowed):  # the account is no researcher any more
        hand_out(job, by=Actor("miriam", "facilitator"), now=clock[0])


def test_after_its_time_it_is_neither_given_out_nor_kept(clock: list[datetime]) -> None:
    job = done_job()
    clock[0] += timedelta(hours=72)
    with pytest.raises(export_jobs.NoLonger, match="time to download"):
        hand_out(job, by=RESEARCHER, now=clock[0])
    work()
    assert (again(job).state, files()) == ("expired", [])


def test_an_export_that_may_hold_an_erased_student_is_to_be_destroyed(clock: list[datetime]) -> None:
    student = enrol(now=cohort.NOON)
    job = done_job()
    clock[0] += timedelta(hours=1)
    tombstone: Tombstone = erasure.erase(
        student.student_id, by=ADMIN, reason="asked to", now=clock[0], wait=lambda _: None
    )
    assert any(job.file.name in line for line in tombstone.exports)
    with pytest.raises(export_jobs.NoLonger, match="Delete every copy"):
        hand_out(job, by=RESEARCHER, now=clock[0])
    work()
    assert (again(job).state, files()) == ("destroyed", [])
    clock[0] += timedelta(seconds=1)
    assert done_job().rows == {"sessions": 1}  # made afterwards it is as good as ever


def test_a_withdrawal_takes_back_what_was_exported_for_others(clock: list[datetime]) -> None:
    student = enrol(now=cohort.NOON)
    coded = done_job()
    full = asked(ADMIN, profile="full", reason="an audit of the consents")
    work()
    clock[0] += timedelta(hours=1)
    withdrawal.withdraw(student.student_id, keep=True, by=ADMIN, now=clock[0])
    with pytest.raises(export_jobs.NoLonger, match="left the study"):
        hand_out(coded, by=RESEARCHER, now=clock[0])
    work()
    assert (again(coded).state, again(full).state) == ("destroyed", "done")
    assert files() == [
        export_request.name_of(again(full))
    ]  # the study itself may keep what the family let it keep
    clock[0] += timedelta(seconds=1)
    hand_out(done_job(), by=RESEARCHER, now=clock[0])


def test_a_withdrawal_while_it_is_made_makes_it_begin_anew(clock: list[datetime]) -> None:
    student = enrol(now=cohort.NOON)
    job = again(asked())
    export_jobs.claim(job, now=NOW)
    withdrawal.withdraw(student.student_id, keep=True, by=ADMIN, now=NOW)
    with pytest.raises(export_jobs.Outdated):
        worker.make(job, lambda done, total: None)
    assert files() == []


def test_an_erasure_while_it_is_made_makes_it_begin_anew(clock: list[datetime]) -> None:
    job = again(asked())
    export_jobs.claim(job, now=NOW)
    erasure.bury(cohort.new_id(), by=ADMIN, now=NOW)
    with pytest.raises(export_jobs.Outdated):
        worker.make(job, lambda done, total: None)
    assert files() == []
    export_jobs.release(job, now=NOW, counts=False)
    clock[0] = NOW + timedelta(seconds=1)
    assert work()
    assert again(job).state == "done"
