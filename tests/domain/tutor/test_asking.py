"""What a student gets, whatever the tutor does."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from sessions_app.domain.tutor import AskedQuestion, Draft, QuestionRequest, Tutor, TutorFailed, ask_question
from sessions_app.domain.tutor import ask as tutor_ask
from sessions_app.domain.tutor.anthropic import AnthropicTutor
from sessions_app.domain.tutor.gate import faults
from sessions_app.domain.tutor.scripted import ScriptedTutor
from support.fake_anthropic import BEHAVIOURS, FakeAnthropic, retry_after, saying
from tests.domain.tutor.samples import HOSTILE, STATIC, after_answers, question_request

Outcome = str | Exception


class Stub(ScriptedTutor):
    """Says or raises what it is given, in turn."""

    offline = False

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.timeouts: list[float] = []
        self.feedback: list[str | None] = []

    def ask(self, request: QuestionRequest, *, timeout_seconds: float, feedback: str | None) -> Draft:
        self.timeouts.append(timeout_seconds)
        self.feedback.append(feedback)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return Draft(
            text=outcome,
            model="stub",
            prompt_tokens=100,
            completion_tokens=10,
            generation_time_ms=1,
            cost_usd=0.001,
        )


GOOD = "What do you notice when you look at the river here?"
BAD = "The answer is the river. What do you think of it?"


def ticking(*moments: float) -> Callable[[], float]:
    left = list(moments)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def ask(tutor: Tutor, request: QuestionRequest | None = None, **options: object) -> AskedQuestion:
    return ask_question(tutor, request or question_request(), static_question=STATIC, **options)  # type: ignore[arg-type]


def test_a_good_proposal_is_asked() -> None:
    asked = ask(Stub(GOOD))
    assert (asked.text, asked.source, asked.model, asked.flags) == (GOOD, "generated", "stub", ())
    assert (asked.attempts, asked.rejected) == (1, ())


def test_a_rejected_proposal_is_tried_again_with_advice_and_paid_for() -> None:
    tutor = Stub(BAD, GOOD)
    asked = ask(tutor)
    assert asked.text == GOOD
    assert asked.rejected == ("gate:gives_answer_away",)
    assert (asked.prompt_tokens, asked.completion_tokens, asked.cost_usd) == (200, 20, 0.002)
    assert tutor.feedback[0] is None
    assert tutor.feedback[1] is not None
    assert BAD not in tutor.feedback[1]


def test_two_rejected_proposals_give_the_static_question() -> None:
    asked = ask(Stub(BAD, BAD, GOOD))
    assert (asked.text, asked.source, asked.model) == (STATIC, "static_fallback", None)
    assert asked.flags == ("ai_fallback",)
    assert (asked.attempts, asked.prompt_tokens) == (2, 200)


@pytest.mark.parametrize(
    "error", [ValueError("secret"), KeyError("secret"), RecursionError(), OSError(), StopIteration()]
)
def test_whatever_the_tutor_raises_a_question_comes_out(error: Exception) -> None:
    asked = ask(Stub(error, error))
    assert (asked.text, asked.rejected) == (STATIC, ("error", "error"))


def test_a_tutor_that_returns_something_else_is_a_failed_one() -> None:
    tutor = Stub()
    tutor.ask = lambda *args, **kwargs: None  # type: ignore[assignment, method-assign]
    assert ask(tutor).rejected == ("error", "error")


def test_a_draft_that_breaks_the_gate_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tutor_ask, "faults", lambda text, request: 1 / 0)
    assert ask(Stub(GOOD, GOOD)).rejected == ("gate:gate_error", "gate:gate_error")


def test_only_the_type_of_an_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        ask(Stub(ValueError("the student wrote Zanzibar"), TutorFailed("network", retryable=True)))
    assert "ValueError" in caplog.text
    assert "network" in caplog.text
    assert "Zanzibar" not in caplog.text


def test_a_failure_that_cannot_be_mended_is_not_tried_again() -> None:
    asked = ask(Stub(TutorFailed("unauthorised", retryable=False), GOOD))
    assert (asked.attempts, asked.rejected, asked.source) == (1, ("unauthorised",), "static_fallback")


def test_what_a_failed_try_used_is_counted() -> None:
    failed = TutorFailed("truncated", retryable=True, prompt_tokens=7, completion_tokens=5, cost_usd=0.5)
    asked = ask(Stub(failed, GOOD))
    assert (asked.prompt_tokens, asked.completion_tokens, asked.cost_usd) == (107, 15, 0.501)


def test_each_try_gets_what_is_left_of_the_deadline() -> None:
    tutor = Stub(BAD, GOOD)
    asked = ask(tutor, clock=ticking(100, 100, 104, 106), deadline_seconds=9)
    assert tutor.timeouts == [9, 5]
    assert asked.generation_time_ms == 6000


def test_no_try_is_begun_near_the_deadline() -> None:
    tutor = Stub(BAD, GOOD)
    asked = ask(tutor, clock=ticking(0, 0, 8.5), deadline_seconds=9)
    assert (len(tutor.timeouts), asked.text) == (1, STATIC)


def test_a_short_wait_asked_for_by_the_server_is_kept() -> None:
    slept: list[float] = []
    busy = TutorFailed("rate_limited", retryable=True, retry_after_seconds=1.0)
    assert ask(Stub(busy, GOOD), sleep=slept.append).text == GOOD
    assert slept == [1.0]


def test_a_long_wait_is_spared_the_student() -> None:
    slept: list[float] = []
    busy = TutorFailed("rate_limited", retryable=True, retry_after_seconds=20)
    asked = ask(Stub(busy, GOOD), sleep=slept.append)
    assert (asked.text, asked.attempts, slept) == (STATIC, 1, [])


def test_when_too_many_calls_hang_students_get_static_questions_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tutor_ask, "_places", threading.BoundedSemaphore(1))
    with tutor_ask._places:
        assert ask(Stub(GOOD)).rejected == ("overloaded",)
    assert ask(Stub(GOOD)).text == GOOD


def test_a_place_is_given_back_after_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tutor_ask, "_places", threading.BoundedSemaphore(1))
    for outcome in (GOOD, ValueError(), GOOD):
        ask(Stub(outcome, GOOD))
    assert tutor_ask._places.acquire(timeout=5)


def test_an_offline_tutor_is_marked_as_one() -> None:
    asked = ask(ScriptedTutor())
    assert (asked.source, asked.model, asked.flags) == ("generated", "scripted-v1", ("offline_tutor",))
    assert (asked.prompt_tokens, asked.completion_tokens, asked.cost_usd) == (0, 0, 0.0)


def test_the_sdk_is_loaded_only_by_the_tutor_that_uses_it() -> None:
    check = "import sys, sessions_app.domain.tutor.scripted; sys.exit('anthropic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


# --- the real SDK against a server that misbehaves

MENDED = ["429", "500", "529", "truncated", "empty", "thinking", "garbage", "not_http_json", "no_content"]
MENDED += ["wrong_shape", "extra_field", "leak", "answer_given", "two_questions", "hang_up"]
REASONS = {
    "400": "error",
    "402": "billing",
    "billing": "billing",
    "spend_limit": "billing",
    "401": "unauthorised",
    "403": "unauthorised",
    "404": "error",
    "429": "rate_limited",
    "500": "error",
    "529": "overloaded",
    "refusal": "refused",
    "truncated": "truncated",
    "empty": "empty",
    "thinking": "empty",
    "garbage": "unreadable",
    "not_http_json": "unreadable",
    "no_content": "unreadable",
    "wrong_shape": "unreadable",
    "extra_field": "unreadable",
    "leak": "gate:prompt_leak+off_lesson",
    "answer_given": "gate:gives_answer_away",
    "two_questions": "gate:not_one_question",
    "hang_up": "network",
}


def test_a_good_answer_of_the_server_is_asked(tutor: AnthropicTutor, fake: FakeAnthropic) -> None:
    asked = ask(tutor)
    assert (asked.source, asked.model, asked.flags, asked.attempts) == (
        "generated",
        "claude-sonnet-5-5",
        (),
        1,
    )
    assert asked.prompt_tokens > 0
    assert asked.cost_usd > 0
    assert faults(asked.text, question_request()) == ()


@pytest.mark.parametrize("behaviour", MENDED)
def test_a_second_try_mends_a_passing_trouble(
    tutor: AnthropicTutor, fake: FakeAnthropic, behaviour: str
) -> None:
    fake.behave(behaviour, "good")
    asked = ask(tutor)
    assert (asked.source, asked.flags, asked.attempts) == ("generated", (), 2)
    assert asked.rejected == (REASONS[behaviour],)
    assert [r.behaviour for r in fake.requests if r.behaviour == "good"] == ["good"]


@pytest.mark.parametrize("behaviour", [b for b in BEHAVIOURS if b in REASONS])
def test_a_lasting_trouble_gives_the_static_question(
    tutor: AnthropicTutor, fake: FakeAnthropic, behaviour: str
) -> None:
    fake.default = behaviour
    asked = ask(tutor)
    tries = 2 if behaviour in MENDED else 1
    assert (asked.text, asked.source, asked.model) == (STATIC, "static_fallback", None)
    assert (asked.flags, asked.rejected) == (("ai_fallback",), (REASONS[behaviour],) * tries)
    assert len(fake.requests) == tries, "retries stay in one layer"


def test_the_wait_of_a_429_is_read_from_its_header(tutor: AnthropicTutor, fake: FakeAnthropic) -> None:
    slept: list[float] = []
    fake.behave(retry_after(0.5), "good")
    assert ask(tutor, sleep=slept.append).source == "generated"
    fake.behave(retry_after(30))
    assert ask(tutor, sleep=slept.append).source == "static_fallback"
    assert slept == [0.5]


@pytest.mark.parametrize("behaviour", ["silence", "drip"])
def test_the_student_has_a_question_while_the_server_still_keeps_us_waiting(
    tutor: AnthropicTutor, fake: FakeAnthropic, behaviour: str
) -> None:
    fake.default = behaviour
    asked = ask(tutor, deadline_seconds=0.3)
    assert (asked.text, asked.rejected, asked.flags) == (STATIC, ("timeout",), ("ai_fallback",))
    assert len(fake.requests) == 1
    assert fake.finished == []


def test_a_server_that_is_not_there_gives_the_static_question(
    tutor: AnthropicTutor, fake: FakeAnthropic
) -> None:
    tutor.client = tutor.client.with_options(base_url="http://127.0.0.1:1")
    assert ask(tutor).rejected == ("network", "network")


def test_the_second_try_carries_the_advice_and_not_the_rejected_text(
    tutor: AnthropicTutor, fake: FakeAnthropic
) -> None:
    fake.behave(saying("Is Zanzibar a nice place to be?"), "good")
    ask(tutor)
    assert "open question" in fake.requests[1].message
    assert "Zanzibar" not in json_of(fake)


@pytest.mark.parametrize("answer", HOSTILE)
def test_a_hostile_answer_is_followed_by_a_usable_question(
    tutor: AnthropicTutor, fake: FakeAnthropic, answer: str
) -> None:
    """This server's model quotes any word it finds; where that is unfit, the gate holds it back."""
    request = after_answers(answer, answer)
    asked = ask(tutor, request)
    assert faults(asked.text, request) == ()
    assert (asked.source == "static_fallback") == ("ai_fallback" in asked.flags)


def json_of(fake: FakeAnthropic) -> str:
    return " ".join(str(recorded.body) for recorded in fake.requests)
