"""Data for every chart: a study under way, one session, very many."""

from __future__ import annotations

import itertools
import random
from datetime import date, timedelta
from typing import Any

from sessions_app.domain.store import keys

Rows = list[dict[str, Any]]
PLACES = tuple(keys.LOCATIONS.values())
STAGES = ("Session started", "Baseline done", "Content done", "After done", "Survey done")
ITEMS = ("Location helped", "Questions were helpful", "Overall")


def rows(size: str = "study") -> dict[str, Rows]:
    """By chart name. `study` has a few sessions a cell, `one` a single session, `huge` 50,000."""
    chance = random.Random(5)
    one, each = size == "one", {"one": 1, "study": 8, "huge": 2083}[size]
    cells = keys.CONDITIONS[:1] if one else keys.CONDITIONS
    return {
        **_cells([cell.code for cell in cells], each, chance),
        **_scores(1 if one else each * 24, chance),
        **_time(1 if one else 800 if size == "huge" else 30, each),
        **_dialogue(one, each, chance),
        "primary_forest": [
            {
                "analysis": name,
                "n": each * 24,
                "value": 4.0 - place,
                "low": -2.0 - place,
                "high": 10.0 - place,
            }
            for place, name in enumerate(("On site minus others", "Per protocol", "Without school 1"))
        ][: 1 if one else 3],
        "power_curve": [
            {"n": 60 * place, "power": 1 - 0.9**place, "point": "present" if place == 2 else ""}
            for place in range(1, 2 if one else 9)
        ],
        "participant_flow": [
            {"stage": stage, "n": each * 24 - place * (not one), "note": "" if one else f"{place} left"}
            for place, stage in enumerate(STAGES)
        ],
        "student_sessions": [
            {"start": f"2026-0{month}-12T15:00:00Z", "condition": code, "baseline": 40.0, "final": final}
            for month, code, final in ((1, "L1-I1-D", 73.3), (2, "L4-I3-S", None))[: 1 if one else 2]
        ],
    }


def _estimate(mean: float, n: int, reach: float) -> dict[str, Any]:
    wide = n > 1
    return {
        "n": n,
        "mean": mean,
        "low": mean - reach if wide else None,
        "high": mean + reach if wide else None,
    }


def _cells(codes: list[str], each: int, chance: random.Random) -> dict[str, Rows]:
    gains = {code: chance.uniform(5, 30) for code in codes}
    return {
        "gain_by_condition": [{"condition": code, **_estimate(gains[code], each, 8)} for code in codes],
        "condition_cells": [{"condition": code, "n": each, "gain": gains[code]} for code in codes],
        "allocation_balance": [
            {"condition": code, "n": each, "expected": each * len(codes) / 24} for code in codes
        ],
    }


def _scores(n: int, chance: random.Random) -> dict[str, Rows]:
    pairs = [
        (round(chance.uniform(20, 70), 1), round(chance.uniform(30, 100), 1)) for _ in range(min(n, 3000))
    ]
    return {
        "before_after": [{"baseline": b, "final": f, "n": 1} for b, f in pairs],
        "score_distribution": [
            {"moment": moment, "score": score, "n": 1}
            for pair in pairs
            for moment, score in zip(("baseline", "final"), pair, strict=True)
        ],
    }


def _time(days: int, each: int) -> dict[str, Rows]:
    dates = [date(2026, 1, 12) + timedelta(days=place) for place in range(days)]
    weeks = dates[::7]
    return {
        "sessions_over_time": [
            {"period": day, "state": state, "n": n}
            for day in dates
            for state, n in (("completed", 1), ("abandoned", 1))[: 1 if days == 1 else 2]
        ],
        "gain_over_time": [{"period": week.isoformat(), **_estimate(20.0, each, 5)} for week in weeks],
        "ai_cost": [{"period": week, "cost_usd": 0.8, "n": each} for week in weeks],
    }


def _dialogue(one: bool, each: int, chance: random.Random) -> dict[str, Rows]:
    types = ("static",) if one else ("static", "dynamic")
    values = 1 if one else 60
    return {
        "response_time": [
            {"type": kind, "seconds": chance.randint(5, 200), "n": each}
            for kind, _ in itertools.product(types, range(values))
        ],
        "answer_depth": [
            {"type": kind, "depth": chance.randint(1, 5), "n": each}
            for kind, _ in itertools.product(types, range(values))
        ],
        "question_quality": [
            {"measure": measure, "type": kind, **_estimate(3.2, each, 0.3)}
            for measure, kind in itertools.product(("Answer depth", "Engagement"), types)
        ],
        "ai_latency": [{"seconds": round(chance.uniform(0.3, 12), 1), "n": each} for _ in range(values)],
        "survey_ratings": [
            {"item": item, "rating": rating, "n": int(rating == 4) if one else each}
            for item, rating in itertools.product(ITEMS, range(1, 6))
        ],
        "engagement_by_segment": [
            {"location": place, "segment": segment, **_estimate(0.8, each, 0.05)}
            for place, segment in itertools.product(PLACES[: 1 if one else 4], (1, 2, 3, 4))
        ],
    }
