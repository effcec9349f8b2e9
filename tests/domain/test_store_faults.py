"""Whole sessions while the store throttles, cancels, loses replies and lags: nothing lost, nothing double."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sessions_app.domain.consent import form_texts
from sessions_app.domain.simulation import cohort as simulated_cohort
from sessions_app.domain.store import keys
from sessions_app.domain.tutor.scripted import ScriptedTutor
from tests.faulty_store import FaultyStore

from .cast import NOON, PACKAGE, Participant

Everything = Callable[[], list[dict[str, Any]]]


def walk_the_same_student() -> None:
    """The same condition, ids, answers and times, whenever it is called."""
    cohort = simulated_cohort.Cohort(
        size=1,
        seed=7,
        package=PACKAGE,
        tutor=ScriptedTutor(),
        now=datetime(2026, 3, 20, 17, tzinfo=UTC),
        zone=ZoneInfo("America/New_York"),
        condition=keys.Condition.from_code("L4-I1-D"),
    )
    simulated_cohort.walk(cohort, 0, simulated_cohort.admit(cohort, 0))


def timeless(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what the clock of this machine measured, and the random ids and salts of the audit log."""
    for item in items:
        if item["entity_type"] in ("audit_entry", "audit_reason"):
            item["SK"] = item["SK"].replace(item.pop("entry_id"), "")
            for drawn in ("salt", "reason_sha256"):
                item.pop(drawn, None)
        asked = [*item.get("socratic_sequence", []), item]
        for each in asked:
            each.get("question_metadata", {}).pop("generation_time_ms", None)
        item.get("ai_metadata", {}).pop("avg_generation_time_ms", None)
    return sorted(items, key=lambda item: (item["PK"], item["SK"]))


@dataclass
class Calm:
    """A session without any fault: what it left in the table, and how many requests it took."""

    items: list[dict[str, Any]]
    requests: int


@pytest.fixture
def calm(table: str, raw: Any, everything: Everything) -> Calm:
    """The table is empty again afterwards."""
    with FaultyStore(seed=0) as counting:
        walk_the_same_student()
    with raw.batch_writer() as batch:
        for item in (items := everything()):
            batch.delete_item(Key={"PK": item["PK"], "SK": item["SK"]})
    form_texts.KEPT.clear()  # what this process knows to be stored is not stored any more
    return Calm(timeless(items), counting.counted["tries"])


def test_what_is_stored_is_the_same_to_the_last_attribute_whatever_the_store_does(
    calm: Calm, everything: Everything
) -> None:
    """Each fault costs one more try: layers of retries on top of each other would multiply."""
    with FaultyStore(seed=1, throttled=0.2, conflicts=0.1, lost_replies=0.05) as faults:
        walk_the_same_student()
    struck = [faults.counted[name] for name in ("throttled", "conflicts", "lost_replies")]
    assert timeless(everything()) == calm.items
    assert len(calm.items) > 15
    assert min(struck) >= 2
    assert faults.counted["tries"] == calm.requests + sum(struck)


@pytest.mark.parametrize("code", ["L1-I1-D", "L4-I3-S"])
def test_a_session_never_waits_for_an_index(table: str, code: str) -> None:
    """The clock stands still for the indexes: they show nothing of what these students do."""
    with FaultyStore(seed=3, lag_seconds=5, clock=lambda: NOON) as faults:
        participant = Participant.in_condition(code).walk()
    assert participant.run.session.completion_status.completed
    assert faults.counted["tries"] > 20
