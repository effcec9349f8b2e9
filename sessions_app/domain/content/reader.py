"""Reading the files of a content package so that every fault is kept, with its file and its field."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

M = TypeVar("M", bound=BaseModel)

_FENCE = "+++"


class Fault(NamedTuple):
    """One thing wrong with a package: the file (relative to the package), the field, and what is wrong."""

    file: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.field}: {self.message}"


@dataclass
class Reader:
    """Reads one package; what cannot be read or built becomes a fault, and reading goes on."""

    folder: Path
    faults: list[Fault] = field(default_factory=list)

    def blame(self, file: str, field: str, message: str) -> None:
        self.faults.append(Fault(file, field, message))

    def blame_all(self, file: str, found: Iterable[tuple[str, str]], *, under: str = "") -> None:
        """Faults found by a rule: (field, message) pairs, the fields inside the entry `under`."""
        for name, message in found:
            self.blame(file, _join(under, name), message)

    def text(self, name: str) -> str | None:
        """The file as text with `\\n` line ends (so that a form's hash is the same on every system)."""
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            self.blame(name, "file", "is missing")
        except (OSError, UnicodeDecodeError) as error:
            self.blame(name, "file", f"cannot be read: {error}")
        return None

    def toml(self, name: str) -> dict[str, Any] | None:
        text = self.text(name)
        return None if text is None else self._parse(name, text)

    def entries(self, name: str, key: str) -> list[dict[str, Any]]:
        """The `[[key]]` tables of a file, which may hold nothing else."""
        raw = self.toml(name)
        if raw is None:
            return []
        for other in raw.keys() - {key}:
            self.blame(name, other, "is not a known field")
        found = raw.get(key)
        if isinstance(found, list) and found and all(isinstance(entry, dict) for entry in found):
            return found
        self.blame(name, key, f"is missing: write one [[{key}]] table for each")
        return []

    def front_matter(self, name: str) -> tuple[dict[str, Any], str] | None:
        """A Markdown file with TOML between two lines `+++`: the table, and the text after it."""
        text = self.text(name)
        if text is None:
            return None
        lines = text.split("\n")
        if lines[0].strip() != _FENCE or _FENCE not in lines[1:]:
            self.blame(name, "front matter", f"must stand at the top, between two lines {_FENCE}")
            return None
        end = lines.index(_FENCE, 1)
        # The empty first line stands for the fence, so that line numbers in faults are the file's.
        raw = self._parse(name, "\n".join(["", *lines[1:end]]))
        return None if raw is None else (raw, "\n".join(lines[end + 1 :]))

    def build(self, model: type[M], raw: dict[str, Any], *, file: str, under: str = "") -> M | None:
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            found = error.errors(include_url=False)
        self.blame_all(file, ((_path(each), _message(each)) for each in found), under=under)
        return None

    def _parse(self, name: str, text: str) -> dict[str, Any] | None:
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            line = re.search(r"at line (\d+)", str(error))
            number = line[1] if line else str(text.count("\n") + 1)
            self.blame(name, f"line {number}", f"is not valid TOML: {error}")
        return None


def _join(under: str, name: str) -> str:
    return f"{under}.{name}" if under and name else under or name


def _path(error: ErrorDetails) -> str:
    """`("rubric", 0, "points")` -> `rubric[1].points`: people count from one."""
    path = ""
    # pydantic marks a bad key of a table with a last part of its own, which says nothing to an editor.
    for part in (each for each in error["loc"] if each != "[key]"):
        path = f"{path}[{part + 1}]" if isinstance(part, int) else _join(path, part)
    return path


def _message(error: ErrorDetails) -> str:
    if error["type"] in ("missing", "missing_argument"):
        return "is missing"
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return "is not a known field"
    message = error["msg"].removeprefix("Value error, ")
    return f"{message} (found: {str(error['input'])[:60]!r})"
