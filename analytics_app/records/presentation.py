"""Presents a stored item for a role: withheld fields left out, values by kind, and errors named.

Nothing here trusts that an item has the form of its model: another client may have written it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sessions_app.access import field_policy
from sessions_app.dictionary import codebook, model_attributes
from sessions_app.dictionary.codebook import Row
from sessions_app.domain.models import Item
from sessions_app.domain.store import keys

from . import raw_items
from .declarations import Column
from .raw_items import Raw

COMMON = frozenset(Item.get_attributes())
KEYS = tuple(name for name in ("PK", "SK", *(f"GSI{n}{part}" for n in range(1, 6) for part in ("PK", "SK"))))
# How a kind of the codebook is stored, by its first word, and how it is shown.
STORED_AS = {
    "text": "S",
    "timestamp": "S",
    "number": "N",
    "whole": "N",
    "true/false": "BOOL",
    "map": "M",
    "list": "L",
}
SHOWN_AS = {
    "text": "text",
    "timestamp": "time",
    "number": "number",
    "whole number": "number",
    "true/false": "flag",
    "list of texts": "texts",
    "list of whole numbers": "texts",
    "map of numbers": "pairs",
    "map of whole numbers": "pairs",
    "map of texts": "pairs",
}
BY_TYPE = {"S": "text", "N": "number", "BOOL": "flag"}


@dataclass(frozen=True, slots=True)
class Value:
    """`show`: text, time, number, flag, texts, pairs, json or none; `fault`: what is wrong with it."""

    show: str
    value: Any = None
    raw: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    path: str
    label: str
    meaning: str
    stands_for: str
    unit: str
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A top-level map, an entry of a list, or, without a path, what lies in none."""

    path: str
    title: str
    meaning: str
    fields: list[Field]


@dataclass(frozen=True, slots=True)
class Sheet:
    groups: list[Group]
    faults: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    column: Column
    label: str
    unit: str
    numeric: bool
    row: Row | None


# --- the codebook, read once


@cache
def meanings() -> Mapping[str, Any]:
    return codebook.load()


@cache
def book(entity: str) -> Mapping[str, Row]:
    """The rows of an entity by path; empty for an unknown one."""
    if entity not in model_attributes.entities():
        return {}
    own = codebook.rows(meanings(), entity)
    return {row.path: row for row in [*codebook.item_rows(meanings()), *own]}


def about(entity: str) -> Mapping[str, Any]:
    told: Mapping[str, Any] = meanings()["entities"].get(entity, {})
    return told


@cache
def _containers(entity: str) -> frozenset[str]:
    """The maps and lists whose values have rows of their own."""
    parents = (re.match(r"(.*?)(?:\[\])?\.[^.]+$", path) for path in book(entity))
    return frozenset(found[1] for found in parents if found)


# --- without what the reader does not see


@dataclass(frozen=True, slots=True)
class Withheld:
    """A part that is not shown. `known`: it is in the data dictionary; `fault`: it has another form."""

    path: str
    known: bool = True
    fault: str = ""


@dataclass(frozen=True, slots=True)
class _View:
    entity: str
    roles: frozenset[str]
    gone: list[Withheld]


def visible(item: Raw, roles: frozenset[str]) -> tuple[dict[str, Any], list[Withheld]]:
    """The item without what these roles do not see, and what that is.

    Shown is what a rule names, in the form that the data dictionary gives it: maps and lists found where a
    single value belongs could hold anything.
    """
    view = _View(raw_items.entity_of(item), roles, [])
    return _kept(item, view, ""), view.gone


def _kept(inner: Raw, view: _View, prefix: str) -> dict[str, Any]:
    shown = ((name, _within(value, view, f"{prefix}{name}")) for name, value in inner.items())
    return {name: value for name, value in shown if value is not None}


def _within(value: Raw, view: _View, path: str) -> Raw | None:
    generic = _generic(path)
    row = book(view.entity).get(generic)
    if row is not None and generic in _containers(view.entity):
        return value if "NULL" in value else _container(value, row, view, path)
    if not field_policy.sees(view.roles, view.entity, generic):
        view.gone.append(Withheld(path, known=row is not None))
        return None
    return _single(value, row.kind if row else "text", view, path)


def _container(value: Raw, row: Row, view: _View, path: str) -> Raw | None:
    """A map of which nothing is shown is withheld as one."""
    if row.kind == "map" and "M" in value:
        before = len(view.gone)
        kept = _kept(value["M"], view, f"{path}.")
        if value["M"] and not kept and all(each.known and not each.fault for each in view.gone[before:]):
            view.gone[before:] = [Withheld(path)]
        return {"M": kept} if kept or not value["M"] else None
    if row.kind == "list of maps" and "L" in value:
        elements = [_element(each, view, f"{path}[{n}]") for n, each in enumerate(value["L"])]
        return {"L": elements}
    view.gone.append(Withheld(path, fault=f"should be a {row.kind}"))
    return None


