"""The statistics counted anew from the items: to put them in order, or to see whether they are.

Works beside a running worker: every write holds only while nothing it rests on has moved, else the
condition is counted again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sessions_app.domain import models as m
from sessions_app.domain.store import keys
from sessions_app.domain.store.transactions import Busy, Refused, Transaction
from sessions_app.domain.stream_worker import dead_letters

from . import items as statistics_items
from . import updates
from .contributions import Share
from .sums import LAYOUT, Sums

TRIES = 10
LOOKS = 20
READERS = 4  # reading sessions is half waiting for the table
NOT_COMPARED = ("metadata.last_updated", "revision", "updated_at")

Tick = Callable[[], object]
"""Called after each session read, for a progress bar."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A stored figure that is not what the items add up to. `month` may be a day; None stands for absent."""

    condition: str
    month: str
    attribute: str
    stored: object
    recomputed: object

    def __str__(self) -> str:
        place = f"{self.condition} {self.month} {self.attribute}"
        return f"{place}: stored {_told(self.stored)}, recomputed {_told(self.recomputed)}"


def _told(value: object) -> str:
    if value is None:
        return "nothing"
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(slots=True)
class Cell:
    """A condition as its items make it, beside what is stored for it."""

    condition: keys.Condition
    aggregates: dict[str, m.ConditionStatistics] = field(default_factory=dict)
    compacts: dict[str, m.ConditionMonth] = field(default_factory=dict)
    tallies: dict[str, m.CountedStudent] = field(default_factory=dict)
    contributions: dict[str, m.Contribution | None] = field(default_factory=dict)
    shares: dict[str, Share] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    def totals(self) -> dict[str, Sums]:
        """By month."""
        found: dict[str, Sums] = {}
        parts = [(share.month, share.sums) for share in self.shares.values()]
        parts += [part for sessions in self.counted().values() for part in updates.students(sessions)]
        for month, sums in parts:
            found[month] = found.get(month, Sums()) + sums
        return found

    def counted(self) -> dict[str, dict[str, str]]:
        """By student, the months of the sessions."""
        found: dict[str, dict[str, str]] = {}
        for share in self.shares.values():
            found.setdefault(share.student_id, {})[share.session_id] = share.month
        return found

    def counted_ids(self) -> set[str]:
        """The sessions that the stored tallies name."""
        return {session_id for tally in self.tallies.values() for session_id in tally.sessions or ()}

    def revisions(self) -> dict[str, str]:
        """They change with every move of the condition's statistics."""
        moved: tuple[Any, ...] = (*self.aggregates.values(), *self.tallies.values())
        return {str(item.SK): str(item.revision) for item in moved}


def sessions_of(condition: keys.Condition) -> list[str]:
    """The ids of all sessions of a condition and realm, by its index."""
    return _sessions_in(m.Item.by_condition, keys.condition(condition), m.Session.in_realm(condition.realm))


def sessions_elsewhere(known: Iterable[str]) -> list[str]:
    """Sessions that are in no condition's index: of their location's index, or with a dead letter."""
    found: set[str] = set()
    for location in keys.LOCATIONS.values():
        found.update(_sessions_in(m.Item.by_location, keys.location(location)))
    letters = (str(letter.record_pk) for letter in dead_letters.letters() if letter.duty == "statistics")
    found.update(pk.removeprefix(keys.SESSION_PREFIX) for pk in letters)
    return sorted(found - set(known))


def _sessions_in(index: Any, partition: str, only: Any = None) -> list[str]:
    found = index.query(partition, filter_condition=only, attributes_to_get=["PK", "SK", "entity_type"])
    items = (item for item in found if item.SK == keys.METADATA)
    return [str(item.PK).removeprefix(keys.SESSION_PREFIX) for item in items]


def read(condition: keys.Condition, known: Iterable[str], tick: Tick) -> Cell:
    """`known` are the sessions that the index told of; those counted already may be ahead of it.

    What is stored is read before the sessions: a change in between is then seen as one when writing.
    """
    cell = _stored(condition)
    with ThreadPoolExecutor(READERS) as pool:
        for found in pool.map(read_session, sorted(cell.counted_ids().union(known))):
            _place(cell, *found)
            tick()
    return cell


