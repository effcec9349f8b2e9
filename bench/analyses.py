"""Part 2: the schema document's four example analyses against ours, on the same table as it grows.

Both must tell the same numbers, or the part fails.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any, Final

import boto3

from analytics_app.statistics import queries
from analytics_app.statistics.sums import MEANS
from sessions_app.domain.models import connection
from sessions_app.domain.store import keys
from socratic_site.local.dynamodb_local import REGION

from . import cost, schema_examples
from .environment import Bench
from .meter import metered
from .results import Figure, Outcome, Table
from .study import Study

REALM: Final = "simulated"
CONDITION: Final = keys.cell("L1-I1-D", REALM)
FEWER_REQUESTS, FASTER, FLAT = 100, 20, 1.5
GOALS_FROM: Final = 24_000  # sessions: fewer are not the size that the goals are about
REPEATS: Final = 5


class Disagree(Exception):
    """The two ways give different numbers: one of them is wrong, and neither is worth timing."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One analysis in both ways; `numbers` of an answer are compared with each other."""

    title: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    our_numbers: Callable[[Any], list[float]]
    their_numbers: Callable[[Any], list[float]]


@dataclass(frozen=True, slots=True)
class Cost:
    requests: float
    units: float
    seconds: float


def measure(bench: Bench) -> Outcome:
    found: dict[tuple[str, int], tuple[Cost, Cost]] = {}
    sizes = bench.pick((60, 120, 240), (240, 760, 2400, 24_000))
    with bench.table() as name:
        resource = boto3.resource("dynamodb", region_name=REGION)
        study = Study.begin(bench, name, whole=False)
        for size in sizes:
            study.grow_to(size)
            pairs = _pairs(resource.Table(name), study)
            with bench.bar(len(pairs), f"analyses of {size:,} sessions", "analysis") as bar:
                for pair in pairs:
                    found[pair.title, size] = _compared(pair, resource.meta.client)
                    _keep(bench, pair.title, size, *found[pair.title, size])
                    bar.update()
            cost.watch(bench, study)
    return Outcome(_figures(found, sizes), [_table(found, sizes)])


def _pairs(table: Any, study: Study) -> list[Pair]:
    day = study.busiest_day
    through = study.last_day + timedelta(days=1)  # the document's BETWEEN ends where the last day begins
    told = (CONDITION.location, CONDITION.minutes, CONDITION.type)
    first, last = study.first_day.isoformat(), through.isoformat()
    return [
        Pair(
            "1 learning gain of a condition",
            lambda: queries.learning_gain(CONDITION),
            lambda: schema_examples.learning_gains_by_condition(table, *told),
            lambda found: [found.gain.n, found.baseline.mean, found.final.mean, found.gain.mean],
            lambda found: [found["n"], found["avg_baseline"], found["avg_final"], found["avg_absolute_gain"]],
        ),
        Pair(
            "2 static against dynamic",
            lambda: queries.compare_intervention_types(realm=REALM),
            lambda: schema_examples.intervention_quality(table, first, last),
            lambda found: [*map(_depth, (found.static, found.dynamic)), found.d_answer_depth],
            lambda found: [
                found["static"]["avg_answer_depth"],
                found["dynamic"]["avg_answer_depth"],
                found["effect_size_cohens_d"],
            ],
        ),
        Pair(
            "3 the four locations",
            lambda: queries.compare_locations(realm=REALM),
            lambda: schema_examples.location_impact(table),
            lambda found: [
                value
                for figures in found.values()
                for value in (
                    figures.sessions,
                    figures.gain.mean,
                    figures.mean("location_impact", "location_impact_n"),
                )
            ],
            lambda found: [
                value
                for told in found.values()
                for value in (told["n"], told["avg_learning_gain"], told["avg_location_rating"])
            ],
        ),
        Pair(
            "4 a day at a glance",
            lambda: queries.day_at_a_glance(day, REALM),
            lambda: schema_examples.dashboard_stats(table, day.isoformat()),
            lambda found: [found.total_sessions, found.completed_sessions, found.completion_rate or 0],
            lambda found: [found["total_sessions"], found["completed_sessions"], found["completion_rate"]],
        ),
    ]


