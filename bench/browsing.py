"""A browser as a server sees one: cookies, its own connection for a page, files kept as long as they may be.

Every request is timed from its first byte to the last of the answer. Pages are read as a person without
scripts would (support/bot.py); whoever uses this sends what the site's scripts would send.
"""

from __future__ import annotations

import gzip
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.cookies import SimpleCookie
from typing import Any, Final
from urllib.parse import urlencode, urljoin, urlsplit

from support.bot import Form, Page, read

PATIENCE: Final = 30  # seconds
HTML: Final = "text/html,application/xhtml+xml,*/*;q=0.8"
STATIC: Final = re.compile(r'(?:src|href)="(/static/[^"#]+)')
REDIRECTS: Final = (301, 302)
BROKEN: Final = 599
"""Stands for the status of a request that had no answer."""


@dataclass(frozen=True, slots=True)
class Look:
    """One request; `began` by time.monotonic()."""

    kind: str
    began: float
    seconds: float
    status: int


@dataclass(frozen=True, slots=True)
class Reply:
    status_code: int
    headers: Mapping[str, str]
    content: bytes


@dataclass
class Log:
    """What all browsers of a crowd have seen."""

    looks: list[Look] = field(default_factory=list)

    def since(self, moment: float) -> list[Look]:
        return [look for look in list(self.looks) if look.began >= moment]


@dataclass
class Browser:
    port: int
    log: Log = field(default_factory=Log)
    cookies: dict[str, str] = field(default_factory=dict)
    kept: dict[str, tuple[float, str]] = field(default_factory=dict)  # address -> fresh until, Last-Modified
    _connection: HTTPConnection | None = None

    # --- what a person does

    def open(self, url: str, kind: str = "page") -> Page:
        """A page with all that belongs to it."""
        with self._one_connection():
            page = self._followed("GET", url, kind)
            for file in dict.fromkeys(STATIC.findall(page.html)):
                self._file(file)
            return page

    def send(self, form: Form, kind: str = "sent", **answers: Any) -> Page:
        with self._one_connection():
            body = urlencode(form.filled(answers), doseq=True).encode()
            return self._followed(form.method.upper(), form.action, kind, body)

    # --- what scripts do

    def fetch(
        self, method: str, url: str, kind: str, body: Mapping[str, Any] | None = None, **headers: str
    ) -> Reply:
        with self._one_connection():
            sent = urlencode(body, doseq=True).encode() if body is not None else None
            return self._ask(
                method, url, kind, sent, {name.replace("_", "-"): told for name, told in headers.items()}
            )

    # --- requests

    @contextmanager
    def _one_connection(self) -> Iterator[None]:
        """For a page and its parts; it is not kept while somebody reads."""
        self._connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            yield
        finally:
            self._connection.close()
            self._connection = None

    def _followed(self, method: str, url: str, kind: str, body: bytes | None = None) -> Page:
        reply = self._ask(method, url, kind, body, {"Accept": HTML})
        for _ in range(5):
            if reply.status_code not in REDIRECTS:
                break
            url = urljoin(url, reply.headers["location"])
            reply = self._ask("GET", url, kind, None, {"Accept": HTML})
        return read(urlsplit(url)._replace(scheme="", netloc="").geturl(), reply)

    def _file(self, url: str) -> None:
        """Asked for when it is not kept, or has been kept for too long."""
        fresh_until, modified = self.kept.get(url, (0.0, ""))
        if time.monotonic() < fresh_until:
            return
        asked = {"If-Modified-Since": modified} if modified else {}
        reply = self._ask("GET", url, "a static file", None, asked)
        age = re.search(r"max-age=(\d+)", reply.headers.get("cache-control", ""))
        until = time.monotonic() + int(age[1]) if age else 0.0
        self.kept[url] = until, reply.headers.get("last-modified", modified)

    def _ask(self, method: str, url: str, kind: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        if self._connection is None:
            raise RuntimeError("no connection is open")
        told = {"Accept-Encoding": "gzip", **headers}
        if self.cookies:
            told["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if body is not None:
            told["Content-Type"] = "application/x-www-form-urlencoded"
        path = urlsplit(url)._replace(scheme="", netloc="").geturl()
        began = time.monotonic()
        try:
            self._connection.request(method, path, body, told)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, HTTPException):
            self.log.looks.append(Look(kind, began, time.monotonic() - began, BROKEN))
            raise
        self.log.looks.append(Look(kind, began, time.monotonic() - began, answer.status))
        for told_cookie in answer.headers.get_all("Set-Cookie") or []:
            self._keep(told_cookie)
        if answer.headers.get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, content)

    def _keep(self, told: str) -> None:
        for name, morsel in SimpleCookie(told).items():
            if morsel["max-age"] == "0" or not morsel.value:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value


@dataclass
class Heartbeat:
    """How late this process comes to what it wants to do: whether it is itself what is slow."""

    late: list[float] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def beat(self) -> None:
        while not self.over.is_set():
            began = time.monotonic()
            time.sleep(0.02)
            self.late.append(time.monotonic() - began - 0.02)


@contextmanager
def heartbeat() -> Iterator[list[float]]:
    heart = Heartbeat()
    thread = threading.Thread(target=heart.beat, daemon=True)
    thread.start()
    try:
        yield heart.late
    finally:
        heart.over.set()
        thread.join()
