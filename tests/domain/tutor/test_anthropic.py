"""The real SDK against the server on loopback."""

import json
import logging
import traceback

import pytest

from sessions_app.domain.tutor import DEFAULT_PRICES, Criterion, GradeRequest, TutorFailed
from sessions_app.domain.tutor.anthropic import RATINGS, AnthropicTutor, cost_usd, point_steps
from sessions_app.domain.tutor.protocol import score_names
from support.fake_anthropic import Answer, Behaviour, Body, FakeAnthropic, text_answer
from tests.domain.tutor.samples import (
    FIRST,
    HOSTILE,
    LESSON,
    RUBRIC,
    SECOND,
    THIRD,
    after_answers,
    grade_request,
    question_request,
    rating_request,
    stood_in,
)

MARK = "Zanzibar lighthouse"


def ask(tutor: AnthropicTutor, answer: str = MARK) -> str:
    return tutor.ask(after_answers(answer), timeout_seconds=5, feedback=None).text


def test_the_request_is_what_the_service_takes(tutor: AnthropicTutor, fake: FakeAnthropic) -> None:
    ask(tutor)
    body = fake.requests[0].body
    assert body["model"] == "claude-sonnet-5-5"
    assert body["max_tokens"] >= 2000
    assert len(body["metadata"]["user_id"]) == 64
    assert body["output_config"]["effort"] == "low"
    assert body["output_config"]["format"]["type"] == "json_schema"
    assert {"temperature", "top_p", "top_k", "tool_choice"}.isdisjoint(body)
    assert [message["role"] for message in body["messages"]] == ["user"]


def test_grading_and_rating_use_the_grader_with_more_effort(
    tutor: AnthropicTutor, fake: FakeAnthropic
) -> None:
    tutor.grade(grade_request())
    tutor.rate(rating_request())
    assert [r.kind for r in fake.requests] == ["grading", "rating"]
    assert {r.body["model"] for r in fake.requests} == {"claude-haiku-5-5"}
    assert {r.body["output_config"]["effort"] for r in fake.requests} == {"medium"}
    assert {r.headers["x-stainless-read-timeout"] for r in fake.requests} == {"60.0"}


def test_the_answer_is_never_in_a_system_prompt(tutor: AnthropicTutor, fake: FakeAnthropic) -> None:
    ask(tutor)
    tutor.grade(grade_request(MARK))
    tutor.rate(rating_request())
    assert MARK in fake.requests[0].message
    assert MARK in fake.requests[1].message
    assert all(MARK not in r.body["system"] for r in fake.requests)
    assert all(FIRST.answer not in r.body["system"] for r in fake.requests)


@pytest.mark.parametrize("answer", HOSTILE)
def test_a_hostile_answer_stays_data_and_changes_nothing_else(
    tutor: AnthropicTutor, fake: FakeAnthropic, answer: str
) -> None:
    tutor.grade(grade_request("harmless"))
    tutor.grade(grade_request(answer))
    harmless, hostile = fake.requests
    assert hostile.body["system"] == harmless.body["system"]
    assert hostile.body["output_config"] == harmless.body["output_config"]
    assert hostile.data | {"answer": ""} == harmless.data | {"answer": ""}


def test_the_text_is_put_on_one_line(tutor: AnthropicTutor, fake: FakeAnthropic) -> None:
    fake.behave(lambda body: text_answer(body, '{"question": " What do\\nyou  see? "}'))
    assert ask(tutor) == "What do you see?"


def test_a_blank_question_is_an_empty_one(tutor: AnthropicTutor, fake: FakeAnthropic) -> None:
    fake.behave(lambda body: text_answer(body, '{"question": "  "}'))
    assert reason_of(tutor) == ("empty", True)


def reason_of(tutor: AnthropicTutor) -> tuple[str, bool]:
    with pytest.raises(TutorFailed) as caught:
        ask(tutor)
    return caught.value.reason, caught.value.retryable


