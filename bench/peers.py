"""The same pages by others, on the same machine and in the same run: Django's admin, and dynamodb-admin.

Asked in turn, so that whatever else the machine does falls on all alike.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from sessions_app.domain.models import Session
from socratic_site.local import child_process, files, supervisor
from socratic_site.local.dynamodb_local import free_port

from .browsing import Browser, Log
from .environment import Bench
from .results import Figure, Outcome, Table
from .site import Site, at_once, folder_of, signed_in

PEER: Final = "dynamodb-admin"
PEER_VERSION: Final = "5.3.3"
KEPT: Final = files.BASE / "var" / "bench" / "peers"  # fetched once, beside what git ignores
LOCATION: Final = "classroom"
PATIENCE: Final = 90  # seconds for npm
PASSES: Final = 4  # browsers at once
COLUMNS: Final = ("page", "n", "p50 ms", "p95 ms", "p99 ms", "most ms", "errors")
TABLES: Final = """
CREATE TABLE session (session_id TEXT PRIMARY KEY, started TEXT, student_code TEXT, condition TEXT,
  location TEXT, state TEXT, seconds INTEGER, flags TEXT);
CREATE INDEX session_place ON session (location, started);
CREATE TABLE part (id INTEGER PRIMARY KEY, session_id TEXT, sort_key TEXT, entity_type TEXT, item TEXT);
CREATE INDEX part_session ON part (session_id);
"""
ADMIN: Final = """
import os
from django.core.management import call_command
from bench.admin_site import application
from django.contrib.auth.models import User
call_command("migrate", verbosity=0)
User.objects.create_superuser("bench", password=os.environ["ADMIN_PASSWORD"])
"""


class NotThere(Exception):
    """A peer that could not be had; the message says why."""


def compared(bench: Bench, running: Site) -> Outcome:
    session = next(_sessions())
    log = Log()
    with _admin(bench, running) as admin, _peer(bench, running) as (peer, why):
        asked = _pages(running, log, str(session.session_id), admin, peer)
        passes = bench.pick(3, 25)
        with bench.bar(passes, "the same pages by others", "pass") as bar:
            for _ in range(passes):
                for turn in asked:
                    at_once(lambda call: call(), turn)
                bar.update()
    return _outcome(log, why)


def _pages(
    running: Site, log: Log, session: str, admin: tuple[int, str], peer: int | None
) -> list[list[Callable[[], Any]]]:
    """One list of callers at once for each page."""
    ours = [signed_in(running.port, "researcher") for _ in range(PASSES)]
    port, password = admin
    theirs = [_signed_in_to_admin(port, password) for _ in range(PASSES)]
    pages = [
        (ours, f"/sessions/?place={LOCATION}&realm=simulated", "list of sessions, ours"),
        (theirs, f"/admin/auth/session/?location={LOCATION}", "list of sessions, Django admin"),
        (ours, f"/sessions/{session}/", "a session, ours"),
        (theirs, f"/admin/auth/session/{session}/change/", "a session, Django admin"),
        (ours, "/records/session/?by=condition&condition=L3-I1-D", "records of the table, ours"),
    ]
    if peer is not None:
        pages.append(
            ([Browser(peer) for _ in range(PASSES)], f"/tables/{running.table}", f"table view, {PEER}")
        )
    for browsers, path, _ in pages:
        for browser in browsers:
            browser.fetch("GET", path, "warming up")
    for browser in {id(browser): browser for browsers, *_ in pages for browser in browsers}.values():
        browser.log = log
    return [[_call(browser, path, kind) for browser in browsers] for browsers, path, kind in pages]


def _call(browser: Browser, path: str, kind: str) -> Callable[[], Any]:
    return lambda: browser.fetch("GET", path, kind)


# --- Django's admin


@contextmanager
def _admin(bench: Bench, running: Site) -> Iterator[tuple[int, str]]:
    """Its port and password; served as ours is."""
    folder, port, password = folder_of(bench, "admin"), free_port(), "a-password-for-a-minute"
    environment = {
        **running.environment,
        "ADMIN_FOLDER": str(folder),
        "ADMIN_PASSWORD": password,
        "PYTHONPATH": str(files.BASE),
    }
    _fill(folder / "admin.sqlite3")
    subprocess.run([sys.executable, "-c", ADMIN], env=environment, cwd=files.BASE, check=True)
    ours = supervisor.web("127.0.0.1", port)
    command = [word.replace("socratic_site.wsgi", "bench.admin_site") for word in ours.command]
    child = child_process.spawn(command, log=folder / "web.log", environment=environment, cwd=files.BASE)
    try:
        _wait(f"http://127.0.0.1:{port}/admin/login/", child, folder / "web.log")
        yield port, password
    finally:
        child_process.stop(child)


def _fill(file: Path) -> None:
    """All sessions that the table holds, each with the other items of its partition."""
    with closing(sqlite3.connect(file)) as sql, sql:
        sql.executescript(TABLES)
        for session in _sessions():
            told = [
                str(session.session_id),
                session.timeline.session_start.isoformat(),
                session.student_code,
                session.condition.code,
                LOCATION,
                session.state,
                session.timeline.total_duration_seconds,
                ", ".join(session.metadata.data_quality_flags or []),
            ]
            sql.execute(f"INSERT INTO session VALUES ({', '.join('?' * len(told))})", told)  # noqa: S608
            for item in Session.whole(str(session.session_id)):
                raw = json.dumps(item.serialize())
                part = (told[0], str(item.SK), type(item).__name__, raw)
                sql.execute(
                    "INSERT INTO part (session_id, sort_key, entity_type, item) VALUES (?, ?, ?, ?)", part
                )


def _sessions() -> Iterator[Session]:
    return (item for item in Session.at_location(LOCATION) if isinstance(item, Session))


def _signed_in_to_admin(port: int, password: str) -> Browser:
    browser = Browser(port)
    page = browser.open("/admin/login/")
    form = next(form for form in page.forms if "password" in form.values)
    form.action = "/admin/login/?next=/admin/"
    browser.send(form, username="bench", password=password)
    if "sessionid" not in browser.cookies:
        raise RuntimeError("the bench could not sign in to the admin")
    return browser


# --- dynamodb-admin


@contextmanager
def _peer(bench: Bench, running: Site) -> Iterator[tuple[int | None, str]]:
    """Its port; or None, and why it is not there."""
    try:
        program = _fetched()
    except NotThere as error:
        yield None, str(error)
        return
    port, log = free_port(), bench.folder / "peer.log"
    node = shutil.which("node") or "node"
    environment = running.environment | {"DYNAMO_ENDPOINT": running.environment["AWS_ENDPOINT_URL_DYNAMODB"]}
    command = [node, str(program), "--host", "127.0.0.1", "--port", str(port)]
    child = child_process.spawn(command, log=log, environment=environment, cwd=bench.folder)
    try:
        _wait(f"http://127.0.0.1:{port}/", child, log)
        yield port, ""
    finally:
        child_process.stop(child)


def _fetched() -> Path:
    program = KEPT / "node_modules" / PEER / "dist" / "dynamodb-admin.js"
    if program.exists():
        return program
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotThere(f"{PEER} needs node and npm, which this machine does not have.")
    print(f"   fetching {PEER} {PEER_VERSION} (once) ...", file=sys.stderr, flush=True)
    KEPT.mkdir(parents=True, exist_ok=True)
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--fetch-retries=1"]
    try:
        subprocess.run(
            [npm, "install", "--prefix", str(KEPT), *quiet, f"{PEER}@{PEER_VERSION}"],
            check=True,
            timeout=PATIENCE,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NotThere(f"{PEER} could not be installed: {_told(error)}") from error
    return program


def _told(fault: Exception) -> str:
    if isinstance(fault, subprocess.TimeoutExpired):
        return f"npm had not done it after {PATIENCE} s."
    told = f"status {fault.returncode}" if isinstance(fault, subprocess.CalledProcessError) else str(fault)
    return f"npm ended with {told}. Is there a way to npm's packages?"


def _wait(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and child.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own address
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"{url} does not answer:\n{child_process.tail(log)}")


# --- figures


def _outcome(log: Log, why: str) -> Outcome:
    from .pages import percentile, row

    kinds = list(dict.fromkeys(look.kind for look in log.looks))
    looks = {kind: [look for look in log.looks if look.kind == kind] for kind in kinds}
    p95 = {kind: percentile((look.seconds for look in seen), 0.95) for kind, seen in looks.items()}
    pairs = [
        ("list of sessions, ours", "list of sessions, Django admin"),
        ("a session, ours", "a session, Django admin"),
        ("records of the table, ours", f"table view, {PEER}"),
    ]
    figures = [
        Figure(
            what=f"p95 of {ours}",
            value=round(p95[ours] / p95[theirs], 2),
            unit="x",
            beside=f"of {theirs.partition(', ')[2]}: {1000 * p95[ours]:.0f} and {1000 * p95[theirs]:.0f} ms",
        )
        for ours, theirs in pairs
        if theirs in p95
    ]
    note = (
        f"{PASSES} browsers at once, one page after another in turn, no other load; HTML without the files "
        "beside it. The admin has the rows in SQLite in the same folder, and the same gunicorn."
    )
    if not why:
        note += f" {PEER} {PEER_VERSION} reads the same table of the same engine."
    rows = [row(kind, seen) for kind, seen in looks.items()]
    table = Table(title="Beside others", columns=COLUMNS, rows=rows, note=note)
    return Outcome(figures, [table], [why] if why else [])
