"""Names of schools, positions, answers and tokens, planted, and then looked for where they must not be."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client

from sessions_app import study
from sessions_app.domain.grading import automated as automated_scoring
from sessions_app.domain.models import GradingTask, Item, Student
from sessions_app.domain.session import location_check
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from socratic_site.security import WithoutWords
from support.bot import Bot, Page, answers_to
from support.cast import enrolled, items_of, signed_in, store_away
from support.fake_anthropic import FakeAnthropic, data_of

pytestmark = pytest.mark.django_db

SCHOOL = "Zinnia Ridge Academy"
LATITUDE, LONGITUDE = "37.53571", "-77.44519"
WORDS = "quokkas built the waterwheels by moonlight"
REASON = "pufferfish ate the satellites"
ADDRESS, KEPT_NETWORK = "203.0.113.77", "203.0.113.0/24"


@dataclass
class Walked:
    """A session that went through HTTP with all of that in it; `log` is what the process said meanwhile."""

    bot: Bot
    run: Run
    student: Student
    tokens: list[str]
    log: str
    asked: list[dict[str, Any]]

    @property
    def planted(self) -> list[str]:
        return [SCHOOL, LATITUDE[:7], LONGITUDE[:8], WORDS, REASON, ADDRESS, *self.tokens]


@pytest.fixture(scope="module")
def table(lasting_table: str) -> str:
    return lasting_table


@pytest.fixture
def walked(table: str, caplog: pytest.LogCaptureFixture, claude: FakeAnthropic) -> Walked:
    caplog.set_level(logging.INFO)
    for name, told in django_settings.LOGGING["loggers"].items():
        caplog.set_level(told["level"], logger=name)
    return walk_all(caplog, claude)


def walk_all(caplog: pytest.LogCaptureFixture, fake: FakeAnthropic) -> Walked:
    client = signed_in("admin")
    client.defaults["REMOTE_ADDR"] = ADDRESS
    bot, student = Bot(client), enrolled(school=SCHOOL)
    place_code = location_check.place_code("classroom", secret="planted", now=study.now())
    page = started_on_site(bot, student, place_code)
    while not page.path.endswith("/done/"):
        page = bot.send(page, **planted_answers(page))
        assert page.status == 200, page.text[:200]
    broken_pages(client, page)
    run = Run.load(page.path.split("/")[2])
    for task in list(Item.query(keys.GRADING_QUEUE)):
        if isinstance(task, GradingTask):
            automated_scoring.work(task, package=study.package(), tutor=study.tutor(), now=study.now())
    tokens = [str(client.session.session_key), place_code]
    return Walked(bot, run, student, tokens, caplog.text, [request.body for request in fake.requests])


def started_on_site(bot: Bot, student: Student, place_code: str) -> Page:
    page = bot.open(f"/sessions/new/?code={student.student_code}&place=on-site")
    started = bot.send(
        page,
        "start",
        latitude=LATITUDE,
        longitude=LONGITUDE,
        accuracy="8",
        condition="L1-I3-D",
        condition_reason=REASON,
        vouch_reason=place_code,
    )
    return bot.open(f"/run/{started.path.split('/')[2]}/")  # played here, not handed over


def planted_answers(page: Page) -> dict[str, Any]:
    form = page.form()
    free = [name for name, values in form.values.items() if values == [""]]
    return answers_to(page) | dict.fromkeys((name for name in free if name != "shown"), WORDS)


def broken_pages(client: Client, page: Page) -> None:
    """A page that is not there, a form that is refused, and a store that is away, all with words in them."""
    client.get(f"/nowhere/{SCHOOL}/?answer={WORDS}")
    client.post(page.path, {"answer": WORDS})
    client.post("/login/", {"username": SCHOOL, "password": WORDS})
    with store_away():
        client.post(page.path.replace("done", "survey"), {"answer": WORDS})
        client.get(page.path)


def found_in(text: str, needles: list[str]) -> list[str]:
    return [needle for needle in needles if needle in text]


def check_the_log(walked: Walked) -> None:
    assert "the database did not respond" in walked.log  # there is a log to look at
    assert found_in(walked.log, walked.planted) == []
    assert walked.student.student_code not in walked.log


def check_addresses(walked: Walked) -> None:
    visited = "\n".join(trip.path for trip in walked.bot.trips)
    assert "/run/" in visited
    assert found_in(visited, walked.planted) == []


def check_keys(walked: Walked, lasting_dynamodb: Any) -> None:
    pages = lasting_dynamodb.get_paginator("scan").paginate(TableName=Item.Meta.table_name)
    items = [item for page in pages for item in page["Items"]]
    names = ["PK", "SK", *(f"GSI{n}{part}" for n in range(1, 6) for part in ("PK", "SK"))]
    held = "\n".join(item[name]["S"] for item in items for name in names if name in item)
    assert keys.session(walked.run.id) in held
    assert found_in(held, walked.planted) == []


def check_items(walked: Walked, lasting_dynamodb: Any) -> None:
    held = json.dumps(items_of(lasting_dynamodb, str(Item.Meta.table_name), walked.run.id))
    assert WORDS in held
    assert KEPT_NETWORK in held
    assert found_in(held, [ADDRESS, *walked.tokens]) == []
    assert location_check.token_hash(walked.tokens[0]) in held  # the web session's key, as a digest


def check_prompts(walked: Walked) -> None:
    sent = [json.dumps(body) for body in walked.asked]
    assert any(WORDS in text for text in sent)
    strangers = [each for each in walked.planted if each != WORDS]
    strangers += [walked.student.student_id, str(walked.student.student_code)]
    assert [each for text in sent for each in found_in(text, strangers)] == []
    for body in walked.asked:
        data = json.dumps(json.dumps(data_of(body), ensure_ascii=False))[1:-1]  # as it lies in the request
        assert WORDS not in json.dumps(body).replace(data, "")


def test_what_was_planted_is_nowhere_but_where_it_belongs(walked: Walked, lasting_dynamodb: Any) -> None:
    """One walk, as it is long."""
    check_the_log(walked)
    check_addresses(walked)
    check_keys(walked, lasting_dynamodb)
    check_items(walked, lasting_dynamodb)
    check_prompts(walked)


@pytest.mark.parametrize(
    "request_it",
    [
        lambda client: client.get(f"/nowhere/?{WORDS}"),
        lambda client: client.get(f"/sessions/{WORDS.replace(' ', '-')}/"),
        lambda client: client.get(f"/sessions/?code={WORDS}"),
        lambda client: client.post("/sessions/new/", {"vouch_reason": REASON}),
        lambda client: client.get("/records/session/item/?key=" + SCHOOL.replace(" ", "+")),
    ],
    ids=["nowhere", "no session", "a bad filter", "a bad start", "a bad key"],
)
def test_no_error_page_repeats_what_it_was_given_unescaped_or_as_a_fault(
    table: str, request_it: Callable[[Client], Any]
) -> None:
    response = request_it(signed_in("admin"))
    assert response.status_code < 500
    assert "Traceback" not in response.content.decode()


def test_the_page_of_a_fault_tells_nothing(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in("admin")
    client.raise_request_exception = False

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"{SCHOOL} {WORDS} {LATITUDE}")

    monkeypatch.setattr("sessions_app.views.sessions.render", fail)
    response = client.get("/sessions/?day=2026-01-31")
    assert response.status_code == 500
    assert found_in(response.content.decode(), [SCHOOL, WORDS, LATITUDE, "RuntimeError"]) == []


def test_the_log_of_a_fault_tells_where_and_never_what() -> None:
    try:
        raise ValueError(f"{WORDS} must be a number") from KeyError(SCHOOL)
    except ValueError:
        record = logging.LogRecord("django", logging.ERROR, __file__, 1, "500", None, sys.exc_info())
    told = WithoutWords("%(message)s").format(record)
    assert found_in(told, [WORDS, SCHOOL]) == []
    assert "ValueError" in told
    assert "KeyError" in told
    assert "test_planted.py" in told
    assert settings_formatter() == "socratic_site.security.WithoutWords"


def settings_formatter() -> str:
    formatters: Any = django_settings.LOGGING["formatters"]
    return str(formatters["plain"]["()"])