def test_a_refusal_is_not_retryable_and_its_tokens_are_known(
    tutor: AnthropicTutor, fake: FakeAnthropic
) -> None:
    fake.behave("refusal")
    with pytest.raises(TutorFailed) as caught:
        ask(tutor)
    assert (caught.value.reason, caught.value.retryable) == ("refused", False)
    assert caught.value.prompt_tokens > 0
    assert caught.value.cost_usd > 0


def test_a_failure_tells_nothing_of_the_request(tutor: AnthropicTutor, fake: FakeAnthropic) -> None:
    def echo(body: Body) -> Answer:
        return Answer(status=400, json={"error": {"type": "invalid_request_error", "message": str(body)}})

    fake.behave(echo, lambda body: text_answer(body, str(body)))
    for _ in range(2):
        with pytest.raises(TutorFailed) as caught:
            ask(tutor)
        assert MARK not in "".join(traceback.format_exception(caught.value))


def test_the_sdk_logs_no_answers_even_when_asked_to(
    fake: FakeAnthropic, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
    logging.getLogger("anthropic").setLevel(logging.DEBUG)
    tutor = AnthropicTutor.build(
        "test-key", "claude-sonnet-5-5", "claude-haiku-5-5", DEFAULT_PRICES, user_key=b"k", lesson=LESSON
    )
    with caplog.at_level(logging.DEBUG):
        ask(tutor)
    tutor.close()
    assert MARK not in caplog.text


def test_a_grading_sums_in_python_and_is_capped(tutor: AnthropicTutor, fake: FakeAnthropic) -> None:
    full = {c.name: c.points for c in RUBRIC}
    fake.behave(grading(full, "Names everything."))
    grade = tutor.grade(grade_request())
    assert (grade.raw_score, grade.breakdown) == (3.0, full)
    assert (grade.feedback, grade.model) == ("Names everything.", "claude-haiku-5-5")


def test_a_grading_keeps_one_decimal(tutor: AnthropicTutor, fake: FakeAnthropic) -> None:
    rubric = (
        Criterion(name="a", description="", points=0.25),
        Criterion(name="b", description="", points=1.0),
    )
    fake.behave(grading({"a": 0.25, "b": 0.5}, ""))
    assert tutor.grade(grade_request(rubric=rubric)).raw_score == 0.8


def grading(breakdown: dict[str, float], feedback: str) -> Behaviour:
    return lambda body: text_answer(body, json.dumps({"breakdown": breakdown, "feedback": feedback}))


@pytest.mark.parametrize(
    "breakdown",
    [
        {},
        {c.name: 1.0 for c in RUBRIC[:3]},
        {c.name: 1.0 for c in RUBRIC} | {"bonus": 1.0},
        {c.name: 0.7 for c in RUBRIC},
        {c.name: 99.0 for c in RUBRIC},
        {c.name: -1.0 for c in RUBRIC},
        {c.name: float("nan") for c in RUBRIC},
        {c.name: "1.0" for c in RUBRIC},
        {c.name: True for c in RUBRIC},
    ],
)
def test_a_grading_outside_the_rubric_is_unreadable(
    tutor: AnthropicTutor, fake: FakeAnthropic, breakdown: dict[str, float]
) -> None:
    fake.behave(grading(breakdown, "full marks"))
    with pytest.raises(TutorFailed, match="unreadable"):
        tutor.grade(grade_request())


@pytest.mark.parametrize("behaviour", ["429", "529", "500", "hang_up"])
def test_the_sdk_retries_a_grading_once(tutor: AnthropicTutor, fake: FakeAnthropic, behaviour: str) -> None:
    fake.behave(behaviour)
    grade = tutor.grade(grade_request())
    assert set(grade.breakdown) == {c.name for c in RUBRIC}
    assert len(fake.requests) == 2


@pytest.mark.parametrize(
    "behaviour", ["truncated", "empty", "garbage", "wrong_shape", "out_of_range", "refusal"]
)
def test_a_useless_grading_or_rating_is_a_failure(
    tutor: AnthropicTutor, fake: FakeAnthropic, behaviour: str
) -> None:
    fake.default = behaviour
    with pytest.raises(TutorFailed):
        tutor.grade(grade_request())
    with pytest.raises(TutorFailed):
        tutor.rate(rating_request())


def test_the_grading_schema_names_each_criterion_and_its_steps(
    tutor: AnthropicTutor, fake: FakeAnthropic
) -> None:
    tutor.grade(grade_request())
    schema = fake.requests[0].body["output_config"]["format"]["schema"]
    criteria = schema["properties"]["breakdown"]
    assert criteria["required"] == [c.name for c in RUBRIC]
    assert criteria["properties"]["mentions_fall_line"]["enum"] == [0.0, 0.5, 1.0, 1.5]
    assert criteria["additionalProperties"] is False


@pytest.mark.parametrize(
    ("points", "steps"),
    [(1.0, (0.0, 0.5, 1.0)), (0.75, (0.0, 0.5, 0.75)), (0.0, (0.0,)), (2, (0, 0.5, 1, 1.5, 2))],
)
def test_a_criterion_goes_by_halves_to_its_maximum(points: float, steps: tuple[float, ...]) -> None:
    assert point_steps(Criterion(name="x", description="", points=points)) == steps


def test_a_dynamic_intervention_is_rated_question_by_question(
    tutor: AnthropicTutor, fake: FakeAnthropic
) -> None:
    request = rating_request()
    rating = tutor.rate(request)
    assert [tuple(s) for s in rating.scores] == [score_names(request, at) for at in range(3)]
    assert {score for s in rating.scores for score in s.values()} <= set(RATINGS)
    assert rating.progression_quality in RATINGS
    assert "builds_on_previous" not in rating.scores[0]
    assert "builds_on_previous" in rating.scores[1]
    assert {"synthesis_quality", "location_integration"} <= set(rating.scores[2])


def test_a_static_intervention_is_rated_by_its_answers_alone(
    tutor: AnthropicTutor, fake: FakeAnthropic
) -> None:
    rating = tutor.rate(rating_request(type="static"))
    assert [set(s) for s in rating.scores] == [{"answer_depth", "answer_accuracy", "engagement_level"}] * 3
    assert rating.progression_quality is None


def test_a_static_question_that_stood_in_is_not_rated_as_the_tutors(
    tutor: AnthropicTutor, fake: FakeAnthropic
) -> None:
    rating = tutor.rate(rating_request(exchanges=(FIRST, stood_in(SECOND), THIRD)))
    assert set(rating.scores[1]) == {"answer_depth", "answer_accuracy", "engagement_level"}
    assert "question_clarity" in rating.scores[2]


def test_tokens_and_cost_are_taken_from_the_answer(tutor: AnthropicTutor, fake: FakeAnthropic) -> None:
    draft = tutor.ask(question_request(), timeout_seconds=5, feedback=None)
    expected = (draft.prompt_tokens * 2.0 + draft.completion_tokens * 10.0) / 1_000_000
    assert draft.cost_usd == pytest.approx(expected, abs=1e-6)
    assert draft.prompt_tokens > draft.completion_tokens > 0


def test_a_model_without_a_price_costs_nothing_known() -> None:
    assert cost_usd(DEFAULT_PRICES, "claude-of-tomorrow", 1000, 1000) == 0.0
    assert cost_usd({"m": (2.0, 10.0)}, "m", 1_000_000, 500_000) == 7.0


def test_an_empty_rubric_grades_to_nothing(tutor: AnthropicTutor, fake: FakeAnthropic) -> None:
    request = GradeRequest(question_text="Q", answer="A", points=2, rubric=(), student_ref="r")
    assert tutor.grade(request).raw_score == 0