def _stored(condition: keys.Condition) -> Cell:
    """What is stored of a condition, without its sessions. Items of other clients are left alone."""
    cell = Cell(condition)
    for item in m.ConditionStatistics.of_condition(condition):
        month = _month_of(item)
        if isinstance(item, m.ConditionStatistics) and month:
            cell.aggregates[month] = item
    for item in m.Item.query(keys.counted(condition), consistent_read=True):
        if isinstance(item, m.CountedStudent):
            cell.tallies[str(item.SK).partition("#")[2]] = item
    partition = keys.statistics_by_month(condition.realm)
    months = [(partition, keys.condition_month(month, condition)) for month in cell.aggregates]
    compacts = m.ConditionMonth.batch_get(months, consistent_read=True)
    cell.compacts = {str(item.SK)[:7]: item for item in compacts}
    return cell


def _month_of(item: m.Item) -> str | None:
    """The month whose aggregate stands at this key; None for another range of days."""
    month = str(item.SK).removeprefix(keys.AGGREGATE_PREFIX)[:7]
    try:
        return month if keys.aggregate(statistics_items.first_day(month)) == item.SK else None
    except ValueError:
        return None


def read_session(session_id: str) -> tuple[str, m.Contribution | None, Share | None, str | None]:
    try:
        stored = m.Contribution.of_session(session_id)
    except keys.BadKey as error:
        is_there = dead_letters.stored(keys.SESSION_PREFIX + session_id, keys.METADATA)
        return session_id, None, None, dead_letters.describe(error) if is_there else None
    try:
        return session_id, stored, updates.recount(session_id), None
    except updates.Unreadable as error:
        return session_id, stored, None, error.reason


def _place(
    cell: Cell, session_id: str, stored: m.Contribution | None, share: Share | None, reason: str | None
) -> None:
    if reason is not None:
        cell.unreadable[session_id] = reason
    if share is None or share.condition == cell.condition:
        cell.contributions[session_id] = stored
    if share is not None and share.condition == cell.condition:
        cell.shares[session_id] = share


def stored_share(stored: m.Contribution | None) -> Share | None:
    """None also for a contribution of another layout, or one that cannot be read: it is to be replaced."""
    try:
        return updates.share_of(stored) if stored else None
    except (ValueError, TypeError, AttributeError):
        return None


# --- putting in order


def rebuild(condition: keys.Condition, known: Iterable[str], *, now: datetime, tick: Tick) -> Cell:
    """Replace what is stored of a condition by what its sessions add up to. Raises Busy."""
    ids = list(known)
    for attempt in range(TRIES):
        cell = read(condition, ids, tick if attempt == 0 else lambda: None)
        try:
            _write(cell, now)
        except Refused:
            continue
        return cell
    raise Busy(f"{condition.code} kept moving; it was not rebuilt, try again when less is going on")


def _write(cell: Cell, now: datetime) -> None:
    for session_id, stored in cell.contributions.items():
        share = cell.shares.get(session_id)
        if share != stored_share(stored) or (share is None and stored is not None):
            transaction = Transaction()
            updates.put_contribution(transaction, stored, share, now)
            transaction.commit()
    expected = cell.counted()
    for student_id in expected.keys() | cell.tallies.keys():
        tally, sessions = cell.tallies.get(student_id), expected.get(student_id, {})
        if sessions != (tally.sessions if tally else {}):
            transaction = Transaction()
            updates.put_tally(transaction, cell.condition, student_id, tally, sessions)
            transaction.commit()
    _write_months(cell, now)


def _write_months(cell: Cell, now: datetime) -> None:
    totals = cell.totals()
    for month in sorted(totals.keys() | cell.aggregates.keys()):
        stored = cell.aggregates.get(month)
        transaction = Transaction()
        if month in totals:
            updates.put_aggregate(transaction, cell.condition, month, stored, totals[month], now)
        elif stored is not None:
            unchanged = updates.as_read(stored)
            transaction.deletes.append(("aggregate", {"model": stored, "condition": unchanged}))
            twin = statistics_items.compact(cell.condition, month, Sums())
            transaction.deletes.append(("month", {"model": twin}))
        transaction.commit()


def rebuild_day(day: str, counted: Iterable[str], realm: str) -> None:
    """Replace the counts of a day by what the contributions of the sessions counted say. Raises Busy."""
    ids = list(counted)
    for _ in range(TRIES):
        stored = _day(day, realm)
        fresh = day_item(day, _shares_on(day, ids, realm), realm)
        try:
            transaction = Transaction()
            if stored is None:
                transaction.create("day", fresh)
            else:  # put, not updated: counts of an older layout go
                transaction.puts.append(("day", {"model": fresh, "condition": updates.as_read(stored)}))
            transaction.commit()
        except Refused:
            continue
        return
    raise Busy(f"{day} kept moving; it was not rebuilt, try again when less is going on")


