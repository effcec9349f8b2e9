"""What a student sees after an answer with a sign, how a student stops, and what staff see of both."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from sessions_app import study
from sessions_app.domain.models import AuditEntry, AuditReason, Item, OpenCall
from sessions_app.domain.session import messages as session_messages
from sessions_app.domain.session import survey as session_survey
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from support.bot import Bot, Page, answers_to
from support.cast import advance, at, brought_to, signed_in, started
from tests.domain.cast import FACILITATOR

pytestmark = pytest.mark.django_db

SECRET = "ok so honestly my dad hits me when i get bad grades"


@pytest.fixture(scope="module")
def table(lasting_table: str) -> str:
    return lasting_table


@pytest.fixture(scope="module")
def dynamodb(lasting_dynamodb: Any) -> Any:
    return lasting_dynamodb


@pytest.fixture(autouse=True)
def no_open_calls(table: str) -> None:
    for pointer in OpenCall.all():
        pointer.delete()


@pytest.fixture
def bot(table: str, requests_made: list[str]) -> Bot:
    return Bot(signed_in("facilitator"), requests_made)


def page(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, url
    return " ".join(response.content.decode().split())


def said(bot: Bot, run: Run, step: str, text: str) -> Page:
    """The free answer of this step, sent as a page without scripts does; `url` is where it leads."""
    asked = bot.open(f"{at(run)}{step}/")
    return bot.post(asked, **{**answers_to(asked), "answer": text})


def at_question() -> Run:
    return brought_to(started("L4-I1-S"), "questions-1/1")


def signs_of(run: Run) -> list[str]:
    return [str(call.sign) for call in Run.load(run.id).calls]


def test_a_sign_leads_to_a_calm_page_with_the_contacts_once(bot: Bot) -> None:
    run = at_question()
    leads = said(bot, run, "questions-1/1", SECRET).url
    care = bot.client.get(leads)["Location"]
    assert care == reverse("run_care", args=[run.id])
    shown = page(bot.client, care)
    assert "you are not alone" in shown
    assert all(f"tel:{contact.number}" in shown for contact in study.package().contacts if contact.number)
    assert SECRET not in shown
    assert "questions-1/2" in bot.client.get(at(run))["Location"]
    page(bot.client, f"{at(run)}questions-1/2/")
    assert Run.load(run.id).interventions[1].questions[0].answer == SECRET


def test_an_answer_that_a_device_sends_late_calls_too_and_is_acknowledged(bot: Bot) -> None:
    run = at_question()
    form = bot.open(f"{at(run)}questions-1/1/").form()
    body = urlencode(form.filled({"answer": SECRET}), doseq=True)
    headers = {"Accept": "application/json", "Held-Seconds": "4000"}
    sent = bot.client.post(
        form.action, body, content_type="application/x-www-form-urlencoded", headers=headers
    )
    assert sent.json()["saved"] is True
    assert signs_of(run) == ["harm"]


def test_a_second_text_that_is_kept_beside_the_first_calls_too(bot: Bot) -> None:
    run = at_question()
    asked = bot.open(f"{at(run)}questions-1/1/")
    bot.post(asked, answer="The river.")
    bot.post(asked, answer=SECRET)
    assert signs_of(run) == ["harm"]


def test_an_answer_that_came_after_a_stop_and_is_kept_for_staff_calls_too(bot: Bot) -> None:
    run = at_question()
    asked = bot.open(f"{at(run)}questions-1/1/")
    session_survey.stop(Run.load(run.id), by=FACILITATOR, now=study.now(), reason="a fire drill")
    bot.post(asked, answer=SECRET)
    assert Run.load(run.id).session.state == "stopped"
    assert signs_of(run) == ["harm"]


def test_the_survey_is_checked_and_its_call_outlives_the_session(bot: Bot) -> None:
    run = brought_to(started("L4-I1-S"), "survey")
    asked = bot.open(f"{at(run)}survey/")
    free = next(name for name in asked.form().values if name.endswith("comments"))
    bot.post(asked, **{**answers_to(asked), free: "i dont want to be alive anymore"})
    assert Run.load(run.id).session.state == "completed"
    assert signs_of(run) == ["self"]
    board = page(signed_in("facilitator"), "/monitor/")
    assert "may be in danger" in board
    assert "be alive" not in board
    assert bot.client.get(f"{at(run)}done/")["Location"] == reverse("run_care", args=[run.id])


def test_staff_see_the_call_on_board_and_session_until_somebody_is_on_it(bot: Bot) -> None:
    run = at_question()
    said(bot, run, "questions-1/1", SECRET)
    staff = signed_in("facilitator")
    assert "may be hurt by someone" in page(staff, "/monitor/")
    assert "may be hurt by someone" in page(staff, reverse("session", args=[run.id]))
    (call,) = Run.load(run.id).calls
    staff.post(reverse("session_answer", args=[run.id]), {"call": call.call_id, "next": "/monitor/"})
    assert "may be hurt by someone" not in page(staff, "/monitor/")
    assert Run.load(run.id).calls[0].answered_by == "a-facilitator"


def test_the_wish_to_stop_offers_it_and_alarms_nobody(bot: Bot) -> None:
    run = at_question()
    said(bot, run, "questions-1/1", "can we stop please")
    shown = page(bot.client, reverse("run_care", args=[run.id]))
    assert "Would you like to stop?" in shown
    assert "sounds hard" not in shown
    assert "wrote that they want to stop" in page(signed_in("facilitator"), "/monitor/")


def test_every_run_page_has_the_way_to_a_break(bot: Bot) -> None:
    run = started("L4-I1-S")
    link = reverse("run_pause", args=[run.id])
    assert link in page(bot.client, f"{at(run)}baseline/1/")
    paused = page(bot.client, link)
    assert "Take all the time you need" in paused
    assert f'data-next="{at(run)}"' in paused, "a page without a next one would make the device forget drafts"
    assert "988" in paused
    assert "baseline/1" in bot.client.get(at(run))["Location"]


@pytest.mark.parametrize(
    ("reason", "words"), [("tired", "The student stopped: I am tired"), ("", "The student stopped")]
)
def test_a_student_stops_without_staff_and_may_say_why(bot: Bot, reason: str, words: str) -> None:
    run = started("L4-I1-S")
    stopped = bot.client.post(reverse("run_stop", args=[run.id]), {"reason": reason})
    assert stopped["Location"] == reverse("run_done", args=[run.id])
    assert Run.load(run.id).session.state == "stopped"
    assert "are saved" in page(bot.client, stopped["Location"])
    again = bot.client.post(reverse("run_stop", args=[run.id]), {"reason": "nonsense"})
    assert again.status_code == 302
    assert stop_entry(run) == ("participant", words)


def stop_entry(run: Run) -> tuple[str, str]:
    day = Item.query(keys.audit_day(study.now().date()))
    (entry,) = [
        item
        for item in day
        if isinstance(item, AuditEntry) and (item.session_id, item.action) == (run.id, "session.stop")
    ]
    beside = Item.query(keys.student(run.session.student_id))
    (reason,) = [r for r in beside if isinstance(r, AuditReason) and r.entry_id == entry.entry_id]
    return str(entry.by), str(reason.reason)


def test_a_device_keeps_the_break_page_and_it_says_how_to_stop_without_a_network(bot: Bot) -> None:
    run = started("L4-I1-S")
    kept = bot.client.get(f"{at(run)}pack/").json()["pages"][reverse("run_pause", args=[run.id])]
    assert "There is no network right now" in kept
    assert '<form id="stop-form"' not in kept
    assert "988" in kept


def test_a_call_that_cannot_be_stored_loses_no_answer(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    run = at_question()

    def fail(*_: Any, **__: Any) -> None:
        raise session_messages.Busy("away")

    monkeypatch.setattr(session_messages, "_raise_alarm", fail)
    assert said(bot, run, "questions-1/1", SECRET).status == 302
    assert Run.load(run.id).interventions[1].questions[0].answer == SECRET


def test_what_the_cast_of_the_tests_writes_calls_nobody(bot: Bot) -> None:
    run = started("L4-I1-S")
    advance(bot, run, "questions-1/2")
    assert signs_of(run) == []
