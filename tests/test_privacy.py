"""Every promise of docs/privacy.md names a test that is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

BASE = Path(__file__).parents[1]
PROMISE = re.compile(r"^\| (?P<promise>[^|]+) \| `(?P<file>tests/[\w/]+\.py)::(?P<test>test_\w+)` \|$", re.M)


def promises() -> list[re.Match[str]]:
    return list(PROMISE.finditer((BASE / "docs" / "privacy.md").read_text(encoding="utf-8")))


def names_in(file: str) -> set[str]:
    path = BASE / file
    if not path.exists():
        return set()
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


def test_each_promise_has_a_test_that_is_there() -> None:
    missing = [found["test"] for found in promises() if found["test"] not in names_in(found["file"])]
    assert missing == []


def test_every_line_of_the_table_is_a_promise_with_a_test() -> None:
    text = (BASE / "docs" / "privacy.md").read_text(encoding="utf-8")
    table = text.split("## Promises and their tests")[1]
    lines = [line for line in table.splitlines() if line.startswith("| ") and "promise | test" not in line]
    assert len(lines) == len(promises()) > 10
