"""The schema's eight access patterns and its four analyses, each under a name of its own.

Patterns give a `Listing`: iterated, it is complete, however many pages DynamoDB makes of it; `.page()`
takes one page and a cursor. Analyses read the statistics, whose cost does not grow with the sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Generic, TypeVar

from pynamodb.pagination import ResultIterator

from sessions_app.domain.models import (
    Assessment,
    ConditionMonth,
    ConditionStatistics,
    Contribution,
    DayCounts,
    Intervention,
    Item,
    Session,
    readable,
)
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys

from . import items as statistics_items
from .sums import POINT, Figures, Month, merge, pooled_d

Cursor = dict[str, dict[str, Any]]
"""A key as DynamoDB gives it back for the next page."""

Moment = str | date | datetime
_I = TypeVar("_I", bound=Item)


class BadRange(ValueError):
    """A range of time that is none; the message is for the screen."""


# --- ranges


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of stored timestamps, as texts without their `Z`.

    Cut there, a bound sorts before every way in which that second is stored (with or without fractions),
    so DynamoDB's closed BETWEEN becomes half-open by itself.
    """

    start: str = "0000"
    end: str = "9999"

    @classmethod
    def of(cls, start: Moment | None = None, end: Moment | None = None) -> Span:
        """From a start to before an end; an end that is a date alone means through that day.

        Dates are days in UTC, as in the keys. Raises BadRange.
        """
        first = cls().start if start is None else _bound(start)
        last = cls().end if end is None else _bound(end, through=True)
        if first > last:
            raise BadRange("the start lies after the end")
        return cls(first, last)

    def holds(self, stamp: str) -> bool:
        return self.start <= stamp < self.end


def _bound(value: Moment, *, through: bool = False) -> str:
    """The first second of a moment or a day, or of the day after."""
    if isinstance(value, str):
        value = _read(value)
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC) + timedelta(days=int(through))
    try:
        return keys.stamp(value)[:-1]
    except keys.BadKey as error:
        raise BadRange(str(error)) from None


def _read(text: str) -> date | datetime:
    try:
        return date.fromisoformat(text) if len(text) == 10 else keys.moment(text)
    except ValueError:
        raise BadRange(f"{text!r} is neither a date like 2025-10-23 nor a UTC timestamp") from None


@dataclass(frozen=True, slots=True)
class Months:
    """Calendar months (UTC, by session start), both ends included. Raises BadRange for what is no month."""

    first: str = "0001-01"
    last: str = "9999-12"

    def __post_init__(self) -> None:
        for text in (self.first, self.last):
            try:
                statistics_items.first_day(text)
            except ValueError:
                raise BadRange(f"{text!r} is not a month like 2025-10") from None
        if self.first > self.last:
            raise BadRange("the first month lies after the last")

    @classmethod
    def of(cls, month: str) -> Months:
        return cls(month, month)


ALL_MONTHS = Months()


# --- listings


@dataclass(frozen=True, slots=True)
class Page(Generic[_I]):
    items: list[_I]
    cursor: Cursor | None
    """Where the next page begins; None at the end."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[_I]):
    """A query that is not made yet. Items of other entities that share the index are left out."""

    kind: type[_I]
    query: Callable[..., ResultIterator[Item]]
    newest_first: bool = False

    def __iter__(self) -> Iterator[_I]:
        for item in self.query(scan_index_forward=not self.newest_first):
            if isinstance(item, self.kind):
                yield item

    def page(self, *, limit: int, cursor: Cursor | None = None) -> Page[_I]:
        """At most `limit` items from a cursor on. One request, or a few where the index is shared."""
        found = self.query(
            scan_index_forward=not self.newest_first, page_size=limit, last_evaluated_key=cursor
        )
        items: list[_I] = []
        for item in found:
            if isinstance(item, self.kind):
                items.append(item)
            if len(items) == limit:
                break
        return Page(items, found.last_evaluated_key)


def _within(attribute: Any, span: Span, prefix: str = "") -> Any:
    return attribute.between(f"{prefix}{span.start}", f"{prefix}{span.end}")


ALWAYS = Span()


# --- the eight access patterns


def whole_session(session_id: str) -> Run:
    """Pattern 1: all that belongs to a session, in one consistent query. Raises SessionNotFound."""
    return Run.load(session_id)


def sessions_of_condition(
    condition: keys.Condition, span: Span = ALWAYS, *, newest_first: bool = False
) -> Listing[Session]:
    """Pattern 2, by GSI1."""
    return Listing(
        Session,
        lambda **paging: Item.by_condition.query(
            keys.condition(condition), _within(Item.GSI1SK, span), **paging
        ),
        newest_first,
    )


def sessions_of_student(
    student_id: str, span: Span = ALWAYS, *, newest_first: bool = False
) -> Listing[Session]:
    """Pattern 3, by GSI2; the profile in the same partition is left out by the key's prefix."""
    return Listing(
        Session,
        lambda **paging: Item.by_student.query(
            keys.student(student_id), _within(Item.GSI2SK, span, keys.SESSION_PREFIX), **paging
        ),
        newest_first,
    )


