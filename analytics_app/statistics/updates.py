"""One session's contribution to its condition's statistics, and the transaction that moves them by it.

Statistics are never recounted to be moved: what a session added is kept with it, and the difference to
what it adds now is moved, in one transaction. So replays, delays and re-scoring leave them exact.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any, TypeVar

from pynamodb.exceptions import PutError
from pynamodb.expressions.update import Action

from sessions_app.domain import models as m
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from sessions_app.domain.store.transactions import Busy, Refused, Transaction
from sessions_app.domain.stream_worker import dead_letters

from . import items as statistics_items
from .contributions import Share, contribution
from .sums import LAYOUT, Impossible, Sums

log = logging.getLogger(__name__)

TRIES = 40


class Unreadable(ValueError):
    """A session whose items cannot be counted. `reason` holds no value of it."""

    def __init__(self, session_id: str, reason: str) -> None:
        super().__init__(f"session {session_id}: {reason}")
        self.session_id = session_id
        self.reason = reason


class Vanished(Refused):
    """A contribution that is counted is not there: just being written, or deleted by someone else."""


# --- moving the statistics


def apply(session_id: str, *, now: datetime, lost: m.Contribution | None = None) -> bool:
    """Bring the statistics in line with a session as it stands; whether anything had to be written.

    `lost` is the contribution that was deleted with its session by someone else, if that is known.
    Raises Unreadable, Busy, or PynamoDB's errors when the table cannot be reached.
    """
    for attempt in range(TRIES):
        # The stored contribution is read first: whatever it was counted from is then older than what is
        # read next, so an outdated reading can never replace a newer one.
        stored = m.Contribution.of_session(session_id)
        fresh, unreadable = _recounted(session_id)
        try:
            moved = _settle(session_id, stored, fresh, lost, now)
            if unreadable is not None:  # and it is counted no longer
                raise unreadable
            return moved
        except Refused as refused:
            if isinstance(refused, Vanished) and attempt > 5:
                log.warning("session %s waits for the removal of its old contribution", session_id)
                return False
            time.sleep(random.uniform(0, 0.01 * min(attempt + 1, 20)))  # noqa: S311  spreads writers
    raise Busy("other sessions of the same condition were in the way; nothing was changed")


def _recounted(session_id: str) -> tuple[Share | None, Unreadable | None]:
    try:
        return recount(session_id), None
    except Unreadable as error:
        return None, error


def recount(session_id: str) -> Share | None:
    """What the session adds as its items stand; None when it is gone, void or practice. Raises Unreadable."""
    try:
        items = m.Session.whole(session_id)
        session = next((item for item in items if isinstance(item, m.Session)), None)
        if session is None or session.is_void or session.realm == "practice":
            return None
        share = contribution(Run.of(items), session_id)
        keys.student(share.student_id)  # its tally stands under this key
        return share
    except Exception as error:
        if dead_letters.is_transient(error):
            raise
        raise Unreadable(session_id, dead_letters.describe(error)) from error


def cell_of(item: m.Contribution) -> keys.Condition:
    """The cell whose statistics hold a contribution."""
    return keys.cell(item.condition_code, item.realm)


def share_of(item: m.Contribution) -> Share:
    """Raises aggregates.Outdated."""
    if not statistics_items.is_current(item):
        raise statistics_items.Outdated
    return Share(
        session_id=item.session_id,
        student_id=item.student_id,
        condition=cell_of(item),
        day=item.day,
        sums=Sums(item.sums or {}, item.histograms or {}),  # the local stream tells an empty map as nothing
        source=item.source,
    )


def _settle(
    session_id: str,
    stored: m.Contribution | None,
    fresh: Share | None,
    lost: m.Contribution | None,
    now: datetime,
) -> bool:
    old = share_of(stored) if stored else None
    if old is None and lost is not None and _is_counted(lost):
        _move(share_of(lost), None, None, now)
    if old == fresh:
        return False
    if old and fresh and (old.condition, old.student_id) != (fresh.condition, fresh.student_id):
        _move(old, None, stored, now)
        old, stored = None, None
    _move(old, fresh, stored, now)
    return True


def _is_counted(lost: m.Contribution) -> bool:
    """Whether the statistics still hold a contribution that is gone: our own removals leave no trace."""
    tally = _tally(cell_of(lost), lost.student_id)
    return tally is not None and lost.session_id in tally.sessions


def _tally(condition: keys.Condition, student_id: str) -> m.CountedStudent | None:
    return get(m.CountedStudent, keys.counted(condition), keys.student(student_id))


_I = TypeVar("_I", bound=m.Item)


def get(model: type[_I], pk: str, sk: str) -> _I | None:
    try:
        return model.get(pk, sk, consistent_read=True)
    except model.DoesNotExist:
        return None


def _move(old: Share | None, new: Share | None, stored: m.Contribution | None, now: datetime) -> None:
    """One transaction from what was counted to what counts now. Raises Refused when others moved it."""
    one = new or old
    assert one is not None  # noqa: S101  for the type checker: the caller moves something
    transaction = Transaction()
    put_contribution(transaction, stored, new, now)
    if old is None or new is None or old.sums != new.sums or old.day != new.day:
        tally = _tally(one.condition, one.student_id)
        before = dict(tally.sessions) if tally else {}
        if old is None and one.session_id in before:
            raise Vanished(frozenset({"tally"}))
        after = {key: month for key, month in before.items() if key != one.session_id}
        if new:
            after[new.session_id] = new.month
        put_tally(transaction, one.condition, one.student_id, tally, after)
        for month, difference in sorted(_differences(old, new, before, after).items()):
            _put_month(transaction, one.condition, month, difference, now)
        _count_days(transaction, one.condition, old, new)
    try:
        transaction.commit()
    except Refused as refused:
        if any(name.startswith("day ") for name in refused.names):
            _open_days(refused.names, one.condition.realm)
        raise


def _revision() -> str:
    return uuid.uuid4().hex


def put_contribution(
    transaction: Transaction, stored: m.Contribution | None, new: Share | None, now: datetime
) -> None:
    unchanged: Any = as_read(stored) if stored else None
    if new is None:
        if stored is not None:
            transaction.deletes.append(("contribution", {"model": stored, "condition": unchanged}))
        return
    item = stored_share(new, now)
    # A session that was erased after it was read here must not get its contribution back.
    transaction.check("session", m.Session, item.PK, keys.METADATA, m.Item.PK.exists())
    if stored is None:
        transaction.create("contribution", item)
    else:
        transaction.update("contribution", stored, all_of(item), unchanged)


def stored_share(share: Share, now: datetime) -> m.Contribution:
    return m.Contribution(
        PK=keys.session(share.session_id),
        SK=keys.CONTRIBUTION,
        session_id=share.session_id,
        student_id=share.student_id,
        condition_code=share.condition.code,
        realm=share.condition.realm,
        day=share.day,
        sums=dict(share.sums.counts),
        histograms={name: dict(values) for name, values in share.sums.histograms.items()},
        layout=LAYOUT,
        source=share.source,
        revision=_revision(),
        updated_at=now,
    )


def all_of(item: m.Item) -> list[Action]:
    """SET of every attribute of an item but its keys, so that unknown ones stay."""
    names = (name for name in item.attribute_values if name not in ("PK", "SK"))
    return [getattr(type(item), name).set(getattr(item, name)) for name in names]


def put_tally(
    transaction: Transaction,
    condition: keys.Condition,
    student_id: str,
    tally: m.CountedStudent | None,
    sessions: dict[str, str],
) -> None:
    """Make the tally hold just these sessions, on condition that it is as it was read."""
    if sessions == (tally.sessions if tally else {}):
        return
    unchanged: Any = as_read(tally) if tally else None
    if tally is not None and not sessions:
        transaction.deletes.append(("tally", {"model": tally, "condition": unchanged}))
    elif tally is not None:
        actions = [m.CountedStudent.sessions.set(sessions), m.CountedStudent.revision.set(_revision())]
        transaction.update("tally", tally, actions, unchanged)
    else:
        transaction.create("tally", counted_student(condition, student_id, sessions))


def counted_student(condition: keys.Condition, student_id: str, sessions: dict[str, str]) -> m.CountedStudent:
    return m.CountedStudent(
        PK=keys.counted(condition),
        SK=keys.student(student_id),
        student_id=student_id,
        sessions=sessions,
        revision=_revision(),
    )


def students(sessions: dict[str, str]) -> Iterator[tuple[str, Sums]]:
    """One student in each of the months of these sessions, told by the month before (0 for none)."""
    before = 0
    for month in sorted(set(sessions.values())):
        yield month, Sums({}, {"students": {before: 1}})
        before = int(month.replace("-", ""))


def _differences(
    old: Share | None, new: Share | None, before: dict[str, str], after: dict[str, str]
) -> dict[str, Sums]:
    """What each month gains or loses."""
    months: dict[str, Sums] = {}
    for month, part in [*students(after), *([(new.month, new.sums)] if new else [])]:
        months[month] = months.get(month, Sums()) + part
    for month, part in [*students(before), *([(old.month, old.sums)] if old else [])]:
        months[month] = months.get(month, Sums()) - part
    return {month: difference for month, difference in months.items() if difference}


def _put_month(
    transaction: Transaction, condition: keys.Condition, month: str, difference: Sums, now: datetime
) -> None:
    stored = get(
        m.ConditionStatistics, keys.statistics(condition), keys.aggregate(statistics_items.first_day(month))
    )
    total = statistics_items.sums_of(stored) + difference if stored else difference
    try:
        put_aggregate(transaction, condition, month, stored, total, now)
    except Impossible as impossible:
        # The aggregate already moved past the contribution that was read before it.
        raise Refused(frozenset({"aggregate"})) from impossible


def put_aggregate(
    transaction: Transaction,
    condition: keys.Condition,
    month: str,
    stored: m.ConditionStatistics | None,
    total: Sums,
    now: datetime,
) -> None:
    """An aggregate and its compact twin, on condition that the aggregate is as it was read."""
    item = statistics_items.aggregate(condition, month, total, revision=_revision(), now=now)
    if stored is None:
        transaction.create("aggregate", item)
    else:
        transaction.update("aggregate", stored, all_of(item), as_read(stored))
    compact = statistics_items.compact(condition, month, total)
    transaction.upsert("month", compact, [*all_of(compact), *_kind(compact)])


def as_read(stored: m.ConditionStatistics | m.Contribution | m.CountedStudent | m.DayCounts) -> Any:
    """Condition: the item has not moved. One that another writer made has no revision."""
    revision: Any = type(stored).revision
    known = stored.revision
    return revision.does_not_exist() if known is None else revision == known


def _kind(item: m.Item) -> list[Action]:
    """An update that makes its item has to say what it is."""
    attribute: Any = m.Item.entity_type
    return [attribute.set(type(item))] if "entity_type" not in item.attribute_values else []


def day_counts(share: Share) -> dict[str, int]:
    """What a session adds to its day, by the attributes of DayCounts."""
    counts = {
        "started": 1,
        **{name: share.sums[name] for name in ("completed", "stopped", "abandoned", "withdrawn")},
        "gains": share.sums["gain_n"],
        "gain_units": share.sums["gain_sum"],
    }
    return {name: n for name, n in counts.items() if n}


def _count_days(
    transaction: Transaction, condition: keys.Condition, old: Share | None, new: Share | None
) -> None:
    """Added in place, so that sessions of different conditions do not wait for each other."""
    days: dict[str, dict[str, int]] = {}
    for share, sign in ((old, -1), (new, 1)):
        counts = day_counts(share) if share else {}
        for name, n in counts.items():
            entry = days.setdefault(share.day, {}) if share else {}
            entry[name] = entry.get(name, 0) + sign * n
    for day, counts in days.items():
        actions: list[Action] = [m.DayCounts.revision.set(_revision())]
        for name, n in counts.items():
            path: Any = getattr(m.DayCounts, name)[condition.code]
            if n:
                actions.append(path.set((path | 0) + n))
        if len(actions) > 1:
            current: Any = m.DayCounts.layout == LAYOUT
            transaction.update(f"day {day}", empty_day(day, condition.realm), actions, current)


def empty_day(day: str, realm: str) -> m.DayCounts:
    empty: dict[str, Any] = {name: {} for name in m.DayCounts.COUNTS}
    return m.DayCounts(
        PK=keys.statistics_by_day(realm),
        SK=keys.day(date.fromisoformat(day)),
        day=day,
        layout=LAYOUT,
        revision=_revision(),
        **empty,
    )


def _open_days(names: Iterable[str], realm: str) -> None:
    for day in (name.removeprefix("day ") for name in names if name.startswith("day ")):
        try:
            empty_day(day, realm).save(condition=m.Item.PK.does_not_exist())
        except PutError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            stored = get(m.DayCounts, keys.statistics_by_day(realm), keys.day(date.fromisoformat(day)))
            if stored is not None and not statistics_items.is_current(stored):
                raise statistics_items.Outdated from error
