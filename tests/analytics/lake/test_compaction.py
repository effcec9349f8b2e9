"""Parquet by the month: each entity once and in its newest version, whatever was repeated or broken off."""

import copy
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from pynamodb.exceptions import QueryError

from analytics_app.export.pseudonyms import Coder
from analytics_app.export.write import schema
from analytics_app.lake import compaction, storage, tables
from analytics_app.lake.compaction import Gone, Outcome, Task
from analytics_app.lake.storage import LakeAway, Store
from analytics_app.lake.write import Lake
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.models import DirectoryEntry, Item, Tombstone
from sessions_app.domain.models.session import Void
from sessions_app.domain.participants import erasure, withdrawal
from tests.analytics import cohort
from tests.analytics.lake.conftest import STREAM
from tests.domain import cast

KEY = "a key for tests"
CODER = Coder(KEY.encode(), "coded")
BY = Actor("somebody", "system")


def records(*items: Item, first: int = 1) -> list[dict[str, Any]]:
    return [cohort.record(new=item, sequence=n) for n, item in enumerate(items, first)]


def append(lake: Lake, told: list[dict[str, Any]]) -> None:
    lake.append(told, stream=STREAM, source="shard-1")


def compact(store: Store, shop: Path, *students: str, month: str | None = None) -> dict[str, Outcome]:
    gone = Gone(frozenset(CODER.code("student_id", each) for each in students), store)
    found = compaction.tasks(store, month)
    return {f"{task.table} {task.month}": compaction.compact(task, store, gone, shop) for task in found}


def rows(store: Store, table: str, shop: Path, month: str = "2025-10") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(
        io.BytesIO(store.read(f"{table}/month={month}/{table}.parquet")), partitioning=None
    ).to_pylist()
    return found


def lines(store: Store) -> list[str]:
    return [name for name in store.names("") if name.endswith(".jsonl")]


def files(store: Store) -> dict[str, bytes]:
    return {name: store.read(name) for name in store.names("") if name.endswith(".parquet")}


# --- what is in it


def test_a_month_of_each_table_has_what_was_completed_in_it(lake: Lake, tmp_path: Path) -> None:
    october, november = cohort.whole(), cohort.whole(start=cohort.NOON + timedelta(days=20))
    append(lake, records(*october, *november))
    compact(lake.store, tmp_path)
    assert lines(lake.store) == []
    assert len(rows(lake.store, "sessions", tmp_path)) == 1
    assert len(rows(lake.store, "sessions", tmp_path, "2025-11")) == 1
    found = rows(lake.store, "questions", tmp_path)
    assert [row["question_number"] for row in found] == [1, 2, 3]
    assert found[0]["asked_at"] == datetime(2025, 10, 23, 12, 5, tzinfo=UTC)


@pytest.mark.parametrize("name", tables.NAMES)
def test_a_file_has_the_columns_of_its_table_with_their_labels(name: str, tmp_path: Path) -> None:
    store = storage.Folder(tmp_path / "lake")
    made = cohort.content(cohort.session())
    made.engagement_metrics.end_time = cohort.NOON
    append(Lake(store, CODER), records(*cohort.whole(), made))
    compact(store, tmp_path)
    if not (found := store.names(f"{name}/")):
        assert name in ("verifications", "assessment_items")  # the cohort of these tests has none
        return
    told = pq.read_schema(tmp_path / "lake" / found[0])
    assert told.equals(schema(tables.labelled(name)), check_metadata=True)


