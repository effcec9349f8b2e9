"""An export from the table into one zip: nothing of it is seen before it is whole.

The same data, choice and key give the same bytes: the zip holds no clock. What is being made lies in a folder
`.export-*.partial` beside the target; a folder whose maker was killed is swept away by the next one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa  # type: ignore[import-untyped]
from django.conf import settings

from sessions_app.domain.models import AuditHead

from . import codebook, grouping, profiles, read, write
from . import columns as c
from .columns import TEXT, Map
from .profiles import Plan
from .pseudonyms import Coder
from .read import Range, Whole
from .request import Choice
from .session_rows import Calendar, Parts, base, rows
from .tables import WIDE

CONDITION_CODE: Final = "experimental_condition.condition_code"
MANIFEST: Final = "manifest.json"
CODEBOOK: Final = "codebook.csv"
PARTIAL: Final = (".export-", ".partial")
Tick = Callable[[int, int], None]
"""Called now and then with the sessions done and their total; what it raises ends the making."""


class CannotWrite(Exception):
    """The files could not be written; the message is for the screen. Nothing is left of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """`version` is of the data: equal where all files are. The zip lies at `path`, still in the workshop."""

    path: Path
    sha256: str
    size: int
    version: str
    rows: Mapping[str, int]
    sessions: int
    excluded: Mapping[str, int]


# --- from the table to a zip


