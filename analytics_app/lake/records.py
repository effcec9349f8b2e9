"""A record of the table's stream -> rows of the lake, once what it tells of is complete.

Complete is: a session that has ended (completed, stopped or abandoned; one withdrawn is taken away), a place
that was verified, a content that was played to its end, a dialogue of three answers, an assessment with all
its items answered, a survey. Each later change of these, such as a score, is a newer version of the entity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sessions_app.domain.models import Item
from sessions_app.domain.models.cleaned import cleaned, without_value
from sessions_app.domain.models.intervention import QUESTIONS
from sessions_app.domain.store import keys

from ..export import columns as c
from ..export.columns import ID, TEXT, TIME, Column, Map, Objects, Unreadable
from ..export.pseudonyms import Coder
from ..export.session_rows import elements, questions_of
from ..export.tables import state
from . import tables

REMOVALS: Final = "removals"
VOIDS: Final = "voids"


class Poison(ValueError):
    """A record that cannot be converted; the reason names the place and the kind of fault, never a value."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table of the lake, of `removals` or of `voids`; `day` is the entity's own."""

    table: str
    day: date
    row: Mapping[str, Any]


# --- which entities, when they are complete, and to which day they belong


def _is_answered(assessment: Map) -> bool:
    seen = ("assessment_metadata.duration_seconds", "assessment_results.score_percentage")
    return any(c.at(assessment, tuple(path.split("."))) for path in seen)


COMPLETE: Final[Mapping[str, Callable[[Map], bool]]] = {
    "session": lambda item: state({"session": item}) in ("completed", "stopped", "abandoned"),
    "verification": lambda item: True,
    "content": lambda item: bool(c.at(item, ("engagement_metrics", "end_time"))),
    "intervention": lambda item: sum("answer" in each for each in questions_of(item)) >= QUESTIONS,
    "assessment": _is_answered,
    "survey": lambda item: True,
}
BEGINNING: Final[Mapping[str, str]] = {
    "session": "timeline.session_start",
    "verification": "verification.verification_timestamp",
    "content": "engagement_metrics.start_time",
    "intervention": "intervention_metadata.timestamp",
    "assessment": "assessment_metadata.timestamp",
    "survey": "survey_metadata.timestamp",
}
"""A time that stays the same in all versions of an item."""


def _day(role: str, item: Map) -> date:
    """Raises Poison."""
    try:
        moment = c.read(TIME, c.at(item, tuple(BEGINNING[role].split("."))))
    except Unreadable:
        moment = None
    if not isinstance(moment, datetime):
        raise Poison(f"{BEGINNING[role]} is no time")
    return moment.date()


def _day_before(role: str, item: Map) -> date | None:
    """The day under which an older version is in the lake; None where it is not."""
    return _day_or_none(role, item) if COMPLETE[role](item) else None


def _day_or_none(role: str, item: Map) -> date | None:
    with suppress(Poison):
        return _day(role, item)
    return None


# --- one record


def version_of(record: Mapping[str, Any], stream: str) -> str:
    """`<stream's label>/<sequence number>`: fixed width, so that the versions of an entity sort as text.

    A table's stream is labelled by when it began: what comes after a restore is newer than all before.
    """
    label = stream.rpartition("/")[2]
    return f"{label}/{int(record['dynamodb']['SequenceNumber']):040d}"


def convert(record: Mapping[str, Any], *, stream: str, coder: Coder) -> list[Line]:
    """The lines that a record adds to the lake; none where it does not matter there. Raises Poison."""
    try:
        return list(_lines(record, stream, coder))
    except Poison:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise Poison(f"not of the form of a record ({type(error).__name__})") from None


def _lines(record: Mapping[str, Any], stream: str, coder: Coder) -> Iterator[Line]:
    change = record["dynamodb"]
    new, old = change.get("NewImage"), change.get("OldImage")
    role = tables.ENTITIES.get(c.value({"x": new or old}, "x", "entity_type", TEXT))
    partition, place = change["Keys"]["PK"]["S"], change["Keys"]["SK"]["S"]
    if role is None or not partition.startswith(keys.SESSION_PREFIX):
        return
    code = coder.code("session_id", partition.removeprefix(keys.SESSION_PREFIX))
    told: dict[str, Any] = {"entity_key": f"{code}/{place}", "version": version_of(record, stream)}
    before = _day_before(role, _as_read(old)[1]) if old else None
    day = None
    if new:
        item, new = _as_read(new)
        if not item.is_readable:
            raise Poison(without_value(item.unreadable_reason))
        day = _day(role, new) if COMPLETE[role](new) else None
        told["record"] = item
    if before and before != day:
        yield Line(REMOVALS, before, {name: told[name] for name in ("entity_key", "version")})
    if role == "session":
        yield from _void_marks(new, old, told)
    if new and day:
        yield from _rows(role, new, day, told, coder)


def _void_marks(new: Map | None, old: Map | None, told: Mapping[str, Any]) -> Iterator[Line]:
    """The mark of a void session, or its removal.

    Every change of a void session repeats the mark, since the lake may have begun after it was made. The day
    is only a folder here: a start that cannot be read holds up no mark.
    """
    kind = _void_kind(new)
    if kind or _void_kind(old):
        day = _day_or_none("session", new or old or {}) or date(1970, 1, 1)
        yield Line(VOIDS, day, {"entity_key": told["entity_key"], "version": told["version"], "kind": kind})


def _void_kind(session: Map | None) -> str | None:
    """Why a void session is void; None for one that counts or is gone."""
    if not session or not c.at(session, ("metadata", "void")):
        return None
    return c.value({"x": session}, "x", "metadata.void.kind", TEXT) or "other"


def _as_read(image: Map) -> tuple[Item, Map]:
    """What cannot be read is left out: one odd attribute keeps no record from the lake."""
    item = Item.from_raw_data(dict(image))
    return item, cleaned(item, image)


def _rows(role: str, item: Map, day: date, told: Mapping[str, Any], coder: Coder) -> Iterator[Line]:
    for table in tables.TABLES.values():
        if table.role == role:
            schema = tables.schema(table.name)
            for objects in _objects(table, item, told):
                yield Line(table.name, day, dict(_values(table.name, schema, objects, coder)))


def _objects(table: tables.Table, item: Map, told: Mapping[str, Any]) -> Iterator[Objects]:
    whole: dict[str, Any] = {**told, table.role: item}
    if table.role == "intervention":
        whole["questions"] = questions_of(item)
    if not table.element:
        yield whole
        return
    for each in whole.get("questions") or elements(item, c.ROLES[table.element][1].removesuffix("[].")):
        yield {**whole, table.element: each}


def _values(
    table: str, schema: Iterable[Column], objects: Objects, coder: Coder
) -> Iterator[tuple[str, Any]]:
    """What there is of a row, as JSON has it. Raises Poison."""
    for column in schema:
        try:
            value = column.of(objects)
        except Unreadable:
            raise Poison(f"{table}: {column.name} is no {column.kind}") from None
        if column.form == ID:
            if not value:
                raise Poison(f"{table}: {column.name} is missing")
            value = coder.code(column.name, str(value))
        if value is not None:
            yield column.name, keys.stamp(value) if isinstance(value, datetime) else value
