"""Rows into files: Parquet with labelled fields, CSV that no spreadsheet runs, a zip of equal bytes."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from sessions_app.domain.store import keys

from .columns import LIST, NUMBER, TEXT, TIME, WHOLE, YES_NO, Column

ARROW: Final = {
    TEXT: pa.string(),
    LIST: pa.string(),
    NUMBER: pa.float64(),
    WHOLE: pa.int64(),
    YES_NO: pa.bool_(),
    TIME: pa.timestamp("ms", tz="UTC"),
}
GROUP_ROWS: Final = 10_000
GROUP_CHARACTERS: Final = 8_000_000
PIECE: Final = 1 << 20
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the zip: the earliest there is, as a real one would make the bytes differ."""

_RUNS = re.compile(r"'*[=+\-@\t\r]")


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula: one that begins like one gets an apostrophe in front.

    So does one that begins with apostrophes and then like a formula; by that `restored` is exact.
    """
    return f"'{text}" if _RUNS.match(text) else text


def restored(cell: str) -> str:
    """What was in the cell before it was made harmless."""
    return cell[1:] if cell.startswith("'") and _RUNS.match(cell) else cell


def cell(value: Any) -> str:
    """A value in CSV: empty for none, 1 and 0 for yes and no, ISO 8601 for times; numbers are as they are."""
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case str():
            return harmless(value)
        case float():
            return str(int(value)) if value.is_integer() else repr(value)
        case datetime():
            return keys.stamp(value)
    return str(value)


def labelled(column: Column, value: Any) -> str:
    """The same for people: labels of choices, Yes and No."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, str) and column.choices.get(value):
        return harmless(column.choices[value])
    return cell(value)


def schema(columns: Iterable[Column]) -> Any:
    return pa.schema([pa.field(each.name, ARROW[each.kind], metadata=_metadata(each)) for each in columns])


def _metadata(column: Column) -> dict[str, str]:
    told = {"label": column.label, "unit": column.unit, "note": column.note, "source": column.source}
    choices = " | ".join(f"{value}, {label or value}" for value, label in column.choices.items())
    return {name: text for name, text in {**told, "choices": choices}.items() if text}


class Parquet:
    """One Parquet file, written row by row in groups whose bounds follow from the rows alone."""

    def __init__(self, path: Path, columns: Iterable[Column]) -> None:
        self.schema = schema(columns)
        self.waiting: list[Sequence[Any]] = []
        self.characters = 0
        self.writer = pq.ParquetWriter(path, self.schema, compression="zstd", version="2.6")

    def add(self, row: Sequence[Any]) -> None:
        self.waiting.append(row)
        self.characters += sum(len(value) for value in row if isinstance(value, str))
        if len(self.waiting) >= GROUP_ROWS or self.characters >= GROUP_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        if self.waiting:
            arrays = [
                pa.array(values, type=field.type)
                for values, field in zip(zip(*self.waiting, strict=True), self.schema, strict=True)
            ]
            self.writer.write_table(pa.Table.from_arrays(arrays, schema=self.schema))
        self.waiting, self.characters = [], 0

    def close(self) -> None:
        self._flush()
        self.writer.close()


class Table:
    """One table of an export, written row by row into its files below `folder`."""

    def __init__(self, folder: Path, level: str, columns: Sequence[Column], *, labels: bool) -> None:
        self.level, self.columns, self.rows = level, columns, 0
        self.paths = [folder / "parquet" / f"{level}.parquet", folder / "csv" / f"{level}.csv"]
        if labels:
            self.paths.append(folder / "csv_labels" / f"{level}.csv")
        for path in self.paths:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        self.parquet = Parquet(self.paths[0], columns)
        self.files = [path.open("w", encoding="utf-8", newline="") for path in self.paths[1:]]
        self.writers = [csv.writer(file, lineterminator="\n") for file in self.files]
        for writer in self.writers:
            writer.writerow([column.name for column in columns])

    def add(self, row: Sequence[Any]) -> None:
        self.rows += 1
        self.parquet.add(row)
        self.writers[0].writerow([cell(value) for value in row])
        if len(self.writers) > 1:
            told = [labelled(column, value) for column, value in zip(self.columns, row, strict=True)]
            self.writers[1].writerow(told)

    def close(self) -> None:
        self.parquet.close()
        for file in self.files:
            file.close()

    def abandon(self) -> None:
        """Let go of the files, whatever can still be written of them."""
        for file in (self.parquet.writer, *self.files):
            with suppress(OSError, ValueError):
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: object, trace: TracebackType | None) -> None:
        self.close() if kind is None else self.abandon()


# --- the zip


def pack(
    target: Path, folder: Path, names: Sequence[str], step: Callable[[], None]
) -> dict[str, dict[str, Any]]:
    """The files below the folder into a zip, in this order; by name, the SHA-256 and size of each.

    Each file is deleted once it is in: there is room for one copy, not for two.
    """
    told: dict[str, dict[str, Any]] = {}
    with _private(target) as file, zipfile.ZipFile(file, "w") as archive:
        for name in names:
            told[name] = _put(archive, folder / name, name, step)
            (folder / name).unlink()
    return told


def add(target: Path, name: str, text: str) -> None:
    with target.open("r+b") as file, zipfile.ZipFile(file, "a") as archive:
        archive.writestr(_entry(name), text.encode())


def _put(archive: zipfile.ZipFile, path: Path, name: str, step: Callable[[], None]) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as source, archive.open(_entry(name), "w", force_zip64=True) as sink:
        while piece := source.read(PIECE):
            sink.write(piece)
            digest.update(piece)
            size += len(piece)
            step()
    return {"sha256": digest.hexdigest(), "bytes": size}


def _entry(name: str) -> zipfile.ZipInfo:
    """Parquet is compressed already."""
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_STORED if name.endswith(".parquet") else zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    entry.create_system = 3
    return entry


def _private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
