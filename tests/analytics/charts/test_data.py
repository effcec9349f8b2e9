"""Frames become the data of charts: counted, never filled in."""

import random
from typing import Any

import pandas as pd
import pytest

from analytics_app import charts
from analytics_app.charts import data
from analytics_app.frames import TABLES, Column


def frame(table: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A frame of the declared types; columns that a row does not tell are missing."""

    def series(column: Column) -> pd.Series:
        values = [row.get(column.name) for row in rows]
        if column.dtype == "category":
            return pd.Series(pd.Categorical(values, categories=list(column.values)))
        return pd.Series(values, dtype=column.dtype)

    return pd.DataFrame({column.name: series(column) for column in TABLES[table]})


def session(code: str = "L1-I1-D", **told: Any) -> dict[str, Any]:
    place = {"L1": "on-site", "L4": "home"}[code[:2]]
    start = pd.Timestamp("2026-03-03T15:00:00Z")
    return {"condition": code, "location": place, "completed": True, "session_start": start, **told}


SESSIONS = frame(
    "sessions",
    [
        session(baseline_score=40.0, final_score=60.0, absolute_gain=20.0, engagement_1=0.9, student_id="a"),
        session(baseline_score=40.0, final_score=60.0, absolute_gain=20.0, engagement_1=0.7),
        session(baseline_score=50.0, final_score=None),
        session("L4-I3-S", completed=False, baseline_score=30.0),
    ],
)


def test_gain_leaves_out_sessions_without_both_scores() -> None:
    told = data.gain_by_condition(SESSIONS)
    assert told[0] == {"condition": "L1-I1-D", "n": 2, "mean": 20.0, "low": 20.0, "high": 20.0}
    assert told[1] == {"condition": "L4-I3-S", "n": 0, "mean": None, "low": None, "high": None}


def test_an_interval_of_one_session_is_missing() -> None:
    told = data.gain_by_condition(frame("sessions", [session(absolute_gain=5.0)]))
    assert told == [{"condition": "L1-I1-D", "n": 1, "mean": 5.0, "low": None, "high": None}]


def test_cells_count_completed_sessions() -> None:
    assert data.condition_cells(SESSIONS) == [{"condition": "L1-I1-D", "n": 3, "gain": 20.0}]


def test_scores_are_counted_exactly() -> None:
    told = data.score_distribution(SESSIONS)
    assert {(row.moment, row.score): row.n for row in told.itertuples()} == {
        ("baseline", 30.0): 1,
        ("baseline", 40.0): 2,
        ("baseline", 50.0): 1,
        ("final", 60.0): 2,
    }


def test_pairs_are_counted() -> None:
    told = data.before_after(SESSIONS)
    assert told.to_dict("records") == [{"baseline": 40.0, "final": 60.0, "n": 2}]


def test_engagement_is_told_where_there_is_any() -> None:
    told = data.engagement_by_segment(SESSIONS)
    assert [(row["location"], row["segment"], row["n"]) for row in told] == [("on-site", 1, 2)]
    assert told[0]["mean"] == pytest.approx(0.8)


def test_a_students_sessions_keep_what_is_missing() -> None:
    told = data.student_sessions(SESSIONS.iloc[2:3])
    assert (told[0]["baseline"], told[0]["final"]) == (50.0, None)


def test_expected_is_an_even_share_of_each_location() -> None:
    told = {row["condition"]: row for row in data.allocation_balance([("L1-I1-D", 4), ("L1-I2-D", 2)])}
    assert len(told) == 24
    assert (told["L1-I1-D"]["n"], told["L1-I3-S"]["expected"], told["L4-I1-S"]["expected"]) == (4, 1.0, 0)


QUESTIONS = frame(
    "questions",
    [
        {"type": kind, "source": source, "response_time_seconds": 30.0, "answer_depth": depth}
        | {"generation_ms": ms, "question_clarity": 4.0 if kind == "dynamic" else None}
        for kind, source, depth, ms in (
            ("static", "predefined_set_v1", 2.0, None),
            ("dynamic", "generated", 4.0, 1490),
            ("dynamic", None, 3.0, 1420),
            ("dynamic", "static_fallback", None, 9000),
        )
    ],
)


def test_times_to_answer_are_counted_by_type() -> None:
    told = data.response_time(QUESTIONS)
    assert {(row.type, row.seconds): row.n for row in told.itertuples()} == {
        ("static", 30.0): 1,
        ("dynamic", 30.0): 3,
    }


def test_latency_is_of_questions_that_a_model_made_in_tenths() -> None:
    assert data.ai_latency(QUESTIONS).to_dict("records") == [{"seconds": 1.4, "n": 2}]


def test_an_answer_without_a_score_is_left_out() -> None:
    assert data.answer_depth(QUESTIONS)["n"].sum() == 3


def test_what_nobody_rated_has_no_row() -> None:
    told = data.question_quality(QUESTIONS)
    assert {(row["measure"], row["type"]) for row in told} == {
        ("Question clarity", "dynamic"),
        ("Answer depth", "static"),
        ("Answer depth", "dynamic"),
    }


def test_ratings_are_counted_and_items_that_nobody_rated_left_out() -> None:
    surveys = frame("surveys", [{"pacing_rating": rating} for rating in (3, 3, 5, None)])
    told = data.survey_ratings(surveys)
    assert [(row["rating"], row["n"]) for row in told] == [(1, 0), (2, 0), (3, 2), (4, 0), (5, 1)]
    assert {row["item"] for row in told} == {"The pace"}


def test_what_is_made_of_frames_can_be_drawn() -> None:
    chance = random.Random(2)
    sessions = frame(
        "sessions",
        [
            session(
                code,
                baseline_score=chance.uniform(20, 60),
                final_score=chance.uniform(40, 90),
                absolute_gain=9.0,
            )
            for code in ("L1-I1-D", "L4-I3-S")
            for _ in range(3)
        ],
    )
    for name in ("gain_by_condition", "condition_cells", "score_distribution", "before_after"):
        assert not charts.render(name, getattr(data, name)(sessions)).empty
    assert not charts.render("student_sessions", data.student_sessions(sessions)).empty


def test_frames_without_rows_are_no_data() -> None:
    empty = {name: frame(name, []) for name in TABLES}
    for name in ("gain_by_condition", "condition_cells", "score_distribution", "before_after"):
        assert charts.render(name, getattr(data, name)(empty["sessions"])).empty
    for name in ("response_time", "answer_depth", "question_quality", "ai_latency"):
        assert charts.render(name, getattr(data, name)(empty["questions"])).empty
    assert charts.render("survey_ratings", data.survey_ratings(empty["surveys"])).empty
