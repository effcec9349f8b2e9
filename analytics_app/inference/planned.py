"""What the analysis plan asks for, worked out: estimates, sensitivity analyses, flow, Table 1, attrition.

Participants come one a student, as first allocated, with the furthest attempt. Pure: no table, no page.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sessions_app.domain.content.package import AnalysisPlan
from sessions_app.domain.content.schema import PlannedContrast
from sessions_app.domain.models.session import FLAGS
from sessions_app.domain.store import keys

from . import attrition, confirmatory, redraw
from .confirmatory import INDEX, Estimate, Floats, Randomization, Result, Sample
from .effects import hedges_g
from .results import Sample as Summary
from .results import TooFew
from .results import sample as summary

DESIGN_FLAGS = ("location_override", "condition_override")
NOT_AS_PLANNED = frozenset({*DESIGN_FLAGS, "ai_fallback", "offline_tutor"})
MAX_SITES_SHOWN = 12
AS_PLANNED = "As planned"
NAN = math.nan


@dataclass(frozen=True, slots=True)
class Participant:
    """Scores in percent, None where missing. `stage` is how far the furthest attempt got."""

    student_id: str
    session_id: str
    condition: keys.Condition
    state: str
    stage: str
    baseline: float | None
    final: float | None
    content_percent: float | None
    flags: frozenset[str]
    school: str
    facilitator: str
    age: float | None = None
    grade: float | None = None
    resident: bool | None = None

    @property
    def has_withdrawn(self) -> bool:
        return self.state == "withdrawn"

    @property
    def is_analyzed(self) -> bool:
        return self.baseline is not None and self.final is not None and not self.has_withdrawn


@dataclass(frozen=True, slots=True)
class Row:
    label: str
    result: Result

    def as_data(self) -> dict[str, object]:
        if not isinstance(self.result, Estimate):
            return {"analysis": self.label, "n": 0, "value": None, "low": None, "high": None}
        found = self.result
        ends = found.interval
        return {
            "analysis": self.label,
            "n": found.n,
            "value": round(found.value, 4),
            "low": round(ends.low, 4),
            "high": round(ends.high, 4),
        }


@dataclass(frozen=True, slots=True)
class Results:
    primary: Row
    in_sd: float | None
    randomization: Randomization | TooFew
    secondary: tuple[Row, ...]
    exploratory: tuple[Row, ...]
    sensitivity: tuple[Row, ...]

    def forest(self) -> list[dict[str, object]]:
        """The estimate of the plan first, under a name of its own: it may be the one that is missing."""
        return [row.as_data() for row in (Row(AS_PLANNED, self.primary.result), *self.sensitivity)]


def eligible(plan: AnalysisPlan, people: Iterable[Participant]) -> list[Participant]:
    """Everybody allocated, without what the plan excludes before the fact and who withdrew consent."""
    excluded = frozenset(plan.exclusions)
    return [one for one in people if not one.flags & excluded and not one.has_withdrawn]


def results(plan: AnalysisPlan, people: Sequence[Participant], draws: Sequence[redraw.Draw]) -> Results:
    chosen = eligible(plan, people)
    cells = confirmatory.weights(plan.primary.by_location)
    data = sample_of(chosen)
    primary = confirmatory.contrast(data, cells)
    return Results(
        primary=Row(plan.primary.label, primary),
        in_sd=_in_sd(data, primary),
        randomization=_randomization(plan, chosen, draws, cells),
        secondary=tuple(_row(data, each) for each in plan.secondary),
        exploratory=tuple(_row(data, each) for each in plan.exploratory),
        sensitivity=tuple(_sensitivity(plan, people, chosen, cells)),
    )


def sample_of(people: Sequence[Participant]) -> Sample:
    def scores(name: str) -> Floats:
        values = [getattr(one, name) for one in people]
        return np.array([NAN if value is None else value for value in values], dtype=float)

    cell = np.array([INDEX[one.condition.code] for one in people], dtype=np.int64)
    return Sample(cell, scores("baseline"), scores("final"))


def _row(data: Sample, planned: PlannedContrast) -> Row:
    return Row(planned.label, confirmatory.contrast(data, confirmatory.weights(planned.by_location)))


def _in_sd(data: Sample, found: Result) -> float | None:
    """The estimate in standard deviations of the final score within conditions."""
    if not isinstance(found, Estimate):
        return None
    whole = data.only(data.is_complete)
    counts = np.bincount(whole.cell, minlength=len(confirmatory.CELLS))
    means = np.bincount(whole.cell, whole.final, len(confirmatory.CELLS)) / np.maximum(counts, 1)
    inside = whole.final - means[whole.cell]
    df = whole.n - int((counts > 0).sum())
    return found.value / math.sqrt(float(inside @ inside) / df)


def _randomization(
    plan: AnalysisPlan, chosen: Sequence[Participant], draws: Sequence[redraw.Draw], cells: Floats
) -> Randomization | TooFew:
    logged = {(draw.student_id, draw.condition.location) for draw in draws}
    people = [one for one in chosen if one.is_analyzed]
    wanted = [(one.student_id, one.condition.location) for one in people]
    if missing := sum(each not in logged for each in wanted):
        return TooFew(
            f"needs the allocation log of everybody analyzed; {missing} of {len(people)} have no entry"
        )
    again = redraw.of_students(draws, wanted)
    options = plan.sensitivity
    return confirmatory.randomization_test(
        sample_of(people), cells, again, times=options.randomizations, seed=options.seed
    )


# --- sensitivity


def _sensitivity(
    plan: AnalysisPlan, people: Sequence[Participant], chosen: Sequence[Participant], cells: Floats
) -> Iterable[Row]:
    data, options = sample_of(chosen), plan.sensitivity
    for cluster in plan.clusters:
        names = np.array([getattr(one, cluster) for one in chosen])
        yield Row(f"Cluster-robust (CR2) by {cluster}", confirmatory.cluster_robust(data, cells, names))
    imputed = confirmatory.imputed(data, cells, times=options.imputations, seed=options.seed)
    yield Row("Everyone allocated, missing scores imputed", imputed)

    kept = [one for one in chosen if _as_planned(one, options.content_percent)]
    yield Row("Per protocol", confirmatory.contrast(sample_of(kept), cells))
    if len(everyone := [one for one in people if not one.has_withdrawn]) > len(chosen):
        label = "With sessions that a design flag excludes"
        yield Row(label, confirmatory.contrast(sample_of(everyone), cells))
    happened = {flag for one in chosen if one.is_analyzed for flag in one.flags}
    for flag in (flag for flag in FLAGS if flag in happened - {*DESIGN_FLAGS, "duplicate", "void"}):
        kept = [one for one in chosen if flag not in one.flags]
        label = f"Without the process flag {flag.replace('_', ' ')}"
        yield Row(label, confirmatory.contrast(sample_of(kept), cells))
    yield from _without_sites(chosen, cells)


def _as_planned(one: Participant, least_percent: float) -> bool:
    return (one.content_percent or 0) >= least_percent and not one.flags & NOT_AS_PLANNED


def _without_sites(chosen: Sequence[Participant], cells: Floats) -> list[Row]:
    """Leave one school out; of many schools those whose loss moves the estimate most, down and up."""
    sizes = Counter(one.school for one in chosen if one.is_analyzed)
    names = sorted(sizes)
    if len(names) < 2:
        return []
    rows = [
        Row(
            f"Without school {number} (n = {sizes[name]})",
            confirmatory.contrast(sample_of([one for one in chosen if one.school != name]), cells),
        )
        for number, name in enumerate(names, 1)
    ]
    if len(rows) <= MAX_SITES_SHOWN:
        return rows
    known = sorted((row.result.value, place) for place, row in enumerate(rows) if row.result.enough)
    half = MAX_SITES_SHOWN // 2
    shown = {place for _, place in (*known[:half], *known[-half:])}
    return [row for place, row in enumerate(rows) if place in shown]


# --- who took part


@dataclass(frozen=True, slots=True)
class Group:
    """A group of Table 1: an arm, at a location or at all."""

    location: str | None
    type: str
    n: int
    age: Summary
    grade: Summary
    residents: float | None
    baseline: Summary


@dataclass(frozen=True, slots=True)
class Balance:
    """Baseline equivalence and attrition of the two arms, at a location or at all."""

    location: str | None
    effect: float | None
    verdict: str
    attrition: attrition.Attrition | None


@dataclass(frozen=True, slots=True)
class Flow:
    """Participants of an arm through the stages; `lost` says why there is no outcome."""

    type: str
    allocated: int
    started_content: int
    excluded: int
    lost: tuple[tuple[str, int], ...]
    analyzed: int


LOST = {
    "withdrawn": "withdrew",
    "stopped": "stopped by staff",
    "abandoned": "not finished",
    "running": "still running",
    "completed": "score missing",
}


def flow(plan: AnalysisPlan, people: Sequence[Participant]) -> list[Flow]:
    return [
        _flow(plan, kind, [one for one in people if one.condition.type == kind])
        for kind in keys.TYPES.values()
    ]


def _flow(plan: AnalysisPlan, kind: str, people: Sequence[Participant]) -> Flow:
    excluded = [one for one in people if one.flags & frozenset(plan.exclusions) and not one.has_withdrawn]
    rest = [one for one in people if one not in excluded]
    lost = Counter(LOST.get(one.state, one.state) for one in rest if not one.is_analyzed)
    return Flow(
        type=kind,
        allocated=len(people),
        started_content=sum((one.content_percent or 0) > 0 for one in people),
        excluded=len(excluded),
        lost=tuple(lost.items()),
        analyzed=sum(one.is_analyzed for one in rest),
    )


def table_one(people: Sequence[Participant]) -> list[Group]:
    """Everybody allocated, by location and arm; the last two rows are all locations."""
    places: list[str | None] = [*keys.LOCATIONS.values(), None]
    return [_group(place, kind, _at(people, place, kind)) for place in places for kind in keys.TYPES.values()]


def _at(people: Sequence[Participant], location: str | None, kind: str) -> list[Participant]:
    return [
        one for one in people if one.condition.type == kind and location in (None, one.condition.location)
    ]


def _group(location: str | None, kind: str, people: Sequence[Participant]) -> Group:
    known = [one.resident for one in people if one.resident is not None]
    return Group(
        location=location,
        type=kind,
        n=len(people),
        age=summary(one.age for one in people),
        grade=summary(one.grade for one in people),
        residents=100 * sum(known) / len(known) if known else None,
        baseline=summary(one.baseline for one in people),
    )


def balance(plan: AnalysisPlan, people: Sequence[Participant]) -> list[Balance]:
    """Static first: effects are dynamic - static, of the participants analyzed."""
    rest = [one for one in people if not one.flags & frozenset(plan.exclusions)]
    places: list[str | None] = [*keys.LOCATIONS.values(), None]
    return [_balance(place, *(_at(rest, place, kind) for kind in ("static", "dynamic"))) for place in places]


def _balance(location: str | None, static: Sequence[Participant], dynamic: Sequence[Participant]) -> Balance:
    analyzed = [[one for one in group if one.is_analyzed] for group in (static, dynamic)]
    found = hedges_g(*(summary(one.baseline for one in group) for group in analyzed))
    lost = attrition.attrition((len(static), len(dynamic)), (len(analyzed[0]), len(analyzed[1])))
    if isinstance(found, TooFew):
        return Balance(location, None, found.why, lost)
    return Balance(location, found.value, attrition.equivalence(found.value), lost)
