"""Sessions that were left behind are closed with all they hold; one that moves is not."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sessions_app.domain.session import abandoned
from sessions_app.domain.session.record import Run, SessionClosed

from .cast import Participant, enrol, reason_of, start_in

DAY = timedelta(hours=24)
Everything = Callable[[], list[dict[str, Any]]]


def left(participant: Participant, *, later: timedelta = DAY + timedelta(minutes=1)) -> list[str]:
    """Ids of the sessions found and closed, so long after the participant's last step."""
    now = participant.now + later
    found = abandoned.left_behind(now=now, after=DAY, days=3)
    return [s.session_id for s in found if abandoned.close(s.session_id, now=now, after=DAY)]


@pytest.mark.parametrize("step", ["baseline/1", "format", "segment-2", "questions-2/2", "final/4", "survey"])
def test_what_was_given_stays_and_the_status_is_honest(table: str, step: str) -> None:
    participant = Participant.in_condition("L4-I2-D").walk_to(step)
    before = Run.load(participant.run.id)
    assert left(participant) == [participant.run.id]

    after = Run.load(participant.run.id)
    assert after.session.state == "abandoned"
    assert after.session.completion_status.completed is False
    assert after.session.completion_status.serialize(
        after.session.completion_status
    ) == before.session.completion_status.serialize(before.session.completion_status)
    assert after.done == before.done
    assert after.session.timeline.session_end is not None
    with pytest.raises(SessionClosed):
        after.expect("survey", 1)


def test_it_is_told_in_the_audit_log(table: str, everything: Everything) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("baseline/4")
    left(participant)
    (told,) = [item for item in everything() if item.get("action") == "session.stop"]
    assert (told["by"], reason_of(told)) == ("system", abandoned.REASON)
    assert told["old"]["step"] == "baseline/4"


def test_a_second_look_changes_nothing(table: str, everything: Everything) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("baseline/4")
    left(participant)
    once = everything()
    assert left(participant) == []
    assert everything() == once


def test_sessions_that_run_or_are_complete_are_left_alone(table: str, everything: Everything) -> None:
    Participant.in_condition("L4-I3-S").walk()
    participant = Participant.in_condition("L4-I3-S").walk_to("segment-2")
    before = everything()
    assert left(participant, later=DAY) == []
    assert everything() == before


def test_answers_inside_a_stage_are_signs_of_life(table: str) -> None:
    """METADATA was written a day ago; the last answer was not."""
    participant = Participant.in_condition("L4-I3-S").walk_to("final/1")
    participant.after(20 * 3600)
    participant.answer_item("final", 1)
    assert left(participant, later=timedelta(hours=5)) == []
    assert left(participant) == [participant.run.id]


@pytest.mark.parametrize(
    "step", ["baseline/1", "baseline/3", "format", "segment-1", "questions-4/2", "survey"]
)
def test_a_session_that_moves_in_that_moment_is_not_closed(
    table: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to(step)
    unmoved, tomorrow = abandoned._unmoved, participant.now + DAY + timedelta(minutes=1)

    def overtaken(transaction: Any, run: Run, step_now: Any) -> None:
        unmoved(transaction, run, step_now)
        participant.now = tomorrow
        participant.run = Run.load(participant.run.id)
        if step == "segment-1":
            participant.report(1, position=5, played=5)
        else:
            participant.take_step()

    monkeypatch.setattr(abandoned, "_unmoved", overtaken)
    assert not abandoned.close(participant.run.id, now=tomorrow, after=DAY)
    assert Run.load(participant.run.id).session.state in ("running", "completed")


def test_it_costs_one_query_a_day_and_never_a_scan(table: str, requests_made: list[str]) -> None:
    run = start_in("L4-I3-S", enrol())
    requests_made.clear()
    found = list(abandoned.left_behind(now=run.session.start + 2 * DAY, after=DAY, days=3))
    assert [session.session_id for session in found] == [run.id]
    assert requests_made == ["Query"] * 4
