"""A table with as many sessions as one likes, without running each: copies of a simulated session an arm.

A copy has ids, place and day of its own and one of a few drawn sets of scores; all else, so each item's size,
is as the program itself stored it. The statistics beside them are what the roll-up makes of these sessions.
"""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fractions import Fraction
from itertools import islice
from typing import Any, Final

from analytics_app.statistics import items as statistics_items
from analytics_app.statistics import rebuild, updates
from analytics_app.statistics.contributions import Share, contribution
from analytics_app.statistics.sums import Sums
from sessions_app import study
from sessions_app.domain import scores
from sessions_app.domain.models import Assessment, Intervention, Item, PostSurvey, Session
from sessions_app.domain.session.record import Run
from sessions_app.domain.simulation import cohort as simulated_cohort
from sessions_app.domain.store import keys
from sessions_app.domain.tutor.scripted import ScriptedTutor

from .environment import Bench

Raw = dict[str, Any]

PLACE: Final = "classroom"  # where the originals are: a copy elsewhere needs no position
DAYS: Final = 60
WRITERS: Final = 6
BATCH: Final = 25  # DynamoDB's own limit
HALF_POINTS: Final = 30
ANALYSED: Final = (Session, Assessment, Intervention, PostSurvey)
"""What the schema's analyses read: a large table holds nothing else, as loading it takes minutes."""


@dataclass(frozen=True, slots=True)
class Original:
    """A completed session as it is stored, with its student's profile."""

    condition: keys.Condition
    session_id: str
    student_id: str
    day: str
    items: list[Raw]


@dataclass(frozen=True, slots=True)
class Variant:
    """What copies are made of: the items as texts, and what each of them adds to the statistics."""

    original: Original
    condition: keys.Condition
    texts: list[str]
    share: Share

    def copy(self, *, session_id: str, student_id: str, day: str) -> list[Raw]:
        text = f"[{','.join(self.texts)}]".replace(self.original.session_id, session_id)
        text = text.replace(self.original.student_id, student_id).replace(self.original.day, day)
        copied: list[Raw] = json.loads(text)
        return copied


# --- originals


def originals(bench: Bench) -> list[Original]:
    """One completed session of each arm, walked through the domain by a simulated student; kept."""
    if not bench.originals:
        arms = [cell for cell in keys.CONDITIONS if cell.location == PLACE]
        with bench.table(), ThreadPoolExecutor(3) as pool:
            bench.originals = list(pool.map(lambda arm: original(bench.seed, arm), arms))
    return bench.originals


def original(seed: int, condition: keys.Condition) -> Original:
    cohort = next(each for each in _cohorts(seed, condition) if each.persona(0).quits_after is None)
    run = simulated_cohort.walk(cohort, 0, simulated_cohort.admit(cohort, 0))
    profile = Item.get(keys.student(run.session.student_id), keys.PROFILE, consistent_read=True)
    items = [item.serialize() for item in [*Session.whole(run.id), profile]]
    day = keys.stamp(run.session.start)[:10]
    return Original(condition, run.id, str(run.session.student_id), day, items)


def _cohorts(seed: int, condition: keys.Condition) -> Iterator[simulated_cohort.Cohort]:
    for number in range(100):
        yield simulated_cohort.Cohort(
            size=1,
            seed=seed * 100_000 + keys.CONDITIONS.index(condition) * 100 + number,
            package=study.package(),
            tutor=ScriptedTutor(),
            now=study.now(),
            zone=study.zone(),
            condition=condition,
        )


# --- copies


def variants(bench: Bench, *, whole: bool) -> dict[keys.Condition, list[Variant]]:
    """Of each condition, made once for whole sessions and once for what the analyses read."""
    if whole not in bench.variants:
        bench.variants[whole] = _drawn(bench, whole=whole)
    made: dict[keys.Condition, list[Variant]] = bench.variants[whole]
    return made


def _drawn(bench: Bench, *, whole: bool) -> dict[keys.Condition, list[Variant]]:
    chance = random.Random(bench.seed)  # noqa: S311 - has to be repeatable, and guards nothing
    by_arm = {original.condition.arm: original for original in originals(bench)}
    return {
        cell: [_variant(by_arm[cell.arm], cell, chance, whole=whole) for _ in range(bench.pick(2, 16))]
        for cell in keys.CONDITIONS
    }


def _variant(original: Original, cell: keys.Condition, chance: random.Random, *, whole: bool) -> Variant:
    text = json.dumps(original.items).replace(keys.condition(original.condition), keys.condition(cell))
    text = text.replace(keys.location(PLACE), keys.location(cell.location)).replace(
        original.condition.code, cell.code
    )
    items = [Item.from_raw_data(raw) for raw in json.loads(text.replace(f'"{PLACE}"', f'"{cell.location}"'))]
    _draw_scores(items, chance)
    share = contribution(Run.of(item for item in items if hasattr(item, "session_id")))
    kept = items if whole else [item for item in items if isinstance(item, ANALYSED)]
    return Variant(original, cell, [json.dumps(item.serialize()) for item in kept], share)


