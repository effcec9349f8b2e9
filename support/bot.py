"""A browser without JavaScript: reads pages, fills in their forms with all that is hidden in them, follows.

bot = Bot(client)
page = bot.open("/run/…/")
page = bot.send(page, answer="Iron production")
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from django.test import Client

HOPS = 6  # more redirects than this are a loop
WAIT = 0.05  # seconds, where a browser waits for a whole one
VOID = frozenset({"input", "meta", "link", "br", "img", "track", "use", "hr", "path"})


@dataclass
class Form:
    """A form as it would be sent now: `values` by name; `offered` are the choices of a group or list."""

    action: str
    method: str
    id: str
    values: dict[str, list[str]] = field(default_factory=dict)
    offered: dict[str, list[str]] = field(default_factory=dict)

    def filled(self, answers: dict[str, Any]) -> dict[str, Any]:
        """Raises AssertionError for an answer that the form has no field for."""
        unknown = answers.keys() - self.values.keys() - self.offered.keys()
        assert not unknown, f"the form has no field {unknown}; it has {sorted(self.values | self.offered)}"
        return {name: value for name, value in (self.values | answers).items() if value != []}


@dataclass
class Page:
    """What came back: text is what a person reads, white space made single."""

    url: str
    status: int
    html: str
    title: str = ""
    text: str = ""
    links: list[str] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)
    refresh: str | None = None
    operations: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    def form(self, id: str = "step-form") -> Form:
        return next(form for form in self.forms if form.id == id)


class _Reader(HTMLParser):
    """Fills a page. What stands in <noscript> counts: nobody runs scripts here."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page
        self.open: list[str] = []
        self.texts: list[str] = []
        self.form: Form | None = None
        self.list: str = ""
        self.option: tuple[str, bool] | None = None
        self.area: str | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attributes}
        if tag not in VOID:
            self.open.append(tag)
        reader: Callable[[dict[str, str]], None] | None = getattr(self, f"_{tag}", None)
        if reader:
            reader(told)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass
        if tag == "form":
            self.form = None
        elif tag == "textarea":
            self.area = None

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["title"]:
            self.page.title += data
        elif self.area and self.form:
            self.form.values[self.area][0] += data
        elif not {"script", "style"} & set(self.open):
            self.texts.append(data)

    def _form(self, told: dict[str, str]) -> None:
        action = urljoin(self.page.url, told.get("action", ""))
        self.form = Form(action=action, method=told.get("method", "get"), id=told.get("id", ""))
        self.page.forms.append(self.form)

    def _input(self, told: dict[str, str]) -> None:
        if self.form is None or "name" not in told or told.get("type") in ("submit", "button"):
            return
        name, value = told["name"], told.get("value", "")
        if told.get("type") in ("radio", "checkbox"):
            self.form.offered.setdefault(name, []).append(told.get("value", "on"))
            if "checked" in told:
                self.form.values.setdefault(name, []).append(told.get("value", "on"))
        else:
            self.form.values.setdefault(name, []).append(value)

    def _select(self, told: dict[str, str]) -> None:
        self.list = told["name"]

    def _option(self, told: dict[str, str]) -> None:
        if self.form is None or "value" not in told or not self.list:
            return
        self.form.offered.setdefault(self.list, []).append(told["value"])
        if "selected" in told or self.list not in self.form.values:
            self.form.values[self.list] = [told["value"]]

    def _textarea(self, told: dict[str, str]) -> None:
        if self.form is not None:
            self.area = told["name"]
            self.form.values[self.area] = [""]

    def _a(self, told: dict[str, str]) -> None:
        self.page.links.append(told.get("href", ""))

    def _meta(self, told: dict[str, str]) -> None:
        if told.get("http-equiv") == "refresh":
            self.page.refresh = urljoin(self.page.url, told["content"].split("url=", 1)[1])


def read(url: str, response: Any) -> Page:
    page = Page(url=url, status=response.status_code, html=response.content.decode(errors="strict"))
    reader = _Reader(page)
    reader.feed(page.html)
    reader.close()
    page.text = " ".join(" ".join(reader.texts).split())
    for form in page.forms:  # a text area's first line break belongs to the markup
        for name, values in form.values.items():
            form.values[name] = [value.removeprefix("\n") for value in values]
    return page


@dataclass
class Trip:
    """One request: what it was, how it ended, and what it asked of the store."""

    method: str
    path: str
    status: int
    operations: list[str]


@dataclass
class Bot:
    """`made` is the list in which a test counts the requests to the store."""

    client: Client
    made: list[str] = field(default_factory=list)
    trips: list[Trip] = field(default_factory=list)

    def open(self, url: str) -> Page:
        page = self._request("get", url, {})
        return self._follow(page)

    def send(self, page: Page, form: str = "step-form", **answers: Any) -> Page:
        return self._follow(self.post(page, form, **answers))

    def post(self, page: Page, form: str = "step-form", **answers: Any) -> Page:
        """Send and stay: a redirect is not followed; `url` is then where it leads."""
        filled = page.form(form)
        return self._request(filled.method, filled.action, filled.filled(answers))

    def _request(self, method: str, url: str, data: dict[str, Any]) -> Page:
        if method == "get" and data:
            url, data = f"{url.partition('?')[0]}?{urlencode(data, doseq=True)}", {}
        self.made.clear()
        response = self.client.get(url) if method == "get" else self.client.post(url, data)
        self.trips.append(Trip(method.upper(), urlsplit(url).path, response.status_code, list(self.made)))
        return read(urljoin(url, response.headers.get("Location", url)), response)

    def _follow(self, page: Page) -> Page:
        hops = 0.0
        while hops < HOPS:
            if page.status in (301, 302):
                hops += 1
                page = self._request("get", page.url, {})
            elif page.refresh:
                hops += WAIT / 12  # a page that waits may be asked again for some seconds
                time.sleep(WAIT)
                page = self._request("get", page.refresh, {})
            else:
                return page
        raise AssertionError(f"redirected {HOPS} times, the last time to {page.url}")


def words(number: int) -> str:
    return f"The river turned the wheels, number {number}, and boats brought coal to the furnaces."


def answers_to(page: Page, number: int = 0) -> dict[str, Any]:
    """Something that every form of a run takes: the last choice of each group, and some words."""
    form = page.form()
    chosen: dict[str, Any] = {name: options[-1] for name, options in form.offered.items()}
    if "answer" in form.values:
        chosen["answer"] = words(number)
    return chosen


def walk(bot: Bot, page: Page) -> Iterator[Page]:
    """Every page of a run up to its last, each answered when the next one is asked for."""
    number = 0
    while True:
        yield page
        if page.path.endswith("/done/"):
            return
        number += 1
        page = bot.send(page, **answers_to(page, number))
        assert page.status == 200, f"{page.status} at {page.path}: {page.text[:300]}"
