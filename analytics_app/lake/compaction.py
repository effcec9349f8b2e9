"""JSON lines into Parquet by the month: of each entity its newest version, and nobody who has left.

A month's file is written anew from the old one and the lines that came since, both sorted by entity, in
constant memory; the lines wait in SQLite. It takes the old one's place in one step, and only then its lines
go: broken off anywhere, the same is done again with the same outcome.
"""

from __future__ import annotations

import heapq
import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from sessions_app.domain import keys
from sessions_app.domain.models import DirectoryEntry, Tombstone

from ..export.codes import Coder
from ..export.columns import NUMBER, TIME, WHOLE, YES_NO, Column
from ..export.writing import GROUP_ROWS, Parquet
from . import tables
from .records import REMOVALS
from .stores import LakeAway, Store

Row = tuple[Any, ...]
"""In the order of the table's columns: `entity_key`, `version`, `session_id`, `student_id`, ..."""
ENTITY, VERSION, STUDENT = 0, 1, 3

_PARTITION = re.compile(r"[a-z_]+/(date|month)=(\d{4}-\d{2})")


@dataclass(frozen=True, slots=True)
class Task:
    """A table's month, and the objects of lines that wait for it."""

    table: str
    month: str
    lines: tuple[str, ...]

    @property
    def target(self) -> str:
        return f"{self.table}/month={self.month}/{self.table}.parquet"


@dataclass(slots=True)
class Outcome:
    """`written` is false where the month's file was right already. `faults` are lines that stay behind."""

    written: bool = False
    rows: int = 0
    dropped: int = 0
    faults: list[str] = field(default_factory=list)


class NotReadable(LakeAway):
    """An object of the lake that is not of its form, or not written by us."""


# --- what there is to do


def tasks(store: Store, month: str | None = None) -> list[Task]:
    """Every month of every table, or one month of each. Raises LakeAway."""
    found: dict[tuple[str, str], list[str]] = {}
    for table in tables.NAMES:
        for name in store.names(f"{table}/"):
            told = _PARTITION.match(name)
            if told and month in (None, told[2]):
                lines = found.setdefault((table, told[2]), [])
                if told[1] == "date":
                    lines.append(name)
    return [Task(table, when, tuple(lines)) for (table, when), lines in sorted(found.items())]


@dataclass(slots=True)
class Gone:
    """Who and what is not to be in the lake: codes of students, and by month what was removed, and when."""

    students: frozenset[str]
    store: Store
    _removed: dict[str, dict[str, str]] = field(default_factory=dict)

    def removed(self, month: str) -> Mapping[str, str]:
        """The last removal of each entity, by its key."""
        if month not in self._removed:
            found = self._removed[month] = {}
            for name in self.store.names(f"{REMOVALS}/date={month}-"):
                for entity, version in _removals(name, self.store.read(name)):
                    found[entity] = max(found.get(entity, ""), version)
        return self._removed[month]

    def has(self, month: str, entity: str, version: str, student: str) -> bool:
        return student in self.students or self.removed(month).get(entity, "") > version


def _removals(name: str, data: bytes) -> Iterator[tuple[str, str]]:
    """Raises NotReadable: without them what was removed would come back."""
    try:
        for line in data.splitlines():
            told = json.loads(line)
            yield str(told["entity_key"]), str(told["version"])
    except (ValueError, TypeError, KeyError):
        raise NotReadable(f"{name} cannot be read") from None


def who_left(coder: Coder) -> frozenset[str]:
    """Codes of all who were erased or have withdrawn. Raises PynamoDB's errors."""
    erased = (told.student_id for told in Tombstone.all())
    listed = DirectoryEntry.in_state("withdrawn")
    withdrawn = (entry.student_id for entry in listed if isinstance(entry, DirectoryEntry))
    return frozenset(coder.code("student_id", each) for ids in (erased, withdrawn) for each in ids)


# --- one month of one table


def compact(
    task: Task, store: Store, gone: Gone, shop: Path, tick: Callable[[], object] = lambda: None
) -> Outcome:
    """`shop` is a private folder for what is being made. `tick` is called for each object that was read.

    Raises LakeAway, and stores.Taken when another compaction was faster: then nothing was changed.
    """
    outcome, columns = Outcome(), tables.labelled(task.table)
    seen = store.mark(task.target)
    old = store.fetch(task.target, shop) if seen else None
    merged = []
    with closing(_Lines(shop / "lines.sqlite", columns)) as waiting:
        for name in task.lines:
            if not (faults := waiting.load(name, store.read(name))):
                merged.append(name)
            outcome.faults += faults
            tick()
        if len(waiting) or (old and _holds_gone(task, old, gone)):
            made = shop / "made.parquet"
            _write(made, columns, _merged(task, _stored(task, old, columns), waiting.rows(), gone, outcome))
            if old or outcome.rows:
                store.replace(task.target, made, seen)
                outcome.written = True
    for name in merged:
        store.delete(name)
    return outcome


