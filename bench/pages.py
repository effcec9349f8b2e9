"""Part 4: pages while a study is under way, against the real processes; and the same pages by others, idle.

Students take as long at a step as the flow tells them it takes, facilitators open a page every ten seconds,
and all that the pages' scripts ask for is asked for too. Then a class comes to its questions all at once.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sessions_app.domain import flow
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from support import cast

from . import peers
from .browsing import Browser, Log, Look, heartbeat
from .environment import Bench
from .load_clients import FACILITATOR_EVERY, PROMISE, Facilitator, Student, going_on
from .results import Figure, Outcome, Table
from .site import MODEL_SECONDS, Site, at_once, joined, link_to, signed_in, site

GOAL: Final = 0.2  # seconds, the 95th percentile
CLASSES: Final = (3, 20)  # of a quick run, and of a full one
CLASS: Final = 6  # students of a facilitator
PLACE: Final = "L4"  # at home, where no position is asked for
ENOUGH: Final = 10  # times that a kind of page is seen, before its percentiles say something
COLUMNS: Final = ("what", "n", "p50 ms", "p95 ms", "p99 ms", "most ms", "errors")


@dataclass
class Crowd:
    """Everybody who is there, with the one log of what they saw."""

    facilitators: list[Facilitator] = field(default_factory=list)
    students: list[Student] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    log: Log = field(default_factory=Log)
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Seen:
    """One stretch of the load."""

    looks: list[Look]
    seconds: float
    waited: list[float]
    faults: list[str]
    late: list[float]
    client_cpu: float
    """Share of one core that this process used, the fake model included."""


def measure(bench: Bench) -> Outcome:
    with site(bench, rows=bench.pick(24, 240)) as running:
        humane = _humane(bench, running)
        burst = _burst(bench, running)
        beside = peers.compared(bench, running)
    figures = [*_figures(humane), *_burst_figures(burst), *beside.figures]
    return Outcome(figures, [_pages_table(bench, humane), _burst_table(burst), *beside.tables])


# --- the humane load


def _humane(bench: Bench, running: Site) -> Seen:
    classes = bench.pick(*CLASSES)
    starts = at_once(lambda place: _started(*place), _places(classes, bench.seed))
    crowd = _crowd(running, starts, classes, bench.seed)
    # all pages at once, as they begin, are not counted
    return _watched(bench, crowd, bench.pick(10.0, 80.0), begin=bench.pick(2.0, 8.0))


def _places(classes: int, seed: int) -> list[tuple[int, str, str]]:
    """For each student the number of the class, the condition, and the step where the session stands.

    All arms alike; where somebody stands is drawn by how long each step takes.
    """
    chance = random.Random(seed)  # noqa: S311 - has to be repeatable, and guards nothing
    arms = [cell for cell in keys.CONDITIONS if cell.code.startswith(PLACE)]
    places = []
    for number in range(classes * CLASS):
        cell = arms[number % len(arms)]
        steps = [(stage, n) for stage in flow.plan(cell.interval) for n in range(1, stage.steps + 1)]
        stage, n = chance.choices(steps, [stage.minutes / stage.steps for stage, _ in steps])[0]
        places.append((number // CLASS, cell.code, flow.Step(stage, n).slug))
    return places


def _started(number: int, code: str, step: str) -> Run:
    run = cast.started(code, student=cast.enrolled(school=school(number)))
    return run if step == "baseline/1" else cast.brought_to(run, step)


def school(number: int) -> str:
    return f"School number {number + 1}"


def _crowd(running: Site, runs: Sequence[Run], classes: int, seed: int) -> Crowd:
    crowd = Crowd()
    browsers: list[Browser] = at_once(lambda run: joined(running.port, link_to(run)), runs)
    for number, (run, browser) in enumerate(zip(runs, browsers, strict=True)):
        browser.log = crowd.log
        crowd.students.append(Student(browser, run.id, f"{seed}/{number}", crowd.waited, crowd.stop))
    for number in range(classes):
        browser = signed_in(running.port, "facilitator", schools=(school(number),))
        browser.log = crowd.log
        of_class = runs[number * CLASS : (number + 1) * CLASS]
        sessions, students = [run.id for run in of_class], [str(run.session.student_id) for run in of_class]
        crowd.facilitators.append(Facilitator(browser, sessions, students, f"{seed}/f{number}", crowd.stop))
    return crowd


def _watched(bench: Bench, crowd: Crowd, seconds: float, *, begin: float) -> Seen:
    people = [*crowd.students, *crowd.facilitators]
    with going_on(people, crowd.stop) as faults, heartbeat() as late:
        time.sleep(begin)
        began, used, beats = time.monotonic(), time.process_time(), len(late)
        _let_pass(bench, seconds)
        took, cpu = time.monotonic() - began, time.process_time() - used
        looks, lateness = crowd.log.since(began), late[beats:]
    return Seen(looks, took, list(crowd.waited), faults, lateness, cpu / took)


def _let_pass(bench: Bench, seconds: float) -> None:
    with bench.bar(round(seconds), "people at their pages", "s") as bar:
        for _ in range(round(seconds)):
            time.sleep(1)
            bar.update()


# --- a class that comes to its questions at once


def _burst(bench: Bench, running: Site) -> Seen:
    """All look in the same second, while facilitators go on."""
    classes = bench.pick(1, 7)
    places = [(number // CLASS, f"{PLACE}-I3-D", "questions-4/1") for number in range(classes * CLASS)]
    crowd = _crowd(running, at_once(lambda place: _started(*place), places), classes, bench.seed + 1)
    return _watched(bench, crowd, bench.pick(11.0, 16.0), begin=0)


# --- figures


def percentile(values: Iterable[float], share: float) -> float:
    """The nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 1)


