"""Whose turn it is to make a question: one maker, one promise, and somebody else when the maker is gone."""

from collections.abc import Callable
from typing import Any

import pytest

from sessions_app.domain.consent.agreement import ConsentNotInForce
from sessions_app.domain.session import question_lease
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys

from .cast import PACKAGE, Participant, at_once

BEGAN = 1_772_557_200.25


@pytest.fixture
def asked(table: str) -> Participant:
    """Stands before the first question of segment 4, which nobody has made."""
    return Participant.in_condition("L4-I3-D").walk_to("questions-4/1")


def turn(run: Run, *, after: float = 0, maker: str = "one:1", gone: str = "", awaited: bool = True) -> str:
    """As a request sees it that comes so many seconds after the first."""
    return question_lease.turn(
        Run.load(run.id),
        segment_id=4,
        number=1,
        awaited=awaited,
        maker=maker,
        is_lost=lambda known: known == gone,
        at=BEGAN + after,
    )


def test_the_first_who_asks_makes_it_and_others_wait(asked: Participant) -> None:
    assert turn(asked.run) == "mine"
    assert turn(asked.run, after=1, maker="two:2") == "another's"
    assert turn(asked.run, after=8.9, maker="two:2") == "another's"


def test_of_eight_who_ask_at_once_one_makes_it(asked: Participant) -> None:
    turns = at_once(8, lambda n: turn(asked.run, maker=f"maker:{n}"))
    assert sorted(turns) == ["another's"] * 7 + ["mine"]


def test_after_nine_seconds_the_static_question_is_due_whatever_became_of_the_maker(
    asked: Participant,
) -> None:
    turn(asked.run)
    assert turn(asked.run, after=9, maker="two:2") == "late"
    assert turn(asked.run, after=9, gone="one:1") == "late"


def test_a_maker_that_is_gone_is_replaced_and_the_students_clock_goes_on(asked: Participant) -> None:
    turn(asked.run)
    assert turn(asked.run, after=4, maker="two:2", gone="one:1") == "mine"
    run = Run.load(asked.run.id)
    assert run.makings[4, 1].maker == "two:2"
    assert question_lease.seconds_left(run, segment_id=4, number=1, at=BEGAN + 4) == 4.5
    assert turn(asked.run, after=9, maker="two:2") == "late"


def test_of_eight_who_replace_a_maker_one_does(asked: Participant) -> None:
    turn(asked.run)
    turns = at_once(8, lambda n: turn(asked.run, after=2, maker=f"maker:{n}", gone="one:1"))
    assert sorted(turns) == ["another's"] * 7 + ["mine"]


def test_what_is_being_prepared_is_waited_for_and_what_was_given_up_is_made_anew(
    asked: Participant,
) -> None:
    assert turn(asked.run, awaited=False) == "mine"
    assert turn(asked.run, after=3, maker="two:2") == "another's"
    assert turn(asked.run, after=150, maker="two:2") == "mine"
    run = Run.load(asked.run.id)
    assert question_lease.seconds_left(run, segment_id=4, number=1, at=BEGAN + 150) == 8.5
    assert turn(asked.run, after=151, maker="three:3", awaited=False) == "another's"


def test_a_question_that_is_stored_is_nobodys_turn(asked: Participant, requests_made: list[str]) -> None:
    asked.question(4, 1)
    requests_made.clear()
    assert turn(asked.run) == "made"
    assert requests_made == ["Query"]


def test_a_maker_that_was_done_after_the_look_is_not_replaced(asked: Participant) -> None:
    """It is as gone as one that was killed; what it stored tells them apart."""
    turn(asked.run)
    seen = Run.load(asked.run.id)
    asked.question(4, 1)
    late = question_lease.turn(
        seen, segment_id=4, number=1, awaited=True, maker="two:2", is_lost=lambda known: True, at=BEGAN + 1
    )
    assert late == "made"


def test_without_consent_nobody_makes_a_question(
    asked: Participant, withdraw: Callable[[str], None], stored: Any
) -> None:
    withdraw(asked.run.session.student_id)
    with pytest.raises(ConsentNotInForce):
        turn(asked.run)
    assert stored(keys.session(asked.run.id), "EVENT#MAKING#") == []


def test_with_no_time_left_the_static_question_is_asked_and_told_so(asked: Participant, stored: Any) -> None:
    from sessions_app.domain.session import dialogue

    dialogue.question(
        asked.run,
        segment_id=4,
        number=1,
        package=PACKAGE,
        tutor=asked.tutor,
        clock=asked.after,
        patience=0,
    )
    record = stored(keys.session(asked.run.id), "INTERVENTION#")[-1]
    question = record["socratic_sequence"][0]
    assert question["question"] == PACKAGE.segment(4).static_questions[0]
    assert question["question_source"] == "static_fallback"
    assert question["question_metadata"]["rejected"] == ["timeout"]
    assert "ai_fallback" in record["metadata"]["data_quality_flags"]
