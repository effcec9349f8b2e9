"""Figures as the rows of charts (their columns are told in `charts.KINDS`). A missing value is None."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Any, Final, Literal

from sessions_app.domain.store import keys

from ..inference import effects
from ..statistics import queries
from ..statistics.queries import Day
from ..statistics.sums import POINT, Figures, Month, Spread, merge

Rows = list[dict[str, Any]]
Unit = Literal["day", "week", "month"]
UNITS: tuple[Unit, ...] = ("day", "week", "month")

STAGES = (
    ("started", "sessions", ""),
    ("baseline done", "did_baseline", "the assessment before the content is done"),
    ("content done", "did_content", "all four segments, with their questions"),
    ("final assessment done", "did_final", ""),
    ("survey done", "did_survey", ""),
    ("completed", "completed", ""),
)
RATINGS = (("Answer depth", "depth"), ("Question quality", "quality"), ("Progression", "progression"))


def rounded(value: float | None, places: int = 2) -> float | None:
    return None if value is None else round(value, places)


def ends(spread: Spread) -> dict[str, float | None]:
    """The 95 % interval of a mean as `low` and `high`."""
    found = effects.mean_interval(spread)
    if not found.enough:
        return {"low": None, "high": None}
    return {"low": round(found.interval.low, 2), "high": round(found.interval.high, 2)}


def _mean(spread: Spread) -> dict[str, Any]:
    return {"n": spread.n, "mean": rounded(spread.mean), **ends(spread)}


# --- by condition


def gain_by_condition(read: Iterable[Month]) -> Rows:
    cells = queries.by_condition(read)
    return [{"condition": cell.code, **_mean(figures.gain)} for cell, figures in cells.items()]


def condition_cells(read: Iterable[Month]) -> Rows:
    return [
        {"condition": cell.code, "n": figures.completed, "gain": rounded(figures.gain.mean)}
        for cell, figures in queries.by_condition(read).items()
    ]


def allocation_balance(read: Iterable[Month]) -> Rows:
    """Expected are equal shares of what a location has: conditions are drawn within the location."""
    cells = queries.by_condition(read)
    found = []
    for cell, figures in cells.items():
        beside = [other.sessions for at, other in cells.items() if at.location == cell.location]
        expected = round(sum(beside) / len(beside), 2)
        found.append({"condition": cell.code, "n": figures.sessions, "expected": expected})
    return found


# --- all together


def participant_flow(read: Iterable[Month]) -> Rows:
    figures = merge(read)
    rows: Rows = []
    for stage, name, note in STAGES:
        rows.append({"stage": stage, "n": figures[name], "note": note})
    rows[0]["note"] = ", ".join(_left(figures))
    return rows


def _left(figures: Figures) -> list[str]:
    counts = {
        "running": figures.running,
        "stopped": figures["stopped"],
        "timed out": figures["abandoned"],
        "withdrawn": figures["withdrawn"],
    }
    return [f"{n:,} {word}" for word, n in counts.items() if n]


def question_quality(read: Iterable[Month]) -> Rows:
    by_type = queries.grouped(read, "type")
    return [
        {"measure": measure, "type": kind, **_mean(spread_of(by_type[kind], name))}
        for measure, name in RATINGS
        for kind in keys.TYPES.values()
    ]


def spread_of(figures: Figures, name: str) -> Spread:
    """By the name of its sums."""
    return {
        "gain": figures.gain,
        "depth": figures.answer_depth,
        "quality": figures.question_quality,
        "progression": figures.progression,
        "response": figures.response_time,
    }[name]


# --- one condition, with its histograms


def score_distribution(figures: Figures) -> Rows:
    return [
        {"moment": moment, "score": units / POINT, "n": n}
        for moment in ("baseline", "final")
        for units, n in sorted(figures.sums.histogram(moment).items())
    ]


def ai_latency(figures: Figures) -> Rows:
    """Tenths of a second stand for their middle."""
    waits = sorted(figures.sums.histogram("latency").items())
    return [{"seconds": round(tenths / 10 + 0.05, 2), "n": n} for tenths, n in waits]


# --- over time


def by_month(read: Iterable[Month]) -> dict[str, Figures]:
    groups: dict[str, list[Month]] = {}
    for part in read:
        groups.setdefault(part.month, []).append(part)
    return {text: merge(found) for text, found in sorted(groups.items())}


def sessions_by_month(read: Iterable[Month]) -> Rows:
    rows: Rows = []
    for text, figures in by_month(read).items():
        states = {
            "completed": figures.completed,
            "running": figures.running,
            "stopped": figures["stopped"],
            "abandoned": figures["abandoned"],
            "withdrawn": figures["withdrawn"],
        }
        rows += [{"period": f"{text}-01", "state": state, "n": n} for state, n in states.items() if n]
    return rows


def gain_by_month(read: Iterable[Month]) -> Rows:
    return [
        {"period": f"{text}-01", **_mean(figures.gain)}
        for text, figures in by_month(read).items()
        if figures.gain.n
    ]


def ai_cost(read: Iterable[Month]) -> Rows:
    return [
        {
            "period": f"{text}-01",
            "cost_usd": round(cost(figures), 6),
            "n": figures["generated"],
        }
        for text, figures in by_month(read).items()
        if figures["generated"]
    ]


def cost(figures: Figures) -> float:
    """US dollars, for questions and for grading."""
    return (figures["cost_millionths"] + figures["grading_cost_millionths"]) / 1e6


_STARTS: dict[Unit, Callable[[date], date]] = {
    "day": lambda day: day,
    "week": lambda day: day - timedelta(days=day.weekday()),
    "month": lambda day: day.replace(day=1),
}


def periods(days: Iterable[Day], unit: Unit) -> dict[date, list[Day]]:
    """Days by the first day of their period; weeks begin on Monday."""
    groups: dict[date, list[Day]] = {}
    for day in days:
        groups.setdefault(_STARTS[unit](day.day), []).append(day)
    return groups


def counted(days: Iterable[Day], name: str) -> int:
    return sum(sum(getattr(day, name).values()) for day in days)


def sessions_by_day(days: Iterable[Day], unit: Unit) -> Rows:
    rows: Rows = []
    for start, found in periods(days, unit).items():
        states = {name: counted(found, name) for name in ("completed", "stopped", "abandoned", "withdrawn")}
        states["running"] = sum(day.running for day in found)
        rows += [{"period": start.isoformat(), "state": state, "n": n} for state, n in states.items() if n]
    return rows


def gain_by_day(days: Iterable[Day], unit: Unit) -> Rows:
    """Without intervals: days keep no squares."""
    rows: Rows = []
    for start, found in periods(days, unit).items():
        if n := counted(found, "gains"):
            mean = round(counted(found, "gain_units") / POINT / n, 2)
            rows.append({"period": start.isoformat(), "n": n, "mean": mean, "low": None, "high": None})
    return rows


# --- which chart comes from where

FROM_MONTHS: Final[dict[str, Callable[[list[Month]], Rows]]] = {
    "gain_by_condition": gain_by_condition,
    "condition_cells": condition_cells,
    "allocation_balance": allocation_balance,
    "participant_flow": participant_flow,
    "question_quality": question_quality,
    "ai_cost": ai_cost,
    "sessions_over_time": sessions_by_month,
    "gain_over_time": gain_by_month,
}
FROM_DAYS: Final[dict[str, Callable[[list[Day], Unit], Rows]]] = {
    "sessions_over_time": sessions_by_day,
    "gain_over_time": gain_by_day,
}
FROM_CONDITION: Final[dict[str, Callable[[Figures], Rows]]] = {
    "score_distribution": score_distribution,
    "ai_latency": ai_latency,
}
