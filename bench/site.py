"""The site as `make run` starts it, for parts that look at pages: web, worker, an engine and a slow model.

All on 127.0.0.1. The engine is one of their own, as each `make run` has it: it grows slower with all that
other parts ever stored in theirs.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sessions_app import study
from sessions_app.access import accounts
from sessions_app.domain.session.record import Run
from sessions_app.views.run import participant_links
from socratic_site.local import supervisor as local_supervisor
from socratic_site.local.dynamodb_local import engine_for_tests, free_port
from support.fake_anthropic import Answer, Body, FakeAnthropic, good

from .browsing import Browser
from .environment import Bench
from .study import Study

MODEL_SECONDS: Final = 8.0
STARTERS: Final = 4


@dataclass(frozen=True, slots=True)
class Site:
    port: int
    table: str
    fake: FakeAnthropic
    environment: dict[str, str]
    supervisor: local_supervisor.Supervisor

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


def slow(body: Body) -> Answer:
    time.sleep(MODEL_SECONDS)
    return good(body)


@contextmanager
def site(bench: Bench, *, rows: int) -> Iterator[Site]:
    """With `rows` completed sessions of the last weeks in the table.

    The engine has the keys of the bench's own: boto3 keeps those that it has seen first.
    """
    from django.conf import settings

    port, folder = free_port(), bench.folder / f"site-{secrets.token_hex(4)}"
    with (
        engine_for_tests(folder, credentials=bench.engine.credentials) as engine,
        _led_to(engine.environment),
        FakeAnthropic(default=slow) as fake,
        bench.table(stream=True) as table,
    ):
        Study.begin(bench, table, whole=True).grow_to(rows)
        url = f"http://127.0.0.1:{port}/"
        environment = local_supervisor.environment_of(
            engine, var=folder / "var", host="127.0.0.1", url=url
        ) | {
            "SOCRATIC_TABLE": table,
            "SECRET_KEY": settings.SECRET_KEY,
            "ANTHROPIC_BASE_URL": fake.url,
            "ANTHROPIC_API_KEY": "a-key-for-nobody",
        }
        supervisor = local_supervisor.Supervisor(environment=environment, logs=folder / "log")
        try:
            for program in local_supervisor.lasting_programs("127.0.0.1", port, folder / "var"):
                supervisor.start(program)
            local_supervisor.wait_until_ready(supervisor, url)
            yield Site(port, table, fake, environment, supervisor)
            supervisor.raise_if_ended()
        finally:
            supervisor.stop()


@contextmanager
def _led_to(environment: dict[str, str]) -> Iterator[None]:
    """All clients of this process go to another engine meanwhile."""
    before = {name: os.environ[name] for name in environment}
    os.environ |= environment
    try:
        yield
    finally:
        os.environ |= before


# --- people


def signed_in(port: int, role: str, *, schools: tuple[str, ...] = ()) -> Browser:
    """A browser in which a new member of staff has signed in, through the form."""
    from support.cast import belong

    name, password = f"{role}-{secrets.token_hex(4)}", accounts.new_password()
    user, _ = accounts.ensure_account(username=name, role=role, password=password)
    belong(user, *schools)
    browser = Browser(port)
    page = browser.open("/login/")
    form = next(form for form in page.forms if "password" in form.values)
    browser.send(form, username=name, password=password)
    if "sessionid" not in browser.cookies:
        raise RuntimeError(f"{role} could not sign in")
    return browser


def link_to(session: Run) -> str:
    """The address by which a participant's own device does this session."""
    from datetime import timedelta

    from sessions_app.domain.audit.log import Actor
    from sessions_app.domain.session import devices, location_check

    token = participant_links.new_token(session.id)
    devices.make_link(
        session,
        token_sha256=location_check.token_hash(token),
        lifetime=timedelta(hours=12),
        by=Actor("bench", "facilitator"),
        now=study.now(),
    )
    return f"/join/{token}/"


def joined(port: int, link: str) -> Browser:
    """A browser bound to the session, which has not looked at its page yet: that look has a question made."""
    browser = Browser(port)
    form = browser.open(link).form()
    browser.fetch("POST", form.action, "joining", form.filled({}))
    return browser


def at_once(call: Any, arguments: Any) -> list[Any]:
    with ThreadPoolExecutor(STARTERS) as pool:
        return list(pool.map(call, arguments))


def folder_of(bench: Bench, name: str) -> Path:
    folder = bench.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