def _depth(figures: Any) -> float:
    return float(figures["depth_sum"] / figures["depth_n"] / MEANS)


def _compared(pair: Pair, their_client: Any) -> tuple[Cost, Cost]:
    ours, answer = _measured(pair.ours, connection().client, repeats=REPEATS)
    theirs, their_answer = _measured(pair.theirs, their_client, repeats=1)
    if theirs.seconds < 1:  # what takes long is not sent again
        theirs, _ = _measured(pair.theirs, their_client, repeats=REPEATS)
    one, other = pair.our_numbers(answer), pair.their_numbers(their_answer)
    if not all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(one, other, strict=True)):
        raise Disagree(f"{pair.title}: ours {one}, as written {other}")
    return ours, theirs


def _measured(call: Callable[[], Any], client: Any, *, repeats: int) -> tuple[Cost, Any]:
    took, answer = [], None
    with metered(client, plain=client) as meter:  # they only read
        for _ in range(repeats):
            begun = time.perf_counter()
            answer = call()
            took.append(time.perf_counter() - begun)
    return Cost(meter.requests / repeats, meter.read / repeats, median(took)), answer


def _keep(bench: Bench, title: str, size: int, ours: Cost, theirs: Cost) -> None:
    for way, told in (("ours", ours), ("as written", theirs)):
        bench.keep("read units of an analysis", f"{title}, {way}", size, told.units)
        bench.keep("seconds of an analysis", f"{title}, {way}", size, told.seconds)


def _figures(found: dict[tuple[str, int], tuple[Cost, Cost]], sizes: tuple[int, ...]) -> list[Figure]:
    least, most = sizes[0], sizes[-1]
    titles = list(dict.fromkeys(title for title, _ in found))
    ours = {size: [found[title, size][0] for title in titles] for size in (least, most)}
    return [
        *_flatness(ours, least, most),
        *(figure for title in titles for figure in _ratios(title, *found[title, most], most)),
    ]


def _flatness(ours: dict[int, list[Cost]], least: int, most: int) -> Iterator[Figure]:
    for name, goal in (("requests", 1.0), ("units", FLAT), ("seconds", FLAT)):
        one, other = (sum(getattr(each, name) for each in ours[size]) for size in (least, most))
        yield Figure(
            what=f"our four, {'read units' if name == 'units' else name} at {most:,} over those at {least:,}",
            value=other / one,
            unit="x",
            beside=f"{one:.3g} and {other:.3g}",
            goal=goal,
        )


def _ratios(title: str, ours: Cost, theirs: Cost, size: int) -> Iterator[Figure]:
    small = (
        "" if theirs.requests > ours.requests else "One day fits one page of the index, at either's request."
    )
    yield Figure(
        what=f"analysis {title}: fewer requests at {size:,}",
        value=theirs.requests / ours.requests,
        unit="x",
        beside=f"{ours.requests:g} instead of {theirs.requests:,.0f}",
        goal=FEWER_REQUESTS if size >= GOALS_FROM else None,
        sense="at least",
        why=small,
    )
    yield Figure(
        what=f"analysis {title}: faster at {size:,}",
        value=theirs.seconds / ours.seconds,
        unit="x",
        beside=f"{1000 * ours.seconds:.1f} ms instead of {1000 * theirs.seconds:,.0f} ms",
        goal=FASTER if size >= GOALS_FROM else None,
        sense="at least",
    )


def _table(found: dict[tuple[str, int], tuple[Cost, Cost]], sizes: tuple[int, ...]) -> Table:
    rows = [
        (title, size, ours.requests, theirs.requests, ours.units, theirs.units, ours.seconds, theirs.seconds)
        for (title, size), (ours, theirs) in sorted(found.items())
    ]
    return Table(
        title="Requests, read units and seconds, ours and as written",
        columns=(
            "analysis",
            "sessions",
            "requests",
            "as written",
            "read units",
            "as written",
            "s",
            "as written",
        ),
        rows=[tuple(cell if isinstance(cell, str) else round(cell, 5) for cell in row) for row in rows],
        note=(
            "Both ran on the same table in the same process, one after the other, and gave the same numbers. "
            "Seconds are the median of five runs; what takes more than a second as written ran once."
        ),
    )
