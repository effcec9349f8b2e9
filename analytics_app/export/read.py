"""The sessions of a range, whole, read by parallel queries past the models, always in the same order.

Sessions are found day by day in the index by time; students' profiles come in batches, each session by one
query. What is ahead of the reader is bounded, so memory does not grow with the number of sessions.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as clock
from itertools import groupby, islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from sessions_app.domain.models import Item, Session, connection
from sessions_app.domain.models.cleaned import as_read
from sessions_app.domain.store import keys

from .columns import Map

READERS: Final = 4
CHUNK: Final = 25
AHEAD: Final = 3 * READERS
BATCH_TRIES: Final = 8
DAY: Final = timedelta(days=1)


class NothingThere(Exception):
    """The table holds no session at all."""


class Overloaded(Exception):
    """The table does not answer all that it is asked; try again later."""


class BadChoice(ValueError):
    """An export that cannot be: `field` says what of it, the message why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


@dataclass(frozen=True, slots=True)
class Chosen:
    """Days are the study's, both counted in; None is open. No conditions mean all."""

    start: date | None = None
    end: date | None = None
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Range:
    """A half-open range of stored timestamps, cut before their `Z` as in `queries.Span`."""

    start: str
    end: str
    first: date
    """The study day of the table's first session, whatever is chosen."""

    @property
    def days(self) -> list[date]:
        """The UTC days that it touches."""
        begin, stop = (date.fromisoformat(text[:10]) for text in (self.start, self.end))
        return [begin + each * DAY for each in range((stop - begin).days + 1)]


@dataclass(frozen=True, slots=True)
class Found:
    """A session as the index tells of it. One that cannot be read has an `obstacle`."""

    session: Map
    session_id: str
    student_id: str
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    """A session with its student's profile; `items` is empty where the session is not wanted."""

    found: Found
    profile: Map | None
    items: Sequence[Map]
    obstacle: str | None


# --- which


def range_of(chosen: Chosen, *, zone: ZoneInfo) -> Range:
    """The chosen days within those that hold sessions. Raises NothingThere for an empty table."""
    first, last = _bounds()
    opening = first.astimezone(zone).date()
    begin = max(chosen.start or opening, opening)
    end = min(chosen.end or last.astimezone(zone).date(), last.astimezone(zone).date())
    start_of = _midnight(begin, zone)
    return Range(start_of, max(_midnight(end + DAY, zone), start_of), opening)


def _midnight(day: date, zone: ZoneInfo) -> str:
    return keys.stamp(datetime.combine(day, clock(), zone))[:-1]


def _bounds() -> tuple[datetime, datetime]:
    """The first and the last start of a session: two small queries for each location."""
    found = []
    for place in keys.LOCATIONS.values():
        for forward in (True, False):
            found += _first_start(keys.location(place), forward)
    if not found:
        raise NothingThere("the table holds no session")
    return min(found), max(found)


def _first_start(partition: str, forward: bool) -> list[datetime]:
    """Of one session at most: the first whose index key is a time."""
    asked = _request("GSI3", partition, ScanIndexForward=forward, Limit=10)
    for page in _pages(**asked):
        for item in page["Items"]:
            with suppress(keys.BadKey):
                return [keys.moment(item["GSI3SK"]["S"])]
    return []


def count(within: Range) -> int:
    """How many sessions the range holds, of whatever condition."""
    total = 0
    for day in within.days:
        for page in _pages(**_on(day, within), Select="COUNT"):
            total += page["Count"]
    return total


def found(within: Range, conditions: Sequence[str], passed: Callable[[], None]) -> Iterator[Found]:
    """By start, then by id; `passed` is called for each session of another condition."""
    for day in within.days:
        items = (item for page in _pages(**_on(day, within)) for item in page["Items"])
        for _, same_second in groupby(items, key=lambda item: item["GSI5SK"]["S"]):
            for item in sorted(same_second, key=lambda item: str(item["PK"]["S"])):
                session = Item.from_raw_data(dict(item))
                if not isinstance(session, Session):
                    continue
                if not session.is_readable:
                    yield Found(item, "", "", "unreadable")
                elif conditions and session.condition.code not in conditions:
                    passed()
                else:
                    yield Found(as_read(session), str(session.session_id), str(session.student_id))


def _on(day: date, within: Range) -> dict[str, Any]:
    asked = _request("GSI5", keys.day(day))
    asked["KeyConditionExpression"] += " AND #sk BETWEEN :low AND :high"
    asked["ExpressionAttributeNames"]["#sk"] = "GSI5SK"
    asked["ExpressionAttributeValues"] |= {":low": {"S": within.start}, ":high": {"S": within.end}}
    return asked


# --- whole


def whole(
    sessions: Iterable[Found], judge: Callable[[Map | None, Map], str | None], *, readers: int = READERS
) -> Iterator[Whole]:
    """Each session with all that belongs to it, in the order given. `judge` says why one is not read."""
    source = iter(sessions)
    with ThreadPoolExecutor(readers, thread_name_prefix="export") as pool:
        ahead: deque[Future[list[Whole]]] = deque()
        try:
            while True:
                while len(ahead) < AHEAD and (chunk := list(islice(source, CHUNK))):
                    ahead.append(pool.submit(_read, chunk, judge))
                if not ahead:
                    return
                yield from ahead.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _read(chunk: Sequence[Found], judge: Callable[[Map | None, Map], str | None]) -> list[Whole]:
    profiles = _profiles({found.student_id for found in chunk if not found.obstacle})
    return [_judged(found, profiles.get(found.student_id), judge) for found in chunk]


def _judged(found: Found, profile: Map | None, judge: Callable[[Map | None, Map], str | None]) -> Whole:
    reason = found.obstacle or judge(profile, found.session)
    if reason is not None:
        return Whole(found, profile, (), reason)
    asked = _request(None, found.session["PK"]["S"], ConsistentRead=True)
    items = [item for page in _pages(**asked) for item in page["Items"]]
    return Whole(found, profile, items, None)


def _profiles(student_ids: Iterable[str]) -> dict[str, Map]:
    """By student. Raises Overloaded."""
    table, wanted = Item.Meta.table_name, []
    for student_id in sorted(student_ids):
        try:
            wanted.append({"PK": {"S": keys.student(student_id)}, "SK": {"S": keys.PROFILE}})
        except keys.BadKey:
            continue
    asked: dict[str, Any] = {table: {"Keys": wanted, "ConsistentRead": True}} if wanted else {}
    profiles: dict[str, Map] = {}
    for attempt in range(BATCH_TRIES):
        if not asked:
            return profiles
        if attempt:
            time.sleep(min(0.05 * 2**attempt, 2.0))
        answer = _client().batch_get_item(RequestItems=asked)
        profiles |= {item["PK"]["S"].partition("#")[2]: item for item in answer["Responses"].get(table, ())}
        asked = answer.get("UnprocessedKeys") or {}
    if asked:
        raise Overloaded("the table did not give back all profiles that were asked for")
    return profiles


# --- raw


def _client() -> Any:
    return connection().client


def _request(index: str | None, partition: str, **more: Any) -> dict[str, Any]:
    told = {
        "TableName": Item.Meta.table_name,
        "KeyConditionExpression": "#pk = :pk",
        "ExpressionAttributeNames": {"#pk": f"{index}PK" if index else "PK"},
        "ExpressionAttributeValues": {":pk": {"S": partition}},
        **more,
    }
    return {**told, "IndexName": index} if index else told


def _pages(**asked: Any) -> Iterator[dict[str, Any]]:
    yield from _client().get_paginator("query").paginate(**asked)
