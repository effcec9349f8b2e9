"""An export of one real session, read back with DuckDB and pandas and compared with the stored items."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from analytics_app.export import codebook, tables
from analytics_app.records import raw_items
from sessions_app.domain.models import Item, connection
from sessions_app.domain.store import keys
from tests.analytics.export.participants import built, manifest, rows
from tests.analytics.record_pages import whole

FLATTENED = (
    "session_id", "student_id", "location", "interval", "intervention_type", "session_start",
    "total_duration", "completed", "baseline_score", "baseline_mc_score", "baseline_sa_score", "final_score",
    "final_mc_score", "final_sa_score", "learning_gain", "normalized_gain", "interventions_total",
    "avg_question_quality", "avg_answer_depth", "location_impact_rating", "intervention_helpful_rating",
    "overall_experience_rating",
)  # fmt: skip
"""What the schema's `flatten_session_data` gives."""

Files = Mapping[str, bytes]


def plain_items(session_id: str) -> list[dict[str, Any]]:
    """The items of a session as plain values, read past everything that an export uses."""
    answer = connection().client.query(
        TableName=Item.Meta.table_name,
        KeyConditionExpression="PK = :pk",
        ExpressionAttributeValues={":pk": {"S": keys.session(session_id)}},
    )
    return [{name: raw_items.plain(value) for name, value in item.items()} for item in answer["Items"]]


def flatten(items: list[dict[str, Any]]) -> dict[str, Any]:
    """The schema's function, in our own words."""
    flat: dict[str, Any] = {"interventions_total": 0}
    means: dict[str, list[float]] = defaultdict(list)
    for item in items:
        match item["entity_type"], item.get("assessment_metadata", {}).get("type"):
            case "session", _:
                told = item["experimental_condition"]
                flat |= {
                    "session_id": item["session_id"],
                    "student_id": item["student_id"],
                    "location": told["location"],
                    "interval": told["interval_minutes"],
                    "intervention_type": told["intervention_type"],
                    "session_start": item["timeline"]["session_start"],
                    "total_duration": item["timeline"]["total_duration_seconds"],
                    "completed": item["completion_status"]["completed"],
                }
            case "assessment", kind:
                flat[f"{kind}_score"] = item["assessment_results"]["score_percentage"]
                flat[f"{kind}_mc_score"] = item["scoring_breakdown"]["mc_percentage"]
                flat[f"{kind}_sa_score"] = item["scoring_breakdown"]["sa_percentage"]
                if kind == "final":
                    flat["learning_gain"] = item["learning_gain"]["absolute_gain"]
                    flat["normalized_gain"] = item["learning_gain"].get("normalized_gain")
            case "intervention", _:
                flat["interventions_total"] += 1
                for name in ("avg_question_quality", "avg_answer_depth"):
                    if name in item["intervention_summary"]:
                        means[name].append(item["intervention_summary"][name])
            case "post_survey", _:
                flat["location_impact_rating"] = item["location_experience"]["location_impact_rating"]
                flat["intervention_helpful_rating"] = item["intervention_experience"][
                    "intervention_helpful_rating"
                ]
                flat["overall_experience_rating"] = item["learning_experience"]["overall_experience_rating"]
    return flat | {name: sum(values) / len(values) for name, values in means.items()}


# --- one real session, walked from enrolment to survey


