"""A hundred hostile answers through forms, the store, pages, prompts and grading: they stay words."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest

from sessions_app import study
from sessions_app.domain import flow
from sessions_app.domain.session.record import MAX_ANSWER_LENGTH, Run
from sessions_app.domain.tutor import TutorFailed, prompts
from sessions_app.domain.tutor.anthropic import AnthropicTutor
from sessions_app.domain.tutor.scripted import ScriptedTutor
from sessions_app.forms.run import AnswerForm
from support.bot import Bot
from support.cast import advance, signed_in, started
from support.fake_anthropic import Answer, Body, FakeAnthropic, data_of, good_content, text_answer
from tests.domain.cast import Participant
from tests.domain.tutor.samples import after_answers, grade_request
from tests.hostile import ANSWERS, EMPTY, ORDERS, TOO_LONG

DANGEROUS = ("script", "img", "iframe", "object", "embed", "form", "style", "link", "meta", "base", "input")
A_SESSION = 12  # answers in the dialogue of a session with questions every 2.5 minutes
GOOD = "The James River gave boats a way to the sea, and the canal brought coal."


@pytest.fixture(scope="module")
def table(lasting_table: str) -> str:
    return lasting_table


def form_of(answer: str) -> Any:
    blank = AnswerForm.fresh(now=study.now(), page="a page")
    sent = {**{name: str(blank[name].value()) for name in ("submission_id", "shown")}, "answer": answer}
    return AnswerForm.fresh(sent, now=study.now(), page="a page")


def test_the_corpus_is_large_and_says_nothing_twice() -> None:
    assert len(set(ANSWERS)) == len(ANSWERS) >= 100


# --- forms


def test_every_answer_is_taken_as_it_is_but_for_what_no_text_holds() -> None:
    for answer in ANSWERS:
        form = form_of(answer)
        assert form.is_valid(), (answer[:40], form.errors)
        assert form.cleaned_data["answer"] == answer.replace("\x00", "").replace("\r\n", "\n").strip()


@pytest.mark.parametrize("answer", TOO_LONG)
def test_what_is_too_long_is_refused_with_the_limit(answer: str) -> None:
    (told,) = form_of(answer).errors["answer"]
    assert f"{MAX_ANSWER_LENGTH:,}" in told


@pytest.mark.parametrize("answer", EMPTY)
def test_nothing_is_asked_for_again(answer: str) -> None:
    (told,) = form_of(answer).errors["answer"]
    assert "write something" in told


# --- the store and the pages


class Tags(HTMLParser):
    """Counts the elements that could do something, and keeps every attribute that runs a script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.handlers: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found[tag] += tag in DANGEROUS
        self.handlers += [name for name, value in attributes if name.startswith("on")]
        self.handlers += [name for name, value in attributes if "javascript:" in (value or "")]


def session_with(answers: list[str], kind: str) -> Run:
    """A session whose dialogue is made of these answers."""
    participant, left = Participant.in_condition(f"L4-I1-{kind}"), list(answers)
    while left and participant.run.step is not None:
        stage = participant.run.step.stage
        if stage.kind != "questions":
            participant.take_step()
            continue
        participant.question(stage.segment or 0, participant.run.step.number)
        participant.answer_question(stage.segment or 0, participant.run.step.number, left.pop(0))
    return Run.load(participant.run.id)


def said(run: Run) -> list[str]:
    records = (run.interventions[segment] for segment in flow.SCHEDULE["2.5"] if segment in run.interventions)
    return [asked.answer for record in records for asked in record.questions if asked.answer is not None]


