"""Batches into the lake: the same batch gives the same objects, a bad record harms no other."""

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from analytics_app.lake import configuration, storage, write
from analytics_app.lake.storage import LakeAway, Store
from analytics_app.lake.write import DEAD_LETTERS, Lake
from analytics_app.management.commands.run_worker import LakeWriter, Statistics
from analytics_app.statistics import queries
from tests.analytics import cohort
from tests.analytics.lake.conftest import STREAM


def batch(*, first: int = 1, **changes: Any) -> list[dict[str, Any]]:
    return [cohort.record(new=item, sequence=n) for n, item in enumerate(cohort.whole(**changes), first)]


def contents(store: Store) -> dict[str, bytes]:
    return {name: store.read(name) for name in store.names("")}


def rows(store: Store, prefix: str) -> list[dict[str, Any]]:
    return [json.loads(line) for name in store.names(prefix) for line in store.read(name).splitlines()]


def append(lake: Lake, records: list[dict[str, Any]]) -> int:
    return lake.append(records, stream=STREAM, source="shard-1")


def test_a_batch_makes_one_object_for_each_table_and_day(lake: Lake) -> None:
    records = batch() + batch(first=7, start=cohort.NOON + timedelta(days=1))
    append(lake, records)
    low, high = "1".zfill(21), "12".zfill(21)
    assert lake.store.names("sessions/") == [
        f"sessions/date=2025-10-23/shard-1-{low}-{high}.jsonl",
        f"sessions/date=2025-10-24/shard-1-{low}-{high}.jsonl",
    ]
    assert len(lake.store.names("questions/")) == 2
    assert len(rows(lake.store, "questions/")) == 6


def test_a_batch_that_comes_again_overwrites_itself(lake: Lake) -> None:
    records = batch()
    append(lake, records)
    once = contents(lake.store)
    append(lake, records)
    assert contents(lake.store) == once
    assert once


def test_a_batch_that_completes_nothing_writes_nothing(lake: Lake) -> None:
    assert append(lake, [cohort.record(new=cohort.session())]) == 0
    assert append(lake, []) == 0
    assert lake.store.names("") == []


def test_a_record_that_cannot_be_read_is_set_aside_with_the_reason_and_the_rest_goes_on(
    lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    records = batch()
    bad = cohort.record(new=cohort.session(state="completed"), sequence=99)
    bad["dynamodb"]["NewImage"]["timeline"]["M"]["session_start"] = {"S": "secret noon"}
    bad["dynamodb"]["ApproximateCreationDateTime"] = datetime(2026, 1, 2, tzinfo=UTC)
    append(lake, [records[0], bad, *records[1:]])
    assert len(rows(lake.store, "sessions/")) == 1
    assert len(rows(lake.store, "surveys/")) == 1
    (letter,) = rows(lake.store, f"{DEAD_LETTERS}/date=2026-01-02/")
    assert letter["reason"] == "timeline.session_start cannot be read"
    assert letter["sequence_number"] == "99".zfill(21)
    told = json.dumps(letter) + caplog.text
    assert "secret" not in told
    assert bad["dynamodb"]["NewImage"]["student_id"]["S"] not in told
    assert "timeline.session_start cannot be read" in caplog.text


@pytest.mark.parametrize(
    "bad", [{}, {"dynamodb": None}, {"dynamodb": {"Keys": "none", "SequenceNumber": "../x"}}]
)
def test_what_is_no_record_at_all_is_set_aside_too(lake: Lake, bad: dict[str, Any]) -> None:
    append(lake, [bad, *batch()])
    assert len(rows(lake.store, "sessions/")) == 1
    (letter,) = rows(lake.store, f"{DEAD_LETTERS}/date=unknown/")
    assert letter["reason"].startswith("not of the form of a record")
    assert all(".." not in name for name in lake.store.names(""))


# --- Lambda


@pytest.fixture
def environment(url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LAKE_URL", url)
    monkeypatch.setenv("EXPORT_KEY", "a key for tests")
    write.lake_of_environment.cache_clear()
    yield
    write.lake_of_environment.cache_clear()


def event(records: list[dict[str, Any]]) -> dict[str, Any]:
    """As Lambda gives it: with the stream on each record, and the time as a number."""
    told = {"eventSourceARN": STREAM}
    for record in records:
        record["dynamodb"]["ApproximateCreationDateTime"] = 1_761_220_800.0
    return {"Records": [record | told for record in records]}


def test_the_handler_writes_a_batch_and_writes_it_again_to_the_same_place(
    environment: None, store: Store
) -> None:
    told = event(batch())
    assert write.handler(told, None) == {"batchItemFailures": []}
    once = contents(store)
    assert write.handler(told, None) == {"batchItemFailures": []}
    assert contents(store) == once
    assert len(rows(store, "sessions/")) == 1


def test_the_handler_asks_for_the_whole_batch_again_while_the_lake_is_away(
    environment: None, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: Any) -> None:
        raise LakeAway("the lake at s3://b/x: AccessDenied")

    monkeypatch.setattr(type(store), "put", away)
    assert write.handler(event(batch(first=7)), None) == {
        "batchItemFailures": [{"itemIdentifier": "7".zfill(21)}]
    }
    assert "AccessDenied" in caplog.text


def test_batches_of_two_shards_never_share_an_object(environment: None, store: Store) -> None:
    one, other = event(batch()), event(batch())
    for record in other["Records"]:
        record["eventID"] = f"other-{record['eventID']}"
    write.handler(one, None)
    write.handler(other, None)
    assert len(rows(store, "sessions/")) == 2


def test_the_handler_says_what_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKE_URL", raising=False)
    monkeypatch.delenv("EXPORT_KEY", raising=False)
    write.lake_of_environment.cache_clear()
    with pytest.raises(write.NotSetUp, match="LAKE_URL and EXPORT_KEY"):
        write.handler(event(batch()), None)
    assert write.handler({"Records": []}, None) == {"batchItemFailures": []}


# --- the local worker


@pytest.fixture
def table(own_table: str) -> str:
    """These tests follow the table's stream: it must hold nothing of others."""
    return own_table


def test_the_worker_brings_what_is_completed_into_the_lake(table: str, settings: Any, tmp_path: Any) -> None:
    settings.LAKE_URL, settings.EXPORT_KEY = str(tmp_path / "lake"), "a key for tests"
    items = cohort.whole()
    cohort.store(*items)
    call_command("run_worker", once=True)
    store = storage.of_url(settings.LAKE_URL)
    assert len(rows(store, "sessions/")) == 1
    assert len(rows(store, "questions/")) == 3


def test_a_lake_that_is_away_holds_up_neither_statistics_nor_seals_and_loses_nothing(
    table: str, settings: Any, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LAKE_URL, settings.EXPORT_KEY = str(tmp_path / "lake"), "a key for tests"
    (tmp_path / "lake").write_text("a file where the lake should be")
    items = cohort.whole()
    cohort.store(*items)
    writer, statistics = LakeWriter(configuration.lake()), Statistics()
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            with pytest.raises(LakeAway):
                writer.step()
    while statistics.step():
        pass
    assert queries.condition_figures(items[0].condition).sessions == 1
    assert [record.getMessage() for record in caplog.records if "the lake at" in record.getMessage()] == [
        writer.said
    ]
    (tmp_path / "lake").unlink()
    while writer.step():
        pass
    assert len(rows(writer.lake.store, "sessions/")) == 1
    assert len(rows(writer.lake.store, "surveys/")) == 1
