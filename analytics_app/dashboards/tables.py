"""Figures as tiles, cells and rows of tables. Percentages are 0 to 100, scores and gains in points of 100."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sessions_app.domain.store import keys

from ..charts import sources
from ..inference import effects
from ..inference.results import Interval, TooFew
from ..statistics import queries
from ..statistics.queries import Day
from ..statistics.sums import POINT, Figures, Month, Spread, merge

SMALL = 5
TINTS = 5


class Told:
    """Figures for a template, which would look for `figures["gain"]` before `figures.gain`."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def __getattr__(self, name: str) -> Any:
        return getattr(self._figures, name)


# --- intervals


def interval(spread: Spread) -> Interval | None:
    """95 % of a mean; None below two values."""
    found = effects.mean_interval(spread)
    return found.interval if found.enough else None


def share(count: int, n: int) -> dict[str, Any]:
    """A share in percent with its interval; both None of nothing."""
    found = effects.share_interval(count, n)
    if not found.enough:
        return {"count": count, "n": n, "value": None, "interval": None}
    ends = Interval(100 * found.interval.low, 100 * found.interval.high)
    return {"count": count, "n": n, "value": 100 * found.value, "interval": ends}


# --- overview


@dataclass(frozen=True, slots=True)
class Tiles:
    figures: Told
    completion: dict[str, Any]
    gain: Spread
    gain_interval: Interval | None
    running_now: int
    open_since_earlier: int


def tiles(read: Iterable[Month], recent: Iterable[Day], since: date) -> Tiles:
    """`running_now` are the sessions of `recent` days, from `since` on, that have not ended."""
    figures = merge(read)
    now = sum(day.running for day in recent if day.day >= since)
    return Tiles(
        figures=Told(figures),
        completion=share(figures.completed, figures.sessions),
        gain=figures.gain,
        gain_interval=interval(figures.gain),
        running_now=now,
        open_since_earlier=max(figures.running - now, 0),
    )


def counts_of_day(day: Day | None) -> list[dict[str, Any]]:
    """A row a location: sessions started under each of the six arms, and in all."""
    started = day.started if day else {}
    table = []
    for location, cells in _by_location().items():
        counts = [started.get(cell.code, 0) for cell in cells]
        table.append({"location": location, "counts": counts, "total": sum(counts)})
    return table


def _by_location() -> dict[str, list[keys.Condition]]:
    """The cells of each location in the order of ARMS."""
    found: dict[str, list[keys.Condition]] = {}
    for cell in keys.CONDITIONS:
        found.setdefault(cell.location, []).append(cell)
    return found


ARMS = [
    {"minutes": f"{float(text):g}", "type": kind}
    for text in keys.INTERVALS.values()
    for kind in keys.TYPES.values()
]


# --- the 24 cells


@dataclass(frozen=True, slots=True)
class Cell:
    """`tint` is 0 (no gain known) to TINTS (the highest mean gain of the table)."""

    condition: keys.Condition
    figures: Told
    tint: int

    @property
    def small(self) -> bool:
        return bool(self.figures.completed < SMALL)


def heat_map(read: Iterable[Month]) -> list[dict[str, Any]]:
    """A row a location, six cells each, in the order of ARMS."""
    figures = queries.by_condition(read)
    tint = _tints([found.gain.mean for found in figures.values()])
    return [
        {
            "location": location,
            "cells": [Cell(cell, Told(figures[cell]), tint(figures[cell].gain.mean)) for cell in cells],
        }
        for location, cells in _by_location().items()
    ]


def _tints(means: Iterable[float | None]) -> Any:
    """From the lowest mean (or 0, if all gain) to the highest, in TINTS equal steps."""
    known = [mean for mean in means if mean is not None]
    low, high = min([0.0, *known]), max([1.0, *known])

    def tint(mean: float | None) -> int:
        return 0 if mean is None else min(1 + int(TINTS * (mean - low) / (high - low)), TINTS)

    return tint


