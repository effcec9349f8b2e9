"""Class lists as people send them: read with every problem named by line, and stored by nobody here."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from ..consent.agreement import AgeOutsideStudy, Ages
from ..models.student import DEPTHS, STYLES
from . import codes

MAX_ROWS: Final = 45
"""A class. Each student takes two parts of one transaction, which holds a hundred."""
MAX_BYTES: Final = 200_000
COLUMNS: Final = {
    "age": "in whole years",
    "grade": "a number from 1 to 16",
    "richmond": "yes or no: lives in Richmond",
    "code": "optional: a code on printed cards, such as river-oak-7; drawn when empty",
    "depth": f"optional: {', '.join(DEPTHS)}",
    "style": f"optional: {', '.join(STYLES)}",
    "topics": "optional: civil_war, richmond_history, industrial_history, or none; separated by spaces",
}
REQUIRED: Final = ("age", "grade", "richmond")
TOPICS: Final = ("civil_war", "richmond_history", "industrial_history")
PERSONAL: Final = ("name", "birth", "dob", "mail", "phone", "address", "parent", "guardian")
YES_NO: Final = {
    "yes": True,
    "y": True,
    "true": True,
    "1": True,
    "no": False,
    "n": False,
    "false": False,
    "0": False,
}
FORMULA: Final = ("=", "+", "@", "\t")
TEMPLATE: Final = "code,age,grade,richmond,depth,style,topics\r\n"


class NotAList(ValueError):
    """The whole of what was sent cannot be a class list; the message is for the screen."""


@dataclass(frozen=True, slots=True)
class Row:
    age: int
    grade_level: int
    richmond_resident: bool
    code: str = ""
    learning_profile: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the list: its row, or what is wrong with it."""

    number: int
    cells: tuple[str, ...]
    row: Row | None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    columns: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def rows(self) -> list[Row]:
        return [line.row for line in self.lines if line.row]

    @property
    def is_clean(self) -> bool:
        return bool(self.lines) and all(line.row for line in self.lines)

    @property
    def sha256(self) -> str:
        rows = json.dumps([asdict(row) for row in self.rows], sort_keys=True)
        return hashlib.sha256(rows.encode()).hexdigest()


