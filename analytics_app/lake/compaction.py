"""JSON lines into Parquet by the month: of each entity its newest version, and nobody who has left.

Rows of void sessions are moved to a file of their own below `set-aside/` and return when the mark is
removed. A row on its way back stays there until the month's own file has it, so that it is never in neither.

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
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from sessions_app.domain.models import DirectoryEntry, Tombstone
from sessions_app.domain.store import keys

from ..export.columns import NUMBER, TIME, WHOLE, YES_NO, Column
from ..export.pseudonyms import Coder
from ..export.write import GROUP_ROWS, Parquet
from . import tables
from .records import REMOVALS, VOIDS
from .storage import LakeAway, Store

Row = tuple[Any, ...]
"""In the order of the table's columns: `entity_key`, `version`, `session_id`, `student_id`, ..."""
ENTITY, VERSION, STUDENT = 0, 1, 3

ASIDE: Final = "set-aside"

_PARTITION = re.compile(r"(?:set-aside/)?[a-z_]+/(date|month)=(\d{4}-\d{2})")


@dataclass(frozen=True, slots=True)
class Task:
    """A table's month, and the objects of lines that wait for it."""

    table: str
    month: str
    lines: tuple[str, ...]

    @property
    def target(self) -> str:
        return f"{self.table}/month={self.month}/{self.table}.parquet"

    @property
    def aside(self) -> str:
        """Where the rows of void sessions are."""
        return f"{ASIDE}/{self.target}"


@dataclass(slots=True)
class Outcome:
    """`written` is false where the month's file was right already. `faults` are lines that stay behind.

    `aside` counts the entities of void sessions.
    """

    written: bool = False
    rows: int = 0
    dropped: int = 0
    aside: int = 0
    faults: list[str] = field(default_factory=list)


class NotReadable(LakeAway):
    """An object of the lake that is not of its form, or not written by us."""


# --- what there is to do


def tasks(store: Store, month: str | None = None) -> list[Task]:
    """Every month of every table, or one month of each. Raises LakeAway."""
    found: dict[tuple[str, str], list[str]] = {}
    for table in tables.NAMES:
        for name in [*store.names(f"{table}/"), *store.names(f"{ASIDE}/{table}/")]:
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
    _void: dict[str, str] | None = None

    def removed(self, month: str) -> Mapping[str, str]:
        """The last removal of each entity, by its key."""
        if month not in self._removed:
            found = self._removed[month] = {}
            for name in self.store.names(f"{REMOVALS}/date={month}-"):
                for entity, version, _ in _marks(name, self.store.read(name)):
                    found[entity] = max(found.get(entity, ""), version)
        return self._removed[month]

    @property
    def void(self) -> Mapping[str, str]:
        """Why each void session is void, by its code: the newest mark or removal counts."""
        if self._void is None:
            newest: dict[str, tuple[str, str]] = {}
            for name in self.store.names(f"{VOIDS}/"):
                for entity, version, kind in _marks(name, self.store.read(name)):
                    session = _session(entity)
                    newest[session] = max(newest.get(session, ("", "")), (version, kind))
            self._void = {session: kind for session, (_, kind) in newest.items() if kind}
        return self._void

    def has(self, month: str, entity: str, version: str, student: str) -> bool:
        return student in self.students or self.removed(month).get(entity, "") > version


def _session(entity: str) -> str:
    """The session's code in the key of an entity."""
    return entity.partition("/")[0]


