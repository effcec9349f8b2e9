"""The application as `make run` starts it, with a model on loopback and short segments, and a browser."""

from __future__ import annotations

import os
import re
import shutil
import uuid
import wave
from collections.abc import Callable, Iterator
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

from socratic_site import local, run
from socratic_site.engine import Engine, free_port
from tests.fake_anthropic import FakeAnthropic

expect.set_options(timeout=20_000)

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
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


def shortened(folder: Path) -> Path:
    """A copy of the study's content whose segments last seconds, some of them with a sound file."""
    package = folder / "content"
    shutil.copytree(local.BASE / "content" / "tredegar-iron-works-v1", package)
    file, lengths = package / "segments.toml", iter(SECONDS.items())

    def shorter(_: re.Match[str]) -> str:
        segment, seconds = next(lengths)
        if segment not in SOUNDS:
            return f"duration_seconds = {seconds}"
        silence(package / "media" / f"{segment}.wav", seconds)
        return f'duration_seconds = {seconds}\naudio = "{segment}.wav"'

    file.write_text(re.sub(r"duration_seconds = \d+", shorter, file.read_text()))
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


@pytest.fixture(scope="module")
def site(engine: Engine, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Web and worker as processes of their own, on the engine of this test session."""
    folder, port = tmp_path_factory.mktemp("site"), free_port()
    url, var = f"http://127.0.0.1:{port}/", folder / "var"
    table = f"Journeys-{uuid.uuid4().hex[:8]}"
    with FakeAnthropic() as fake:
        environment = run.environment_of(engine, var=var, host="127.0.0.1", url=url) | {
            "SOCRATIC_TABLE": table,
            "DATABASE_URL": f"sqlite:///{folder / 'accounts.sqlite3'}",
            "CONTENT_PACKAGE": str(shortened(folder)),
            "ANTHROPIC_API_KEY": "a-key-for-nobody",
            "ANTHROPIC_BASE_URL": fake.url,
        }
        supervisor = run.Supervisor(environment=environment, logs=folder / "log")
        try:
            run.prepare(supervisor)
            for program in run.lasting_programs("127.0.0.1", port):
                supervisor.start(program)
            run.wait_until_ready(supervisor, url)
            accounts = local.read_json(var / "demo-accounts.json")
            yield Site(url=url, table=table, accounts=accounts, fake=fake)
            supervisor.raise_if_ended()
        finally:
            supervisor.stop()


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
    complaints: list[str] = field(default_factory=list)

    def follow(self, context: BrowserContext) -> None:
        context.on("console", self._said)
        context.on("weberror", lambda error: self.complaints.append(f"error: {error.error}"))
        context.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        # Chromium reports a refused form (422) and a late report of the player (409), too: they are wanted.
        wanted = re.search("status of (409|422)", message.text)
        if message.type in ("error", "warning") and not wanted:
            self.complaints.append(f"{message.type}: {message.text} at {message.location.get('url')}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.site, "data:", "blob:")):
            self.complaints.append(f"asked another place: {request.url}")


@pytest.fixture
def visit(site: Site, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page in a tablet of its own; at the end of the test nothing may have gone wrong on any."""
    watch, contexts = Watch(site.url), []

    def opened(**options: Any) -> Page:
        context = browser.new_context(base_url=site.url, **{"viewport": TABLET} | options)
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
