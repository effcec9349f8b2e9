"""Who gets what: which columns a profile has, what stands in them, and whose data are in it at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from sessions_app.domain import consent
from sessions_app.domain.models import Student
from socratic_site.local import kept_secret

from . import columns as c
from . import levels, suppression
from .codes import Coder
from .columns import (
    ARM,
    CELL,
    DESIGN,
    DIRECT,
    EXACT,
    ID,
    NUMBER,
    PLACE,
    TEXT,
    WORDS,
    YES_NO,
    Column,
    Map,
    Objects,
)

LEFT_OUT: Final[Mapping[str, frozenset[str]]] = {
    "full": frozenset(),
    "coded": frozenset({DIRECT}),
    "public": frozenset({DIRECT, EXACT, WORDS}),
}
INSIDE_THE_STUDY: Final = frozenset({"not_shared", "needs_reconsent", "returned", "unreviewed"})
"""Reasons that keep data from others, not from the study itself, for which a full export is."""
VOID_REASONS: Final = {
    "void_wrong_student": "The session was marked void: another student took it.",
    "void_spoiled": "The session was marked void: something spoiled it.",
    "void_other": "The session was marked void for another reason.",
}
REASONS: Final = {
    "simulated": "Made by the simulation, not by a student; included only where asked for.",
    "withdrawn": "Consent was withdrawn.",
    "consent_missing": "Permission or assent is not there, or was refused.",
    "not_shared": "The family does not want the data shared with others.",
    "needs_reconsent": "A new form must be agreed to first.",
    "returned": "The review board returned the consent.",
    "unreviewed": "The review board has not accepted the consent yet (setting EXPORT_UNREVIEWED).",
    "no_profile": "There is no profile that says what was consented to.",
    "unreadable": "Another client stored the session without what it takes to read it.",
    "gone": "The session disappeared while the export was made.",
    **VOID_REASONS,
    "too_few": "Fewer than 11 participants in all: nothing can be told of them in public.",
}


# --- whose data


def obstacle(profile: Map | None, session: Map, *, kind: str, simulated: bool) -> str | None:
    """Why a session stays out, as a key of REASONS; None where it is in.

    Consent is judged by the one rule of the domain, on the profile alone. Nobody reviews the consent of a
    simulated student.
    """
    if profile is None:
        return "no_profile"
    is_simulated = any(c.value({"x": item}, "x", "metadata.simulated", YES_NO) for item in (profile, session))
    if is_simulated and not simulated:
        return "simulated"
    if c.at(session, ("metadata", "void")):
        reason = f"void_{c.value({'x': session}, 'x', 'metadata.void.kind', TEXT)}"
        return reason if reason in VOID_REASONS else "void_other"
    try:
        student = Student.from_raw_data(dict(profile))
        refusal = consent.may_export(student, unreviewed=is_simulated or bool(settings.EXPORT_UNREVIEWED))
    except (AttributeError, KeyError, TypeError, ValueError):
        return "consent_missing"  # a profile of another writer that does not say it
    return None if kind == "full" and refusal in INSIDE_THE_STUDY else refusal


# --- codes instead of ids


def study_key() -> bytes:
    """The secret behind the codes: with another key a student gets other codes."""
    return (settings.EXPORT_KEY or kept_secret(Path(settings.VAR_DIR) / "export_key", length=60)).encode()


# --- what of a row


def columns_of(level: str, kind: str) -> tuple[Column, ...]:
    """Empty where the profile does not have the table."""
    if kind == "public" and level in levels.NOT_PUBLIC:
        return ()
    return tuple(column for column in levels.columns(level) if column.guard not in LEFT_OUT[kind])


Reader = Callable[[Objects], Any]


@dataclass(slots=True)
class Plan:
    """Reads a row of one table for one profile. `unreadable` counts, by column, what was of another type."""

    level: str
    columns: tuple[Column, ...]
    readers: tuple[Reader, ...]
    unreadable: dict[str, int]

    @classmethod
    def of(cls, level: str, kind: str, coder: Coder) -> Plan:
        found = columns_of(level, kind)
        guards: Mapping[str, Callable[[Column], Reader]] = {} if kind == "full" else {ID: coded(coder)}
        if kind == "public":
            guards = {
                **guards,
                CELL: _cell,
                ARM: _unless("arm"),
                PLACE: _unless("place"),
                DESIGN: _unless("arm", "place"),
            }
        readers = tuple(guards.get(column.guard, _as_it_is)(column) for column in found)
        return cls(level, found, readers, {})

    def row(self, objects: Objects) -> list[Any]:
        return [
            self._value(column, reader, objects)
            for column, reader in zip(self.columns, self.readers, strict=True)
        ]

    def _value(self, column: Column, reader: Reader, objects: Objects) -> Any:
        try:
            return reader(objects)
        except c.Unreadable:
            self.unreadable[column.name] = self.unreadable.get(column.name, 0) + 1
            return None


def _as_it_is(column: Column) -> Reader:
    return column.of


def coded(coder: Coder) -> Callable[[Column], Reader]:
    def guard(column: Column) -> Reader:
        def code(objects: Objects) -> str | None:
            value = column.of(objects)
            return None if value is None else coder.code(column.name, str(value))

        return code

    return guard


# --- for the public: what enough others share

_CIRCUMSTANCE: Final = {"intervention_type": "type", "richmond_resident": "resident"}


def circumstances(objects: Objects) -> suppression.Cell:
    """In the order of suppression.CIRCUMSTANCES."""
    condition = "experimental_condition"
    return (
        c.value(objects, "session", f"{condition}.location", TEXT),
        c.value(objects, "session", f"{condition}.intervention_type", TEXT),
        c.value(objects, "session", f"{condition}.interval_minutes", NUMBER),
        levels.age_band(objects),
        objects["week"],
        c.value(objects, "session", "student_metadata.richmond_resident", YES_NO),
    )


def shown(told: suppression.Cell) -> dict[str, Any]:
    """What the guards ask of: the circumstances that may be told, and what must not be given away."""
    named = dict(zip(suppression.CIRCUMSTANCES, told, strict=True))
    hides = {
        name
        for name, parts in (("arm", ("interval", "type")), ("place", ("location",)))
        if any(named[part] is None for part in parts)
    }
    return {"told": named, "hides": hides}


def tells_arm(level: str, objects: Objects) -> bool:
    """Whether rows of this table would give away what this session hides."""
    return level in levels.TELLS_ARM and "arm" in objects["hides"]


def _cell(column: Column) -> Reader:
    if column.name == "condition":
        return lambda objects: None if objects["hides"] else column.of(objects)
    name = _CIRCUMSTANCE.get(column.name, column.name)
    return lambda objects: objects["told"][name]


def _unless(*names: str) -> Callable[[Column], Reader]:
    return lambda column: lambda objects: None if objects["hides"] & set(names) else column.of(objects)


def first_cells(found: Iterable[tuple[bool, suppression.Cell]]) -> dict[suppression.Cell, int]:
    """Participants by cell, each counted at the first session (`is_first`); cells without one count 0."""
    counts: dict[suppression.Cell, int] = {}
    for is_first, cell in found:
        counts[cell] = counts.get(cell, 0) + is_first
    return counts