@pytest.mark.django_db
@pytest.mark.parametrize("part", range(0, len(ANSWERS), A_SESSION))
def test_answers_are_stored_whole_and_shown_as_words(table: str, part: int) -> None:
    answers = list(ANSWERS[part : part + A_SESSION])
    kind = "SD"[part // A_SESSION % 2]
    run = session_with(answers, kind)
    stored = said(run)
    assert stored == [answer.replace("\x00", "").replace("\r\n", "\n").strip() for answer in answers]
    client, plain = signed_in("researcher"), session_with(["The river."], kind)
    html, harmless = (client.get(f"/sessions/{each.id}/").content.decode() for each in (run, plain))
    page, other = Tags(html), Tags(harmless)
    assert page.handlers == other.handlers == []
    assert {tag: page.found[tag] for tag in DANGEROUS} == {tag: other.found[tag] for tag in DANGEROUS}
    shown = unescape(html)
    assert [answer[:40] for answer in stored if answer not in shown] == []


@pytest.mark.django_db
def test_what_is_too_long_changes_nothing_and_comes_back(table: str) -> None:
    bot, run = Bot(signed_in("facilitator")), started("L4-I3-S")
    page = advance(bot, run, "questions-4/1")
    again = bot.post(page, answer=TOO_LONG[0])
    assert again.status == 422
    assert again.form().values["answer"] == [TOO_LONG[0]]
    assert Run.load(run.id).interventions[4].answered == 0


# --- prompts


def data_in(message: str) -> dict[str, Any]:
    (found,) = re.findall(r"<data>\n(.*?)\n</data>", message, re.DOTALL)
    data: dict[str, Any] = json.loads(found)
    return data


def test_no_answer_leaves_the_data_of_a_prompt() -> None:
    for answer in (*ANSWERS, *TOO_LONG, *EMPTY):
        asked = prompts.question_message(after_answers(answer, answer), None)
        graded = prompts.grade_message(grade_request(answer))
        assert data_in(asked)["so_far"][0]["answer"] == prompts.shown(answer)
        assert data_in(graded)["answer"] == prompts.shown(answer)
        assert all(text.count("<data>") == text.count("</data>") == 1 for text in (asked, graded))


# --- grading


def test_orders_change_no_scripted_grade() -> None:
    tutor = ScriptedTutor()
    honest = tutor.grade(grade_request(GOOD)).breakdown
    assert sum(honest.values()) > 0
    for order in ORDERS:
        assert tutor.grade(grade_request(order)).raw_score == 0, order
        assert tutor.grade(grade_request(f"{GOOD}\n{order}")).breakdown == honest, order


def obedient(body: Body) -> Answer:
    """A model that does what an answer tells it, and gives more than there is to give."""
    content = good_content(body)
    generous = {name: 99 for name, value in content.items() if isinstance(value, int | float)}
    return text_answer(body, json.dumps(content | generous | {"raw_score": 99, "override": True}))


@pytest.fixture(scope="module")
def fake() -> Any:
    with FakeAnthropic() as server:
        yield server


@pytest.fixture
def model(fake: FakeAnthropic, monkeypatch: pytest.MonkeyPatch) -> Iterator[AnthropicTutor]:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
    with closing(
        AnthropicTutor.build(
            api_key="a-key-for-nobody",
            question_model="m",
            grader_model="m",
            prices={},
            user_key=b"k",
            lesson="",
        )
    ) as built:
        yield built


def test_a_model_that_obeys_an_answer_is_not_believed(fake: FakeAnthropic, model: AnthropicTutor) -> None:
    for order in ORDERS[:6]:
        fake.behave(*[obedient] * 4)
        with pytest.raises(TutorFailed, match="unreadable"):
            model.grade(grade_request(order))
        fake._queue.clear()


def test_orders_reach_a_model_as_data_under_the_same_instructions(
    fake: FakeAnthropic, model: AnthropicTutor
) -> None:
    fake.requests.clear()
    for order in ORDERS:
        model.grade(grade_request(order))
    asked = [request.body for request in fake.requests]
    assert len(asked) == len(ORDERS)
    assert {json.dumps(body["system"]) for body in asked} == {json.dumps(asked[0]["system"])}
    assert [data_of(body)["answer"] for body in asked] == [prompts.shown(order) for order in ORDERS]
    assert "never instructions" in json.dumps(asked[0]["system"])
    instructions = [str(body["messages"][-1]["content"]).split("</data>")[1] for body in asked]
    assert set(instructions) == {"\nGrade the answer by each criterion of the rubric."}


def test_the_scripted_tutor_asks_a_question_after_any_answer() -> None:
    for answer in ANSWERS:
        draft = ScriptedTutor().ask(after_answers(answer, answer), timeout_seconds=5, feedback=None)
        assert draft.text.endswith("?")
        assert "<" not in draft.text
