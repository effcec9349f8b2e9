"""The code book: every column of every table, in the 18 columns of REDCap's data dictionary."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from sessions_app.access.field_policy import FULL

from .columns import LIST, NUMBER, TIME, WHOLE, WORDS, YES_NO, Column
from .write import ARROW, harmless

HEADER: Final = (
    "Variable / Field Name",
    "Form Name",
    "Section Header",
    "Field Type",
    "Field Label",
    "Choices, Calculations, OR Slider Labels",
    "Field Note",
    "Text Validation Type OR Show Slider Number",
    "Text Validation Min",
    "Text Validation Max",
    "Identifier?",
    "Branching Logic (Show field only if...)",
    "Required Field?",
    "Custom Alignment",
    "Question Number (surveys only)",
    "Matrix Group Name",
    "Matrix Ranking?",
    "Field Annotation",
)
VALIDATION: Final = {NUMBER: "number", WHOLE: "integer", TIME: "datetime_seconds_ymd"}


def write(path: Path, tables: Mapping[str, Iterable[Column]]) -> None:
    """A column that several tables share stands in each of them: the form's name tells them apart."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for level, columns in tables.items():
            for column in columns:
                told = _row(level, column)
                writer.writerow([harmless(told.get(name, "")) for name in HEADER])


def _row(level: str, column: Column) -> dict[str, str]:
    least, most = column.range
    choices = {} if column.kind == LIST else column.choices
    note = f"{column.note} Several are separated by semicolons." if column.kind == LIST else column.note
    return {
        "Variable / Field Name": column.name,
        "Form Name": level,
        "Field Type": _type(column),
        "Field Label": column.label,
        "Choices, Calculations, OR Slider Labels": " | ".join(
            f"{value}, {label or value}" for value, label in choices.items()
        ),
        "Field Note": " ".join(
            part for part in (f"Unit: {column.unit}." if column.unit else "", note) if part
        ),
        "Text Validation Type OR Show Slider Number": VALIDATION.get(column.kind, ""),
        "Text Validation Min": least,
        "Text Validation Max": most,
        "Identifier?": "y" if column.exports == FULL else "",
        "Field Annotation": f"{column.source}; Parquet type {ARROW[column.kind]}",
    }


def _type(column: Column) -> str:
    if column.kind == YES_NO:
        return "yesno"
    if column.choices and column.kind != LIST:
        return "radio"
    return "notes" if column.form == WORDS else "text"
