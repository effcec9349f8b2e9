"""The statistics counted anew from the items: to put them in order, or to see whether they are.

Works beside a running worker: every write holds only while nothing it rests on has moved, else the
condition is counted again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sessions_app.domain import keys
from sessions_app.domain import models as m
from sessions_app.domain.models.transaction import Busy, Refused, Transaction

from . import aggregates, rollups
from .contributions import Share
from .figures import Sums

TRIES = 10
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
        parts += [part for sessions in self.counted().values() for part in rollups.students(sessions)]
        for month, sums in parts:
            found[month] = found.get(month, Sums()) + sums
        return found

    def counted(self) -> dict[str, dict[str, str]]:
        """By student, the months of the sessions."""
        found: dict[str, dict[str, str]] = {}
        for share in self.shares.values():
            found.setdefault(share.student_id, {})[share.session_id] = share.month
        return found


def sessions_of(condition: keys.Condition) -> list[str]:
    """The ids of all sessions of a condition, by its index."""
    names = ["PK", "SK", "entity_type"]
    found = m.Item.by_condition.query(keys.condition(condition), attributes_to_get=names)
    return [str(item.PK).removeprefix(keys.SESSION_PREFIX) for item in found if isinstance(item, m.Session)]


def read(condition: keys.Condition, known: Iterable[str], tick: Tick) -> Cell:
    """`known` are the sessions that the index told of; those counted already may be ahead of it.

    What is stored is read before the sessions: a change in between is then seen as one when writing.
    """
    cell = Cell(condition)
    for item in m.ConditionStatistics.of_condition(condition):
        if isinstance(item, m.ConditionStatistics):
            cell.aggregates[item.month] = item
    for item in m.Item.query(keys.counted(condition), consistent_read=True):
        if isinstance(item, m.CountedStudent):
            cell.tallies[item.student_id] = item
    months = [(keys.STATISTICS_BY_MONTH, keys.condition_month(month, condition)) for month in cell.aggregates]
    cell.compacts = {item.month: item for item in m.ConditionMonth.batch_get(months, consistent_read=True)}
    counted = {session_id for tally in cell.tallies.values() for session_id in tally.sessions}
    with ThreadPoolExecutor(READERS) as pool:
        for found in pool.map(_read_session, sorted(counted.union(known))):
            _place(cell, *found)
            tick()
    return cell


def _read_session(session_id: str) -> tuple[str, m.Contribution | None, Share | None, str | None]:
    stored = m.Contribution.of_session(session_id)
    try:
        return session_id, stored, rollups.recount(session_id), None
    except rollups.Unreadable as fault:
        return session_id, stored, None, fault.reason


def _place(
    cell: Cell, session_id: str, stored: m.Contribution | None, share: Share | None, fault: str | None
) -> None:
    if fault is not None:
        cell.unreadable[session_id] = fault
    if share is None or share.condition == cell.condition:
        cell.contributions[session_id] = stored
    if share is not None and share.condition == cell.condition:
        cell.shares[session_id] = share


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
        if share != (rollups.share_of(stored) if stored else None):
            transaction = Transaction()
            rollups.put_contribution(transaction, stored, share, now)
            transaction.commit()
    expected = cell.counted()
    for student_id in expected.keys() | cell.tallies.keys():
        tally, sessions = cell.tallies.get(student_id), expected.get(student_id, {})
        if sessions != (tally.sessions if tally else {}):
            transaction = Transaction()
            rollups.put_tally(transaction, cell.condition, student_id, tally, sessions)
            transaction.commit()
    _write_months(cell, now)


def _write_months(cell: Cell, now: datetime) -> None:
    totals = cell.totals()
    for month in sorted(totals.keys() | cell.aggregates.keys()):
        stored = cell.aggregates.get(month)
        transaction = Transaction()
        if month in totals:
            rollups.put_aggregate(transaction, cell.condition, month, stored, totals[month], now)
        elif stored is not None:
            unchanged = rollups.as_read(stored)
            transaction.deletes.append(("aggregate", {"model": stored, "condition": unchanged}))
            twin = aggregates.compact(cell.condition, month, Sums())
            transaction.deletes.append(("month", {"model": twin}))
        transaction.commit()


def rebuild_day(day: str) -> None:
    """Replace the counts of a day by what the contributions of its sessions say. Raises Busy."""
    for _ in range(TRIES):
        stored = _day(day)
        item = stored or rollups.empty_day(day)
        before = stored.revision if stored else None
        fresh = day_item(day, _shares_on(day))
        try:
            transaction = Transaction()
            if stored is None:
                transaction.create("day", fresh)
            else:
                transaction.update("day", item, rollups.all_of(fresh), m.DayCounts.revision == before)
            transaction.commit()
        except Refused:
            continue
        return
    raise Busy(f"{day} kept moving; it was not rebuilt, try again when less is going on")


def _day(day: str) -> m.DayCounts | None:
    return rollups.get(m.DayCounts, keys.STATISTICS_BY_DAY, keys.day(date.fromisoformat(day)))


def _shares_on(day: str) -> Iterator[Share]:
    names = ["PK", "SK", "entity_type"]
    found = m.Item.by_day.query(keys.day(date.fromisoformat(day)), attributes_to_get=names)
    wanted = [(item.PK, keys.CONTRIBUTION) for item in found if isinstance(item, m.Session)]
    for item in m.Contribution.batch_get(wanted, consistent_read=True):
        yield rollups.share_of(item)


def day_item(day: str, shares: Iterable[Share]) -> m.DayCounts:
    item = rollups.empty_day(day)
    for share in shares:
        for name, n in rollups.day_counts(share).items():
            counts = getattr(item, name)
            counts[share.condition.code] = counts.get(share.condition.code, 0) + n
    return item


def stored_days() -> dict[str, m.DayCounts]:
    found = m.Item.query(keys.STATISTICS_BY_DAY, consistent_read=True)
    return {item.day: item for item in found if isinstance(item, m.DayCounts)}


# --- comparing


def differences(cell: Cell) -> Iterator[Difference]:
    """What is stored of a condition and should be otherwise, month by month."""
    code = cell.condition.code
    for session_id, reason in sorted(cell.unreadable.items()):
        yield Difference(code, "-", f"session {session_id}", "counted or not", f"unreadable ({reason})")
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


def _contribution_differences(
    code: str, session_id: str, stored: m.Contribution | None, share: Share | None
) -> Iterator[Difference]:
    have = rollups.share_of(stored) if stored else None
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
    wanted = aggregates.aggregate(cell.condition, month, total, revision="", now=anyone)
    yield from _item_differences(code, month, "", stored, wanted)
    twin = cell.compacts.get(month)
    yield from _item_differences(
        code, month, "(compact) ", twin, aggregates.compact(cell.condition, month, total)
    )


def day_differences(stored: dict[str, m.DayCounts], shares: Iterable[Share]) -> Iterator[Difference]:
    by_day: dict[str, list[Share]] = {}
    for share in shares:
        by_day.setdefault(share.day, []).append(share)
    for day in sorted(by_day.keys() | stored.keys()):
        wanted = day_item(day, by_day.get(day, []))
        yield from _item_differences("all", day, "", stored.get(day), wanted, zero_is_nothing=True)


def recheck_day(day: str) -> Iterator[Difference]:
    """A day compared with the contributions as they now are."""
    stored = _day(day)
    return day_differences({day: stored} if stored else {}, _shares_on(day))


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
