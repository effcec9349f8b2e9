"""/exports/: who may ask for what, what the list says, and who gets the file."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import threading
import zipfile
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pynamodb.exceptions import PutError

from analytics_app.export import request as export_request
from analytics_app.export.worker import Exporter
from sessions_app import study
from sessions_app.domain import export_jobs
from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.models import AuditEntry, ExportJob
from sessions_app.domain.participants import erasure
from sessions_app.domain.store import keys
from support.cast import signed_in, store_away
from tests.analytics import cohort
from tests.analytics.export import participants
from tests.analytics.export.participants import profile, took_part

pytestmark = pytest.mark.django_db

NOW = cohort.NOON + timedelta(days=3)
ADMIN = Actor("a-admin", "admin")
HTMX = {"HX-Request": "true"}


@pytest.fixture
def table(fresh_queue: str) -> str:
    return fresh_queue


@pytest.fixture(scope="module", autouse=True)
def some(module_table: str) -> None:
    for consent in ({}, {"data_sharing_consent": False}):
        student = profile(**consent)
        participants.store((student, took_part(student)))


@pytest.fixture(autouse=True)
def clock(table: str, var: Path, monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    moment = [NOW]
    monkeypatch.setattr(study, "now", lambda: moment[0])
    return moment


def text(response: Any) -> str:
    return unescape(re.sub(r"\s+", " ", response.content.decode()))


def asked(client: Client, **changes: Any) -> Any:
    """The form as the page gives it, with changes."""
    page = client.get("/exports/").content.decode()
    export_id = re.search(r'name="export_id" value="([^"]+)"', page)
    assert export_id
    told = {"export_id": export_id[1], "profile": "coded", "levels": ["sessions"]}
    return client.post("/exports/", {**told, **changes})


def jobs() -> list[ExportJob]:
    return list(export_jobs.jobs())


def work() -> None:
    Exporter(threading.Event()).step()


def ready(client: Client, **changes: Any) -> ExportJob:
    assert asked(client, **changes).status_code == 302
    work()
    return jobs()[0]


def download(client: Client, job: ExportJob) -> Any:
    """The response; of a file its bytes are in `whole`."""
    response: Any = client.get(f"/exports/{job.export_id}/download/")
    response.whole = b"".join(response.streaming_content) if response.streaming else b""
    response.close()
    return response


# --- asking


@pytest.mark.parametrize(
    ("role", "status"), [("researcher", 200), ("admin", 200), ("facilitator", 403), ("irb", 403)]
)
def test_it_is_for_researchers_and_admins(role: str, status: int) -> None:
    client = signed_in(role)
    assert client.get("/exports/").status_code == status
    missing = client.get("/exports/20251026T120000Z-00000000/download/")
    assert missing.status_code == (404 if status == 200 else 403)


def test_what_is_asked_for_waits_for_the_worker_and_is_listed() -> None:
    client = signed_in("researcher")
    response = asked(client, location="on-site", start="2025-10-01", end="2025-10-31", labels="on")
    assert (response.status_code, response["Location"]) == (302, "/exports/")
    (job,) = jobs()
    assert (job.state, job.asked_by, job.profile) == ("waiting", "a-researcher", "coded")
    assert job.filters.conditions == [cell.code for cell in keys.CONDITIONS if cell.location == "on-site"]
    assert (job.filters.start, job.filters.end, job.filters.labels) == ("2025-10-01", "2025-10-31", True)
    assert "2025-10-01 to 2025-10-31" in text(client.get("/exports/"))


def test_sent_twice_it_is_asked_for_once() -> None:
    client = signed_in("researcher")
    sent = {"export_id": "20251026T120000Z-0123abcd", "profile": "coded"}
    for _ in range(2):
        client.post("/exports/", sent)
    assert len(jobs()) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": "2026-03-02", "end": "2026-03-01"}, "The last day lies before the first."),
        ({"start": "yesterday"}, "Write a day like 2026-03-01."),
        ({"location": "moon"}, "This is not one of the choices."),
        ({"levels": ["secrets"]}, "This is not one of the choices."),
        ({"profile": "full"}, "This is not one of the choices."),
        ({"profile": "public", "start": "2026-03-01"}, "A public export is of the whole study"),
        ({"profile": ""}, "Please choose one."),
        ({"export_id": "../../etc/passwd"}, "Enter a valid value"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_asked(changes: dict[str, Any], message: str) -> None:
    response = asked(signed_in("researcher"), **changes)
    assert response.status_code == 422
    assert message in text(response)
    assert jobs() == []


def test_everything_needs_an_admin_and_a_reason() -> None:
    assert "Full: everything" not in text(signed_in("researcher").get("/exports/"))
    admin = signed_in("admin")
    assert "Say why the coded data are not enough." in text(asked(admin, profile="full"))
    assert asked(admin, profile="full", reason="audit of consents").status_code == 302
    assert jobs()[0].reason == "audit of consents"


# --- looking


def test_the_list_looks_again_only_while_something_is_being_made() -> None:
    client = signed_in("researcher")
    asked(client)
    job = jobs()[0]
    assert export_jobs.claim(job, now=NOW)
    export_jobs.seen(job, done=30, total=120, now=NOW)
    part = client.get("/exports/", headers=HTMX)
    assert "<html" not in part.content.decode()
    assert "HX-Request" in part["Vary"]
    assert 'hx-trigger="every 3s"' in part.content.decode()
    assert '<progress class="bar" value="30" max="120"' in part.content.decode()
    export_jobs.release(job, now=NOW, counts=False)
    work()
    assert "hx-trigger" not in client.get("/exports/", headers=HTMX).content.decode()


def test_a_finished_export_says_what_is_in_it_and_what_is_not() -> None:
    client = signed_in("researcher")
    job = ready(client)
    shown = text(client.get("/exports/"))
    assert "1 not shared" in shown
    assert job.file.sha256 in shown
    assert f"/exports/{job.export_id}/download/" in shown


def test_while_the_table_is_away_the_list_stays_as_it_was() -> None:
    client = signed_in("researcher")
    with store_away():
        response = client.get("/exports/", headers=HTMX)
    assert (response.status_code, response.content) == (503, b"")


# --- having


def test_the_owner_gets_the_very_file_and_the_log_tells_of_it() -> None:
    client = signed_in("researcher")
    job = ready(client)
    response = download(client, job)
    assert response["Content-Disposition"] == f'attachment; filename="{job.file.name}"'
    assert "no-store" in response["Cache-Control"]
    with zipfile.ZipFile(io.BytesIO(response.whole)) as archive:
        assert archive.testzip() is None
        assert "parquet/sessions.parquet" in archive.namelist()
    told = [e for e in AuditEntry.exports(NOW) if isinstance(e, AuditEntry) and e.subject == job.file.name]
    assert {(entry.new["step"], entry.by) for entry in told} == {
        ("finished", "system"),
        ("downloaded", "a-researcher"),
    }


def test_others_do_not_get_it_but_an_admin_does() -> None:
    job = ready(signed_in("researcher"))
    other = signed_in("researcher")
    user = other.get("/exports/").wsgi_request.user
    user.username = "naomi"
    user.save()
    assert download(other, job).status_code == 403
    assert f"/exports/{job.export_id}/download/" not in text(other.get("/exports/"))
    assert download(signed_in("admin"), job).status_code == 200


def test_no_byte_leaves_while_the_log_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in("researcher")
    job = ready(client)

    def away(*_: Any, **__: Any) -> None:
        raise PutError("the log is away")

    monkeypatch.setattr(audit_log, "record", away)
    client.raise_request_exception = False
    response = download(client, job)
    assert response.status_code >= 500
    assert b"PK" not in response.content[:2]


def test_after_its_time_it_is_gone(clock: list[datetime]) -> None:
    client = signed_in("researcher")
    job = ready(client)
    clock[0] += timedelta(hours=72)
    response = download(client, job)
    assert response.status_code == 410
    assert "The time to download this export is over." in text(response)
    assert "expired" in text(client.get("/exports/"))


def test_after_an_erasure_it_is_to_be_destroyed(clock: list[datetime]) -> None:
    client = signed_in("researcher")
    job = ready(client)
    erasure.bury(cohort.new_id(), by=ADMIN, now=NOW)
    response = download(client, job)
    assert response.status_code == 410
    assert "Delete every copy" in text(response)
    assert "to be deleted" in text(client.get("/exports/"))


def test_a_file_that_is_not_here_is_said() -> None:
    client = signed_in("researcher")
    job = ready(client)
    export_request.path_of(job).unlink()
    assert "not on this machine" in text(download(client, job))


def test_the_pages_load_nothing_heavy() -> None:
    program = (
        "import django; django.setup(); import analytics_app.urls, sys; "
        "print([name for name in ('pyarrow', 'pandas', 'numpy') if name in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True)
    assert ran.stdout.strip() == "[]", ran.stderr
