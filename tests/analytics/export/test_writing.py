"""The files of an export: no cell is a formula, every value comes back, the bytes are always the same."""

from __future__ import annotations

import csv
import re
import resource
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from analytics_app.export import bundle, tables, write
from analytics_app.export.columns import NUMBER, TEXT, TIME, WHOLE, YES_NO, Column
from tests import hostile

NOON = datetime(2026, 3, 3, 17, 0, tzinfo=UTC)
SPICY = ("=", "+", "-", "@", "\t", "\r")


def column(name: str, kind: str = TEXT, **more: Any) -> Column:
    return Column(name, kind, name.capitalize(), lambda objects: None, "worked out", **more)


COLUMNS = (
    column("number", WHOLE, unit="units"),
    column("share", NUMBER),
    column("yes", YES_NO),
    column("at", TIME),
    column("kind", choices={"a": "=the first", "b": ""}),
    column("words"),
)


def written(folder: Path, rows: list[list[Any]], *, labels: bool = False) -> list[Path]:
    with write.Table(folder, "things", COLUMNS, labels=labels) as table:
        for row in rows:
            table.add(row)
    return table.paths


def row(words: str | None, number: int = -3) -> list[Any]:
    return [number, -0.1, True, NOON, "a", words]


# --- formulas


@pytest.mark.parametrize("answer", [*hostile.FORMULAS, "-", "--help", "'=1", "''@x", "\r\n=1"])
def test_no_cell_begins_like_a_formula_and_what_was_there_can_be_restored(answer: str) -> None:
    cell = write.harmless(answer)
    assert not cell.startswith(SPICY)
    assert write.restored(cell) == answer


def test_what_is_no_formula_is_left_alone() -> None:
    for answer in (*hostile.MARKUP, "' OR '1'='1'", "'quoted'", "", "a=b", "the river"):
        assert write.harmless(answer) == write.restored(answer) == answer


def test_numbers_are_never_touched(tmp_path: Path) -> None:
    csv_file = written(tmp_path, [row("x", -3)])[1]
    assert csv_file.read_text().splitlines()[1] == "-3,-0.1,1,2026-03-03T17:00:00Z,a,x"


def test_labels_are_harmless_too(tmp_path: Path) -> None:
    labelled = written(tmp_path, [row("x"), [None, None, False, None, "b", None]], labels=True)[2]
    first, second = labelled.read_text().splitlines()[1:]
    assert first == "-3,-0.1,Yes,2026-03-03T17:00:00Z,'=the first,x"
    assert second == ",,No,,b,"


# --- there and back


@pytest.fixture(scope="module")
def hostile_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return written(
        tmp_path_factory.mktemp("hostile"), [row(answer, at) for at, answer in enumerate(hostile.ANSWERS)]
    )


def test_every_answer_comes_back_out_of_the_csv_by_python(hostile_files: list[Path]) -> None:
    with hostile_files[1].open(encoding="utf-8", newline="") as file:
        back = [write.restored(each["words"]) for each in csv.DictReader(file)]
    assert back == list(hostile.ANSWERS)


def test_every_answer_comes_back_out_of_the_csv_by_pandas(hostile_files: list[Path]) -> None:
    frame = pd.read_csv(hostile_files[1], keep_default_na=False)
    assert [write.restored(words) for words in frame["words"]] == list(hostile.ANSWERS)
    assert list(frame["number"]) == list(range(len(hostile.ANSWERS)))


def test_every_answer_comes_back_out_of_the_csv_by_duckdb(hostile_files: list[Path]) -> None:
    found = duckdb.sql(f"SELECT words FROM '{hostile_files[1]}' ORDER BY number").fetchall()
    assert [write.restored(words) for (words,) in found] == list(hostile.ANSWERS)


def test_parquet_holds_every_answer_as_it_was(hostile_files: list[Path]) -> None:
    assert pq.read_table(hostile_files[0])["words"].to_pylist() == list(hostile.ANSWERS)


def test_parquet_is_typed_and_its_fields_say_what_they_are(tmp_path: Path) -> None:
    schema = pq.read_schema(written(tmp_path, [row("x")])[0])
    assert [str(each.type) for each in schema] == [
        "int64", "double", "bool", "timestamp[ms, tz=UTC]", "string", "string",
    ]  # fmt: skip
    assert schema.field("number").metadata[b"label"] == b"Number"
    assert schema.field("number").metadata[b"unit"] == b"units"
    assert schema.field("kind").metadata[b"choices"] == b"a, =the first | b, b"
    compression = {
        pq.ParquetFile(tmp_path / "parquet/things.parquet").metadata.row_group(0).column(at).compression
        for at in range(len(COLUMNS))
    }
    assert compression == {"ZSTD"}


def test_a_table_without_rows_has_its_columns_and_types(tmp_path: Path) -> None:
    parquet, csv_file = written(tmp_path, [])[:2]
    assert pq.read_table(parquet).num_rows == 0
    assert csv_file.read_text() == "number,share,yes,at,kind,words\n"


# --- always the same bytes, and little memory


def packed(folder: Path) -> bytes:
    written(folder, [row(str(at), at) for at in range(50)], labels=True)
    names = [f"{form}/things.{form.split('_')[0]}" for form in ("parquet", "csv", "csv_labels")]
    write.pack(folder / "x.zip", folder, names, lambda: None)
    write.add(folder / "x.zip", "note.txt", "hello")
    return (folder / "x.zip").read_bytes()


def test_the_zip_has_the_same_bytes_whenever_it_is_made(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    assert packed(one) == packed(other)
    assert {entry.date_time[0] for entry in zipfile.ZipFile(one / "x.zip").infolist()} == {1980}
    assert (one / "x.zip").stat().st_mode & 0o777 == 0o600


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peaks of what Python holds, after five groups of rows and after fifty."""
    monkeypatch.setattr(write, "GROUP_ROWS", 300)
    peaks = []
    for number in (1_500, 15_000):
        folder = tmp_path / str(number)
        folder.mkdir()
        tracemalloc.start()
        with write.Table(folder, "things", COLUMNS, labels=True) as table:
            for at in range(number):
                table.add([at, 0.5, at % 2 == 0, NOON, "a", f"answer {at} " * 5])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert table.rows == 15_000
    assert peaks[1] < 1.5 * peaks[0]


# --- no room


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """The kernel lets no file of this process grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    rows = [row("x" * 500, at) for at in range(200)]
    with room_for(20_000), pytest.raises(bundle.CannotWrite, match="Nothing half-made was kept"):  # noqa: SIM117
        with bundle.workshop(tmp_path / "out") as shop:
            written(shop, rows)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_where_nothing_may_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file is in the way")
    with pytest.raises(bundle.CannotWrite, match=r"could not be written to .*out"):  # noqa: SIM117
        with bundle.workshop(tmp_path / "out"):
            pass


# --- names


def test_names_fit_every_program() -> None:
    """SPSS: at most 64 characters, a letter first. REDCap: lower case, digits and underscores."""
    for level in tables.LEVELS:
        names = [each.name for each in tables.columns(level)]
        assert len(set(names)) == len(names)
        for name in names:
            assert re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name)