def sessions_at_location(
    location: str, span: Span = ALWAYS, *, newest_first: bool = False
) -> Listing[Session]:
    """Pattern 4, by GSI3."""
    return Listing(
        Session,
        lambda **paging: Item.by_location.query(
            keys.location(location), _within(Item.GSI3SK, span), **paging
        ),
        newest_first,
    )


def interventions_of_type(
    kind: str, span: Span = ALWAYS, *, newest_first: bool = False
) -> Listing[Intervention]:
    """Pattern 5, by GSI4: whole interventions of a type; sessions share the index and are left out."""
    return Listing(
        Intervention,
        lambda **paging: Item.by_type.query(
            keys.intervention_type(kind),
            _within(Item.GSI4SK, span),
            filter_condition=Item.entity_type == Intervention,
            **paging,
        ),
        newest_first,
    )


def sessions_on_day(day: date, *, newest_first: bool = False, only: Any = None) -> Listing[Session]:
    """Pattern 6, by GSI5: one day in UTC; `only` is a condition on sessions."""
    query = partial(Item.by_day.query, keys.day(day), filter_condition=only)
    return Listing(Session, query, newest_first)


def sessions_between(first: date, last: date) -> Iterator[Session]:
    """Pattern 6 over days, both included, oldest first: one query a day. For counts, `days` is cheaper."""
    for number in range((last - first).days + 1):
        yield from sessions_on_day(first + timedelta(days=number))


def interventions_in_session(session_id: str, span: Span = ALWAYS) -> Listing[Intervention]:
    """Pattern 7: those of a session that began in a span."""
    return Listing(
        Intervention,
        lambda **paging: Item.query(
            keys.session(session_id),
            _within(Item.SK, span, keys.INTERVENTION_PREFIX),
            consistent_read=True,
            **paging,
        ),
    )


def baseline_and_final(session_id: str) -> dict[str, Assessment]:
    """Pattern 8: by `baseline` and `final`; one that does not exist yet is missing."""
    found = Item.query(
        keys.session(session_id), Item.SK.startswith(keys.ASSESSMENT_PREFIX), consistent_read=True
    )
    return {item.assessment_metadata.type: item for item in readable(found, Assessment)}


# --- statistics: what dashboards read


def months_of_all_conditions(months: Months = ALL_MONTHS, realm: str = "real") -> list[Month]:
    """Every condition's months without histograms, oldest month first: one query, about 1.5 units a month."""
    found = Item.query(keys.statistics_by_month(realm), Item.SK.between(months.first, f"{months.last}~"))
    ours = readable(found, ConditionMonth)
    return [statistics_items.compact_month_of(item) for item in ours if statistics_items.is_current(item)]


def by_condition(read: Iterable[Month]) -> dict[keys.Condition, Figures]:
    grouped: dict[str, list[Month]] = {condition.code: [] for condition in keys.CONDITIONS}
    for month in read:
        grouped[month.code].append(month)
    return {keys.Condition.from_code(code): merge(found) for code, found in grouped.items()}


def grouped(read: Iterable[Month], name: str) -> dict[str, Figures]:
    """By `location`, `interval` or `type` (the names of `keys.Condition`), in the order of the study."""
    groups: dict[str, list[Month]] = {getattr(condition, name): [] for condition in keys.CONDITIONS}
    for month in read:
        groups[getattr(keys.Condition.from_code(month.code), name)].append(month)
    return {value: merge(found) for value, found in groups.items()}


def condition_figures(condition: keys.Condition, months: Months = ALL_MONTHS) -> Figures:
    """One condition with its histograms, so with exact medians: one query of its aggregates."""
    return merge(statistics_items.month_of(item) for item in condition_aggregates(condition, months))


def condition_aggregates(condition: keys.Condition, months: Months = ALL_MONTHS) -> list[ConditionStatistics]:
    """The schema's items of a condition, oldest month first; those of other writers are left out."""
    bounds = (f"{keys.AGGREGATE_PREFIX}{months.first}", f"{keys.AGGREGATE_PREFIX}{months.last}~")
    found = Item.query(keys.statistics(condition), Item.SK.between(*bounds))
    ours = (item for item in readable(found, ConditionStatistics) if item.sums is not None)
    return [item for item in ours if statistics_items.is_current(item)]