def test_rows_are_sorted_and_the_same_data_give_the_same_bytes(lake: Lake, tmp_path: Path) -> None:
    told = records(*(item for _ in range(5) for item in cohort.whole()))
    append(lake, told)
    compact(lake.store, tmp_path)
    once = files(lake.store)
    keys_found = [row["entity_key"] for row in rows(lake.store, "sessions", tmp_path)]
    assert keys_found == sorted(keys_found)
    for name in once:
        lake.store.delete(name)
    for half in (told[len(told) // 2 :], told[: len(told) // 2]):  # another order, in two batches
        append(lake, half)
        compact(lake.store, tmp_path)
    assert files(lake.store) == once


# --- each entity once


def test_the_newest_version_wins_in_whatever_order_they_come(lake: Lake, tmp_path: Path) -> None:
    made = cohort.session()
    versions = [cohort.assessment(made, "final", score) for score in (50.0, 60.0, 70.0)]
    told = [cohort.record(new=item, sequence=n) for n, item in enumerate(versions, 1)]
    for record in (told[2], told[0], told[1]):
        append(lake, [record])
        compact(lake.store, tmp_path)
    assert [row["score_percentage"] for row in rows(lake.store, "assessments", tmp_path)] == [70.0]


def test_a_batch_that_comes_again_cut_in_another_way_is_counted_once(lake: Lake, tmp_path: Path) -> None:
    told = records(*cohort.whole())
    append(lake, told)
    append(lake, told[2:])
    compact(lake.store, tmp_path)
    once = files(lake.store)
    append(lake, told[:4])
    append(lake, told)
    compact(lake.store, tmp_path)
    assert files(lake.store) == once
    assert len(rows(lake.store, "questions", tmp_path)) == 3


def test_a_newer_version_replaces_all_rows_of_the_older(lake: Lake, tmp_path: Path) -> None:
    made = cohort.intervention(cohort.session(), 1)
    append(lake, records(made))
    compact(lake.store, tmp_path)
    for question in made.questions:
        question.answer = "A longer answer"
    append(lake, records(made, first=2))
    compact(lake.store, tmp_path)
    assert [row["answer"] for row in rows(lake.store, "questions", tmp_path)] == ["A longer answer"] * 3


def test_without_anything_new_nothing_is_written(lake: Lake, tmp_path: Path) -> None:
    append(lake, records(*cohort.whole()))
    compact(lake.store, tmp_path)
    marks = {name: lake.store.mark(name) for name in files(lake.store)}
    assert not any(outcome.written for outcome in compact(lake.store, tmp_path).values())
    assert {name: lake.store.mark(name) for name in files(lake.store)} == marks


def test_one_month_alone_leaves_the_others(lake: Lake, tmp_path: Path) -> None:
    append(lake, records(*cohort.whole(), *cohort.whole(start=cohort.NOON + timedelta(days=20))))
    compact(lake.store, tmp_path, month="2025-11")
    assert len(rows(lake.store, "sessions", tmp_path, "2025-11")) == 1
    assert [name for name in files(lake.store) if "2025-10" in name] == []
    assert lake.store.names("sessions/date=2025-10-")


# --- who has left


def test_whoever_has_left_leaves_lines_and_files(lake: Lake, tmp_path: Path) -> None:
    early, late, other = cohort.whole(student_id="gone"), cohort.whole(student_id="gone"), cohort.whole()
    append(lake, records(*early, *other))
    compact(lake.store, tmp_path)
    append(lake, records(*late, first=50))
    compact(lake.store, tmp_path, "gone")
    assert [row["student_id"] for row in rows(lake.store, "sessions", tmp_path)] == [
        CODER.code("student_id", other[0].student_id)
    ]
    left = b"".join(lake.store.read(name) for name in lake.store.names(""))
    assert CODER.code("student_id", "gone").encode() not in left


def test_the_last_of_a_month_leaves_an_empty_file(lake: Lake, tmp_path: Path) -> None:
    append(lake, records(*cohort.whole(student_id="gone")))
    compact(lake.store, tmp_path)
    compact(lake.store, tmp_path, "gone")
    assert rows(lake.store, "sessions", tmp_path) == []


def test_what_is_removed_from_the_table_leaves_and_does_not_come_back(lake: Lake, tmp_path: Path) -> None:
    items = cohort.whole()
    told = records(*items)
    append(lake, told)
    compact(lake.store, tmp_path)
    append(lake, [cohort.record(erased=item, sequence=100 + n) for n, item in enumerate(items)])
    compact(lake.store, tmp_path)
    assert rows(lake.store, "sessions", tmp_path) == []
    append(lake, told)  # delivered once more, late
    compact(lake.store, tmp_path)
    assert all(rows(lake.store, name.split("/")[0], tmp_path) == [] for name in files(lake.store))


def test_who_moves_to_another_month_is_in_that_one_only(lake: Lake, tmp_path: Path) -> None:
    def at(days: int) -> Item:
        start = cohort.NOON + timedelta(days=days)
        return cohort.session(session_id="s", student_id="t", state="completed", start=start)

    append(lake, [cohort.record(new=at(0)), cohort.record(new=at(1), old=at(0), sequence=2)])
    compact(lake.store, tmp_path)
    assert len(rows(lake.store, "sessions", tmp_path)) == 1
    append(lake, [cohort.record(new=at(30), old=at(1), sequence=3)])
    compact(lake.store, tmp_path)
    assert rows(lake.store, "sessions", tmp_path) == []
    assert len(rows(lake.store, "sessions", tmp_path, "2025-11")) == 1


# --- void sessions


def marked(items: list[Item], kind: str | None, *, sequence: int) -> dict[str, Any]:
    """The stream record of a change of the mark; `kind` None removes it."""
    session = copy.deepcopy(items[0])
    before = copy.deepcopy(session)
    mark = Void(at=cohort.NOON, by="f", kind=kind or "other", reason="a fire alarm")
    (before if kind is None else session).metadata.void = mark  # type: ignore[attr-defined]
    return cohort.record(new=session, old=before, sequence=sequence)


def sessions_in(store: Store, table: str, shop: Path) -> set[str]:
    return {row["session_id"] for row in rows(store, table, shop)}


def test_all_rows_of_a_void_session_leave_the_tables_and_come_back(lake: Lake, tmp_path: Path) -> None:
    spoiled, other = cohort.whole(), cohort.whole()
    append(lake, records(*spoiled, *other))
    compact(lake.store, tmp_path)
    before = {name: rows(lake.store, name, tmp_path) for name in ("sessions", "questions", "surveys")}
    append(lake, [marked(spoiled, "spoiled", sequence=50)])
    compact(lake.store, tmp_path)
    for name in before:
        assert sessions_in(lake.store, name, tmp_path) == {CODER.code("session_id", other[0].session_id)}
    append(lake, [marked(spoiled, None, sequence=60)])
    for _ in range(2):  # the second round clears what is set aside
        compact(lake.store, tmp_path)
    for name in ("questions", "surveys"):
        assert rows(lake.store, name, tmp_path) == before[name]
    assert len(rows(lake.store, "sessions", tmp_path)) == 2  # the session itself in its newer version
    assert aside(lake.store) == 0


def aside(store: Store) -> int:
    """Rows that are set aside, of all tables."""
    names = store.names("set-aside/")
    return sum(pq.read_table(io.BytesIO(store.read(name)), partitioning=None).num_rows for name in names)


def test_a_session_that_is_void_before_its_first_compaction_never_enters_a_table(
    lake: Lake, tmp_path: Path
) -> None:
    items = cohort.whole()
    append(lake, [*records(*items), marked(items, "wrong_student", sequence=50)])
    compact(lake.store, tmp_path)
    assert [name for name in files(lake.store) if not name.startswith("set-aside/")] == []
    assert aside(lake.store) > 0
    assert lines(lake.store) == [name for name in lines(lake.store) if name.startswith("voids/")]


def test_a_score_that_is_given_to_a_void_session_stays_aside_and_is_the_one_that_returns(
    lake: Lake, tmp_path: Path
) -> None:
    items = cohort.whole(final=60.0)
    append(lake, [*records(*items), marked(items, "other", sequence=50)])
    compact(lake.store, tmp_path)
    again = cohort.assessment(items[0], "final", 80.0, version=2)  # type: ignore[arg-type]
    append(lake, records(again, first=60))
    compact(lake.store, tmp_path)
    assert "assessments/month=2025-10/assessments.parquet" not in files(lake.store)
    append(lake, [marked(items, None, sequence=70)])
    compact(lake.store, tmp_path)
    found = rows(lake.store, "assessments", tmp_path)
    assert [row["score_percentage"] for row in found if row["assessment_type"] == "final"] == [80.0]


def test_marks_count_by_their_version_in_whatever_order_they_come(lake: Lake, tmp_path: Path) -> None:
    items = cohort.whole()
    append(lake, records(*items))
    append(lake, [marked(items, None, sequence=60)])
    append(lake, [marked(items, "spoiled", sequence=50)])
    compact(lake.store, tmp_path)
    assert len(rows(lake.store, "sessions", tmp_path)) == 1


def test_whoever_is_erased_leaves_what_is_set_aside(lake: Lake, tmp_path: Path) -> None:
    items = cohort.whole(student_id="gone")
    append(lake, [*records(*items), marked(items, "spoiled", sequence=50)])
    compact(lake.store, tmp_path)
    assert aside(lake.store) > 0
    compact(lake.store, tmp_path, "gone")
    assert aside(lake.store) == 0
    left = b"".join(lake.store.read(name) for name in lake.store.names(""))
    assert CODER.code("student_id", "gone").encode() not in left


def test_broken_off_between_the_two_files_no_row_is_lost(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = cohort.whole()
    append(lake, records(*items))
    compact(lake.store, tmp_path)
    for kind, number in (("spoiled", 50), (None, 60)):
        append(lake, [marked(items, kind, sequence=number)])
        task = next(task for task in compaction.tasks(lake.store) if task.table == "sessions")
        replace = type(lake.store).replace
        calls: list[str] = []

        def once(self: Any, name: str, *rest: Any, replace: Any = replace, calls: list[str] = calls) -> None:
            if calls:
                raise LakeAway("the lake at x: No space left on device")
            calls.append(name)
            replace(self, name, *rest)

        with monkeypatch.context() as patched:
            patched.setattr(type(lake.store), "replace", once)
            with pytest.raises(LakeAway):
                compaction.compact(task, lake.store, Gone(frozenset(), lake.store), tmp_path)
        for _ in range(2):
            compact(lake.store, tmp_path)
        assert len(rows(lake.store, "sessions", tmp_path)) == (0 if kind else 1)
        assert len(rows(lake.store, "questions", tmp_path)) == (0 if kind else 3)


def test_without_a_change_what_is_set_aside_is_not_written_again(lake: Lake, tmp_path: Path) -> None:
    items = cohort.whole()
    append(lake, [*records(*items), marked(items, "spoiled", sequence=50)])
    compact(lake.store, tmp_path)
    seen = {name: lake.store.mark(name) for name in files(lake.store)}
    compact(lake.store, tmp_path)
    assert {name: lake.store.mark(name) for name in files(lake.store)} == seen


def test_marks_that_cannot_be_read_stop_it(lake: Lake, tmp_path: Path) -> None:
    append(lake, records(*cohort.whole()))
    lake.store.put("voids/date=2025-10-23/x.jsonl", b"[]")
    with pytest.raises(LakeAway, match="voids"):
        compact(lake.store, tmp_path)
    assert files(lake.store) == {}


# --- what goes wrong


def test_broken_off_before_the_lines_go_it_counts_nothing_twice(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(lake, records(*cohort.whole()))

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(lake.store), "delete", killed)
        with pytest.raises(KeyboardInterrupt):
            compact(lake.store, tmp_path)
    compact(lake.store, tmp_path)
    assert lines(lake.store) == []
    assert [len(rows(lake.store, name, tmp_path)) for name in ("sessions", "questions")] == [1, 3]


def test_broken_off_while_writing_the_old_file_is_whole(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(lake, records(*cohort.whole()))
    compact(lake.store, tmp_path)
    before = files(lake.store)
    append(lake, records(*cohort.whole(), first=50))

    def full(*_: Any) -> None:
        raise LakeAway("the lake at x: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(type(lake.store), "replace", full)
        with pytest.raises(LakeAway):
            compact(lake.store, tmp_path)
    assert files(lake.store) == before
    compact(lake.store, tmp_path)
    assert len(rows(lake.store, "sessions", tmp_path)) == 2


def test_of_two_compactions_at_once_one_gives_way_and_no_row_is_lost(lake: Lake, tmp_path: Path) -> None:
    append(lake, records(*cohort.whole()))
    slow = next(task for task in compaction.tasks(lake.store) if task.table == "sessions")
    append(lake, records(*cohort.whole(), first=50))
    raced = []

    def race() -> None:
        if not raced:
            raced.append(compact(lake.store, tmp_path / "other"))

    (tmp_path / "other").mkdir()
    with pytest.raises(LakeAway):
        compaction.compact(slow, lake.store, Gone(frozenset(), lake.store), tmp_path, race)
    assert len(rows(lake.store, "sessions", tmp_path)) == 2


@pytest.mark.parametrize(
    "bad",
    [b"{half", b"[]", b'{"entity_key": "x"}', b'{"entity_key": "x", "version": "1", "session_id": null}'],
)
def test_a_line_that_cannot_be_read_is_named_and_stays_and_the_rest_goes_on(
    lake: Lake, tmp_path: Path, bad: bytes
) -> None:
    append(lake, records(*cohort.whole()))
    (name,) = lake.store.names("sessions/")
    good = lake.store.read(name)
    lake.store.put(name, bad + b"\n" + good)
    outcome = compact(lake.store, tmp_path)["sessions 2025-10"]
    assert outcome.faults == [f"{name}, line 1: cannot be read; it stays where it is"]
    assert len(rows(lake.store, "sessions", tmp_path)) == 1
    assert lines(lake.store) == [name]


def test_a_value_of_another_type_in_a_line_is_a_fault(lake: Lake, tmp_path: Path) -> None:
    append(lake, records(*cohort.whole()))
    (name,) = lake.store.names("sessions/")
    told = json.loads(lake.store.read(name)) | {"age": "sixteen"}
    lake.store.put(name, json.dumps(told).encode())
    outcome = compact(lake.store, tmp_path)["sessions 2025-10"]
    assert len(outcome.faults) == 1
    assert "sixteen" not in outcome.faults[0]


def test_a_file_that_is_no_parquet_is_named_and_the_lines_stay(lake: Lake, tmp_path: Path) -> None:
    append(lake, records(*cohort.whole()))
    task = Task("sessions", "2025-10", ())
    lake.store.put(task.target, b"no Parquet")
    with pytest.raises(LakeAway, match=task.target):
        compact(lake.store, tmp_path)
    assert len(lake.store.names("sessions/date=")) == 1


def test_removals_that_cannot_be_read_stop_it(lake: Lake, tmp_path: Path) -> None:
    append(lake, records(*cohort.whole()))
    lake.store.put("removals/date=2025-10-23/x.jsonl", b"{half")
    with pytest.raises(LakeAway, match="removals"):
        compact(lake.store, tmp_path)
    assert files(lake.store) == {}


# --- the command


@pytest.fixture
def command(url: str, settings: Any, tmp_path: Path) -> Iterator[Any]:
    settings.LAKE_URL, settings.EXPORT_KEY, settings.VAR_DIR = url, KEY, tmp_path / "var"

    def run(**options: Any) -> str:
        told = io.StringIO()
        call_command("compact_lake", quiet=True, stdout=told, stderr=told, **options)
        return told.getvalue()

    return run


def test_an_erased_student_is_in_nothing_of_the_lake_after_the_next_compaction(
    table: str, command: Any, lake: Lake, tmp_path: Path
) -> None:
    """From the erasure itself: the tombstone says who, whether or not the stream told of it."""
    items, others = cohort.whole(student_id="gone"), cohort.whole()
    append(lake, records(*items, *others))
    assert "sessions/month=2025-10/sessions.parquet: 2 rows" in command()
    erasure.bury("gone", by=BY, now=cohort.NOON)
    assert Tombstone.of_student("gone")
    assert "1 entities taken out" in command()
    assert [row["student_id"] for row in rows(lake.store, "sessions", tmp_path)] == [
        CODER.code("student_id", others[0].student_id)
    ]


def test_whoever_withdraws_leaves_the_lake_too(table: str, command: Any, lake: Lake, tmp_path: Path) -> None:
    student = cast.enrol()
    append(lake, records(*cohort.whole(student_id=student.student_id)))
    command()
    assert len(rows(lake.store, "sessions", tmp_path)) == 1
    withdrawal.withdraw(student.student_id, keep=True, by=BY, now=cohort.NOON)
    assert list(DirectoryEntry.in_state("withdrawn"))
    command()
    assert rows(lake.store, "sessions", tmp_path) == []


def test_the_command_counts_the_void_sessions_by_kind(table: str, command: Any, lake: Lake) -> None:
    one, other = cohort.whole(), cohort.whole()
    append(lake, records(*one, *other))
    append(lake, [marked(one, "spoiled", sequence=50), marked(other, "wrong_student", sequence=51)])
    assert "void sessions set aside: 1 spoiled, 1 wrong_student" in command()


def test_it_says_where_it_found_nothing(table: str, command: Any, url: str) -> None:
    with pytest.raises(CommandError, match=r"nothing in the lake at .* for 2026-03"):
        command(month="2026-03")


def test_without_a_lake_it_says_what_to_set(table: str, command: Any, settings: Any) -> None:
    settings.LAKE_URL = ""
    with pytest.raises(CommandError, match="LAKE_URL is not set"):
        command()


def test_a_month_that_is_none_is_refused(table: str, command: Any) -> None:
    with pytest.raises(CommandError, match="not a month like 2026-03"):
        call_command("compact_lake", "--month", "2026-13")


def test_without_the_table_nothing_is_compacted(
    command: Any, lake: Lake, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(lake, records(*cohort.whole()))

    def away(*_: Any, **__: Any) -> None:
        raise QueryError("away")

    monkeypatch.setattr(Item, "query", away)
    with pytest.raises(CommandError, match="only it knows who has left"):
        command()
    assert files(lake.store) == {}


def test_lines_left_behind_and_dead_letters_are_told_at_the_end(table: str, command: Any, lake: Lake) -> None:
    append(lake, [{}, *records(*cohort.whole())])
    (name,) = lake.store.names("surveys/")
    lake.store.put(name, b"{half")
    with pytest.raises(CommandError, match=r"surveys/.*line 1: cannot be read"):
        command()
    assert [name.split("/")[0] for name in files(lake.store)] == [
        "assessments",
        "interventions",
        "questions",
        "sessions",
    ]
