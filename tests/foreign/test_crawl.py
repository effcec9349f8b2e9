"""Every kind of page, as every role, over items that other clients wrote in ways of their own: none may fail.

`make crawl` opens every address as every role. Otherwise an odd item is opened on each kind of page once, by
one of the roles that may, and links are followed to a few addresses of each kind of page.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter, deque
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import pytest
from django.test import Client
from django.urls import Resolver404, resolve

from sessions_app.access.roles import PUBLIC, ROLES, policy_of
from support.cast import signed_in
from tests.foreign import kinds

pytestmark = pytest.mark.django_db

EXHAUSTIVE = bool(os.environ.get("CRAWL_EVERY_ADDRESS"))
MAX_PAGES = 5000
MAX_OF_A_KIND = MAX_PAGES if EXHAUSTIVE else 3
NOT_CRAWLED = ("/static", "/admin", "/logout", "/dashboards/charts")
"""Charts are drawn from the same figures as the pages that show them, and take seconds each."""


def page_kind(address: str) -> tuple[str, ...]:
    """Which template shows it: the route, the entity of a raw record, and the names of what is asked for."""
    parts = urlsplit(address)
    try:
        match = resolve(parts.path)
    except Resolver404:
        return ("unknown",)
    entity = str(match.kwargs.get("name", ""))
    return (str(match.view_name), entity, *sorted({name for name, _ in parse_qsl(parts.query)}))


def crawl(client: Client, starts: list[str]) -> tuple[dict[str, str], Counter[int]]:
    """The starts, and a few pages of each kind that links lead to; a list goes on once more."""
    waiting, pages, seen, codes = deque(starts), dict[str, str](), set[str](), Counter[int]()
    opened, first = Counter[tuple[str, ...]](), set(starts)
    failed: list[str] = []
    client.raise_request_exception = False
    while waiting and len(seen) < MAX_PAGES:
        address = waiting.popleft()
        shape = address if address in first else re.sub(r"(cursor|pk|sk|q)=[^&]*", "", address)
        kind = page_kind(address)
        full = address not in first and opened[kind] >= MAX_OF_A_KIND
        if full or shape in seen or address.startswith(NOT_CRAWLED):
            continue
        seen.add(shape)
        opened[kind] += address not in first
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


LISTS = ("/", "/sessions/", "/students/", "/monitor/", "/consent/", "/audit/", "/records/", "/grading/")


def starts_of(odd: dict[str, list[kinds.Typed]]) -> list[str]:
    """What no link may lead to, but an address that somebody keeps."""
    items = (item for kind in odd.values() for item in kind)
    chosen = items if EXHAUSTIVE else _distinct(items)
    return list(
        dict.fromkeys(page for item in chosen for page in _pages_of(item["PK"]["S"], item["SK"]["S"]))
    )


def _distinct(items: Iterator[kinds.Typed]) -> Iterator[kinds.Typed]:
    """One of those that differ by their random ids alone: most odd kinds are one odd item among good ones."""
    seen: set[str] = set()
    for item in items:
        content = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "", json.dumps(item, default=str))
        if content not in seen:
            seen.add(content)
            yield item


def dealt_to(role: str, starts: list[str]) -> list[str]:
    """The role's part of the starts: each belongs to one role that may open it.

    To a facilitator only where nobody else may, as most odd students are of no school of theirs; every role
    opens a few of each kind, also of what it may not.
    """
    if EXHAUSTIVE:
        return starts
    dealt, counted = [], Counter[tuple[str, ...]]()
    for address in starts:
        kind = page_kind(address)
        policy = policy_of(resolve(urlsplit(address).path).func)
        allowed = [each for each in ROLES if each in policy or policy == PUBLIC]
        hands = [each for each in allowed if each != "facilitator"] or allowed
        if hands[counted[kind] % len(hands)] == role or counted[kind] < MAX_OF_A_KIND:
            dealt.append(address)
        counted[kind] += 1
    return dealt


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


def test_every_start_belongs_to_a_role_that_may_open_it(populated: dict[str, list[kinds.Typed]]) -> None:
    starts = starts_of(populated)
    dealt = {role: set(dealt_to(role, starts)) for role in ROLES}
    for address in starts:
        policy = policy_of(resolve(urlsplit(address).path).func)
        assert any(address in dealt[role] for role in policy & set(ROLES)), address


@pytest.mark.parametrize("role", ROLES)
def test_no_page_fails_for_anybody(role: str, populated: dict[str, list[kinds.Typed]]) -> None:
    pages, codes = crawl(signed_in(role), [*LISTS, *dealt_to(role, starts_of(populated))])
    of_kinds = {page_kind(address) for address in pages}
    print(f"\n{role}: {len(populated)} odd kinds, {sum(codes.values())} addresses: {dict(codes)}")
    print(f"{len(of_kinds)} kinds of pages shown")
    assert len(of_kinds) > {"facilitator": 12, "irb": 20}.get(role, 30)
