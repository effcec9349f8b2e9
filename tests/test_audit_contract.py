"""Every declared audit action has a writer in the code, and a test that sees it written."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from sessions_app.domain.models.audit import ACTIONS
from sessions_app.presenters import audit_log as audit_words

BASE = Path(__file__).parents[1]
APPS = ("sessions_app", "analytics_app", "socratic_site")
DECLARATIONS = {BASE / "sessions_app/domain/models/audit.py", BASE / "sessions_app/presenters/audit_log.py"}
WRITES = frozenset({"entry", "failure", "look", "note", "record", "tell", "tell_if_possible"})
"""Functions that take an action first. Tests that call them arrange something, and see nothing."""


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def is_writing(node: ast.AST) -> bool:
    """Whether this is a call like `audit.record(...)`."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("audit", "auditing")
        and node.func.attr in WRITES
    )


def texts(node: ast.AST) -> Iterator[str]:
    """Every text below a node, but for the first argument of the functions that write an entry."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    skipped = node.args[:1] if isinstance(node, ast.Call) and is_writing(node) else []
    for child in ast.iter_child_nodes(node):
        if child not in skipped:
            yield from texts(child)


@cache
def written() -> frozenset[str]:
    """Every text in the code outside of the lists that declare and word the actions."""
    paths = [path for app in APPS for path in (BASE / app).rglob("*.py") if path not in DECLARATIONS]
    nodes = (node for path in paths for node in ast.walk(tree(path)))
    return frozenset(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))


@cache
def seen() -> frozenset[str]:
    """Every text in the tests that is not just handed to a function that writes an entry."""
    paths = (path for path in (BASE / "tests").rglob("test_*.py") if path != Path(__file__))
    return frozenset(text for path in paths for text in texts(tree(path)))


@pytest.mark.parametrize("action", ACTIONS)
def test_every_declared_action_has_a_writer(action: str) -> None:
    assert action in written()


@pytest.mark.parametrize("action", ACTIONS)
def test_every_declared_action_has_a_test_that_sees_it_written(action: str) -> None:
    assert action in seen()


def test_every_declared_action_is_worded() -> None:
    assert set(audit_words.WORDS) == set(ACTIONS)


def test_an_action_that_nobody_writes_would_be_found() -> None:
    assert "student.promote" not in written() | seen()
    arranged, asserted = "audit.record('a.b', by=ADMIN)", "assert entry.action == 'a.b'"
    assert [[*texts(ast.parse(code))] for code in (arranged, asserted)] == [[], ["a.b"]]
