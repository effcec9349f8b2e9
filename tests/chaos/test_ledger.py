"""The comparison of what was sent with what is stored notices what may be wrong with a session's items."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from sessions_app import study
from sessions_app.domain.session.record import Run
from support.cast import brought_to, items_of, started
from tests.chaos.ledger import Ledger
from tests.journeys.test_chromium import plain

Items = list[dict[str, Any]]


def record(items: Items, kind: str) -> dict[str, Any]:
    return next(item for item in items if item["entity_type"] == kind)


def questions(items: Items) -> Items:
    found: Items = record(items, "assessment")["questions"]
    return found


def is_gone(items: Items) -> None:
    questions(items).pop()


def record_is_gone(items: Items) -> None:
    items.remove(record(items, "intervention"))


def is_another(items: Items) -> None:
    questions(items)[2]["student_answer"] += "."


def change_places(items: Items) -> None:
    one, other = questions(items)[3:5]
    one["student_answer"], other["student_answer"] = other["student_answer"], one["student_answer"]


def is_there_twice(items: Items) -> None:
    items.append(deepcopy(record(items, "intervention")))


def nobody_sent_it(items: Items) -> None:
    questions(items).append(deepcopy(questions(items)[9]))


def came_twice(items: Items) -> None:
    items.append({"entity_type": "answer_conflict", "question": "q_003", "text": "Another text."})


def is_too_old(items: Items) -> None:
    questions(items)[5]["answered_at"] = "2020-01-01T00:00:00Z"


TAMPERED: dict[Callable[[Items], None], str] = {
    is_gone: "lost",
    record_is_gone: "lost",
    is_another: "changed",
    change_places: "changed",
    is_there_twice: "double",
    nobody_sent_it: "unsent",
    came_twice: "conflict",
    is_too_old: "disorder",
}


def sent(run: Run) -> dict[str, str]:
    """What `brought_to` answers."""
    items = enumerate(study.package().assessment, 1)
    told = {f"baseline/{n}": item.correct_answer or "The river moved the wheels." for n, item in items}
    return told | {f"questions-4/{number}": "I saw the river." for number in (1, 2, 3)}


def test_it_notices_whatever_differs(table: str, dynamodb: Any) -> None:
    run = brought_to(started("L4-I3-S"), "final/1")
    ledger = Ledger(run.id, sent(run))
    stored = [plain(raw) for raw in items_of(dynamodb, table, run.id)]
    assert ledger.differences(stored) == []
    for tamper, kind in TAMPERED.items():
        items = deepcopy(stored)
        tamper(items)
        assert kind in {difference.kind for difference in ledger.differences(items)}, tamper.__name__