def _marks(name: str, data: bytes) -> Iterator[tuple[str, str, str]]:
    """Entity, version and kind of removals or void marks.

    Raises NotReadable: without them, what was taken out would come back.
    """
    try:
        for line in data.splitlines():
            mark = json.loads(line)
            yield str(mark["entity_key"]), str(mark["version"]), str(mark.get("kind") or "")
    except (ValueError, TypeError, KeyError, AttributeError):
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
    seen = {name: store.mark(name) for name in (task.target, task.aside)}
    stored = {name: store.fetch(name, shop) for name, mark in seen.items() if mark}
    merged = []
    with closing(_Lines(shop / "lines.sqlite", columns)) as waiting:
        for name in task.lines:
            if not (faults := waiting.load(name, store.read(name))):
                merged.append(name)
            outcome.faults += faults
            tick()
        if len(waiting) or any(_is_outdated(task, name, path, gone) for name, path in stored.items()):
            sources = [_stored(name, stored.get(name), columns) for name in (task.aside, task.target)]
            made = {task.aside: shop / "aside.parquet", task.target: shop / "made.parquet"}
            _write(made, columns, _merged(task, [*sources, waiting.rows()], gone, outcome))
            for name, path in made.items():  # what is set aside first: broken off here, nothing is lost
                if name in stored or (outcome.rows if name == task.target else outcome.aside):
                    store.replace(name, path, seen[name])
                    outcome.written = outcome.written or name == task.target
    for name in merged:
        store.delete(name)
    return outcome


def _write(paths: Mapping[str, Path], columns: Sequence[Column], rows: Iterable[tuple[str, Row]]) -> None:
    """Each row into the file of the name beside it."""
    with ExitStack() as stack:
        files = {name: stack.enter_context(closing(Parquet(path, columns))) for name, path in paths.items()}
        for name, row in rows:
            files[name].add(row)


def _merged(
    task: Task, sources: Sequence[Iterator[Row]], gone: Gone, outcome: Outcome
) -> Iterator[tuple[str, Row]]:
    """Of each entity the rows of its newest version, with the file where they belong.

    `sources` are what is set aside, the month's file and the lines; what several have is taken from the last.
    """
    tagged = [_tagged(rank, rows) for rank, rows in enumerate(sources)]
    for entity, found in groupby(heapq.merge(*tagged, key=_entity), key=_entity):
        group = list(found)
        newest, best = max((row[VERSION], rank) for rank, row in group)
        kept = [row for rank, row in group if (row[VERSION], rank) == (newest, best)]
        if gone.has(task.month, entity, newest, kept[0][STUDENT]):
            outcome.dropped += 1
            continue
        is_void = _session(entity) in gone.void
        ranks = {rank for rank, _ in group}
        if is_void or (0 in ranks and 1 not in ranks):
            outcome.aside += 1
            yield from ((task.aside, row) for row in kept)
        if not is_void:
            outcome.rows += len(kept)
            yield from ((task.target, row) for row in kept)


def _tagged(rank: int, rows: Iterator[Row]) -> Iterator[tuple[int, Row]]:
    return ((rank, row) for row in rows)


def _entity(tagged: tuple[int, Row]) -> str:
    return str(tagged[1][ENTITY])


# --- what is there already


def _stored(name: str, path: Path | None, columns: Sequence[Column]) -> Iterator[Row]:
    """The rows of a month's file; a column that it does not know yet is empty. Raises NotReadable."""
    last = ""
    for row in _batches(name, path, [column.name for column in columns]) if path else ():
        if row[ENTITY] < last:
            raise NotReadable(f"{name} is not sorted by entity_key: it was not written by compact_lake")
        last = row[ENTITY]
        yield row


def _batches(name: str, path: Path, names: Sequence[str]) -> Iterator[Row]:
    try:
        with pq.ParquetFile(path) as file:
            known = [column for column in names if column in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=GROUP_ROWS, columns=known):
                values = dict(zip(known, (column.to_pylist() for column in batch.select(known)), strict=True))
                nothing = [None] * batch.num_rows
                yield from zip(*(values.get(column, nothing) for column in names), strict=True)
    except pa.ArrowException as error:
        raise NotReadable(f"{name} cannot be read as Parquet ({type(error).__name__})") from None


def _is_outdated(task: Task, name: str, path: Path, gone: Gone) -> bool:
    """Whether a file holds what is to go, or what belongs into the other one."""
    is_aside = name == task.aside
    rows = _batches(name, path, ["entity_key", "version", "student_id"])
    return any((_session(row[0]) in gone.void) != is_aside or gone.has(task.month, *row) for row in rows)


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