def decoded(data: bytes) -> str:
    """The text of an uploaded file. Raises NotAList for a photo, a workbook, a huge file."""
    if len(data) > MAX_BYTES:
        raise NotAList("This file is too large for a class list. Export the list as CSV and send that.")
    if data.startswith(b"PK"):
        raise NotAList(
            "This is a workbook, not a CSV file. In the spreadsheet, choose “Save as” and then CSV."
        )
    try:
        text = data.decode("utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if any(ord(each) < 32 and each not in "\r\n\t" for each in text):
        raise NotAList("This is not a CSV file; it looks like a picture or a program. Send the list as CSV.")
    return text


def read(text: str, *, ages: Ages) -> Sheet:
    """Separated by commas, semicolons, or tabs. Raises NotAList where the whole list is at fault."""
    if len(text) > MAX_BYTES:
        raise NotAList("This text is too long for a class list.")
    text = text.lstrip("\ufeff").strip("\r\n")
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    try:
        table = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise NotAList(f"This list cannot be read as CSV ({error}).") from None
    if not table:
        raise NotAList("There is nothing in this list.")
    columns = _columns(table[0])
    filled = [(at, cells) for at, cells in enumerate(table[1:], 2) if any(cell.strip() for cell in cells)]
    if not filled:
        raise NotAList("The list has column names, but no students.")
    if len(filled) > MAX_ROWS:
        raise NotAList(
            f"The list has {len(filled):,} students. A class has at most {MAX_ROWS}: split the list."
        )
    lines = [_line(at, cells, columns, ages) for at, cells in filled]
    return Sheet(columns, tuple(_without_repeated_codes(lines)))


def _columns(header: list[str]) -> tuple[str, ...]:
    names = tuple(cell.strip().casefold() for cell in header)
    for name in names:
        if any(word in name for word in PERSONAL):
            raise NotAList(
                f"The column “{name[:40]}” looks personal. Names stay on paper: remove the column."
            )
    unknown = [name[:40] for name in names if name not in COLUMNS]
    if unknown:
        raise NotAList(f"“{unknown[0]}” is not a column of a class list. Columns are {', '.join(COLUMNS)}.")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise NotAList(f"The column “{missing[0]}” is missing.")
    if len(set(names)) < len(names):
        raise NotAList("Two columns have the same name.")
    return names


def _line(number: int, cells: list[str], columns: tuple[str, ...], ages: Ages) -> Line:
    plain = tuple(cell.strip() for cell in cells)
    shown = tuple(cell[:40] for cell in plain[: len(columns)])
    if len(plain) > len(columns) and any(plain[len(columns) :]):
        return Line(number, shown, None, ("has more cells than there are columns",))
    values = dict(zip(columns, plain, strict=False))
    problems: list[str] = []
    if any(cell.startswith(FORMULA) for cell in plain):
        return Line(number, shown, None, ("has a formula; write the value",))
    row = Row(
        age=_age(values, ages, problems),
        grade_level=_number(values, "grade", 1, 16, problems),
        richmond_resident=_choice(values, "richmond", YES_NO, problems),
        code=_code(values, problems),
        learning_profile=_learning_profile(values, problems),
    )
    return Line(number, shown, None if problems else row, tuple(problems))


def _number(values: dict[str, str], column: str, least: int, most: int, problems: list[str]) -> int:
    text = values.get(column, "")
    if text.isascii() and text.isdecimal() and len(text) <= 3 and least <= int(text) <= most:
        return int(text)
    problems.append(f"{column}: a whole number from {least} to {most}")
    return 0


def _age(values: dict[str, str], ages: Ages, problems: list[str]) -> int:
    age = _number(values, "age", 5, 120, problems)
    if age:
        try:
            ages.check(age)
        except AgeOutsideStudy as error:
            problems.append(f"age: {error}")
    return age


def _choice(values: dict[str, str], column: str, known: dict[str, Any], problems: list[str]) -> Any:
    value = values.get(column, "").casefold()
    if value not in known:
        problems.append(f"{column}: one of {', '.join(name for name in known if len(name) > 1)}")
    return known.get(value)


def _code(values: dict[str, str], problems: list[str]) -> str:
    text = values.get("code", "")
    code = codes.as_stored(text)
    if text and not codes.is_code(code):
        problems.append("code: looks like river-oak-7, or is left empty")
    return code


def _learning_profile(values: dict[str, str], problems: list[str]) -> dict[str, Any]:
    profile: dict[str, Any] = {}
    for column, name, known in (("depth", "depth_preference", DEPTHS), ("style", "learning_style", STYLES)):
        if values.get(column):
            profile[name] = _choice(values, column, {each: each for each in known}, problems)
    if values.get("topics"):
        topics = values["topics"].casefold().split()
        if not set(topics) <= {*TOPICS, "none"}:
            problems.append(f"topics: of {', '.join(TOPICS)}, or none")
        profile["prior_knowledge_topics"] = [topic for topic in topics if topic != "none"]
    return profile


def _without_repeated_codes(lines: list[Line]) -> list[Line]:
    seen: dict[str, int] = {}
    checked = []
    for line in lines:
        code = line.row.code if line.row else ""
        if code and code in seen:
            line = Line(line.number, line.cells, None, (f"code: {code} is in line {seen[code]}, too",))
        elif code:
            seen[code] = line.number
        checked.append(line)
    return checked


def near_duplicates(rows: list[Row]) -> list[tuple[str, str]]:
    """Pairs of given codes of which one may be the other, misspelled."""
    given = [row.code for row in rows if row.code]
    known = set(given)
    pairs = {
        tuple(sorted((code, other))) for code in given for other in codes.similar(code) if other in known
    }
    return sorted((one, other) for one, other in pairs)