def _element(value: Raw, view: _View, path: str) -> Raw:
    if "M" in value:
        return {"M": _kept(value["M"], view, f"{path}.")}
    view.gone.append(Withheld(path, fault="should be a map"))
    return {"NULL": True}


def _single(value: Raw, kind: str, view: _View, path: str) -> Raw | None:
    """A value of one of the codebook's kinds, the parts of a map or list by their own type."""
    if "M" not in value and "L" not in value:
        return value
    container, _, parts = kind.partition(" of ") if kind != "map" else ("map", "", "texts")
    letter = {"map": "M", "list": "L"}.get(container)
    if letter not in value:
        view.gone.append(Withheld(path, fault=f"should be a {kind}"))
        return None
    if letter == "L":
        return {"L": [_part(each, parts, view, f"{path}[{n}]") for n, each in enumerate(value["L"])]}
    return {"M": {name: _part(each, parts, view, f"{path}.{name}") for name, each in value["M"].items()}}


def _part(value: Raw, kind: str, view: _View, path: str) -> Raw:
    if kind.startswith("maps of "):
        return _single(value, kind.replace("maps", "map", 1), view, path) or {"NULL": True}
    if ("S" if kind == "texts" else "N") in value or "NULL" in value:
        return value
    view.gone.append(Withheld(path, known=False))
    return {"NULL": True}


# --- values


def value_of(stored_value: Raw | None, row: Row | None) -> Value:
    """A value by the kind that the codebook tells; by how it is stored where it tells none, or another."""
    if stored_value is None or "NULL" in stored_value:
        return Value("none")
    kind = next(iter(stored_value))
    if row is None:
        return _as(BY_TYPE.get(kind, "json"), stored_value)
    if STORED_AS.get(row.kind.split()[0]) != kind:
        return _as(BY_TYPE.get(kind, "json"), stored_value, f"should be a {row.kind}")
    return _told(stored_value, row)


def moment(text: str | None) -> Value:
    try:
        return _as("time", {"S": text}) if text else Value("none")
    except keys.BadKey:
        return Value("text", text)


def _told(stored_value: Raw, row: Row) -> Value:
    text = stored_value.get("S")
    if row.choices and text not in row.choices:
        return _as("text", stored_value, f"is not one of {', '.join(row.choices)}")
    try:
        return _as(SHOWN_AS.get(row.kind, "json"), stored_value)
    except (ValueError, TypeError, AttributeError):
        return _as(BY_TYPE.get(next(iter(stored_value)), "json"), stored_value, f"should be a {row.kind}")


def _as(show: str, stored_value: Raw, fault: str = "") -> Value:
    plain = raw_items.plain(stored_value)
    match show:
        case "time":
            return Value("time", keys.moment(plain), plain, fault)
        case "number":
            return Value("number", stored_value["N"], "", fault)
        case "json":
            return Value("json", json.dumps(plain, ensure_ascii=False, indent=1), "", fault)
        case "texts" if not all(isinstance(each, str | int | float) for each in plain):
            raise ValueError("not a list of single values")
        case "pairs":
            return Value("pairs", _pairs(plain), "", fault)
    return Value(show, plain, "", fault)


def _pairs(plain: Mapping[str, Any]) -> list[tuple[str, Any]]:
    if not all(isinstance(each, str | int | float) for each in plain.values()):
        raise ValueError("not a map of single values")
    return sorted(plain.items())


# --- the columns of a list


def headings(entity: str, columns: Sequence[Column], roles: frozenset[str]) -> list[Heading]:
    shown = [column for column in columns if field_policy.sees(roles, entity, column.path)]
    return [_heading(column, book(entity).get(column.path)) for column in shown]


def _heading(column: Column, row: Row | None) -> Heading:
    numeric = column.show in ("sum", "count") or (row is not None and row.kind in ("number", "whole number"))
    # Where the label says what is counted, the unit would say it twice.
    label = column.label or (row.label if row else "") or column.path
    unit = row.unit if row is not None and numeric and row.unit not in label.lower() else ""
    return Heading(column=column, label=label, unit=unit, numeric=numeric, row=row)


def cell(item: Raw, heading: Heading) -> Value:
    value = raw_items.value_at(item, heading.column.path)
    shown = value_of(value, heading.row)
    if shown.fault or shown.show == "none":
        return shown
    match heading.column.show:
        case "sum":
            return Value("number", f"{sum(number for _, number in shown.value):g}")
        case "count":
            return Value("number", str(len(shown.value)))
        case "":
            return shown
    return Value(heading.column.show, shown.value)