def _day(day: str, realm: str) -> m.DayCounts | None:
    return updates.get(m.DayCounts, keys.statistics_by_day(realm), keys.day(date.fromisoformat(day)))


def counted_in(month: str, realm: str) -> list[str]:
    """The sessions of a month that any condition counts: written with the counts of their day."""
    found = []
    for condition in (cell for cell in keys.CELLS if cell.realm == realm):
        for item in m.Item.query(keys.counted(condition), consistent_read=True):
            sessions = item.sessions if isinstance(item, m.CountedStudent) else {}
            found += [session_id for session_id, its_month in (sessions or {}).items() if its_month == month]
    return found


def _shares_on(day: str, counted: Iterable[str], realm: str) -> Iterator[Share]:
    for item in _contributions(counted):
        share = stored_share(item)
        if share is not None and (share.day, share.condition.realm) == (day, realm):
            yield share


def _contributions(session_ids: Iterable[str]) -> Iterator[m.Contribution]:
    wanted = [(keys.session(each), keys.CONTRIBUTION) for each in session_ids if keys.is_safe(each)]
    return iter(m.Contribution.batch_get(wanted, consistent_read=True))


def day_item(day: str, shares: Iterable[Share], realm: str) -> m.DayCounts:
    item = updates.empty_day(day, realm)
    for share in shares:
        for name, n in updates.day_counts(share).items():
            counts = getattr(item, name)
            counts[share.condition.code] = counts.get(share.condition.code, 0) + n
    return item


def is_outdated() -> bool:
    """Whether any month is stored in the units of an older layout."""
    partitions = map(keys.statistics_by_month, keys.COUNTED_REALMS)
    found = (item for each in partitions for item in m.Item.query(each, consistent_read=True))
    return any(isinstance(item, m.ConditionMonth) and not statistics_items.is_current(item) for item in found)


def stored_days(realm: str) -> dict[str, m.DayCounts]:
    found = m.Item.query(keys.statistics_by_day(realm), consistent_read=True)
    return {item.day: item for item in found if isinstance(item, m.DayCounts)}


# --- comparing


def differences(cell: Cell) -> Iterator[Difference]:
    """What is stored of a condition and should be otherwise, month by month."""
    code = cell.condition.code
    for session_id, reason in sorted(cell.unreadable.items()):
        yield unreadable(code, session_id, reason)
    for session_id, stored in sorted(cell.contributions.items()):
        yield from _contribution_differences(code, session_id, stored, cell.shares.get(session_id))
    totals = cell.totals()
    for month in sorted(totals.keys() | cell.aggregates.keys()):
        yield from _month_differences(cell, month, totals.get(month, Sums()))
    expected = cell.counted()
    for student_id in sorted(expected.keys() | cell.tallies.keys()):
        tally = cell.tallies.get(student_id)
        have, want = dict(tally.sessions) if tally else {}, expected.get(student_id, {})
        if have != want:
            yield Difference(
                code, "-", f"sessions counted of student {student_id}", have or None, want or None
            )


def unreadable(code: str, session_id: str, reason: str) -> Difference:
    return Difference(code, "-", f"session {session_id}", "counted or not", f"unreadable ({reason})")


def _contribution_differences(
    code: str, session_id: str, stored: m.Contribution | None, share: Share | None
) -> Iterator[Difference]:
    have = stored_share(stored)
    if stored is not None and have is None:
        yield Difference(code, "-", f"contribution of {session_id}: layout", stored.layout, LAYOUT)
        return
    if have == share:
        return
    told = share or have
    month = told.month if told else "-"
    one, other = have.sums if have else Sums(), share.sums if share else Sums()
    for name in sorted(one.counts.keys() | other.counts.keys()):
        if one[name] != other[name]:
            yield Difference(code, month, f"contribution of {session_id}: {name}", one[name], other[name])


def _month_differences(cell: Cell, month: str, total: Sums) -> Iterator[Difference]:
    code, stored = cell.condition.code, cell.aggregates.get(month)
    if stored is None and not total:
        return
    anyone = datetime(2000, 1, 1).astimezone()
    wanted = statistics_items.aggregate(cell.condition, month, total, revision="", now=anyone)
    yield from _item_differences(code, month, "", stored, wanted)
    twin = cell.compacts.get(month)
    yield from _item_differences(
        code, month, "(compact) ", twin, statistics_items.compact(cell.condition, month, total)
    )


