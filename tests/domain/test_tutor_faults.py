"""Each way in which the model can fail, from the real SDK to the table: a usable question, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sessions_app.domain.session import dialogue
from sessions_app.domain.store import keys
from sessions_app.domain.tutor import DEFAULT_PRICES, budget
from sessions_app.domain.tutor.anthropic import AnthropicTutor
from sessions_app.domain.tutor.circuit_breaker import Breaker
from sessions_app.domain.tutor.metered import GuardedTutor
from support.fake_anthropic import FakeAnthropic, retry_after

from .cast import PACKAGE, Participant, spent_usd

FAULTS = {
    "a time-out": ("silence", ["timeout"]),
    "bytes that drip": ("drip", ["timeout"]),
    "429 without retry-after": ("429", ["rate_limited", "rate_limited"]),
    "429 with a long retry-after": (retry_after(20), ["rate_limited"]),
    "an empty account": ("billing", ["billing"]),
    "the account's own limit": ("spend_limit", ["billing"]),
    "a billing error": ("402", ["billing"]),
    "529": ("529", ["overloaded", "overloaded"]),
    "a refusal": ("refusal", ["refused"]),
    "an empty answer": ("empty", ["empty", "empty"]),
    "cut JSON": ("truncated", ["truncated", "truncated"]),
    "no JSON": ("garbage", ["unreadable", "unreadable"]),
    "wrong JSON": ("wrong_shape", ["unreadable", "unreadable"]),
    "a leak of the prompt": ("leak", ["gate:prompt_leak+off_lesson"] * 2),
    "a line cut off": ("hang_up", ["network", "network"]),
}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAnthropic]:
    with FakeAnthropic(silence_seconds=20) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        yield server


def tutor_within(caps: budget.Caps, participant: Participant) -> Iterator[GuardedTutor]:
    claude = AnthropicTutor.build(
        "test-key", "claude-sonnet-5-5", "claude-haiku-5-5", DEFAULT_PRICES, user_key=b"k", lesson=""
    )
    yield GuardedTutor(
        claude,
        breaker=Breaker(),
        purse=budget.Purse(caps, lambda: participant.now),
        health=budget.ToldHealth(lambda: participant.now),
        question_at_most=claude.question_at_most,
        judgement_at_most=claude.judgement_at_most,
    )
    claude.close()


@pytest.fixture
def asked(table: str) -> Participant:
    return Participant.in_condition("L4-I3-D").walk_to("questions-4/1")


@pytest.fixture
def tutor(asked: Participant, fake: FakeAnthropic) -> Iterator[GuardedTutor]:
    yield from tutor_within(budget.Caps(student=3, session=1, day=50), asked)


def question(participant: Participant, tutor: GuardedTutor, *, patience: float = 9) -> None:
    dialogue.question(
        participant.run,
        segment_id=4,
        number=1,
        package=PACKAGE,
        tutor=tutor,
        clock=participant.after,
        patience=patience,
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_the_student_has_the_fixed_question_and_the_record_says_why(
    fault: str,
    asked: Participant,
    tutor: GuardedTutor,
    fake: FakeAnthropic,
    stored: Callable[..., list[dict[str, Any]]],
) -> None:
    fake.default, reasons = FAULTS[fault]
    question(asked, tutor, patience=0.4 if reasons == ["timeout"] else 9)

    record = stored(keys.session(asked.run.id), "INTERVENTION#")[-1]
    first = record["socratic_sequence"][0]
    assert first["question"] == PACKAGE.segment(4).static_questions[0]
    assert first["question_source"] == "static_fallback"
    assert first["question_metadata"]["rejected"] == reasons
    assert record["intervention_metadata"]["type"] == "dynamic"
    assert record["metadata"]["data_quality_flags"] == ["ai_fallback"]

    asked.answer_question(4, 1)
    assert asked.run.step is not None
    assert asked.run.step.slug == "questions-4/2"


def test_at_a_cap_the_fixed_question_is_asked_and_nobody_is_called(
    asked: Participant, fake: FakeAnthropic, stored: Callable[..., list[dict[str, Any]]]
) -> None:
    for tutor in tutor_within(budget.Caps(session=0.001), asked):
        question(asked, tutor)
    record = stored(keys.session(asked.run.id), "INTERVENTION#")[-1]
    assert record["socratic_sequence"][0]["question_metadata"]["rejected"] == ["spend_cap_session"]
    assert record["metadata"]["data_quality_flags"] == ["ai_fallback"]
    assert fake.requests == []


def test_what_a_question_cost_is_counted_for_student_session_and_day(
    asked: Participant, tutor: GuardedTutor, stored: Callable[..., list[dict[str, Any]]]
) -> None:
    question(asked, tutor)
    record = stored(keys.session(asked.run.id), "INTERVENTION#")[-1]
    cost = float(record["socratic_sequence"][0]["question_metadata"]["cost_usd"])
    assert cost > 0
    names = {
        "student": asked.run.session.student_id,
        "session": asked.run.id,
        "day": f"{asked.now:%Y-%m-%d}",
    }
    assert {spent_usd(scope, name) for scope, name in names.items()} == {cost}


def test_when_the_model_stays_down_the_next_student_does_not_wait(
    asked: Participant, tutor: GuardedTutor, fake: FakeAnthropic
) -> None:
    fake.default = "529"
    for _ in range(2):
        question(Participant.in_condition("L4-I3-D").walk_to("questions-4/1"), tutor)
    made = len(fake.requests)
    question(asked, tutor)
    assert len(fake.requests) == made == 4
    assert asked.run.interventions[4].questions[0].question_metadata.rejected == ["not_answering"]
    assert budget.health(asked.now) is not None
