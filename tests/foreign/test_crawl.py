"""Every page, as every role, over items that other clients wrote in ways of their own: none may fail."""

from __future__ import annotations

import re
from collections import Counter, deque
from html import unescape
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import pytest
from django.test import Client

from sessions_app.access import ROLES
from tests.foreign import kinds
from tests.journeys.cast import signed_in

pytestmark = pytest.mark.django_db

MAX_PAGES = 1500
NOT_CRAWLED = ("/static", "/admin", "/logout", "/dashboards/charts")
"""Charts are drawn from the same figures as the pages that show them, and take seconds each."""


def crawl(client: Client, starts: list[str]) -> tuple[dict[str, str], Counter[int]]:
    """The starts, and every page that links lead to; lists and records of one kind are opened once more."""
    waiting, pages, seen, codes = deque(starts), dict[str, str](), set[str](), Counter[int]()
    failed: list[str] = []
    client.raise_request_exception = False
    while waiting and len(seen) < MAX_PAGES:
        address = waiting.popleft()
        shape = address if address in starts else re.sub(r"(cursor|pk|sk|q)=[^&]*", "", address)
        if shape in seen or address.startswith(NOT_CRAWLED):
            continue
        seen.add(shape)
        answer: Any = client.get(address)
        codes[answer.status_code] += 1
        if answer.status_code >= 500:
            failed.append(f"{address}: {_where(answer.exc_info)}")
        if answer.status_code in (301, 302):
            waiting.append(urljoin(address, answer["Location"]))
        if answer.status_code != 200:
            continue
        try:
            content = b"".join(answer.streaming_content) if answer.streaming else answer.content
        except Exception as error:
            failed.append(
                f"{address}, while it streamed: {_where((type(error), error, error.__traceback__))}"
            )
            continue
        pages[address] = unescape(content.decode(errors="replace"))
        if answer["Content-Type"].startswith("text/html"):
            links = re.findall(r'(?:href|src|hx-get)="([^"#]+)', pages[address])
            parts = (urlsplit(urljoin(address, link)) for link in links if not link.startswith("data:"))
            waiting += [f"{each.path}?{each.query}".rstrip("?") for each in parts if not each.netloc]
    assert failed == [], "\n".join(failed)
    return pages, codes


def _where(error: Any) -> str:
    """The exception, and the last of our lines that it came through."""
    if not error:
        return "no exception"
    kind, value, at = error
    lines = []
    while at is not None:
        if "site-packages" not in at.tb_frame.f_code.co_filename:
            lines.append(f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}")
        at = at.tb_next
    return f"{kind.__name__}: {value} at {' < '.join(reversed(lines[-4:]))}"


def starts_of(odd: dict[str, list[kinds.Typed]]) -> list[str]:
    """What no link may lead to, but an address that somebody keeps."""
    starts = ["/", "/sessions/", "/students/", "/monitor/", "/consent/", "/audit/", "/records/", "/grading/"]
    for items in odd.values():
        for item in items:
            starts += list(_pages_of(item["PK"]["S"], item["SK"]["S"]))
    return list(dict.fromkeys(starts))


def _pages_of(pk: str, sk: str) -> list[str]:
    kind, _, name = pk.partition("#")
    records = [
        f"/records/session/item/?{urlencode({'pk': pk, 'sk': sk})}",
        f"/records/partition/?{urlencode({'pk': pk})}",
    ]
    if not re.fullmatch(r"[\w-]+", name) or sk not in ("METADATA", "PROFILE"):
        return records
    if kind == "SESSION":
        pages = ("/sessions/{}/", "/sessions/{}/words/", "/run/{}/", "/run/{}/pack/")
    else:
        pages = (
            *("/students/{}/", "/students/{}/consent/", "/students/{}/withdraw/", "/sessions/?student={}"),
            *("/consent/{}/", "/consent/{}/certificate/", "/dashboards/students/{}/"),
        )
    return [*records, *(page.format(name) for page in pages)]


@pytest.mark.parametrize("role", ROLES)
def test_no_page_fails_for_anybody(role: str, populated: dict[str, list[kinds.Typed]]) -> None:
    pages, codes = crawl(signed_in(role), starts_of(populated))
    print(f"\n{role}: {len(populated)} kinds, {sum(codes.values())} addresses: {dict(codes)}")
    assert len(pages) > {"facilitator": 15, "irb": 100}.get(role, 300)
