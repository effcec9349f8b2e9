"""A tutor within its caps, and left in peace while it does not answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from dataclasses import replace as changed
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sessions_app.domain.models import TutorHealth
from sessions_app.domain.store import keys
from sessions_app.domain.tutor import Draft, Payer, QuestionRequest, TutorFailed, budget
from sessions_app.domain.tutor.circuit_breaker import FAILURES, OUTAGES, REST_SECONDS, WINDOW_SECONDS, Breaker
from sessions_app.domain.tutor.metered import GuardedTutor
from sessions_app.domain.tutor.scripted import ScriptedTutor

from ..cast import at_once, spent_usd
from .samples import question_request

NOON = datetime(2026, 3, 3, 17, 0, tzinfo=UTC)
PAYER = Payer("student-1", "session-1")
PRICE = 0.01


@dataclass
class Clock:
    seconds: float = 0

    def __call__(self) -> float:
        return self.seconds

    def moment(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)


class Model(ScriptedTutor):
    """Answers at a price, or fails for a reason."""

    offline = False

    def __init__(self) -> None:
        self.fails: TutorFailed | None = None
        self.calls = 0

    def ask(self, request: QuestionRequest, *, timeout_seconds: float, feedback: str | None) -> Draft:
        self.calls += 1
        if self.fails:
            raise self.fails
        return changed(
            super().ask(request, timeout_seconds=timeout_seconds, feedback=feedback), cost_usd=PRICE
        )


@dataclass
class Guarded:
    caps: budget.Caps = field(default_factory=budget.Caps)
    at_most: float = 0.03
    clock: Clock = field(default_factory=Clock)
    model: Model = field(default_factory=Model)

    def __post_init__(self) -> None:
        self.tutor = GuardedTutor(
            self.model,
            breaker=Breaker(clock=self.clock),
            purse=budget.Purse(self.caps, self.clock.moment),
            health=budget.ToldHealth(self.clock.moment),
            question_at_most=self.at_most,
            judgement_at_most=self.at_most,
        )

    def ask(self, payer: Payer = PAYER) -> str:
        """What came of it: `asked`, or the reason of the failure."""
        try:
            request = changed(question_request(), payer=payer)
            self.tutor.ask(request, timeout_seconds=5, feedback=None)
        except TutorFailed as failed:
            return failed.reason
        return "asked"

    def down(self, reason: str = "overloaded") -> None:
        self.model.fails = TutorFailed(reason, retryable=False)  # type: ignore[arg-type]

    def up(self) -> None:
        self.model.fails = None


# --- the breaker


@pytest.fixture
def guarded(table: str) -> Guarded:
    return Guarded()


def test_after_failures_in_a_row_the_model_is_left_in_peace(guarded: Guarded) -> None:
    guarded.down()
    assert [guarded.ask() for _ in range(FAILURES + 3)] == ["overloaded"] * FAILURES + ["not_answering"] * 3
    assert guarded.model.calls == FAILURES


def test_after_its_rest_one_call_tries_and_its_success_is_for_all(guarded: Guarded) -> None:
    guarded.down()
    for _ in range(FAILURES):
        guarded.ask()
    guarded.clock.seconds += REST_SECONDS
    guarded.up()
    assert [guarded.ask() for _ in range(3)] == ["asked"] * 3


def test_a_failure_after_the_rest_begins_another_one(guarded: Guarded) -> None:
    guarded.down()
    for _ in range(FAILURES):
        guarded.ask()
    guarded.clock.seconds += REST_SECONDS
    assert [guarded.ask() for _ in range(3)] == ["overloaded", "not_answering", "not_answering"]
    guarded.clock.seconds += REST_SECONDS
    guarded.up()
    assert guarded.ask() == "asked"


def test_a_trial_that_hangs_does_not_close_the_door_for_ever() -> None:
    clock = Clock()
    breaker = Breaker(clock=clock)
    for _ in range(FAILURES):
        breaker.failed()
    for _ in range(2):
        clock.seconds += REST_SECONDS
        breaker.admit()
        with pytest.raises(TutorFailed, match="not_answering"):
            breaker.admit()


def test_failures_far_apart_or_with_a_success_between_do_not_count_together(guarded: Guarded) -> None:
    for _ in range(FAILURES):
        guarded.down()
        assert guarded.ask() == "overloaded"
        guarded.clock.seconds += WINDOW_SECONDS
    for _ in range(FAILURES):
        guarded.down()
        assert guarded.ask() == "overloaded"
        guarded.up()
        assert guarded.ask() == "asked"


@pytest.mark.parametrize("reason", ["refused", "truncated", "empty", "unreadable"])
def test_an_answer_of_no_use_is_not_an_outage(guarded: Guarded, reason: str) -> None:
    assert reason not in OUTAGES
    guarded.down(reason)
    assert [guarded.ask() for _ in range(FAILURES + 1)] == [reason] * (FAILURES + 1)


def test_staff_are_told_since_when_and_why_until_it_answers(guarded: Guarded) -> None:
    guarded.down("billing")
    for _ in range(FAILURES):
        guarded.ask()
    guarded.clock.seconds += REST_SECONDS
    guarded.ask()
    told = budget.health(guarded.clock.moment())
    assert told is not None
    assert (told.since, told.reason) == (NOON, "billing")
    assert told.last_failure_at == NOON + timedelta(seconds=REST_SECONDS)

    guarded.clock.seconds += REST_SECONDS
    guarded.up()
    guarded.ask()
    assert budget.health(guarded.clock.moment()) is None
    assert list(TutorHealth.query(keys.TUTOR)) == []


def test_what_was_told_long_ago_is_not_shown_as_news(guarded: Guarded) -> None:
    guarded.down()
    for _ in range(FAILURES):
        guarded.ask()
    assert budget.health(NOON + budget.FRESH) is None


# --- the caps


@pytest.mark.parametrize("scope", ["student", "session", "day"])
def test_at_a_cap_no_call_is_made(table: str, scope: str) -> None:
    guarded = Guarded(budget.Caps(**{scope: 0.05}))
    assert [guarded.ask() for _ in range(4)] == ["asked"] * 3 + [f"spend_cap_{scope}"]
    assert guarded.model.calls == 3, "two cents are left, and the next call may cost three"


def test_caps_are_of_one_student_one_session_one_day(table: str) -> None:
    guarded = Guarded(budget.Caps(session=0.03))
    assert [guarded.ask(), guarded.ask()] == ["asked", "spend_cap_session"]
    assert guarded.ask(Payer("student-1", "session-2")) == "asked"
    guarded = Guarded(budget.Caps(day=0.03))
    assert [guarded.ask(), guarded.ask()] == ["asked", "spend_cap_day"]
    guarded.clock.seconds += 7 * 3600  # past midnight in UTC
    assert guarded.ask() == "asked"


def test_zero_sets_no_cap_and_keeps_no_count(table: str, everything: Callable[[], list[Any]]) -> None:
    guarded = Guarded()
    assert [guarded.ask() for _ in range(3)] == ["asked"] * 3
    assert everything() == []


def test_of_twenty_calls_at_once_no_more_are_made_than_the_cap_allows(table: str) -> None:
    guarded = Guarded(budget.Caps(day=0.10), at_most=PRICE)
    ended = at_once(20, lambda n: guarded.ask(Payer(f"student-{n}", f"session-{n}")))
    assert sorted(ended) == ["asked"] * 10 + ["spend_cap_day"] * 10
    assert spent_usd("day", "2026-03-03") == 0.10


def test_what_is_counted_is_what_it_cost_and_a_refused_call_costs_nothing(table: str) -> None:
    guarded = Guarded(budget.Caps(student=1, session=1, day=0.04))
    guarded.ask()
    guarded.down()
    guarded.ask()
    for scope, name in (("student", "student-1"), ("session", "session-1"), ("day", "2026-03-03")):
        assert spent_usd(scope, name) == PRICE
    guarded.up()
    assert [guarded.ask(), guarded.ask()] == ["asked", "spend_cap_day"]
    assert spent_usd("student", "student-1") == 2 * PRICE


def test_a_call_that_was_left_behind_counts_with_all_that_it_may_cost(table: str) -> None:
    guarded = Guarded(budget.Caps(day=1))
    guarded.down("timeout")
    guarded.ask()
    assert spent_usd("day", "2026-03-03") == 0.03


def test_counters_tell_of_nobody_by_name(table: str, everything: Callable[[], list[Any]]) -> None:
    Guarded(budget.Caps(student=1, session=1, day=1)).ask()
    kept = repr(everything())
    assert "student-1" not in kept
    assert "session-1" not in kept