def _errors(seen: Seen) -> int:
    return sum(look.status >= 400 for look in seen.looks) + len(seen.faults)


def of_pages(looks: Iterable[Look]) -> list[Look]:
    return [look for look in looks if look.kind != "a static file"]


def _figures(seen: Seen) -> list[Figure]:
    times = [look.seconds for look in of_pages(seen.looks)]
    kinds = {look.kind for look in of_pages(seen.looks)}
    enough = min(ENOUGH, max(len(_times(seen, kind)) for kind in kinds))
    often = [kind for kind in kinds if len(_times(seen, kind)) >= enough]
    worst = max(often, key=lambda kind: percentile(_times(seen, kind), 0.95))
    ends = percentile(times, 0.95)
    return [
        Figure(
            what="pages and their parts under load, p95",
            value=milliseconds(ends),
            unit="ms",
            beside=f"p50 {1000 * percentile(times, 0.5):.0f}, p99 {1000 * percentile(times, 0.99):.0f}",
            goal=milliseconds(GOAL),
        ),
        Figure(
            what="the slowest kind of page, p95",
            value=milliseconds(percentile(_times(seen, worst), 0.95)),
            unit="ms",
            beside=f"{worst}, of those seen {enough} times",
            goal=milliseconds(GOAL),
        ),
        Figure(
            what="errors under load",
            value=_errors(seen),
            unit="of requests",
            beside=f"{len(seen.looks):,} requests, {len(seen.looks) / seen.seconds:.0f} a second",
            goal=0,
        ),
        *_waits("waited for a made question, p95", seen),
        Figure(
            what="how late the client itself is, p95",
            value=milliseconds(percentile(seen.late, 0.95)),
            unit="ms",
            beside=f"{seen.client_cpu:.0%} of a core",
        ),
    ]


def _waits(what: str, seen: Seen) -> list[Figure]:
    if not seen.waited:
        return []
    return [
        Figure(
            what=what,
            value=round(percentile(seen.waited, 0.95), 1),
            unit="s",
            beside=f"{len(seen.waited)} questions, p50 {percentile(seen.waited, 0.5):.1f} s; the model: 8",
            goal=PROMISE,
        )
    ]


def _burst_figures(seen: Seen) -> list[Figure]:
    times = [look.seconds for look in of_pages(seen.looks)]
    return [
        Figure(
            what="a class asks at once: pages, p95",
            value=milliseconds(percentile(times, 0.95)),
            unit="ms",
            beside=f"p50 {milliseconds(percentile(times, 0.5)):.0f}, errors {_errors(seen)}",
        ),
        *_waits("a class asks at once: waited, p95", seen),
    ]


def _times(seen: Seen, kind: str) -> list[float]:
    return [look.seconds for look in seen.looks if look.kind == kind]


def row(what: str, looks: Sequence[Look]) -> list[Any]:
    times = [look.seconds for look in looks]
    marks = [milliseconds(percentile(times, share)) for share in (0.5, 0.95, 0.99)]
    return [what, len(looks), *marks, milliseconds(max(times)), sum(look.status >= 400 for look in looks)]


def _rows(seen: Seen) -> list[list[Any]]:
    kinds = sorted({look.kind for look in seen.looks})
    return [row(kind, [look for look in seen.looks if look.kind == kind]) for kind in kinds]


def _pages_table(bench: Bench, seen: Seen) -> Table:
    classes = bench.pick(*CLASSES)
    broken = f" Went wrong: {'; '.join(seen.faults[:5])}." if seen.faults else ""
    return Table(
        title=f"{classes} facilitators and {classes * CLASS} students for {seen.seconds:.0f} s",
        columns=COLUMNS,
        rows=_rows(seen),
        note="A student takes as long at a step as the flow tells (30 s an item, 60 s a question, 150 s "
        "a part; each from half to one and a half of it), a facilitator opens a page every "
        f"{FACILITATOR_EVERY:.0f} s. Calls of the model take {MODEL_SECONDS:.0f} s. Browsers keep files for "
        f"as long as the site allows. One process on the same machine is all the clients.{broken}",
    )


def _burst_table(seen: Seen) -> Table:
    return Table(
        title=f"{len(seen.waited)} students come to their question in the same second",
        columns=COLUMNS,
        rows=_rows(seen),
        note=f"The first {seen.seconds:.0f} s of it, with nothing left out.",
    )