@pytest.fixture(scope="module")
def walked(module_table: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Files, Path]:
    """The session, the files of a full export, and the folder in which they lie."""
    run = whole()
    folder = tmp_path_factory.mktemp("walked")
    _, files = built(folder / "out", profile="full", simulated=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return run, files, folder


def test_sessions_wide_read_by_duckdb_is_what_the_schemas_function_gives(walked: Any) -> None:
    run, _, folder = walked
    names = ", ".join(FLATTENED)
    found = duckdb.sql(f"SELECT {names} FROM '{folder}/parquet/sessions_wide.parquet'").fetchall()
    (got,) = [dict(zip(FLATTENED, each, strict=True)) for each in found]
    got["session_start"] = keys.stamp(got["session_start"])
    expected = flatten(plain_items(run.id))
    assert expected.keys() >= {"normalized_gain", "avg_question_quality", "overall_experience_rating"}
    rounded = {"avg_answer_depth", "avg_question_quality", "avg_response_time_seconds"}
    steps = {
        name: 0.05 if name in rounded or "score" in name or "gain" in name else None for name in FLATTENED
    }
    assert got == {name: pytest.approx(expected.get(name), abs=steps[name]) for name in FLATTENED}


def test_the_dialogue_read_by_pandas_is_what_was_stored(walked: Any) -> None:
    run, _, folder = walked
    asked = [
        (
            item["intervention_metadata"]["segment_id"],
            each["question_number"],
            each["question"],
            each["answer"],
        )
        for item in plain_items(run.id)
        if item["entity_type"] == "intervention"
        for each in item["socratic_sequence"]
    ]
    frame = pd.read_csv(folder / "csv" / "questions.csv", keep_default_na=False)
    told = list(
        zip(frame["segment"], frame["question_number"], frame["question"], frame["answer"], strict=True)
    )
    assert told == sorted(asked)
    assert len(told) == 6


def test_the_assessment_items_read_by_duckdb_are_what_was_stored(walked: Any) -> None:
    run, _, folder = walked
    expected = [
        (
            item["assessment_metadata"]["type"],
            each["question_id"],
            each["student_answer"],
            each["points_earned"],
        )
        for item in plain_items(run.id)
        if item["entity_type"] == "assessment"
        for each in item["questions"]
    ]
    found = duckdb.sql(
        "SELECT assessment_type, question_id, student_answer, points_earned "
        f"FROM '{folder}/parquet/assessment_items.parquet'"
    ).fetchall()
    assert sorted(found) == sorted(expected)
    assert len(found) == 20


def test_every_step_has_its_times_in_order(walked: Any) -> None:
    _, files, _ = walked
    steps = rows(files, "page_times")
    stored_at = [step["stored_at"] for step in steps]
    assert stored_at == sorted(stored_at)
    assert all(step["shown_at"] <= step["stored_at"] for step in steps if step["shown_at"])
    assert Counter(step["stage"] for step in steps) == {
        "baseline": 10, "format": 1, "segment": 4, "questions": 6, "final": 10, "survey": 1,
    }  # fmt: skip


def test_csv_and_parquet_say_the_same_of_every_table(walked: Any) -> None:
    _, files, _ = walked
    for level in tables.LEVELS:
        table = pq.read_table(io.BytesIO(files[f"parquet/{level}.parquet"]))
        read = rows(files, level)
        assert len(read) == table.num_rows > 0
        assert list(read[0]) == table.column_names
        for parquet, text in zip(table.to_pylist(), read, strict=True):
            assert {name for name, value in parquet.items() if value is None} == {
                name for name, value in text.items() if value == ""
            }


def test_every_field_has_a_label(walked: Any) -> None:
    _, files, _ = walked
    for level in tables.LEVELS:
        for field in pq.read_schema(io.BytesIO(files[f"parquet/{level}.parquet"])):
            assert field.metadata[b"label"], (level, field.name)


def test_labels_stand_in_place_of_values(walked: Any) -> None:
    _, files, _ = walked
    assert {row["location"] for row in rows(files, "sessions", "csv_labels")} == {
        "the historic site itself (L1)"
    }
    assert {row["completed"] for row in rows(files, "sessions", "csv_labels")} == {"Yes"}
    assert {row["completed"] for row in rows(files, "sessions")} == {"1"}


def test_the_code_book_tells_every_column_in_redcaps_form(walked: Any) -> None:
    _, files, _ = walked
    book = list(csv.DictReader(io.StringIO(files["codebook.csv"].decode(), newline="")))
    assert len(codebook.HEADER) == 18
    assert list(book[0]) == list(codebook.HEADER)
    told = {(each["Form Name"], each["Variable / Field Name"]) for each in book}
    assert told == {(level, each.name) for level in tables.LEVELS for each in tables.columns(level)}
    by_name = {(each["Form Name"], each["Variable / Field Name"]): each for each in book}
    rating = by_name["surveys", "location_impact_rating"]
    assert (rating["Text Validation Min"], rating["Text Validation Max"]) == ("1", "5")
    choices = by_name["sessions", "location"]["Choices, Calculations, OR Slider Labels"]
    assert choices.startswith("on-site, the historic site itself (L1) | ")
    assert by_name["sessions", "ip_address"]["Identifier?"] == "y"
    assert {each["Field Label"] != "" for each in book} == {True}


def test_the_manifest_tells_the_digest_and_size_of_every_file(walked: Any) -> None:
    _, files, _ = walked
    told = manifest(files)["files"]
    assert told == {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in files.items()
        if name != "manifest.json"
    }
    assert len(told) == 1 + 3 * len(tables.LEVELS)