@dataclass(frozen=True, slots=True)
class Day:
    """Counts of a day (UTC) by condition code; conditions without any are left out."""

    day: date
    started: Mapping[str, int]
    completed: Mapping[str, int]
    stopped: Mapping[str, int]
    abandoned: Mapping[str, int]
    withdrawn: Mapping[str, int]
    gains: Mapping[str, int]
    gain_units: Mapping[str, int]

    @property
    def running(self) -> int:
        ended = (self.completed, self.stopped, self.abandoned, self.withdrawn)
        return sum(self.started.values()) - sum(sum(counts.values()) for counts in ended)


def days(first: date, last: date, realm: str = "real") -> list[Day]:
    """The days, both included, on which sessions started: one query, at most 0.15 units a day."""
    found = Item.query(keys.statistics_by_day(realm), Item.SK.between(keys.day(first), keys.day(last)))
    return [day_of(item) for item in readable(found, DayCounts) if statistics_items.is_current(item)]


def day_of(item: DayCounts) -> Day:
    counts = (getattr(item, name) or {} for name in DayCounts.COUNTS)
    present = [{code: n for code, n in values.items() if n} for values in counts]
    return Day(date.fromisoformat(item.day), *present)


# --- the four analyses


@dataclass(frozen=True, slots=True)
class IndividualGain:
    """One completed session's scores in percent; None where one is not graded."""

    session_id: str
    student_id: str
    condition_code: str
    day: str
    baseline: float | None
    final: float | None

    @property
    def gain(self) -> float | None:
        if self.baseline is None or self.final is None:
            return None
        return self.final - self.baseline


def learning_gain(condition: keys.Condition, months: Months = ALL_MONTHS) -> Figures:
    """Analysis 1: the learning gain of a condition; `individual_gains` gives the sessions behind it."""
    return condition_figures(condition, months)


def individual_gains(condition: keys.Condition, span: Span = ALWAYS) -> Iterator[IndividualGain]:
    """The completed sessions of a condition: the index, and a batch of 100 small items a request."""
    wanted = [(session.PK, keys.CONTRIBUTION) for session in sessions_of_condition(condition, span)]
    for item in Contribution.batch_get(wanted):
        is_of_cell = statistics_items.is_current(item) and item.realm == condition.realm
        if is_of_cell and item.sums.get("completed"):
            yield _individual(item)


def _individual(item: Contribution) -> IndividualGain:
    scores = {
        kind: item.sums.get(f"{kind}_sum", 0) / POINT if item.sums.get(f"{kind}_n") else None
        for kind in ("baseline", "final")
    }
    return IndividualGain(
        session_id=item.session_id,
        student_id=item.student_id,
        condition_code=item.condition_code,
        day=item.day,
        **scores,
    )


@dataclass(frozen=True, slots=True)
class TypeComparison:
    """Static against dynamic interventions of completed sessions.

    `d_answer_depth` and `d_response_time` are Cohen's d (`figures.pooled_d`), dynamic - static; a question
    of the static set has no quality score.
    """

    static: Figures
    dynamic: Figures
    d_answer_depth: float | None
    d_response_time: float | None


def compare_intervention_types(months: Months = ALL_MONTHS, realm: str = "real") -> TypeComparison:
    """Analysis 2."""
    by_type = grouped(months_of_all_conditions(months, realm), "type")
    static, dynamic = by_type["static"], by_type["dynamic"]
    return TypeComparison(
        static, dynamic, _effect(static, dynamic, "depth"), _effect(static, dynamic, "response")
    )


def _effect(one: Figures, other: Figures, name: str) -> float | None:
    parts = (f"{name}_n", f"{name}_sum", f"{name}_squares")
    return pooled_d(*(one[part] for part in parts), *(other[part] for part in parts))


def compare_locations(months: Months = ALL_MONTHS, realm: str = "real") -> dict[str, Figures]:
    """Analysis 3: by location; `.gain`, and `.mean("location_impact", "location_impact_n")`."""
    return grouped(months_of_all_conditions(months, realm), "location")


@dataclass(frozen=True, slots=True)
class DayAtAGlance:
    day: date
    total_sessions: int
    completed_sessions: int
    completion_rate: float | None
    sessions_by_condition: Mapping[str, int]
    sessions_by_location: Mapping[str, int]


def day_at_a_glance(day: date, realm: str = "real") -> DayAtAGlance:
    """Analysis 4: a day's sessions, from one item."""
    found = days(day, day, realm)
    started = found[0].started if found else {}
    completed = sum(found[0].completed.values()) if found else 0
    total = sum(started.values())
    by_location: dict[str, int] = {}
    for code, n in started.items():
        location = keys.Condition.from_code(code).location
        by_location[location] = by_location.get(location, 0) + n
    rate = 100 * completed / total if total else None
    return DayAtAGlance(day, total, completed, rate, dict(started), by_location)