@contextmanager
def workshop(target: Path, what: str = "export") -> Iterator[Path]:
    """A private folder below `target`, gone afterwards. Raises CannotWrite, which names `what` it was for."""
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        sweep(target)
        folder = Path(tempfile.mkdtemp(prefix=PARTIAL[0], suffix=PARTIAL[1], dir=target))
    except OSError as error:
        raise CannotWrite(_told(error, target, what)) from None
    try:
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    except (OSError, sqlite3.OperationalError) as error:
        raise CannotWrite(_told(error, target, what)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(target: Path) -> None:
    """Take away what was left by makers that are no more: they hold no lock."""
    for folder in target.glob(f"{PARTIAL[0]}*{PARTIAL[1]}"):
        try:
            with (folder / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue


def _told(fault: Exception, target: Path, what: str) -> str:
    why = getattr(fault, "strerror", None) or str(fault)
    return f"The {what} could not be written to {target}: {why}. Nothing half-made was kept."


def build(choice: Choice, folder: Path, *, zone: ZoneInfo, tick: Tick = lambda done, total: None) -> Built:
    """Make the zip in a workshop.

    Raises BadChoice (NotPublishable is one), reading.Overloaded, PynamoDB's and botocore's errors.
    """
    choice.check()
    coder = Coder(profiles.study_key(), choice.profile)
    with ExitStack() as stack:
        making = _Making(choice, folder, coder, stack)
        try:
            within = read.range_of(choice.chosen, zone=zone)
        except read.NothingThere:
            within = None
        if within is not None:
            making.take(within, Calendar(zone, within.first), tick)
        elif choice.profile == "public":
            profiles.published([])
        making.close()
    return making.packed(within, lambda: tick(making.done, making.total))


class _Making:
    """One export under way: its tables, and what is counted on the way."""

    def __init__(self, choice: Choice, folder: Path, coder: Coder, stack: ExitStack) -> None:
        self.choice, self.folder, self.coder = choice, folder, coder
        self.plans = {level: Plan.of(level, choice.profile, coder) for level in choice.tables}
        self.stack = stack
        self.public: grouping.Grouped | None = None
        self.tables = {
            level: stack.enter_context(write.Table(folder, level, plan.columns, labels=choice.labels))
            for level, plan in self.plans.items()
            if choice.profile != "public"  # whose columns follow from the rows
        }
        self.wanted = frozenset(self.tables)
        self.excluded: Counter[str] = Counter()
        self.unreadable: dict[str, Counter[str]] = {}
        self.contents: set[str] = set()
        self.done = self.total = self.sessions = 0
        self.updated = ""
        self.students = stack.enter_context(closing(_Seen(folder / "students")))

    def take(self, within: Range, calendar: Calendar, tick: Tick) -> None:
        self.total = read.count(within)
        source = self._read(within, tick)
        if self.choice.profile == "public":
            self._take_public(source, calendar)
            return
        for whole in source:
            parts = Parts.of(whole.items, whole.profile or {})
            if parts is None:
                self.excluded["gone"] += 1
                continue
            self._write(parts, base(parts, calendar), self.students.is_new(whole.found.student_id))

    def _read(self, within: Range, tick: Tick) -> Iterator[Whole]:
        """The sessions that are in; those that are not are counted by reason."""

        def judge(profile: Map | None, session: Map) -> str | None:
            return profiles.obstacle(
                profile, session, kind=self.choice.profile, simulated=self.choice.simulated
            )

        def passed() -> None:
            self.done += 1

        found = read.found(within, self.choice.chosen.conditions, passed)
        for whole in read.whole(found, judge):
            self.done += 1
            tick(self.done, self.total)
            if whole.obstacle:
                self.excluded[whole.obstacle] += 1
            else:
                yield whole

    def _take_public(self, source: Iterator[Whole], calendar: Calendar) -> None:
        """One row a participant, in the order of what it says: that of time would tell the week.

        Raises NotPublishable.
        """
        rows, allocated = [], dict[str, str]()
        for whole in source:
            student_id = whole.found.student_id
            code = str(c.value({"session": whole.found.session}, "session", CONDITION_CODE, TEXT))
            if allocated.setdefault(student_id, code) != code:
                self.excluded["later_allocation"] += 1
                continue
            parts = Parts.of(whole.items, whole.profile or {})
            row = profiles.public_row(base(parts, calendar)) if parts else None
            if parts is None or row is None:
                self.excluded["incomplete" if parts else "gone"] += 1
            elif not self.students.is_new(whole.found.student_id):
                self.excluded["later_session"] += 1
            else:
                self._note(parts)
                rows.append(row)
        self.public = profiles.published(rows)
        self.excluded["too_few"] += self.public.suppressed
        self.sessions = len(self.public.rows)
        columns = profiles.public_columns(self.public.kept)
        self.plans[WIDE].columns = columns
        table = write.Table(self.folder, WIDE, columns, labels=self.choice.labels)
        self.tables[WIDE] = self.stack.enter_context(table)
        for row, means, size in sorted(self.public.rows, key=lambda each: (each[0].condition, each[1])):
            table.add([row.condition, row.location, row.interval, row.type, *means, size])

    def _write(self, parts: Parts, objects: dict[str, Any], is_new_student: bool) -> None:
        self.sessions += 1
        self._note(parts)
        if is_new_student and "students" in self.tables:
            self.tables["students"].add(self.plans["students"].row(objects))
        for level, row in rows(parts, objects, self.wanted):
            if level in self.tables:
                self.tables[level].add(self.plans[level].row(row))

    def _note(self, parts: Parts) -> None:
        """What the manifest tells of the data: how new they are, of which content, and what was left out."""
        for kind, path in parts.unreadable:
            self.unreadable.setdefault(kind, Counter())[path] += 1
        for item in (parts.session, parts.content, parts.survey, *parts.interventions):
            stored = c.value({"x": item}, "x", "metadata.updated_at", TEXT) if item else None
            self.updated = max(self.updated, stored or "")
        version = c.value({"x": parts.content}, "x", "content_metadata.content_version", TEXT)
        content = c.value({"x": parts.session}, "x", "content_id", TEXT)
        if content and len(self.contents) < 50:
            self.contents.add(f"{content} {version or ''}".strip())

    # --- the end of it

    def close(self) -> None:
        for table in self.tables.values():
            table.close()

    def packed(self, within: Range | None, step: Callable[[], None]) -> Built:
        codebook.write(self.folder / CODEBOOK, {level: plan.columns for level, plan in self.plans.items()})
        paths = [path for table in self.tables.values() for path in table.paths]
        names = [CODEBOOK, *(path.relative_to(self.folder).as_posix() for path in paths)]
        target = self.folder / "export.zip"
        files = write.pack(target, self.folder, names, step)
        manifest = self.manifest(within, files)
        write.add(target, MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
        with target.open("rb") as file:
            os.fsync(file.fileno())
        return Built(
            path=target,
            sha256=write.sha256(target),
            size=target.stat().st_size,
            version=str(manifest["data"]["version"]),
            rows={level: table.rows for level, table in self.tables.items()},
            sessions=self.sessions,
            excluded=dict(self.excluded),
        )

    def manifest(self, within: Range | None, files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        chosen, is_public = self.choice.chosen, self.choice.profile == "public"
        told: dict[str, Any] = {
            "profile": self.choice.profile,
            "filters": {
                "from": chosen.start.isoformat() if chosen.start else None,
                "to": chosen.end.isoformat() if chosen.end else None,
                "conditions": list(chosen.conditions) or "all",
                "tables": list(self.tables),
                "labels": self.choice.labels,
                "simulated": "included" if self.choice.simulated else "excluded",
            },
            "data": {
                "version": _version(files),
                "updated": None if is_public else self.updated or None,
                "week_1_begins": within.first.isoformat() if within and not is_public else None,
                "content": sorted(self.contents),
            },
            "audit_head": _audit_head(),
            "software": {"name": "socratic-benchmarks", "version": software(), "pyarrow": pa.__version__},
            "codes": None if self.choice.profile == "full" else self.coder.fingerprint,
            "sessions": self.sessions,
            "excluded": {
                reason: {
                    "sessions": _number(number, is_public),
                    "because": profiles.REASONS[reason],
                }
                for reason, number in sorted(self.excluded.items())
            },
            "rows": {level: table.rows for level, table in self.tables.items()},
            "unreadable_values": {kind: dict(found) for kind, found in sorted(self.unreadable.items())},
            "files": dict(files),
        }
        if is_public:
            del told["unreadable_values"]
            told["privacy"] = self._privacy()
        return told

    def _privacy(self) -> dict[str, Any]:
        """What was measured on the public rows, over which columns."""
        rule, result = profiles.public_rule(), self.public
        names = [column.name for column in profiles.averaged()]
        kept = [names[index] for index in result.kept] if result else []
        return {
            "k": {"required": rule.k, "measured": result.k if result else 0},
            "l": {"required": rule.l, "measured": result.l if result else 0},
            "measured_over": ["location", *kept, profiles.GROUP_SIZE.name],
            "left_whole": list(profiles.WHOLE_COLUMNS),
            "columns_dropped": [name for name in names if name not in kept],
            "rows_suppressed": _number(result.suppressed if result else 0, True),
        }


def _scratch(path: Path, table: str) -> sqlite3.Connection:
    """A database for this export alone: what grows with the study is kept on disk."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=OFF")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute(f"CREATE TABLE {table} WITHOUT ROWID")
    return connection


class _Seen:
    """Which students were met before."""

    def __init__(self, path: Path) -> None:
        self.connection = _scratch(path, "seen (student TEXT PRIMARY KEY)")

    def is_new(self, student_id: str) -> bool:
        told = self.connection.execute("INSERT OR IGNORE INTO seen VALUES (?)", [student_id])
        return told.rowcount == 1

    def close(self) -> None:
        self.connection.close()


def _number(number: int, is_public: bool) -> int | str:
    """A small number is one of the cells that the public must not see."""
    return "1 to 10" if is_public and 0 < number <= 10 else number


def _audit_head() -> str | None:
    """State of the audit log, for `verify_audit --expect`: whoever holds the export can check it."""
    head = AuditHead.read()
    return f"{int(head.sequence)}:{head.sha256}" if head else None


def _version(files: Mapping[str, Mapping[str, Any]]) -> str:
    told = "".join(f"{name} {file['sha256']}\n" for name, file in files.items())
    return hashlib.sha256(told.encode()).hexdigest()


def software() -> str:
    with (Path(settings.BASE_DIR) / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])
