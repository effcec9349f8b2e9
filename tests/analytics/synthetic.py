"""Statistics without sessions, written straight into the table, as so many sessions would leave them."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

from analytics_app.dashboards import selection
from analytics_app.statistics import items as statistics_items
from analytics_app.statistics.sums import FIELDS, LAYOUT, MEANS, POINT, SCORE, Sums
from sessions_app.domain.models import DayCounts, Item
from sessions_app.domain.store import keys

NOW = datetime(2026, 10, 15, 15, 0, tzinfo=UTC)
MONTHS = 12


def sums_of_sessions(n: int, chance: random.Random, *, dynamic: bool) -> Sums:
    """The sums of n sessions, nine in ten completed."""
    counts = dict.fromkeys(FIELDS, 0)
    histograms: dict[str, dict[int, int]] = {"baseline": {}, "final": {}, "gain": {}, "students": {0: n}}
    waits: dict[int, int] = {}
    for place in range(n):
        _add(counts, sessions=1, did_baseline=1)
        if place % 10 == 9:
            _add(counts, abandoned=1)
            continue
        point = SCORE // 15
        before = chance.randrange(0, 16) * point
        after = max(min(before + chance.randrange(-1, 7) * point, SCORE), 0)
        _add(
            counts,
            completed=1,
            did_content=1,
            did_final=1,
            did_survey=1,
            survey_n=1,
            overall=4,
            overall_n=1,
            recommended=1,
            recommended_n=1,
        )
        _add(counts, content_n=1, content_sum=992, pauses_n=1, pauses=3, engagement_n=4, engagement_sum=350)
        _add(counts, interventions=4, questions=12, duration_n=1, duration_sum=2500)
        for name, value in (("baseline", before), ("final", after), ("gain", after - before)):
            _spread(counts, name, value)
            histograms[name][value] = histograms[name].get(value, 0) + 1
        _add(counts, **{"gained" if after > before else "unchanged" if after == before else "lost": 1})
        for _ in range(4):
            _spread(counts, "depth", chance.randrange(MEANS, 5 * MEANS + 1))
            _spread(counts, "response", chance.randrange(8 * MEANS, 90 * MEANS))
        if dynamic:
            wait = chance.randrange(5, 40)
            waits[wait] = waits.get(wait, 0) + 12
            _spread(counts, "quality", chance.randrange(MEANS, 5 * MEANS + 1))
            _add(counts, generated=12, latency_ms=1200 * wait, within_10000=12, within_3000=12 * (wait <= 30))
            _add(counts, prompt_tokens=5000, completion_tokens=500, cost_millionths=22_500)
    return Sums(counts, {**histograms, "latency": waits}) + Sums()


def _add(counts: dict[str, int], **more: int) -> None:
    for name, n in more.items():
        counts[name] += n


def _spread(counts: dict[str, int], name: str, value: int) -> None:
    _add(counts, **{f"{name}_n": 1, f"{name}_sum": value, f"{name}_squares": value * value})


def months() -> list[str]:
    this = selection.month_of(NOW.date())
    return [selection.months_before(this, back) for back in range(MONTHS - 1, -1, -1)]


def write(total: int, *, seed: int = 1) -> dict[tuple[str, str], Sums]:
    """Statistics of `total` sessions, evenly over conditions and the last months; by code and month."""
    chance, found = random.Random(seed), {}
    places = [(cell, month) for month in months() for cell in keys.CONDITIONS]
    with Item.batch_write() as batch:
        for place, (cell, month) in enumerate(places):
            n = total // len(places) + (place < total % len(places))
            if not n:
                continue
            sums = sums_of_sessions(n, chance, dynamic=cell.type == "dynamic")
            found[cell.code, month] = sums
            batch.save(statistics_items.aggregate(cell, month, sums, revision="r", now=NOW))
            batch.save(statistics_items.compact(cell, month, sums))
        for item in days(total):
            batch.save(item)
    return found


def days(total: int) -> list[DayCounts]:
    """The sessions of each day of the last year, spread over the conditions."""
    first = NOW.date() - timedelta(days=364)
    return [_day(first + timedelta(days=place), max(total // 365, 1)) for place in range(365)]


def _day(when: date, n: int) -> DayCounts:
    cells = keys.CONDITIONS
    started = {cell.code: n // 24 + (place < n % 24) for place, cell in enumerate(cells)}
    started = {code: count for code, count in started.items() if count}
    return DayCounts(
        PK=keys.statistics_by_day(),
        SK=keys.day(when),
        day=when.isoformat(),
        started=started,
        completed=started,
        stopped={},
        abandoned={},
        withdrawn={},
        gains=started,
        gain_units={code: 20 * POINT * count for code, count in started.items()},
        layout=LAYOUT,
        revision="r",
    )
