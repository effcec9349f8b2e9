"""What a reader asked for: a range of months, and some of the 24 conditions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from sessions_app.domain.models import DayCounts, Item, readable
from sessions_app.domain.store import keys

from ..statistics import items as statistics_items
from ..statistics import queries
from ..statistics.queries import Day, Months, day_of
from ..statistics.sums import Month

USUAL_MONTHS = 12  # about 1.5 read units each when all conditions hold sessions
MAX_MONTHS = 60
MAX_DAYS = 124  # four months by day or week: at most 0.15 read units each


@dataclass(frozen=True, slots=True)
class Chosen:
    """Nothing chosen of location, interval or type means all of them."""

    months: Months
    realm: str = "real"
    location: str | None = None
    interval: str | None = None
    type: str | None = None

    def holds(self, code: str) -> bool:
        cell = keys.Condition.from_code(code)
        return all(
            wanted in (None, actual)
            for wanted, actual in (
                (self.location, cell.location),
                (self.interval, cell.interval),
                (self.type, cell.type),
            )
        )

    def conditions(self) -> list[keys.Condition]:
        return [cell for cell in keys.CONDITIONS if self.holds(cell.code)]

    def read(self) -> list[Month]:
        """The chosen conditions' months, oldest first, without histograms: one query."""
        return self.of_chosen(queries.months_of_all_conditions(self.months, self.realm))

    def of_chosen(self, read: list[Month]) -> list[Month]:
        return [part for part in read if self.holds(part.code)]

    def sessions_elsewhere(self) -> int:
        """How many sessions of the choice are simulated: what a reader of no real session can look at."""
        read = queries.months_of_all_conditions(self.months, "simulated")
        return sum(part.sums["sessions"] for part in self.of_chosen(read))

    def days(self) -> list[Day]:
        """The last days of the range, at most MAX_DAYS, with the chosen conditions only: one query."""
        return [self.only(day) for day in queries.days(self.first_day, self.last_day, self.realm)]

    @property
    def last_day(self) -> date:
        return statistics_items.last_day(self.months.last)

    @property
    def first_day(self) -> date:
        """The first of `days`: a Monday, where the range was cut, so that weeks are whole."""
        earliest = self.last_day - timedelta(days=MAX_DAYS - 1)
        monday = earliest + timedelta(days=-earliest.weekday() % 7)
        return max(statistics_items.first_day(self.months.first), monday)

    @property
    def was_cut(self) -> bool:
        """Whether `days` are fewer than the months hold."""
        return self.first_day > statistics_items.first_day(self.months.first)

    def only(self, day: Day) -> Day:
        """A day's counts of the chosen conditions."""
        counts = (getattr(day, name) for name in DayCounts.COUNTS)
        return Day(day.day, *({code: n for code, n in each.items() if self.holds(code)} for each in counts))


def day_before(when: date) -> date:
    return when - timedelta(days=1)


def month_of(when: date) -> str:
    return when.isoformat()[:7]


def months_before(month: str, number: int) -> str:
    """`2025-10`, 11 -> `2024-11`."""
    first = statistics_items.first_day(month)
    place = first.year * 12 + first.month - 1 - number
    return f"{place // 12:04d}-{place % 12 + 1:02d}"


def length(months: Months) -> int:
    """How many months, both ends included."""
    first, last = (statistics_items.first_day(text) for text in (months.first, months.last))
    return (last.year - first.year) * 12 + last.month - first.month + 1


def newest_days(most: int, realm: str) -> list[Day]:
    """The last days on which sessions started, newest first: one query of that many items."""
    partition = keys.statistics_by_day(realm)
    found = Item.query(partition, scan_index_forward=False, limit=most, page_size=most)
    return [day_of(item) for item in readable(found, DayCounts) if statistics_items.is_current(item)]