def _write(path: Path, columns: Sequence[Column], rows: Iterable[Row]) -> None:
    with closing(Parquet(path, columns)) as file:
        for row in rows:
            file.add(row)


def _merged(
    task: Task, old: Iterator[Row], new: Iterator[Row], gone: Gone, outcome: Outcome
) -> Iterator[Row]:
    """Of each entity the rows of its newest version; what is in both is taken from the lines."""
    both = heapq.merge(
        ((row, False) for row in old), ((row, True) for row in new), key=lambda told: told[0][ENTITY]
    )
    for entity, found in groupby(both, key=lambda told: told[0][ENTITY]):
        group = list(found)
        newest = max(row[VERSION] for row, _ in group)
        current = [(row, is_new) for row, is_new in group if row[VERSION] == newest]
        kept = [row for row, is_new in current if is_new] or [row for row, _ in current]
        if gone.has(task.month, entity, newest, kept[0][STUDENT]):
            outcome.dropped += 1
            continue
        outcome.rows += len(kept)
        yield from kept


# --- what is there already


def _stored(task: Task, path: Path | None, columns: Sequence[Column]) -> Iterator[Row]:
    """The rows of a month's file; a column that it does not know yet is empty. Raises NotReadable."""
    last = ""
    for row in _batches(task, path, [column.name for column in columns]) if path else ():
        if row[ENTITY] < last:
            raise NotReadable(
                f"{task.target} is not sorted by entity_key: it was not written by compact_lake"
            )
        last = row[ENTITY]
        yield row


def _batches(task: Task, path: Path, names: Sequence[str]) -> Iterator[Row]:
    try:
        with pq.ParquetFile(path) as file:
            known = [name for name in names if name in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=GROUP_ROWS, columns=known):
                values = dict(zip(known, (column.to_pylist() for column in batch.select(known)), strict=True))
                nothing = [None] * batch.num_rows
                yield from zip(*(values.get(name, nothing) for name in names), strict=True)
    except pa.ArrowException as fault:
        raise NotReadable(f"{task.target} cannot be read as Parquet ({type(fault).__name__})") from None


def _holds_gone(task: Task, path: Path, gone: Gone) -> bool:
    rows = _batches(task, path, ["entity_key", "version", "student_id"])
    return any(gone.has(task.month, *row) for row in rows)


# --- lines on their way


class _Lines:
    """Lines sorted by entity, on disk. The same version of an entity twice is one."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        path.unlink(missing_ok=True)
        self.columns = columns
        self.base = sqlite3.connect(path, isolation_level=None)
        self.base.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE line (entity TEXT, version TEXT, place INTEGER, told TEXT,"
            " PRIMARY KEY (entity, version, place)) WITHOUT ROWID; BEGIN"
        )

    def load(self, name: str, data: bytes) -> list[str]:
        """Take in an object's lines; what is said of those that cannot be read."""
        faults = []
        before, place = ("", ""), 0
        for number, line in enumerate(data.splitlines(), 1):
            try:
                row = self._row(line)
            except (ValueError, TypeError, KeyError):
                faults.append(f"{name}, line {number}: cannot be read; it stays where it is")
                continue
            entity = (row[ENTITY], row[VERSION])
            place = place + 1 if entity == before else 0
            before = entity
            self.base.execute("INSERT OR REPLACE INTO line VALUES (?, ?, ?, ?)", (*entity, place, line))
        return faults

    def rows(self) -> Iterator[Row]:
        for (line,) in self.base.execute("SELECT told FROM line ORDER BY entity, version, place"):
            yield self._row(line)

    def _row(self, line: bytes) -> Row:
        told = json.loads(line)
        if not all(told[name] for name in ("entity_key", "version", "session_id", "student_id")):
            raise ValueError("whose it is")
        return tuple(_typed(column.kind, told.get(column.name)) for column in self.columns)

    def __len__(self) -> int:
        return int(self.base.execute("SELECT count(*) FROM line").fetchone()[0])

    def close(self) -> None:
        self.base.close()


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {NUMBER: (int, float), WHOLE: (int,), YES_NO: (bool,)}


def _typed(kind: str, value: Any) -> Any:
    """A value of JSON as the column has it. Raises TypeError, ValueError."""
    if value is None:
        return None
    if type(value) not in _TYPES.get(kind, (str,)):
        raise TypeError(kind)
    if kind == TIME:
        return keys.moment(value)
    return float(value) if kind == NUMBER else value
