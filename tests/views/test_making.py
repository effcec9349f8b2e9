"""The page that waits for a question, with the real SDK and a server that takes its time."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sessions_app import question_worker, study
from sessions_app.domain.models import QuestionMaking
from sessions_app.domain.session.record import Run
from support.bot import Bot
from support.cast import advance, at, brought_to, signed_in, started
from support.fake_anthropic import Answer, Body, FakeAnthropic, good

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def table(lasting_table: str) -> str:
    return lasting_table


@pytest.fixture
def bot(table: str, requests_made: list[str]) -> Bot:
    return Bot(signed_in("facilitator"), requests_made)


class Held:
    """A model that answers when it is let go."""

    def __init__(self, fake: FakeAnthropic) -> None:
        self.fake = fake
        self.let_go = threading.Event()
        fake.default = self.answer

    def answer(self, body: Body) -> Answer:
        self.let_go.wait(20)
        return good(body)


@pytest.fixture
def model(claude: FakeAnthropic) -> Iterator[Held]:
    held = Held(claude)
    yield held
    held.let_go.set()
    wait_until(lambda: not question_worker._hands)


def wait_until(happened: Any) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def waiting(bot: Bot) -> tuple[Run, str]:
    """A session whose student has just been shown the page that waits."""
    run = started("L4-I3-D")
    url = bot.post(advance(bot, run, "segment-4")).url
    assert "The first question is on its way." in bot.client.get(url).content.decode()
    return run, url


def test_the_page_comes_at_once_and_gives_way_to_the_question(bot: Bot, model: Held) -> None:
    run, url = waiting(bot)
    assert bot.client.get(url, headers=HTMX).status_code == 204
    model.let_go.set()
    wait_until(lambda: Run.load(run.id).interventions[4].questions)
    assert bot.client.get(url, headers=HTMX).headers["HX-Redirect"] == url
    assert "Think about what you just heard." in bot.open(url).text
    assert len(model.fake.requests) == 1


def test_a_page_left_waiting_in_another_tab_is_led_to_where_the_student_is(bot: Bot, model: Held) -> None:
    run, url = waiting(bot)
    model.let_go.set()
    page = bot.send(bot.open(url), answer="The river turned the wheels.")
    assert page.path == f"{at(run)}questions-4/2/"
    assert bot.client.get(url, headers=HTMX).headers["HX-Redirect"] == page.path


def test_a_look_costs_one_query_and_asks_the_model_nothing(bot: Bot, model: Held) -> None:
    _, url = waiting(bot)
    wait_until(lambda: model.fake.requests)
    for headers in (HTMX, {}):
        bot.made.clear()
        bot.client.get(url, headers=headers)
        assert bot.made == ["Query"]
    assert len(model.fake.requests) == 1


def test_without_javascript_the_browser_looks_again_by_itself(bot: Bot, model: Held) -> None:
    _, url = waiting(bot)
    shown = re.sub(r">\s+<", "><", bot.client.get(url).content.decode())
    assert f'<noscript><meta http-equiv="refresh" content="1;url={url}"></noscript>' in shown


def claim(run: Run, **changes: Any) -> None:
    """The claim as another process would have left it."""
    standing = Run.load(run.id).makings[4, 1]
    standing.update(actions=[getattr(QuestionMaking, name).set(value) for name, value in changes.items()])


def test_a_worker_that_was_killed_strands_nobody(
    bot: Bot, model: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is gone, so the next look has the question made, here."""
    run = started("L4-I3-D")
    url = bot.post(advance(bot, run, "segment-4")).url
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(question_worker, "_start", lambda *told: True)  # claimed, then killed
        bot.client.get(url)
    question_worker._hands.clear()
    claim(
        run, maker=f"{question_worker.HOST}:{2**22 + 1}"
    )  # no process has a number beyond the kernel's highest
    model.let_go.set()
    assert "Think about what you just heard." in bot.open(url).text
    assert len(model.fake.requests) == 1


def test_of_requests_at_once_in_one_process_one_has_the_question_made(
    bot: Bot, model: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes when the first has its claim and not yet its thread."""
    run = started("L4-I3-D")
    url = bot.post(advance(bot, run, "segment-4")).url
    start = question_worker._start

    def start_late(*told: Any) -> bool:
        monkeypatch.setattr(question_worker, "_start", start)
        assert bot.client.get(url, headers=HTMX).status_code == 204
        return start(*told)

    monkeypatch.setattr(question_worker, "_start", start_late)
    bot.client.get(url)
    model.let_go.set()
    assert "Think about what you just heard." in bot.open(url).text
    assert len(model.fake.requests) == 1


def test_a_worker_that_vanished_on_another_machine_costs_ten_seconds_and_no_more(
    bot: Bot, model: Held
) -> None:
    run, url = waiting(bot)
    claim(run, maker="elsewhere:7", began=time.time() - 5)
    assert bot.client.get(url, headers=HTMX).status_code == 204
    claim(run, began=time.time() - 9)
    page = bot.open(url)
    assert study.package().segment(4).static_questions[0] in page.text
    record = Run.load(run.id).interventions[4]
    assert record.questions[0].question_source == "static_fallback"
    assert record.metadata.data_quality_flags == ["ai_fallback"]


def test_when_no_more_questions_can_be_made_at_once_the_static_one_is_asked(
    bot: Bot, model: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question_worker, "_places", threading.BoundedSemaphore(1))
    with question_worker._places:
        run = started("L4-I3-D")
        page = bot.open(bot.post(advance(bot, run, "segment-4")).url)
    assert study.package().segment(4).static_questions[0] in page.text
    assert model.fake.requests == []


def test_preparing_holds_nobody_up_and_its_question_is_the_one_asked(bot: Bot, model: Held) -> None:
    run = brought_to(started("L4-I1-D"), "segment-1")
    for _ in range(2):
        assert bot.client.post(f"{at(run)}segment-1/prepare/").status_code == 204
    assert Run.load(run.id).prepared == {}
    model.let_go.set()
    wait_until(lambda: Run.load(run.id).prepared)
    page = bot.send(bot.open(at(run)))
    assert "Think about what you just heard." in page.text
    assert len(model.fake.requests) == 1
