"""A session that another client left running goes on here: the student's next answer is stored."""

from __future__ import annotations

from typing import Any

import pytest

from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from support.bot import Bot, answers_to
from support.cast import signed_in
from tests.foreign import kinds

pytestmark = pytest.mark.django_db


def stored(dynamodb: Any, table: str, items: list[kinds.Typed]) -> str:
    for item in items:
        dynamodb.put_item(TableName=table, Item=item)
    return str(kinds.part(items, "session")["PK"]["S"]).removeprefix(keys.SESSION_PREFIX)


def raw(dynamodb: Any, table: str, item: kinds.Typed) -> kinds.Typed:
    found: kinds.Typed = dynamodb.get_item(TableName=table, Key={"PK": item["PK"], "SK": item["SK"]})["Item"]
    return found


def test_the_last_answer_of_a_session_with_naive_timestamps(table: str, dynamodb: Any) -> None:
    items = kinds.from_file()["running_naive_updated"]
    session_id = stored(dynamodb, table, items)
    assert Run.load(session_id).step.slug == "survey"  # type: ignore[union-attr]  # it is running
    bot = Bot(signed_in("admin"))
    page = bot.open(f"/run/{session_id}/")
    page = bot.send(page, **answers_to(page))
    assert page.path.endswith("/done/")
    run = Run.load(session_id)
    assert run.session.completion_status.completed is True
    assert "naive_timestamp" in run.session.metadata.data_quality_flags
    assert "naive_timestamp" in str(raw(dynamodb, table, items[0])["metadata"])


ODD: dict[str, dict[str, kinds.Typed | None]] = {
    "text for the version": {"metadata.version": {"S": "one"}, "metadata.created_at": kinds.NUL},
    "a number as text": {"metadata.version": {"S": "1"}},
    "no version": {"metadata.version": None, "completion_status.interventions_completed": kinds.NUL},
    "no metadata": {"metadata": None},
    "a naive start": {"timeline.session_start": {"S": f"{kinds.today()}T00:00:01"}},
}


@pytest.mark.parametrize("changes", ODD.values(), ids=ODD.keys())
def test_a_baseline_that_another_client_began(
    table: str, dynamodb: Any, changes: dict[str, kinds.Typed | None]
) -> None:
    items = kinds.fresh()
    session, assessment, profile = (
        kinds.part(items, kind) for kind in ("session", "assessment", "student_profile")
    )
    for path in ("completed", "baseline_completed", "content_completed", "final_assessment_completed"):
        kinds.put(session, f"completion_status.{path}", {"BOOL": False})
    kinds.put(session, "timeline.session_end", None)
    kinds.put(assessment, "assessment_results", None)
    for path, value in changes.items():
        kinds.put(session, path, value)
        if path.startswith("metadata"):
            kinds.put(assessment, path, value)
    session_id = stored(dynamodb, table, [session, assessment, profile])
    bot = Bot(signed_in("admin"))
    page = bot.open(f"/run/{session_id}/")
    for number in range(4, 11):
        assert page.path.endswith(f"/baseline/{number}/")
        page = bot.send(page, **answers_to(page))
    assert page.path.endswith("/format/")
    run = Run.load(session_id)
    assert len(run.assessments["baseline"].questions) == 10
    assert run.session.completion_status.baseline_completed is True
    for path, value in changes.items():  # what nobody could read is as it was
        if value == kinds.NUL and path.startswith("metadata"):
            assert raw(dynamodb, table, session)["metadata"]["M"][path.split(".")[1]] == kinds.NUL
