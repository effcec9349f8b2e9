"""What a column is: name, type, label, unit, where its value is in the raw items, and which exports have it.

A stored value is declared by its place alone; type, label, unit and choices come from the models and the data
dictionary. What is worked out says them itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sessions_app.access import field_policy
from sessions_app.domain.store import keys

if TYPE_CHECKING:  # the lake's writer has no data dictionary
    from sessions_app.dictionary import codebook

Map = Mapping[str, Any]
Objects = Mapping[str, Any]
"""What a row is made of, by role: maps of DynamoDB's own JSON, such as the session's or a question's."""

TEXT, WHOLE, NUMBER, YES_NO = "text", "whole number", "number", "true/false"
TIME, LIST = "timestamp", "list of texts"

# How a column is written. Who gets it is said by `field_policy`.
ID = "id"  # coded, unless the export is a full one
WORDS = "words"  # free text, in a person's own words or made from them

ROLES: Final[Mapping[str, tuple[str, str]]] = {
    "session": ("session", ""),
    "student": ("student_profile", ""),
    "verification": ("location_verification", ""),
    "content": ("content_delivery", ""),
    "segment": ("content_delivery", "segment_tracking[]."),
    "intervention": ("intervention", ""),
    "question": ("intervention", "socratic_sequence[]."),
    "assessment": ("assessment", ""),
    "baseline": ("assessment", ""),
    "final": ("assessment", ""),
    "item": ("assessment", "questions[]."),
    "survey": ("post_survey", ""),
}
"""The entity of the data dictionary that each role belongs to, and the list within it."""


@dataclass(frozen=True, slots=True)
class Column:
    """`of` gives the value of a row's objects; None where there is none. It raises Unreadable."""

    name: str
    kind: str
    label: str
    of: Callable[[Objects], Any]
    source: str
    exports: frozenset[str] = frozenset()
    form: str = ""
    unit: str = ""
    note: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    range: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Stored:
    """A declaration: what stands at `path` of the role's map. The name is the path's last part by default."""

    role: str
    path: str
    name: str = ""
    label: str = ""
    form: str = ""

    @property
    def exports(self) -> frozenset[str]:
        entity, prefix = ROLES[self.role]
        return field_policy.rule(entity, prefix + self.path).exports


@dataclass(frozen=True, slots=True)
class Made:
    """A declaration: what `of` works out."""

    name: str
    kind: str
    label: str
    of: Callable[[Objects], Any]
    unit: str = ""
    note: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)

    @property
    def exports(self) -> frozenset[str]:
        return field_policy.rule(field_policy.DERIVED, self.name).exports


class Unreadable(ValueError):
    """A stored value of another type than its column."""


# --- values out of DynamoDB's own JSON


def at(container: Any, path: tuple[str, ...]) -> Map | None:
    """The typed value at a path inside a map; None where the path does not lead so far."""
    value: Any = {"M": container or {}}
    for name in path:
        value = value.get("M", {}).get(name)
        if value is None:
            return None
    found: Map = value
    return found


def read(kind: str, typed: Map | None) -> Any:
    """Raises Unreadable."""
    if typed is None or "NULL" in typed:
        return None
    try:
        return READERS[kind](typed)
    except (KeyError, ValueError, TypeError):
        raise Unreadable(kind) from None


def _whole(typed: Map) -> int:
    number = float(typed["N"])
    if number != int(number):
        raise ValueError(number)
    return int(number)


def _moment(typed: Map) -> datetime:
    return keys.moment(typed["S"]).replace(microsecond=0)


READERS: Final[Mapping[str, Callable[[Map], Any]]] = {
    TEXT: lambda typed: str(typed["S"]),
    NUMBER: lambda typed: float(typed["N"]),
    WHOLE: _whole,
    YES_NO: lambda typed: bool(typed["BOOL"]),
    TIME: _moment,
    LIST: lambda typed: ";".join(str(each["S"]) for each in typed["L"]) or None,
}


def value(objects: Objects, role: str, path: str, kind: str) -> Any:
    """For what is worked out: a value, None where there is none or where it cannot be read."""
    try:
        return read(kind, at(objects.get(role), tuple(path.split("."))))
    except Unreadable:
        return None


# --- declarations joined with the data dictionary


@cache
def _meanings() -> codebook.Meanings:
    from sessions_app.dictionary import codebook

    return codebook.load()


@cache
def _dictionary(entity: str) -> Mapping[str, codebook.Row]:
    from sessions_app.dictionary import codebook

    return {row.path: row for row in codebook.rows(_meanings(), entity)}


def column(declared: Stored | Made) -> Column:
    """Raises KeyError where the data dictionary knows no such attribute."""
    if isinstance(declared, Made):
        told = {name: getattr(declared, name) for name in Made.__slots__ if name != "of"}
        return Column(**told, of=declared.of, source="worked out", exports=declared.exports)
    entity, prefix = ROLES[declared.role]
    row = _dictionary(entity)[prefix + declared.path]
    path, role, kind = tuple(declared.path.split(".")), declared.role, row.kind
    return Column(
        name=declared.name or path[-1],
        kind=kind,
        label=declared.label or row.label,
        of=lambda objects: read(kind, at(objects.get(role), path)),
        source=f"{entity}: {row.path}",
        exports=declared.exports,
        form=declared.form,
        unit=row.unit,
        note=plain(row.meaning),
        choices={choice: row.values.get(choice, choice) for choice in row.choices or row.values},
        range=_range(row.allowed),
    )


def plain(markdown: str) -> str:
    """The dictionary's meanings without its links and code marks."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown).replace("`", "")


def _range(allowed: str) -> tuple[str, str]:
    found = re.fullmatch(r"(-?[\d.]+) to (-?[\d.]+)", allowed)
    return (found[1], found[2]) if found else ("", "")