# --- a whole item


def sheet(item: Raw, entity: str, gone: list[Withheld]) -> Sheet:
    """Every attribute that is left after `visible`, in the codebook's order, with what is wrong with it."""
    rows = book(entity)
    groups = [*_groups(item, rows)]
    named = [
        (field.path, field.value.fault) for group in groups for field in group.fields if field.value.fault
    ]
    missing = set(_missing(item, rows, "")) - {_generic(each.path) for each in gone}
    named += [(each.path, each.fault) for each in gone if each.fault]
    faults = [f"{path} {fault}" for path, fault in named]
    return Sheet(groups, faults + [f"{path} is missing" for path in rows if path in missing])


def _generic(path: str) -> str:
    return re.sub(r"\[\d+\]", "[]", path)


def _groups(item: Raw, rows: Mapping[str, Row]) -> Iterator[Group]:
    names = _ordered(item, rows, "")
    single = [name for name in names if not _nests(item[name], rows.get(name))]
    fields = [_field(name, item[name], rows.get(name), bool(rows)) for name in single if name not in KEYS]
    yield Group(path="", title="Attributes", meaning="", fields=fields)
    for name in names:
        if name not in single:
            yield from _nested(name, item[name], rows)


def _nested(name: str, value: Raw, rows: Mapping[str, Row]) -> Iterator[Group]:
    """A map is a group; so is each entry of a list of maps."""
    row = rows.get(name)
    title = (row.label if row else "") or name
    entries = [(name, value, title)]
    if "L" in value:
        count = len(value["L"])
        entries = [
            (f"{name}[{n}]", each, f"{title}, {n + 1} of {count}") for n, each in enumerate(value["L"])
        ]
    for path, entry, heading in entries:
        yield Group(
            path=path,
            title=heading,
            meaning=row.meaning if row else "",
            fields=list(_walk(path, entry, rows)),
        )


def _walk(path: str, value: Raw, rows: Mapping[str, Row]) -> Iterator[Field]:
    row = rows.get(_generic(path))
    inside = _generic(path).endswith("[]") or _nests(value, row)
    if "M" in value and inside:
        for name in _ordered(value["M"], rows, f"{_generic(path)}."):
            yield from _walk(f"{path}.{name}", value["M"][name], rows)
    elif "L" in value and inside:
        for n, each in enumerate(value["L"]):
            yield from _walk(f"{path}[{n}]", each, rows)
    else:
        yield _field(path, value, row, bool(rows))


def _nests(value: Raw, row: Row | None) -> bool:
    """Whether what is inside is shown by itself."""
    if "M" in value:
        return bool(value["M"]) and (row is None or row.kind == "map")
    listed = "L" in value and bool(value["L"]) and all("M" in each for each in value["L"])
    return listed and (row is None or row.kind == "list of maps")


def _ordered(inner: Raw, rows: Mapping[str, Row], prefix: str) -> list[str]:
    """The codebook's order, and what it does not know at the end by name."""
    known = {path.removeprefix(prefix): place for place, path in enumerate(rows) if path.startswith(prefix)}
    return sorted(inner, key=lambda name: (known.get(name, len(known) + len(rows)), name))


def _field(path: str, value: Raw, row: Row | None, known: bool) -> Field:
    name = path if path.endswith("]") else path.rpartition(".")[2]
    return Field(
        path=path,
        label=(row.label if row else "") or name,
        meaning=row.meaning if row else "Not in the data dictionary." if known else "",
        stands_for=row.values.get(str(value.get("S")), "") if row else "",
        unit=row.unit if row else "",
        value=value_of(value, row),
    )


def _missing(inner: Raw, rows: Mapping[str, Row], prefix: str) -> Iterator[str]:
    """Paths of the codebook that are required where they would lie, and are not there."""
    for name in _children(rows, prefix):
        row, value = rows[f"{prefix}{name}"], inner.get(name)
        if value is None or "NULL" in value:
            if row.required:
                yield row.path
        elif row.kind == "map" and "M" in value:
            yield from _missing(value["M"], rows, f"{row.path}.")
        elif row.kind == "list of maps" and "L" in value:
            for each in value["L"]:
                yield from _missing(each.get("M", {}), rows, f"{row.path}[].")


def _children(rows: Mapping[str, Row], prefix: str) -> list[str]:
    names = (path.removeprefix(prefix) for path in rows if path.startswith(prefix))
    return [name for name in names if not re.search(r"[.\[]", name)]