# --- one condition


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table of spreads."""

    label: str
    unit: str
    spread: Spread
    interval: Interval | None
    places: int


def spreads(figures: Figures) -> list[Line]:
    told = (
        ("Pre-test (baseline)", "% of the points", figures.baseline, 1),
        ("Post-test (final)", "% of the points", figures.final, 1),
        ("Gain", "percentage points", figures.gain, 1),
        ("Normalized gain", "share of what was left to gain", figures.normalized_gain, 2),
    )
    return [Line(label, unit, spread, interval(spread), places) for label, unit, spread, places in told]


def dialogue(figures: Figures) -> list[Line]:
    told = (
        ("Time to answer", "seconds", figures.response_time, 1),
        ("Answer depth", "1 to 5", figures.answer_depth, 2),
        ("Question quality", "1 to 5", figures.question_quality, 2),
        ("Progression", "1 to 5", figures.progression, 2),
    )
    return [Line(label, unit, spread, interval(spread), places) for label, unit, spread, places in told]


def facts(figures: Figures) -> list[tuple[str, float | None, int, str]]:
    """Label, value, decimals, unit: means over completed sessions that have no spread kept."""
    mean = figures.mean
    return [
        ("Interventions a session", mean("interventions", "completed"), 1, ""),
        ("Length of an intervention", mean("asking_sum", "asking_n", 10), 0, "s"),
        ("Content played", mean("content_sum", "content_n", 10), 1, "%"),
        ("Pauses", mean("pauses", "pauses_n"), 1, "a session"),
        ("Rewinds", mean("rewinds", "rewinds_n"), 1, "a session"),
        ("Engagement, 0 to 1", mean("engagement_sum", "engagement_n", 100), 2, ""),
        ("Length of a session", _minutes(mean("duration_sum", "duration_n")), 1, "min"),
    ]


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 60


SURVEY = (
    ("Location helped", "location_impact"),
    ("The questions helped", "helpful"),
    ("Interest", "interest"),
    ("Difficulty", "difficulty"),
    ("Pace", "pacing"),
    ("Overall", "overall"),
)


def survey(figures: Figures) -> list[tuple[str, float | None]]:
    """Mean ratings from 1 to 5."""
    return [(label, figures.mean(name, f"{name}_n")) for label, name in SURVEY]


def gain_bins(figures: Figures, width: int = 10) -> list[dict[str, int]]:
    """How many sessions gained how much, in steps of `width` points, without gaps."""
    bins: dict[int, int] = {}
    for units, n in figures.sums.histogram("gain").items():
        start = units // (POINT * width) * width
        bins[start] = bins.get(start, 0) + n
    if not bins:
        return []
    starts = range(min(bins), max(bins) + 1, width)
    return [{"low": start, "high": start + width, "n": bins.get(start, 0)} for start in starts]


# --- groups against each other


def locations(read: Iterable[Month]) -> list[dict[str, Any]]:
    """A row a location; `effect` is Hedges' g of its gains against those at home, unadjusted."""
    groups = queries.grouped(read, "location")
    home = groups["home"].gain
    return [
        {
            "location": location,
            "figures": Told(figures),
            "completion": share(figures.completed, figures.sessions),
            "gain_interval": interval(figures.gain),
            "impact": figures.mean("location_impact", "location_impact_n"),
            "engagement": figures.mean("engagement_sum", "engagement_n", 100),
            "recommend": figures.mean("recommended", "recommended_n"),
            "effect": None if location == "home" else effects.hedges_g(home, figures.gain),
        }
        for location, figures in groups.items()
    ]


MEASURES = (
    ("Learning gain", "percentage points", "gain", 1),
    ("Answer depth", "1 to 5", "depth", 2),
    ("Question quality", "1 to 5", "quality", 2),
    ("Progression", "1 to 5", "progression", 2),
    ("Time to answer", "seconds", "response", 1),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Static and dynamic in one measure. `d` is Cohen's d, dynamic - static, or why there is none."""

    label: str
    unit: str
    places: int
    static: Line
    dynamic: Line
    d: effects.Effect | TooFew


def static_against_dynamic(by_type: Mapping[str, Figures]) -> list[Comparison]:
    found = []
    for label, unit, name, places in MEASURES:
        one, other = (sources.spread_of(by_type[kind], name) for kind in ("static", "dynamic"))
        static, dynamic = (Line(label, unit, spread, interval(spread), places) for spread in (one, other))
        found.append(Comparison(label, unit, places, static, dynamic, effects.cohens_d(one, other)))
    return found


# --- the tutor


@dataclass(frozen=True, slots=True)
class Tutor:
    """Questions generated in completed sessions. `within` are shares of them, in percent."""

    figures: Told
    mean_seconds: float | None
    within: dict[str, dict[str, Any]]
    fallbacks: dict[str, Any]
    question_usd: float
    grading_usd: float


def tutor(figures: Figures) -> Tutor:
    generated = figures["generated"]
    return Tutor(
        figures=Told(figures),
        mean_seconds=figures.mean("latency_ms", "generated", 1000),
        within={
            limit: share(figures[name], generated)
            for limit, name in (("1.5", "within_1500"), ("3", "within_3000"), ("10", "within_10000"))
        },
        fallbacks=share(figures["fallbacks"], generated + figures["fallbacks"]),
        question_usd=figures["cost_millionths"] / 1e6,
        grading_usd=figures["grading_cost_millionths"] / 1e6,
    )


def tutor_by(groups: Mapping[str, Figures]) -> list[dict[str, Any]]:
    """A row a group that has asked anything."""
    return [
        {"label": label, "tutor": tutor(figures)}
        for label, figures in groups.items()
        if figures["generated"] or figures["fallbacks"]
    ]
