"""Who gets what: which columns a profile has, what stands in them, and whose data are in it at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from sessions_app.domain.consent import decisions as consent_decisions
from sessions_app.domain.models import Student
from sessions_app.private_files import kept_secret

from . import columns as c
from . import grouping, tables
from .columns import ID, NUMBER, TEXT, WHOLE, YES_NO, Column, Map, Objects
from .pseudonyms import Coder
from .read import BadChoice

INSIDE_THE_STUDY: Final = frozenset({"not_shared", "needs_reconsent", "returned", "unreviewed"})
"""Reasons that keep data from others, not from the study itself, for which a full export is."""
VOID_REASONS: Final = {
    "void_wrong_student": "The session was marked void: another student took it.",
    "void_spoiled": "The session was marked void: its data are unusable.",
    "void_other": "The session was marked void for another reason.",
}
REASONS: Final = {
    "practice": "For training; in no export.",
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
    "incomplete": "Not completed, or without a score before and after.",
    "later_allocation": "In another condition than the participant's first session.",
    "later_session": "Public data have each participant once, with the first completed attempt.",
    "too_few": "Too few participants at this location to hide each among the others.",
}


# --- whose data


def obstacle(profile: Map | None, session: Map, *, kind: str, simulated: bool) -> str | None:
    """Why a session stays out, as a key of REASONS; None where it is in.

    Consent is judged by the one rule of the domain, on the profile alone. Nobody reviews the consent of a
    simulated student.
    """
    if profile is None:
        return "no_profile"
    realms = {tables.realm_of(item) for item in (profile, session)}
    if "practice" in realms:
        return "practice"
    is_simulated = "simulated" in realms
    if is_simulated and not simulated:
        return "simulated"
    if c.at(session, ("metadata", "void")):
        reason = f"void_{c.value({'x': session}, 'x', 'metadata.void.kind', TEXT)}"
        return reason if reason in VOID_REASONS else "void_other"
    try:
        student = Student.from_raw_data(dict(profile))
        refusal = consent_decisions.may_export(
            student, unreviewed=is_simulated or bool(settings.EXPORT_UNREVIEWED)
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return "consent_missing"  # a profile of another writer that does not say it
    return None if kind == "full" and refusal in INSIDE_THE_STUDY else refusal


# --- codes instead of ids


def study_key() -> bytes:
    """The secret behind the codes: with another key a student gets other codes."""
    return (settings.EXPORT_KEY or kept_secret(Path(settings.VAR_DIR) / "export_key", length=60)).encode()


# --- what of a row


def columns_of(level: str, kind: str) -> tuple[Column, ...]:
    """Those that the field policy gives the profile; empty where it does not have the table."""
    if kind == "public" and level not in tables.PUBLIC:
        return ()
    return tuple(column for column in tables.columns(level) if kind in column.exports)


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
        code = coded(coder)
        readers = tuple(
            code(column) if column.form == ID and kind != "full" else column.of for column in found
        )
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


def coded(coder: Coder) -> Callable[[Column], Reader]:
    def guard(column: Column) -> Reader:
        def code(objects: Objects) -> str | None:
            value = column.of(objects)
            return None if value is None else coder.code(column.name, str(value))

        return code

    return guard


# --- public: groups whose members cannot be told apart

WHOLE_COLUMNS: Final = ("condition", "location", "interval", "intervention_type")
"""Exported unchanged. Interval and type were drawn by lot within a location; location counts toward k."""
GROUP_SIZE: Final = Column(
    name="group_size",
    kind=WHOLE,
    label="Participants in the group",
    of=lambda objects: None,
    source="worked out",
    note="The other numbers of the row are means over so many participants at the location.",
)


class NotPublishable(BadChoice):
    """No public export can be made that hides each participant; the message says what to do."""


def public_rule() -> grouping.Rule:
    return grouping.Rule(settings.EXPORT_PUBLIC_K, settings.EXPORT_PUBLIC_L)


def averaged() -> tuple[Column, ...]:
    """The columns of public data that are told as means; the two scores, which every row has, come first."""
    scores = [f"{kind}_score" for kind in ("final", "baseline")]
    columns = [column for column in columns_of(tables.WIDE, "public") if column.name not in WHOLE_COLUMNS]
    ordered = sorted(columns, key=lambda column: scores.index(column.name) if column.name in scores else 2)
    note = "Mean over the row's group."
    return tuple(replace(column, kind=NUMBER, choices={}, note=note) for column in ordered)


def public_row(objects: Objects) -> grouping.Row | None:
    """None for a session that is not completed, or lacks one of the scores."""
    values = tuple(_number(column, objects) for column in averaged())
    done = c.value(objects, "session", "completion_status.completed", YES_NO)
    if not done or None in values[: grouping.SCORES]:
        return None
    condition = "experimental_condition"
    return grouping.Row(
        location=str(c.value(objects, "session", f"{condition}.location", TEXT)),
        condition=str(c.value(objects, "session", f"{condition}.condition_code", TEXT)),
        interval=float(c.value(objects, "session", f"{condition}.interval_minutes", NUMBER)),
        type=str(c.value(objects, "session", f"{condition}.intervention_type", TEXT)),
        values=values,
    )


def _number(column: Column, objects: Objects) -> float | None:
    try:
        value = column.of(objects)
    except c.Unreadable:
        return None
    return None if value is None else float(value)


def public_columns(kept: Sequence[int]) -> tuple[Column, ...]:
    whole = {column.name: column for column in columns_of(tables.WIDE, "public")}
    columns = averaged()
    return (*(whole[name] for name in WHOLE_COLUMNS), *(columns[index] for index in kept), GROUP_SIZE)


def published(rows: Sequence[grouping.Row]) -> grouping.Grouped:
    """Raises NotPublishable."""
    rule = public_rule()
    result = grouping.grouped(rows, rule)
    if not result.rows:
        raise NotPublishable(
            "profile",
            f"Nothing was exported: no location has the {rule.k} participants that public data need "
            f"(completed, scored before and after, shared, accepted; {len(rows)} in all), with both kinds of "
            "questions and with different scores. Wait for more sessions, or make a coded export for "
            "researchers under an agreement. An administrator can lower EXPORT_PUBLIC_K, down to 5.",
        )
    if result.k < rule.k or result.l < rule.l:  # measured on the rows themselves, whatever the grouping did
        raise NotPublishable("profile", f"Nothing was exported: k is {result.k} and l is {result.l}.")
    return result
