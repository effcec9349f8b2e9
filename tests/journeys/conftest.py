"""The application as `make run` starts it, with a model on loopback and short segments, and a browser."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import uuid
import wave
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

from sessions_app.access.roles import SITE_PREFIX
from sessions_app.domain.content import captions
from sessions_app.domain.content import package as content
from sessions_app.domain.content.captions import Caption
from sessions_app.domain.simulation import persona
from sessions_app.domain.store import keys
from socratic_site.local import files
from socratic_site.local import supervisor as local_supervisor
from socratic_site.local.dynamodb_local import Engine, free_port
from support import cast
from support.chromium import FLAGS
from support.fake_anthropic import FakeAnthropic
from tests.conftest import leading_engine

expect.set_options(timeout=20_000)

SECONDS = {1: 2, 2: 6, 3: 2, 4: 2}  # of the segments: long enough to leave one in its middle
SOUNDS = {1, 3}  # segments with a file; the browser's own voice reads the others
GATE = {"latitude": 37.53571, "longitude": -77.44519, "accuracy": 8}
TABLET = {"width": 820, "height": 1180}
SHOTS = os.environ.get("JOURNEY_SHOTS")  # a folder, for whoever wants to look


@dataclass(frozen=True, kw_only=True)
class Site:
    url: str
    table: str
    accounts: dict[str, Any]
    fake: FakeAnthropic
    environment: dict[str, str]


def shortened(folder: Path) -> Path:
    """A copy of the study's content whose segments last seconds, some of them with a sound file."""
    package = folder / "content"
    shutil.copytree(files.BASE / "content" / "tredegar-iron-works-v1", package)
    file, spoken = package / "segments.toml", iter(content.load(package).segments)

    def shorter(found: re.Match[str]) -> str:
        segment = next(spoken)
        seconds = SECONDS[segment.segment_id]
        if segment.segment_id not in SOUNDS:
            return f"duration_seconds = {seconds}\n"
        name, share = f"{segment.segment_id}.wav", seconds / len(segment.sentences)
        silence(package / "media" / name, seconds)
        cues = [Caption(i * share, (i + 1) * share, text) for i, text in enumerate(segment.sentences)]
        (package / "media" / str(segment.captions)).write_text(captions.write(cues))
        return f'duration_seconds = {seconds}\naudio = "{name}"\n{found["captions"]}'

    lines = r"duration_seconds = \d+\naudio = .+\n(?P<captions>captions = .+\n)"
    file.write_text(re.sub(lines, shorter, file.read_text()))
    manifest = package / "manifest.toml"
    total = f"duration_seconds = {sum(SECONDS.values())}"
    manifest.write_text(re.sub(r"duration_seconds = \d+", total, manifest.read_text()))
    return package


def silence(file: Path, seconds: float) -> None:
    """A sound file that any browser plays."""
    file.parent.mkdir(exist_ok=True)
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(2 * round(8000 * seconds)))


def belong_everywhere(accounts: Path) -> None:
    """The facilitator of the journeys belongs to every school of theirs, also those past the pages."""
    with closing(sqlite3.connect(accounts)) as sql, sql:
        for school in (*cast.SCHOOLS, *persona.SCHOOLS):
            group = (f"{SITE_PREFIX}{keys.school_id(school)}",)
            sql.execute("INSERT OR IGNORE INTO auth_group (name) VALUES (?)", group)
            sql.execute(
                "INSERT OR IGNORE INTO auth_user_groups (user_id, group_id) SELECT u.id, g.id "
                "FROM auth_user u, auth_group g WHERE u.username = 'facilitator' AND g.name = ?",
                group,
            )


@pytest.fixture(scope="package")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One for the journeys of a test process: other tests need not carry the stream records of these."""
    with leading_engine(tmp_path_factory.mktemp("engine")) as running:
        yield running


@contextmanager
def serving(engine: Engine, folder: Path, **settings: str) -> Iterator[Site]:
    """Web and worker as processes of their own, on this engine, with these environment variables on top."""
    port = free_port()
    url, var = f"http://127.0.0.1:{port}/", folder / "var"
    table = f"Journeys-{uuid.uuid4().hex[:8]}"
    with FakeAnthropic() as fake:
        environment = local_supervisor.environment_of(engine, var=var, host="127.0.0.1", url=url) | {
            "SOCRATIC_TABLE": table,
            "DATABASE_URL": f"sqlite:///{folder / 'accounts.sqlite3'}",
            "CONTENT_PACKAGE": str(shortened(folder)),
            "ANTHROPIC_API_KEY": "a-key-for-nobody",
            "ANTHROPIC_BASE_URL": fake.url,
            **settings,
        }
        supervisor = local_supervisor.Supervisor(environment=environment, logs=folder / "log")
        try:
            local_supervisor.prepare(supervisor)
            belong_everywhere(folder / "accounts.sqlite3")
            for program in local_supervisor.lasting_programs("127.0.0.1", port, var):
                supervisor.start(program)
            local_supervisor.wait_until_ready(supervisor, url)
            accounts = files.read_json(var / "demo-accounts.json")
            yield Site(url=url, table=table, accounts=accounts, fake=fake, environment=environment)
            supervisor.raise_if_ended()
        finally:
            supervisor.stop()


@pytest.fixture(scope="package")
def site(engine: Engine, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all journeys of a test process: starting it takes longer than most of them."""
    with serving(engine, tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """For one module: while Playwright's loop runs in this thread, Django's ORM cannot be used."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


@dataclass
class Watch:
    """What went wrong in a browser's pages, and what they asked of others."""

    site: str
    # Chromium reports refused forms (422), late reports of the player (409) and lockouts (429), too.
    wanted: str = "status of (409|422|429)"
    complaints: list[str] = field(default_factory=list)

    def follow(self, context: BrowserContext) -> None:
        context.on("console", self._said)
        context.on("weberror", lambda error: self.complaints.append(f"error: {error.error}"))
        context.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        wanted = re.search(self.wanted, message.text)
        if message.type in ("error", "warning") and not wanted:
            self.complaints.append(f"{message.type}: {message.text} at {message.location.get('url')}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.site, "data:", "blob:")):
            self.complaints.append(f"asked another place: {request.url}")


@pytest.fixture
def visit(site: Site, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page in a tablet of its own; at the end of the test nothing may have gone wrong on any."""
    watch, contexts = Watch(site.url), []

    def opened(*, wanted: str = watch.wanted, **options: Any) -> Page:
        watch.wanted = wanted
        context = browser.new_context(
            base_url=site.url, **{"viewport": TABLET, "reduced_motion": "reduce"} | options
        )
        context.set_default_timeout(20_000)
        watch.follow(context)
        contexts.append(context)
        return context.new_page()

    yield opened
    for context in contexts:
        context.close()
    assert watch.complaints == []


def shoot(page: Page, name: str) -> None:
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def sign_in(page: Page, account: dict[str, Any], *, following: str = "/") -> None:
    page.goto(f"/login/?next={following}")
    give_password(page, account)


def give_password(page: Page, account: dict[str, Any]) -> None:
    """On the login page; afterwards whatever page answers is there, so that going on does not cut it off."""
    page.fill("[name=username]", account["username"])
    page.fill("[name=password]", account["password"])
    with page.expect_navigation():
        page.get_by_role("button", name="Sign in").click()


def width_needed(page: Page) -> int:
    """In CSS pixels, by everything on the page: what is more than the window's width scrolls sideways."""
    pixels: int = page.locator("html").evaluate("root => root.scrollWidth")
    return pixels
