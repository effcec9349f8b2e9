"""Facilitators and students as HTTP clients, at the pace that the participant flow itself expects."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

from sessions_app.domain import flow
from support.bot import Page, answers_to

from .browsing import Browser

NOTES_EVERY: Final = 10.0  # as static/js/notes.js
REPORT_EVERY: Final = 5.0  # as static/js/player.js
BOARD_EVERY: Final = 8.0  # as analytics_app/views/monitor.py tells the page
LOOK_EVERY: Final = 1.0  # as run/making.html
FACILITATOR_EVERY: Final = 10.0
"""Between two pages of a facilitator who looks after six students: an assumption, on the busy side."""
PROMISE: Final = 10.0
GIVE_UP: Final = 40.0
THINKING: Final = {stage.name: 60 * stage.minutes / stage.steps for stage in flow.FLOW}
"""Seconds at a step: what the flow tells a student that it takes."""
NAMES: Final = {
    "baseline": "an item",
    "final": "an item",
    "format": "how to follow",
    "segment": "a part",
    "questions": "a question",
    "survey": "the survey",
    "done": "done",
}


@dataclass
class Student:
    """One session on a device of its own; `waited`: seconds from each first look to its question."""

    browser: Browser
    session: str
    seed: str
    waited: list[float]
    stop: threading.Event
    answered: int = 0
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 - has to be repeatable, and guards nothing

    def live(self) -> None:
        """Begins somewhere within a step, as a class that is looked at in the middle does."""
        page = self._open(f"/run/{self.session}/")
        self._think(page, share=self.chance.random())
        while not self.stop.is_set() and not page.path.endswith("/done/"):
            page = self._answer(page)
            self._think(page, share=self.chance.uniform(0.5, 1.5))

    def _open(self, path: str) -> Page:
        page = self.browser.open(path, kind_of(path) if path.count("/") > 3 else "where a session stands")
        return self._wait(page) if is_waiting(page) else page

    def _wait(self, page: Page) -> Page:
        """The page that waits looks every second, and is led to the question."""
        began = time.monotonic()
        while time.monotonic() - began < GIVE_UP:
            if self.stop.wait(LOOK_EVERY):
                return page
            reply = self.browser.fetch("GET", page.path, "looking for the question", HX_Request="true")
            if "hx-redirect" in reply.headers:
                self.waited.append(time.monotonic() - began)
                return self.browser.open(reply.headers["hx-redirect"], "a question")
        self.waited.append(GIVE_UP)
        return page

    def _think(self, page: Page, *, share: float) -> None:
        """Meanwhile the page's scripts look for notes, and the player tells where it stands."""
        stage = stage_of(page.path)
        playing = stage.startswith("segment")
        if playing and (prepare := re.search(r'hx-post="([^"]+)"', page.html)):
            self.browser.fetch(
                "POST", prepare[1], "preparing a question", self._token(page), HX_Request="true"
            )
        began, until = time.monotonic(), time.monotonic() + share * THINKING.get(stage, GIVE_UP)
        due = {"notes": began + NOTES_EVERY, "report": began + REPORT_EVERY if playing else float("inf")}
        while (now := time.monotonic()) < until and not self.stop.wait(
            max(0, min(until, *due.values()) - now)
        ):
            if time.monotonic() >= due["notes"]:
                due["notes"] += NOTES_EVERY
                path = f"/run/{self.session}/notes/"
                self.browser.fetch("GET", path, "looking for notes", HX_Request="true")
            elif time.monotonic() >= due["report"]:
                due["report"] += REPORT_EVERY
                told = {
                    "position": round(time.monotonic() - began),
                    "played": round(time.monotonic() - began),
                }
                self.browser.fetch(
                    "POST", f"{page.path}progress/", "the player tells", self._token(page) | told
                )

    def _answer(self, page: Page) -> Page:
        if self.stop.is_set():
            return page
        self.answered += 1
        form = page.form()
        answers = answers_to(page, self.answered)
        if "position" in form.values:
            answers |= {"position": "150", "played": "150", "pauses": "0", "rewinds": "0"}
        reply = self.browser.fetch(
            "POST", page.path, "an answer sent", form.filled(answers), Accept="application/json"
        )
        told = json.loads(reply.content)
        return self._open(told["next"])

    @staticmethod
    def _token(page: Page) -> dict[str, Any]:
        return {"csrfmiddlewaretoken": page.form().values["csrfmiddlewaretoken"][0]}


@dataclass
class Facilitator:
    """The live board half of the time, and the pages of the own class."""

    browser: Browser
    sessions: list[str]
    students: list[str]
    seed: str
    stop: threading.Event

    def live(self) -> None:
        chance = random.Random(self.seed)  # noqa: S311 - as above
        self.stop.wait(chance.uniform(0, FACILITATOR_EVERY))
        while not self.stop.is_set():
            path, kind = self._next(chance)
            self.browser.open(path, kind)
            self._read(kind, chance.uniform(0.5, 1.5) * FACILITATOR_EVERY)

    def _next(self, chance: random.Random) -> tuple[str, str]:
        if chance.random() < 0.5:
            return "/monitor/?realm=simulated", "the live board"
        return chance.choice(
            [
                ("/", "home"),
                ("/sessions/?realm=simulated", "sessions of today"),
                (f"/sessions/{chance.choice(self.sessions)}/", "a session"),
                ("/students/", "students"),
                (f"/students/{chance.choice(self.students)}/", "a student"),
            ]
        )

    def _read(self, kind: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while kind == "the live board" and until - time.monotonic() > BOARD_EVERY:
            if self.stop.wait(BOARD_EVERY):
                return
            self.browser.fetch(
                "GET", "/monitor/?realm=simulated", "the live board, its part", HX_Request="true"
            )
        self.stop.wait(max(0, until - time.monotonic()))


def stage_of(path: str) -> str:
    """`baseline` of /run/<id>/baseline/3/."""
    parts = urlsplit(path).path.strip("/").split("/")
    return parts[2] if len(parts) > 2 else ""


def kind_of(path: str) -> str:
    return NAMES.get(stage_of(path).split("-")[0], "another page")


def is_waiting(page: Page) -> bool:
    return 'hx-trigger="every 1s"' in page.html


@contextmanager
def going_on(people: list[Any], stop: threading.Event) -> Iterator[list[str]]:
    """All of them at once, each in a thread. The list gets what went wrong with whom."""
    faults: list[str] = []

    def live(person: Any) -> None:
        try:
            person.live()
        except (OSError, HTTPException, KeyError, ValueError, StopIteration, AssertionError) as error:
            faults.append(f"{type(person).__name__}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=live, args=(person,), daemon=True) for person in people]
    for thread in threads:
        thread.start()
    try:
        yield faults
    finally:
        stop.set()
        for thread in threads:
            thread.join(GIVE_UP)