def day_differences(
    stored: dict[str, m.DayCounts], shares: Iterable[Share], realm: str
) -> Iterator[Difference]:
    by_day: dict[str, list[Share]] = {}
    for share in shares:
        if share.condition.realm == realm:
            by_day.setdefault(share.day, []).append(share)
    for day in sorted(by_day.keys() | stored.keys()):
        wanted = day_item(day, by_day.get(day, []), realm)
        yield from _item_differences(f"all {realm}", day, "", stored.get(day), wanted, zero_is_nothing=True)


# --- comparing beside running writers


class Moving(Exception):
    """What is stored kept changing while it was read; it could not be compared."""


def recheck_day(day: str, realm: str) -> list[Difference]:
    """A day compared with the contributions of one and the same moment. Raises Moving."""
    for attempt in range(LOOKS):
        stored = _day(day, realm)
        counted = _shares_on(day, counted_in(day[:7], realm), realm)
        found = list(day_differences({day: stored} if stored else {}, counted, realm))
        again = _day(day, realm)
        if not found or (stored and stored.revision) == (again and again.revision):
            return found
        _pause(attempt)
    raise Moving(day)


def recheck_totals(condition: keys.Condition, known: Iterable[str]) -> list[Difference]:
    """The condition's months and tallies compared with the stored contributions of one moment, which move
    in the same transactions. Raises Moving."""
    ids = list(known)
    for attempt in range(LOOKS):
        cell = _stored(condition)
        for item in _contributions(sorted(cell.counted_ids().union(ids))):
            share = stored_share(item)
            if share is None or share.condition == condition:
                cell.contributions[str(item.PK).removeprefix(keys.SESSION_PREFIX)] = item
            if share is not None and share.condition == condition:
                cell.shares[share.session_id] = share
        found = list(differences(cell))
        if not found or cell.revisions() == _stored(condition).revisions():
            return found
        _pause(attempt)
    raise Moving(condition.code)


def recheck_session(session_id: str, *, patience: float, settle: Callable[[], object]) -> list[Difference]:
    """A session compared with its contribution, until they agree or both stay as they are for so many
    seconds: a worker needs a moment to count it. Raises Moving."""
    seen, since = None, time.monotonic()
    for attempt in range(LOOKS * 4):
        settle()
        _, stored, share, reason = read_session(session_id)
        code = share.condition.code if share else stored.condition_code if stored else "none"
        if reason is not None:
            return [unreadable(code, session_id, reason)]
        found = list(_contribution_differences(code, session_id, stored, share))
        if not found:
            return []
        now = (stored and stored.revision, share and share.source)
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since >= patience:
            return found
        _pause(attempt)
    raise Moving(session_id)


def sessions_that_differ(cell: Cell) -> list[str]:
    """From their contribution, or that cannot be read."""
    contributions = cell.contributions.items()
    found = {each for each, stored in contributions if stored_share(stored) != cell.shares.get(each)}
    return sorted(found | cell.unreadable.keys())


def _pause(attempt: int) -> None:
    time.sleep(random.uniform(0.2, 1.0) * min(0.1 * (attempt + 1), 1.0))  # noqa: S311  parts writers


def _item_differences(
    code: str,
    month: str,
    prefix: str,
    stored: m.Item | None,
    wanted: m.Item,
    *,
    zero_is_nothing: bool = False,
) -> Iterator[Difference]:
    have, want = dict(_figures(stored)), dict(_figures(wanted))
    for name in sorted(have.keys() | want.keys()):
        one, other = have.get(name), want.get(name)
        if zero_is_nothing:
            one, other = one or None, other or None
        if one != other and name not in NOT_COMPARED:
            yield Difference(code, month, prefix + name, one, other)


def _figures(item: m.Item | None) -> Iterator[tuple[str, Any]]:
    """Every attribute that is ours, flat; those that others added are not compared."""
    if item is None:
        return
    known = {attribute.attr_name for attribute in item.get_attributes().values()}
    values = item.serialize(null_check=False)
    yield from _flat("", {name: value for name, value in values.items() if name in known})


def _flat(path: str, values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Raw attributes by dotted path; numbers as floats, so that 1 and 1.0 are the same."""
    for name, typed in values.items():
        kind, value = next(iter(typed.items()))
        here = f"{path}{name}"
        if kind == "M":
            yield from _flat(f"{here}.", value)
        elif kind == "L":
            yield from _flat(f"{here}.", {str(place): element for place, element in enumerate(value)})
        else:
            yield here, float(value) if kind == "N" else value
