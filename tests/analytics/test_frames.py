"""Items become tidy frames: one row each, typed columns, nothing made up where nothing is known."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from boto3.dynamodb.types import TypeSerializer

from analytics_app import frames
from sessions_app.domain import keys
from sessions_app.domain.models import Item
from sessions_app.domain.run import Run

EXAMPLES = Path(__file__).parents[1] / "examples"
SESSION = (
    "session",
    "location_verification",
    "content_delivery",
    "assessment-baseline",
    "assessment-final",
    "intervention-dynamic",
    "post_survey",
)


def example(name: str, **changes: Any) -> Item:
    """One of the schema's example items, as the table would give it; `None` takes an attribute away."""
    read = json.loads((EXAMPLES / f"{name}.json").read_text(), parse_float=Decimal, parse_int=Decimal)
    whole = {key: value for key, value in {**read, **changes}.items() if value is not None}
    serialize = TypeSerializer().serialize
    item: Item = Item.from_raw_data({key: serialize(value) for key, value in whole.items()})
    return item


@pytest.fixture
def items() -> list[Item]:
    return [example(name) for name in SESSION]


def row(items: list[Item], table: str = "sessions", at: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = getattr(frames.build(items), table).iloc[at].to_dict()
    return found


def test_a_session_is_one_row_with_its_condition_scores_and_gains(items: list[Item]) -> None:
    told = row(items)
    assert (told["condition"], told["location"], told["interval"], told["type"]) == (
        "L1-I1-D",
        "on-site",
        "2.5",
        "dynamic",
    )
    assert (told["baseline_score"], told["final_score"]) == (63.3, 93.3)
    assert (told["absolute_gain"], told["relative_gain"], told["normalized_gain"]) == (30.0, 47.4, 0.82)
    assert told["baseline_short_answer_score"] == 43.8
    assert told["session_start"] == pd.Timestamp("2025-10-23T14:30:00Z")
    assert told["state"] == "completed"
    assert told["simulated"] is False


def test_runs_and_their_items_give_the_same_frames(items: list[Item]) -> None:
    from_items, from_runs = frames.build(items), frames.build([Run.of(items)])
    for name in frames.TABLES:
        pd.testing.assert_frame_equal(getattr(from_items, name), getattr(from_runs, name))


def test_the_order_of_items_does_not_matter(items: list[Item]) -> None:
    one, other = frames.build(items), frames.build(reversed(items))
    pd.testing.assert_frame_equal(one.sessions, other.sessions)


def test_every_table_has_exactly_its_declared_columns_and_types(items: list[Item]) -> None:
    for source in (items, []):
        built = frames.build(source)
        for name, columns in frames.TABLES.items():
            frame = getattr(built, name)
            assert list(frame.columns) == [column.name for column in columns]
            assert {str(frame[column.name].dtype) for column in columns} <= {
                "string",
                "Int64",
                "Float64",
                "boolean",
                "category",
                "datetime64[us, UTC]",
            }
            assert [str(frame[column.name].dtype) for column in columns] == [c.dtype for c in columns]


def test_every_column_is_explained() -> None:
    for columns in frames.TABLES.values():
        names = [column.name for column in columns]
        assert len(names) == len(set(names))
        assert all(column.meaning for column in columns)


def test_what_is_missing_stays_missing(items: list[Item]) -> None:
    told = row([items[0]])
    for name in ("baseline_score", "final_score", "absolute_gain", "pauses", "engagement", "format"):
        assert pd.isna(told[name]), name
    assert pd.isna(told["verification_method"])


def test_a_session_with_one_score_has_no_gain(items: list[Item]) -> None:
    told = row([item for item in items if "final" not in str(item.SK)])
    assert told["baseline_score"] == 63.3
    assert pd.isna(told["absolute_gain"])


def test_an_assessment_that_is_not_graded_has_no_score(items: list[Item]) -> None:
    ungraded = example("assessment-final", assessment_results=None, learning_gain=None)
    told = row([*items[:4], ungraded])
    assert pd.isna(told["final_score"])
    assert pd.isna(told["normalized_gain"])


def test_a_text_that_is_missing_is_not_an_empty_text(items: list[Item]) -> None:
    assert pd.isna(row([items[0]])["data_quality_flags"])


def test_flags_are_columns_of_their_own(items: list[Item]) -> None:
    metadata = {
        "created_at": "2025-10-23T14:30:00Z",
        "updated_at": "2025-10-23T14:30:00Z",
        "version": 1,
        "data_quality_flags": ["ai_fallback", "resumed"],
    }
    told = row([example("session", metadata=metadata), *items[1:]])
    assert told["data_quality_flags"] == "ai_fallback;resumed"
    assert (told["flagged"], told["flag_ai_fallback"], told["flag_long_pause"]) == (True, True, False)


def test_questions_carry_their_answer_and_scores(items: list[Item]) -> None:
    questions = frames.build(items).questions
    assert list(questions["question_number"]) == [1, 2, 3]
    assert questions["answer"].notna().all()
    assert questions["question_clarity"].between(1, 5).all()


def test_assessment_items_come_before_and_after(items: list[Item]) -> None:
    rows = frames.build(items).assessment_items
    assert list(rows["moment"].unique()) == ["baseline", "final"]
    assert rows["points"].notna().all()


def test_a_survey_is_one_row(items: list[Item]) -> None:
    surveys = frames.build(items).surveys
    assert len(surveys) == 1
    assert surveys["location_impact_rating"].iloc[0] == items[-1].location_experience.location_impact_rating


def test_items_without_their_session_are_left_out() -> None:
    built = frames.build([example("intervention-static"), example("student_profile")])
    assert len(built.sessions) == len(built.interventions) == 0


def test_conditions_sort_in_the_order_of_the_study() -> None:
    assert frames.CODES[0] == "L1-I1-S"
    assert len(frames.CODES) == len(keys.CONDITIONS) == 24
    column = next(c for c in frames.TABLES["sessions"] if c.name == "location")
    assert column.values == ("on-site", "learning-space", "classroom", "home")
