"""The lake's tables, each one made from one kind of item: the columns that coded exports have.

`schema(table)` is the list of columns, for Parquet, JSON lines and Glue alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from sessions_app.dictionary import model_attributes
from sessions_app.domain.models.session import FLAGS

from ..export import columns as c
from ..export.columns import ID, LIST, NUMBER, TEXT, TIME, WHOLE, YES_NO, Column, Made, Stored
from ..export.tables import DECLARED

PROFILE: Final = "coded"
"""The lake has the columns and the codes of coded exports: both join."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one kind of item: `level` is the table of exports that has its columns.

    `role` is the item's in there; `element` is that of the list in it of which each map is a row.
    """

    name: str
    level: str
    role: str
    element: str = ""
    made: tuple[str, ...] = ()

    @property
    def entity(self) -> str:
        return c.ROLES[self.role][0]


MADE: Final = ("age_band", "state", "data_quality_flags", "simulated", "realm")
POINTS: Final = ("points_earned", "model_score", "human_score", "second_human_score")
TABLES: Final[Mapping[str, Table]] = {
    table.name: table
    for table in (
        Table("sessions", "sessions", "session", made=(*MADE, *(f"flag_{f}" for f in FLAGS))),
        Table("verifications", "sessions", "verification", made=("distance_band",)),
        Table("deliveries", "sessions", "content"),
        Table("segments", "segments", "content", "segment"),
        Table("interventions", "interventions", "intervention", made=("answers",)),
        Table("questions", "questions", "intervention", "question"),
        Table("assessments", "assessments", "assessment", made=("score",)),
        Table("assessment_items", "assessment_items", "assessment", "item", made=POINTS),
        Table("surveys", "surveys", "survey"),
    )
}
NAMES: Final = tuple(TABLES)
ENTITIES: Final = {table.entity: table.role for table in TABLES.values()}
"""The role of each kind of item that is in the lake."""

GLUE: Final[Mapping[str, str]] = {
    TEXT: "string",
    LIST: "string",
    NUMBER: "double",
    WHOLE: "bigint",
    YES_NO: "boolean",
    TIME: "timestamp",
}
"""A column's type in Glue and Athena, by its kind."""

KEY: Final = Made(
    "entity_key",
    TEXT,
    "Entity",
    lambda objects: objects["entity_key"],
    note="The code of the session and the item's place in it: the same in all versions of the item.",
)
VERSION: Final = Made(
    "version",
    TEXT,
    "Version",
    lambda objects: objects["version"],
    note="Stream and sequence number of the change, which sort as text: the greatest is the newest.",
)


@cache
def declared(name: str) -> tuple[Stored | Made, ...]:
    """What a table has of its level, in the level's order; ids are those on the item itself."""
    table = TABLES[name]
    ids = tuple(Stored(table.role, path, form=ID) for path in ("session_id", "student_id"))
    known = {(one.role, one.path) for one in ids}
    kept = tuple(each for each in DECLARED[table.level] if _belongs(each, table))
    others = (each for each in kept if isinstance(each, Made) or (each.role, each.path) not in known)
    return (KEY, VERSION, *ids, *others)


def _belongs(each: Stored | Made, table: Table) -> bool:
    if PROFILE not in each.exports:
        return False
    if isinstance(each, Made):
        return each.name in table.made
    return each.role in (table.role, table.element)


@cache
def schema(name: str) -> tuple[Column, ...]:
    """A table's columns with names and kinds, without labels: no data dictionary is read."""
    return tuple(_column(each) for each in declared(name))


def _column(each: Stored | Made) -> Column:
    if isinstance(each, Made):
        return c.column(each)
    entity, prefix = c.ROLES[each.role]
    path, role, kind = tuple(each.path.split(".")), each.role, _kinds(entity)[prefix + each.path]
    return Column(
        name=each.name or path[-1],
        kind=kind,
        label=each.label,
        of=lambda objects: c.read(kind, c.at(objects.get(role), path)),
        source=f"{entity}: {prefix}{each.path}",
        exports=each.exports,
        form=each.form,
    )


@cache
def _kinds(entity: str) -> Mapping[str, str]:
    return {
        found.path: found.kind for found in model_attributes.attributes(model_attributes.entities()[entity])
    }


@cache
def labelled(name: str) -> tuple[Column, ...]:
    """The same with labels, units and choices out of the data dictionary."""
    return tuple(c.column(each) for each in declared(name))
