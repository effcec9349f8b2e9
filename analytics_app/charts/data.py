"""Frames as the data of charts: for pages over chosen sessions. Whole dashboards read the kept statistics.

Every function is named for its chart and gives rows that `charts.render` takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd  # type: ignore[import-untyped]

from analytics_app.inference.effects import mean_interval
from analytics_app.inference.values import Summary, sample
from sessions_app.domain import keys

Row = dict[str, Any]

MEASURES = {
    "question_clarity": "Question clarity",
    "question_relevance": "Question relevance",
    "builds_on_previous": "Builds on previous answer",
    "synthesis_quality": "Synthesis",
    "location_integration": "Use of the place",
    "answer_depth": "Answer depth",
    "answer_accuracy": "Answer accuracy",
    "engagement_level": "Engagement",
}
RATED = {
    "location_impact_rating": "The place helped",
    "intervention_helpful_rating": "Questions were helpful",
    "content_interest_rating": "Content was interesting",
    "content_difficulty_rating": "Content was difficult",
    "pacing_rating": "The pace",
    "overall_experience_rating": "All in all",
    "audio_quality_rating": "Sound",
}


def told(group: Summary) -> Row:
    """n, mean and the ends of its 95 % interval: None where they are not defined."""
    found = mean_interval(group)
    low, high = (found.interval.low, found.interval.high) if found.enough else (None, None)
    return {"n": group.n, "mean": group.mean, "low": low, "high": high}


def _counted(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """How often each combination of values occurs; rows with a missing value are left out."""
    counted = frame.dropna(subset=columns).groupby(columns, observed=True).size()
    found: pd.DataFrame = counted.rename("n").reset_index()
    return found


def gain_by_condition(sessions: pd.DataFrame) -> list[Row]:
    return [
        {"condition": code, **told(sample(rows["absolute_gain"]))}
        for code, rows in sessions.groupby("condition", observed=True)
    ]


def condition_cells(sessions: pd.DataFrame) -> list[Row]:
    """Of completed sessions."""
    done = sessions[sessions["completed"].fillna(False)]
    return [
        {"condition": code, "n": len(rows), "gain": sample(rows["absolute_gain"]).mean}
        for code, rows in done.groupby("condition", observed=True)
    ]


def score_distribution(sessions: pd.DataFrame) -> pd.DataFrame:
    parts = [
        _counted(sessions.rename(columns={f"{moment}_score": "score"}), ["score"]).assign(moment=moment)
        for moment in ("baseline", "final")
    ]
    return pd.concat(parts, ignore_index=True)


def before_after(sessions: pd.DataFrame) -> pd.DataFrame:
    columns = {"baseline_score": "baseline", "final_score": "final"}
    return _counted(sessions.rename(columns=columns), list(columns.values()))


def student_sessions(sessions: pd.DataFrame) -> list[Row]:
    ordered = sessions.sort_values("session_start", kind="stable")
    columns = {"session_start": "start", "baseline_score": "baseline", "final_score": "final"}
    renamed = ordered.rename(columns=columns)[["start", "condition", "baseline", "final"]]
    rows: list[Row] = renamed.astype(object).where(renamed.notna(), None).to_dict("records")
    return rows


def response_time(questions: pd.DataFrame) -> pd.DataFrame:
    return _counted(questions.rename(columns={"response_time_seconds": "seconds"}), ["type", "seconds"])


def answer_depth(questions: pd.DataFrame) -> pd.DataFrame:
    return _counted(questions.rename(columns={"answer_depth": "depth"}), ["type", "depth"])


def question_quality(questions: pd.DataFrame) -> list[Row]:
    return [
        {"measure": label, "type": kind, **told(group)}
        for column, label in MEASURES.items()
        for kind, rows in questions.groupby("type", observed=True)
        if (group := sample(rows[column])).n
    ]


def ai_latency(questions: pd.DataFrame) -> pd.DataFrame:
    """Of questions that a model generated, in tenths of a second as the kept statistics have them."""
    made = questions[
        (questions["type"] == "dynamic") & (questions["source"] != "static_fallback").fillna(True)
    ]
    tenths = (made["generation_ms"] // 100).astype("Float64") / 10
    return _counted(made.assign(seconds=tenths), ["seconds"])


def survey_ratings(surveys: pd.DataFrame) -> list[Row]:
    return [
        {"item": label, "rating": rating, "n": int((surveys[column] == rating).sum())}
        for column, label in RATED.items()
        if surveys[column].notna().any()
        for rating in range(1, 6)
    ]


def engagement_by_segment(sessions: pd.DataFrame) -> list[Row]:
    return [
        {"location": place, "segment": segment, **told(group)}
        for place, rows in sessions.groupby("location", observed=True)
        for segment in (1, 2, 3, 4)
        if (group := sample(rows[f"engagement_{segment}"])).n
    ]


def allocation_balance(counts: Iterable[tuple[str, int]]) -> list[Row]:
    """From sessions by condition code: expected is an even share of each location's own sessions."""
    known = dict(counts)
    rows = []
    for cell in keys.CONDITIONS:
        there = [n for code, n in known.items() if keys.Condition.from_code(code).location == cell.location]
        rows.append({"condition": cell.code, "n": known.get(cell.code, 0), "expected": sum(there) / 6})
    return rows
