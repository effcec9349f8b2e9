"""Sessions as other clients store them, through worker, rebuild, check, export and lake."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import boto3
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from boto3.dynamodb.types import TypeSerializer
from django.core.management import CommandError, call_command

from analytics_app.export import bundle
from analytics_app.export.pseudonyms import Coder
from analytics_app.export.request import Choice
from analytics_app.lake import storage
from analytics_app.lake.write import Lake
from analytics_app.management.commands import run_worker
from analytics_app.streams import dispatch
from sessions_app.domain.models import Contribution
from sessions_app.domain.store import keys
from sessions_app.domain.stream_worker import dead_letters
from tests.analytics import cohort

FOREIGN = Path(__file__).parents[1] / "foreign" / "items.json"
NAMED = {"interval75", "space_id", "no_timeline"}
"""Kinds that are no row: in no sum, and named."""


def kinds() -> dict[str, list[dict[str, Any]]]:
    told = json.loads(FOREIGN.read_text(encoding="utf-8"), parse_float=Decimal)
    return {kind["kind"]: kind["items"] for kind in told}


def session_of(items: list[dict[str, Any]]) -> str:
    return next(item["PK"] for item in items if item["SK"] == keys.METADATA)


KINDS = kinds()
SESSIONS = {session_of(items): kind for kind, items in KINDS.items()}


@pytest.fixture
def table(own_table: str, dynamodb: Any) -> str:
    """Holds every kind; nothing of it was read yet."""
    dispatch.LETTERS.read_at = float("-inf")
    serializer = TypeSerializer()
    for items in KINDS.values():
        for item in items:
            typed = {name: serializer.serialize(value) for name, value in item.items()}
            dynamodb.put_item(TableName=own_table, Item=typed)
    return own_table


def follow(table: str) -> None:
    client = boto3.client("dynamodb", region_name="us-east-1")
    poller = dispatch.Poller(
        client=dispatch.connect(region="us-east-1"), arn=dispatch.stream_of(client, table)
    )
    while poller.poll():
        pass


def counted() -> dict[str, Contribution]:
    """By kind."""
    found = {}
    for partition, kind in SESSIONS.items():
        session_id = partition.removeprefix(keys.SESSION_PREFIX)
        if keys.is_safe(session_id):
            found[kind] = Contribution.of_session(session_id)
    return {kind: item for kind, item in found.items() if item is not None}


def named() -> dict[str, str]:
    return {SESSIONS[letter.record_pk]: letter.reason for letter in dead_letters.open_letters()}


def output(**options: Any) -> str:
    text = io.StringIO()
    try:
        call_command("rebuild_statistics", no_stream=True, patience=0, stdout=text, **options)
    except CommandError as error:
        text.write(str(error))
    return text.getvalue()


def test_every_kind_is_counted_or_named_and_the_worker_goes_on(table: str) -> None:
    follow(table)
    assert counted().keys() == KINDS.keys() - NAMED
    assert named().keys() == NAMED
    figures = cohort.figures_by_condition().values()
    assert sum(found.sessions for found in figures) == len(KINDS) - len(NAMED)
    # all but the running one are completed; all of these have a final score but the one beyond the scale
    assert sum(found.completed for found in figures) == len(KINDS) - len(NAMED) - 1
    assert sum(found.final.n for found in figures) == len(KINDS) - len(NAMED) - 2


def test_the_parts_of_an_odd_session_that_can_be_read_count(table: str) -> None:
    follow(table)
    found = counted()
    whole = found["seed_shaped"].sums
    same = ("plus00", "naive_updated", "strings_for_numbers", "duplicates", "no_code", "bad_index_stamp")
    for kind in (*same, "no_student_id"):
        assert found[kind].sums["final_sum"] == whole["final_sum"], kind
        assert found[kind].sums["gain_sum"] == whole["gain_sum"], kind
    for kind in same[1:]:
        assert found[kind].sums["interventions"] == 4, kind
    few = found["null_few"].sums
    assert "duration_n" not in few
    assert "location_impact_n" not in few
    assert (few["survey_n"], few["overall_n"], few["gain_sum"]) == (1, 1, whole["gain_sum"])
    beyond = found["score_101"].sums
    assert "final_n" not in beyond
    assert (beyond["completed"], beyond["baseline_sum"]) == (1, whole["baseline_sum"])
    assert found["duplicates"].sums["flagged"] == found["naive_updated"].sums["flagged"] == 1


def test_a_rebuild_finds_the_same_and_a_check_names_what_cannot_be_read_alone(table: str) -> None:
    text = output()
    assert "3 sessions cannot be read and are not counted" in text
    for partition, kind in SESSIONS.items():
        assert (partition.removeprefix(keys.SESSION_PREFIX) + ": " in text) is (kind in NAMED), kind
    rebuilt = {kind: (item.sums, item.source) for kind, item in counted().items()}
    text = output(check=True)
    assert text.count("unreadable (") == 3
    assert "3 differences" in text
    follow(table)
    assert {kind: (item.sums, item.source) for kind, item in counted().items()} == rebuilt
    assert named().keys() == NAMED


def test_an_export_takes_what_can_be_read_and_counts_the_rest(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle.profiles, "obstacle", lambda *told, **more: None)  # whatever the consent says
    choice = Choice(profile="full", levels=("sessions_wide", "assessments"))
    with bundle.workshop(tmp_path) as shop:
        built = bundle.build(choice, shop, zone=ZoneInfo("America/New_York"))
        with zipfile.ZipFile(built.path) as archive:
            names = {Path(name).name: name for name in archive.namelist()}
            tables = {
                name: pq.read_table(io.BytesIO(archive.read(names[f"{name}.parquet"]))).to_pylist()
                for name in ("sessions_wide", "assessments")
            }
    rows = {SESSIONS[keys.SESSION_PREFIX + row["session_id"]]: row for row in tables["sessions_wide"]}
    assert rows.keys() == KINDS.keys() - NAMED
    assert built.excluded == {"unreadable": 3}
    for kind, row in rows.items():
        final = None if kind == "score_101" else pytest.approx(1400 / 15)
        assert row["final_score"] == final, kind
        assert row["learning_gain"] == (None if final is None else pytest.approx(30)), kind
    assert len(tables["assessments"]) == 2 * len(rows)  # of two of a kind the first


def test_the_lake_holds_what_can_be_read_and_names_the_rest(
    table: str, tmp_path: Path, settings: Any
) -> None:
    settings.LAKE_URL = str(tmp_path / "lake")
    lake = Lake(storage.of_url(settings.LAKE_URL), Coder(b"a key for tests", "coded"))
    writer = run_worker.LakeWriter(lake)
    while writer.step():
        pass
    sessions = list(rows_of(tmp_path / "lake", "sessions"))
    completed = KINDS.keys() - NAMED - {"running_naive_updated"}
    assert len(sessions) == len(completed)
    letters = [letter for letter in dead_letters.open_letters() if letter.duty == "lake"]
    assert {SESSIONS[letter.record_pk] for letter in letters if letter.record_sk == keys.METADATA} == NAMED
    scores = [row.get("score") for row in rows_of(tmp_path / "lake", "assessments")]
    assert scores.count(None) == 1  # the one beyond the scale
    assert scores.count(50.0) == 1  # the second final, which does not count


def rows_of(lake: Path, table: str) -> Iterator[dict[str, Any]]:
    for file in sorted((lake / table).rglob("*.jsonl")):
        yield from map(json.loads, file.read_text(encoding="utf-8").splitlines())