def _draw_scores(items: Iterable[Item], chance: random.Random) -> None:
    before = chance.randrange(4, 20)
    points = {"baseline": before, "final": min(before + chance.randrange(-3, 14), HALF_POINTS)}
    percent = {kind: round(100 * n / HALF_POINTS, 1) for kind, n in points.items()}
    for item in items:
        match item:
            case Assessment():
                item.assessment_results.score_percentage = percent[item.assessment_metadata.type]
                if item.learning_gain is not None:
                    item.learning_gain = scores.learning_gain(
                        *(Fraction(points[kind], HALF_POINTS) for kind in ("baseline", "final"))
                    )
            case Intervention():
                item.intervention_summary.avg_answer_depth = chance.randrange(20, 50) / 10
            case PostSurvey():
                item.location_experience.location_impact_rating = chance.randrange(1, 6)


@dataclass
class Study:
    """The table that is bound now, grown by `grow_to`; sessions lie evenly over conditions and days."""

    bench: Bench
    table: str
    variants: dict[keys.Condition, list[Variant]]
    last_day: date
    size: int = 0
    prepared: list[Raw] = field(default_factory=list)

    @classmethod
    def begin(cls, bench: Bench, table: str, *, whole: bool) -> Study:
        return cls(bench, table, variants(bench, whole=whole), study.now().date() - timedelta(days=1))

    @property
    def first_day(self) -> date:
        return self.last_day - timedelta(days=DAYS - 1)

    @property
    def busiest_day(self) -> date:
        return self.first_day

    def grow_to(self, size: int, *, with_contributions: bool = False) -> None:
        """Sessions first, then the statistics of all of them anew."""
        wanted = range(self.size, size)
        client = self.bench.plain
        with self.bench.bar(len(wanted), f"loading {size:,} sessions", "session") as bar:

            def load(places: list[int]) -> None:
                items = [item for place in places for item in self._copy(place, with_contributions)]
                _put_all(client, self.table, items)
                bar.update(len(places))

            with ThreadPoolExecutor(WRITERS) as pool:
                list(pool.map(load, _chunks(wanted, 5)))
        self.size = size
        self._write_statistics()

    def _variant_of(self, place: int) -> Variant:
        of_cell = self.variants[keys.CONDITIONS[place % len(keys.CONDITIONS)]]
        return of_cell[place // len(keys.CONDITIONS) % len(of_cell)]

    def _day_of(self, place: int) -> str:
        return (self.first_day + timedelta(days=place % DAYS)).isoformat()

    def ids(self, place: int) -> tuple[str, str]:
        chance = random.Random(f"{self.bench.seed}/{place}")  # noqa: S311 - as above
        one, other = (str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(2))
        return one, other

    def share(self, place: int) -> Share:
        session_id, student_id = self.ids(place)
        share = self._variant_of(place).share
        return replace(share, session_id=session_id, student_id=student_id, day=self._day_of(place))

    def _copy(self, place: int, with_contribution: bool) -> list[Raw]:
        session_id, student_id = self.ids(place)
        variant = self._variant_of(place)
        items = variant.copy(session_id=session_id, student_id=student_id, day=self._day_of(place))
        if with_contribution:
            items.append(updates.stored_share(self.share(place), study.now()).serialize())
        return items

    def contributions(self, number: int) -> list[Raw]:
        """Those of the first sessions, as DynamoDB stores them."""
        if len(self.prepared) != number:
            shares = (self.share(place) for place in range(number))
            self.prepared = [updates.stored_share(share, study.now()).serialize() for share in shares]
        return self.prepared

    # --- statistics

    def _write_statistics(self) -> None:
        with Item.batch_write() as batch:
            for item in self._statistics():
                batch.save(item)

    def _statistics(self) -> Iterator[Item]:
        groups = Counter((id(self._variant_of(n)), self._day_of(n)) for n in range(self.size))
        known = {id(each): each for of_cell in self.variants.values() for each in of_cell}
        months: dict[tuple[keys.Condition, str], Sums] = {}
        days: dict[tuple[str, str], list[Share]] = {}
        for (name, day), n in groups.items():
            share = replace(known[name].share, day=day)
            place = (share.condition, share.month)
            students = Sums({}, {"students": {0: n}})
            months[place] = months.get(place, Sums()) + times(share.sums, n) + students
            days.setdefault((day, share.condition.realm), []).extend([share] * n)
        for (cell, month), sums in months.items():
            yield statistics_items.aggregate(cell, month, sums, revision="bench", now=study.now())
            yield statistics_items.compact(cell, month, sums)
        for (day, realm), shares in days.items():
            yield rebuild.day_item(day, shares, realm)


def times(sums: Sums, n: int) -> Sums:
    counts = {name: value * n for name, value in sums.counts.items()}
    return Sums(counts, {name: {at: m * n for at, m in had.items()} for name, had in sums.histograms.items()})


def _chunks(source: Iterable[int], size: int) -> Iterator[list[int]]:
    rest = iter(source)
    while chunk := list(islice(rest, size)):
        yield chunk


def _put_all(client: Any, table: str, items: list[Raw]) -> None:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        asked = {table: [{"PutRequest": {"Item": item}} for item in batch]}
        while asked:
            asked = client.batch_write_item(RequestItems=asked)["UnprocessedItems"]
