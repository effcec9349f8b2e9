"""The pack of a running session, and what comes back from a device that went on without a network."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from sessions_app import study
from sessions_app.domain import flow
from sessions_app.domain.session import abandoned
from sessions_app.domain.session.record import Run
from support.bot import Bot, Page, answers_to, read
from support.cast import advance, at, brought_to, close, signed_in, started

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
FALLBACK = "?fallback=1"


@pytest.fixture(scope="module")
def table(lasting_table: str) -> str:
    return lasting_table


@pytest.fixture(scope="module")
def dynamodb(lasting_dynamodb: Any) -> Any:
    return lasting_dynamodb


@pytest.fixture
def bot(table: str, requests_made: list[str]) -> Bot:
    return Bot(signed_in("facilitator"), requests_made)


def pack_of(bot: Bot, run: Run) -> dict[str, Any]:
    answer = bot.client.get(f"{at(run)}pack/")
    assert answer.status_code == 200
    told: dict[str, Any] = json.loads(answer.content)
    return told


def page_of(pack: dict[str, Any], url: str) -> Page:
    """A page of the pack as a browser would read it."""

    class Kept:
        status_code = 200
        content = pack["pages"][url].encode()

    return read(url, Kept())


def sent(bot: Bot, page: Page, held: int = 600, **answers: Any) -> Any:
    body = urlencode(page.form().filled(answers_to(page) | answers), doseq=True)
    headers = {"Accept": "application/json", "Held-Seconds": str(held), "Took-Seconds": "20"}
    content_type = "application/x-www-form-urlencoded"
    return bot.client.post(page.form().action, body, content_type=content_type, headers=headers)


def after(run: Run) -> Run:
    return Run.load(run.id)


@pytest.mark.parametrize(("stands", "first"), [("baseline/1", "baseline/1"), ("segment-4", "segment-4")])
def test_a_static_session_is_finished_from_its_pack(stands: str, first: str, bot: Bot) -> None:
    run = brought_to(started("L4-I2-S", at=study.now() - HOUR), stands)
    bot.made.clear()
    pack = pack_of(bot, run)
    assert bot.made == ["Query", "UpdateItem"]  # the pages, and that a device has them
    assert next(iter(pack["pages"])) == f"{at(run)}{first}/"

    url = f"{at(run)}{first}/"
    while not url.endswith("/done/"):
        page = page_of(pack, url)
        reply = sent(bot, page)
        assert reply.status_code == 200, f"{url}: {reply.content!r}"
        url = re.search(r'data-next="([^"]*)"', page.html)[1]  # type: ignore[index]
        assert json.loads(reply.content)["next"] == url
    assert after(run).session.state == "completed"
    assert "late_sync" in after(run).session.metadata.data_quality_flags
    assert "Your answers are safe on this device" in page_of(pack, url).text


def test_a_pack_has_no_answers_and_nobody_else_in_it(bot: Bot) -> None:
    other = started()
    run = started("L4-I1-D")
    pack = bot.client.get(f"{at(run)}pack/").content.decode()
    secrets = [c.name for item in study.package().assessment for c in item.rubric]
    for word in ("correct_answer", "is_correct", other.id, other.session.student_code, *secrets):
        assert word not in pack
    for item in study.package().assessment:
        for page in (f"{at(run)}{kind}/{study.package().assessment.index(item) + 1}/" for kind in ("final",)):
            shown = page_of(json.loads(pack), page)
            assert "checked" not in shown.html
            assert shown.form().offered.get("answer", list(item.options)) == list(item.options)


def test_every_page_of_a_pack_has_its_own_number_and_the_minutes_from_there(bot: Bot) -> None:
    run = started("L4-I3-S")
    pack = pack_of(bot, run)
    forms = [page_of(pack, url).form() for url in pack["pages"] if not url.endswith(("/done/", "/pause/"))]
    numbers = [form.values["submission_id"][0] for form in forms]
    assert len(set(numbers)) == len(numbers) == sum(stage.steps for stage in run.stages)
    assert "about 3 minutes left" in page_of(pack, f"{at(run)}survey/").text


def test_a_pack_takes_no_message_from_the_next_page(bot: Bot) -> None:
    run = started()
    page = advance(bot, run, "baseline/3")
    bot.post(page, answer="One.")
    bot.post(page, answer="Two.", submission_id="7d0f4f9a-9d5e-4a6c-b43c-0d2f2c9a1e77")
    assert "Both answers are kept" not in json.dumps(pack_of(bot, run))
    assert "Both answers are kept" in bot.open(at(run)).text


@pytest.mark.parametrize(
    ("code", "missing", "step", "address", "answers"),
    [
        ("L4-I3-S", "baseline/2", "baseline/3", "baseline/3/", {"answer": "Because of the river."}),
        (
            "L4-I3-S",
            "format",
            "segment-1/1",
            "segment-1/",
            {"position": "61.5", "played": "70.5", "pauses": "1", "rewinds": "2"},
        ),
        ("L4-I3-S", "baseline/10", "format/1", "format/", {"format_chosen": "text", "speed": "1.2"}),
        ("L4-I3-S", "segment-4", "questions-4/1", "questions-4/1/", {"answer": "The hammer."}),
        ("L4-I3-D", "segment-4", "questions-4/1", "questions-4/1/?fallback=1", {"answer": "The hammer."}),
    ],
)
def test_a_kept_page_sent_as_a_plain_form_ahead_of_a_missing_step_is_shown_again_with_what_was_typed(
    code: str, missing: str, step: str, address: str, answers: dict[str, str], bot: Bot
) -> None:
    run = started(code)
    first = advance(bot, run, missing)
    kept = page_of(pack_of(bot, run), at(run) + address)
    before = after(run).done

    early = bot.post(kept, **answers)
    assert early.status == 409
    assert "This was not saved yet. A step before this one has not arrived yet." in early.text
    assert first.path in early.links
    expected = kept.form().values | {name: [value] for name, value in answers.items()}
    expected.pop("csrfmiddlewaretoken")
    assert {name: early.form().values[name] for name in expected} == expected
    assert after(run).done == before

    bot.post(first, **answers_to(first))
    assert bot.post(early).status == 302
    stage, number = step.split("/")
    assert after(run).done[stage] == int(number)


def test_a_segment_that_came_too_early_stands_where_its_player_stood(bot: Bot) -> None:
    run = brought_to(started(), "format")
    kept = page_of(pack_of(bot, run), f"{at(run)}segment-1/")
    early = bot.post(kept, position="61.5", played="70.5", pauses="1", rewinds="0")
    stood = re.findall(r'data-(position|played|pauses|rewinds)="([^"]*)"', early.html)
    assert stood == [("position", "61.5"), ("played", "70.5"), ("pauses", "1"), ("rewinds", "0")]


def test_a_page_that_was_not_given_yet_is_not_shown_for_being_sent(bot: Bot) -> None:
    run = started("L4-I3-D")
    page = bot.open(at(run))
    page.form().action = f"{at(run)}questions-4/1/"
    early = bot.post(page, answer="A guess.")
    assert (early.status, early.url) == (302, f"{at(run)}baseline/1/")


def test_a_fixed_question_in_place_of_a_generated_one_stays_it_when_its_answer_is_empty(bot: Bot) -> None:
    run = brought_to(started("L4-I3-D"), "segment-4")
    kept = page_of(pack_of(bot, run), f"{at(run)}questions-4/1/?fallback=1")
    bot.post(advance(bot, run, "segment-4"))

    again = bot.post(kept, answer="")
    assert again.status == 422
    assert study.package().segment(4).static_questions[0] in again.text
    bot.post(again, answer="The hammer.")
    assert after(run).interventions[4].questions[0].question_source == "static_fallback"


def test_a_dynamic_session_waits_or_goes_on_with_the_fixed_questions(bot: Bot) -> None:
    run = brought_to(started("L4-I3-D", at=study.now() - HOUR), "segment-4")
    pack = pack_of(bot, run)
    waiting = page_of(pack, f"{at(run)}questions-4/1/")
    assert "Waiting for the network" in waiting.text
    assert not [form for form in waiting.forms if form.id == "step-form"]
    assert "?fallback=1" in waiting.links

    assert sent(bot, page_of(pack, f"{at(run)}segment-4/")).status_code == 200
    url = f"{at(run)}questions-4/1/?fallback=1"
    for _ in range(flow.QUESTIONS):
        page = page_of(pack, url)
        assert sent(bot, page, answer="I saw the river.").status_code == 200
        url = re.search(r'data-next="([^"]*)"', page.html)[1]  # type: ignore[index]
    assert url == f"{at(run)}final/1/"

    talk = after(run).interventions[4]
    assert talk.is_whole
    assert talk.intervention_metadata.type == "dynamic"
    assert [q.question_source for q in talk.questions] == ["static_fallback"] * 3
    assert [q.question for q in talk.questions] == list(study.package().segment(4).static_questions)
    assert [q.answer_metadata.response_time_seconds for q in talk.questions] == [20] * 3
    flags = after(run).session.metadata.data_quality_flags
    assert {"ai_fallback", "late_sync"} <= set(flags)


@pytest.mark.parametrize("closed", ["stopped", "abandoned"])
def test_a_whole_backlog_from_the_pack_is_taken_after_its_session_was_closed(closed: str, bot: Bot) -> None:
    """A dynamic session is answered without a network; it is closed meanwhile; then everything is sent."""
    begun = study.now() - timedelta(hours=40)
    run = started("L4-I2-D", at=begun)
    page = bot.open(at(run))
    pack = pack_of(bot, run)
    if closed == "stopped":
        close(run)
    else:
        assert abandoned.close(run.id, now=begun + timedelta(hours=25), after=timedelta(hours=24))

    url = page.path
    while not url.endswith("/done/"):
        url += FALLBACK if f"{url}{FALLBACK}" in pack["pages"] else ""
        page = page_of(pack, url)
        reply = sent(bot, page, held=39 * 3600)
        assert reply.status_code == 200, f"{url}: {reply.content!r}"
        url = re.search(r'data-next="([^"]*)"', page.html)[1].split("?")[0]  # type: ignore[index]
    whole = after(run)
    assert whole.next_step is None
    assert whole.session.state == ("stopped" if closed == "stopped" else "completed")
    assert whole.session.completion_status.interventions_completed == 2
    assert {"ai_fallback", "late_sync"} <= set(whole.session.metadata.data_quality_flags)
    assert not whole.conflicts


def test_a_fixed_question_takes_the_place_of_one_that_nobody_has_answered(bot: Bot) -> None:
    run = brought_to(started("L4-I3-D"), "segment-4")
    pack = pack_of(bot, run)
    generated = bot.send(bot.open(at(run)), **{}).text
    fixed = page_of(pack, f"{at(run)}questions-4/1/?fallback=1")
    assert study.package().segment(4).static_questions[0] not in generated
    reply = sent(bot, fixed, answer="I saw the river.")
    assert reply.status_code == 200
    first = after(run).interventions[4].questions[0]
    assert (first.question_source, first.answer) == ("static_fallback", "I saw the river.")
    assert sent(bot, fixed, answer="I saw the river.").content == reply.content


def test_a_static_session_takes_the_fallback_for_what_it_has(bot: Bot) -> None:
    run = brought_to(started("L4-I3-S"), "questions-4/1")
    page = bot.open(at(run))
    page.form().values["fallback"] = ["1"]
    assert sent(bot, page, answer="I saw the river.").status_code == 200
    assert after(run).interventions[4].questions[0].question_source == "predefined_set_v1"


@pytest.mark.parametrize("role", ["researcher", "irb"])
def test_a_pack_is_for_those_who_run_sessions(role: str, table: str) -> None:
    run = started()
    assert signed_in(role).get(f"{at(run)}pack/").status_code == 403
    assert Client().get(f"{at(run)}pack/").status_code == 302


def test_a_session_that_is_over_has_no_pages(bot: Bot) -> None:
    run = started()
    close(run)
    assert pack_of(bot, run)["pages"] == {}
    assert bot.client.get("/run/no-such-session/pack/").status_code == 404


def test_the_worker_is_served_from_the_root_to_everybody(db: Any) -> None:
    answer = Client().get("/sw.js")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert "no-cache" in answer.headers["Cache-Control"]
    assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]
    assert b'addEventListener("fetch"' in answer.content


# --- resumed


def test_another_device_shows_the_same_step_and_second_of_the_segment(bot: Bot) -> None:
    run = brought_to(started(), "segment-2")
    told = {"position": "61.5", "played": "70", "pauses": "1", "rewinds": "2"}
    bot.client.post(f"{at(run)}segment-2/progress/", told)
    other = Bot(signed_in("facilitator")).open(at(run))
    assert other.path == f"{at(run)}segment-2/"
    assert 'data-position="61.5"' in other.html
    assert 'data-played="70.0"' in other.html


@pytest.mark.parametrize(("minutes", "resumed"), [(29, False), (31, True)])
def test_a_session_that_was_left_for_long_is_flagged(minutes: int, resumed: bool, bot: Bot) -> None:
    begun = study.now() - timedelta(minutes=minutes)
    run = brought_to(started(at=begun), "format")
    assert ("resumed" in run.session.metadata.data_quality_flags) is resumed


def test_answers_that_waited_on_a_device_are_no_reason_to_flag(bot: Bot) -> None:
    run = started(at=study.now() - timedelta(minutes=40))
    body_time = {"Accept": "application/json", "Held-Seconds": "2390", "Took-Seconds": "9"}
    for number in range(1, 11):
        page = bot.open(f"{at(run)}baseline/{number}/")
        body = urlencode(page.form().filled(answers_to(page)), doseq=True)
        content_type = "application/x-www-form-urlencoded"
        assert (
            bot.client.post(page.path, body, content_type=content_type, headers=body_time).status_code == 200
        )
    assert after(run).session.metadata.data_quality_flags == ["condition_override", "late_sync"]
