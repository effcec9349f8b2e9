"""What a script that sends a step is told: an acknowledgement that names number and bytes, or a refusal."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpResponse
from django.test import Client, RequestFactory

from sessions_app import study
from sessions_app.access.roles import SITE_PREFIX
from sessions_app.domain import flow
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.participants import withdrawal
from sessions_app.domain.session import abandoned
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from sessions_app.views.run import steps as pages
from support.bot import Bot, Page, answers_to, walk
from support.cast import (
    advance,
    at,
    brought_to,
    close,
    enrolled,
    items_of,
    signed_in,
    started,
    store_away,
    withdraw,
)
from tests.domain.cast import at_once

pytestmark = pytest.mark.django_db

STEPS = ["baseline/1", "baseline/3", "format", "segment-4", "questions-4/2", "final/10", "survey"]
HOUR = timedelta(hours=1)
SCRIPT = {"Accept": "application/json"}
URLENCODED = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def table(lasting_table: str) -> str:
    return lasting_table


@pytest.fixture(scope="module")
def dynamodb(lasting_dynamodb: Any) -> Any:
    return lasting_dynamodb


@pytest.fixture
def bot(table: str, requests_made: list[str]) -> Bot:
    return Bot(signed_in("facilitator"), requests_made)


def body_of(page: Page, **answers: Any) -> bytes:
    return urlencode(page.form().filled(answers_to(page) | answers), doseq=True).encode()


def sent(client: Client, page: Page, body: bytes, **headers: str) -> Any:
    return client.post(page.path, body, content_type=URLENCODED, headers=SCRIPT | headers)


def told(response: Any) -> dict[str, Any]:
    assert response.headers["Content-Type"] == "application/json"
    answer: dict[str, Any] = json.loads(response.content)
    return answer


def everything(dynamodb: Any, table: str, run: Run) -> str:
    return repr(items_of(dynamodb, table, run.id))


def from_a_browser_of_its_own(page: Page, run: Run) -> Callable[[bytes], HttpResponse]:
    """The view itself, without the accounts' database, which threads of a test cannot share."""
    _, _, stage, *number = page.path.strip("/").split("/")
    place = {"number": int(number[0])} if number else {}

    def send(body: bytes) -> HttpResponse:
        request = RequestFactory().post(page.path, body, content_type=URLENCODED, headers=SCRIPT)
        request.session = {}  # type: ignore[assignment]  # confined to nothing
        request.user = AnonymousUser()  # and limited to no site
        return pages.step(request, run.id, stage, **place)

    return send


# --- acknowledged


@pytest.mark.parametrize("step", STEPS)
def test_what_was_stored_is_acknowledged_by_its_number_and_its_bytes(step: str, bot: Bot) -> None:
    run = started("L4-I3-S")
    page = advance(bot, run, step)
    body = body_of(page)
    bot.made.clear()
    answer = sent(bot.client, page, body)

    assert answer.status_code == 200
    after = Run.load(run.id)
    this = next(
        flow.Step(stage, n)
        for stage in run.stages
        for n in range(1, stage.steps + 1)
        if flow.Step(stage, n).slug == step
    )
    stored = after.stored_at(this)
    assert stored is not None
    following = flow.following(run.stages, this)
    assert told(answer) == {
        "saved": True,
        "submission_id": page.form().values["submission_id"][0],
        "sha256": hashlib.sha256(body).hexdigest(),
        "stored_at": keys.stamp(stored),
        "at": f"{stored.astimezone(study.zone()):%H:%M:%S}",
        "next": f"{at(run)}{following.slug if following else 'done'}/",
    }
    assert bot.made[:2] == ["Query", "TransactWriteItems"]


@pytest.mark.parametrize("step", STEPS)
def test_the_same_bytes_again_have_the_same_reply_whatever_came_after(
    step: str, bot: Bot, dynamodb: Any, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started("L4-I3-S")
    page = advance(bot, run, step)
    body = body_of(page)
    first = sent(bot.client, page, body)
    for _ in walk(bot, bot.open(at(run))):
        pass
    before = everything(dynamodb, table, run)
    for days in (0, 3):
        later = study.now() + timedelta(days=days)
        monkeypatch.setattr(study, "now", lambda later=later: later)
        again = sent(bot.client, page, body, **{"Held-Seconds": str(days * 86_400)})
        assert (again.status_code, told(again)) == (200, told(first))
    assert everything(dynamodb, table, run) == before


@pytest.mark.parametrize(
    "step", ["baseline/1", "baseline/3", "format", "segment-4", "questions-4/2", "survey"]
)
def test_five_at_once_are_one_item_with_one_reply(step: str, bot: Bot, dynamodb: Any, table: str) -> None:
    run = started("L4-I3-S")
    page = advance(bot, run, step)
    body, send = body_of(page), from_a_browser_of_its_own(page, run)
    replies = at_once(5, lambda _: send(body))

    assert [reply.status_code for reply in replies] == [200] * 5
    assert len({reply.content for reply in replies}) == 1
    assert not Run.load(run.id).conflicts
    before = everything(dynamodb, table, run)
    assert send(body).content == replies[0].content
    assert everything(dynamodb, table, run) == before


def test_the_same_text_from_another_tab_is_acknowledged_to_that_tab(bot: Bot) -> None:
    run = started()
    page = advance(bot, run, "baseline/3")
    other = bot.open(page.url)
    first = told(sent(bot.client, page, body_of(page, answer="The river.")))
    second = told(sent(bot.client, other, body_of(other, answer="The river.")))
    assert second["submission_id"] == other.form().values["submission_id"][0] != first["submission_id"]
    assert second["stored_at"] == first["stored_at"]
    assert not Run.load(run.id).conflicts


def test_a_second_tab_that_ends_a_segment_is_acknowledged(bot: Bot) -> None:
    run = started("L4-I3-S")
    page = advance(bot, run, "segment-1")
    other = bot.open(page.url)
    first = told(sent(bot.client, page, body_of(page, position="2", played="2")))
    second = told(sent(bot.client, other, body_of(other, position="1", played="1")))
    assert (second["saved"], second["stored_at"]) == (True, first["stored_at"])
    assert not Run.load(run.id).conflicts


# --- refused


@pytest.mark.parametrize(
    ("step", "other", "kept"),
    [
        ("baseline/3", {"answer": "Other words."}, "Other words."),
        ("questions-4/2", {"answer": "Other words."}, "Other words."),
        ("format", {"format_chosen": "audio", "speed": "0.8"}, "audio, speed 0.8, with captions"),
        ("segment-1", {"position": "7", "played": "7"}, "position 7, played 7"),
        (
            "survey",
            {"learning_experience__pacing_rating": "1"},
            "learning_experience.pacing_rating: 1",
        ),
    ],
)
def test_another_body_under_the_same_number_is_a_conflict_and_both_are_kept(
    step: str, other: dict[str, str], kept: str, bot: Bot
) -> None:
    run = started("L4-I3-S")
    page = advance(bot, run, step)
    sent(bot.client, page, body_of(page))
    body, send = body_of(page, **other), from_a_browser_of_its_own(page, run)
    replies = at_once(5, lambda _: send(body))

    assert {reply.status_code for reply in replies} == {409}
    reply = told(replies[0])
    assert (reply["saved"], reply["kept"], reply["error"]) == (False, True, "conflict")
    assert reply["sha256"] == hashlib.sha256(body).hexdigest()
    assert reply["submission_id"] == page.form().values["submission_id"][0]
    assert [conflict.text for conflict in Run.load(run.id).conflicts] == [kept]
    shown = bot.open(f"/sessions/{run.id}/")
    assert "Conflicting answers" in shown.text
    assert (kept in shown.text) is (step == "survey")  # before the end it would give the arm away
    assert kept in signed_in("researcher").get(f"/sessions/{run.id}/").content.decode()


def test_a_refusal_names_the_field_and_changes_nothing(bot: Bot, dynamodb: Any, table: str) -> None:
    run = started()
    page = advance(bot, run, "baseline/3")
    before = everything(dynamodb, table, run)
    answer = sent(bot.client, page, body_of(page, answer="  "))
    assert answer.status_code == 422
    assert told(answer)["faults"] == [
        {
            "field": "answer",
            "label": "Your answer",
            "target": "id_answer",
            "text": "Please write something first, even a short thought.",
        }
    ]
    assert everything(dynamodb, table, run) == before


@pytest.mark.parametrize("number", ["", "7", "not-a-number", "x" * 5000])
def test_a_sending_without_a_proper_number_is_refused(number: str, bot: Bot) -> None:
    run = started()
    page = advance(bot, run, "baseline/3")
    answer = sent(bot.client, page, body_of(page, submission_id=number))
    assert answer.status_code == 422
    assert [fault["field"] for fault in told(answer)["faults"]] == ["submission_id"]
    assert Run.load(run.id).step.slug == "baseline/3"


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize("step", ["baseline/3", "questions-4/1"])
def test_a_form_of_another_session_or_step_is_refused(
    step: str, script: bool, bot: Bot, dynamodb: Any, table: str
) -> None:
    mine, other = started("L4-I3-S"), started("L4-I3-S")
    page, foreign = advance(bot, mine, step), advance(bot, other, step)
    first = bot.open(f"{at(started())}baseline/1/")
    before = everything(dynamodb, table, mine)
    for form in (foreign, first):
        page.form().values["shown"] = form.form().values["shown"]
        headers = SCRIPT if script else {}
        body = body_of(page, answer="Not mine.")
        answer = bot.client.post(page.path, body, content_type=URLENCODED, headers=headers)
        assert answer.status_code == 422
        assert "belongs to another step or session" in answer.content.decode()
    assert everything(dynamodb, table, mine) == before


def test_a_step_that_comes_too_early_is_told_where_the_session_stands(bot: Bot) -> None:
    run = started()
    page = advance(bot, run, "baseline/3")
    body = body_of(page)
    page.url = page.url.replace("baseline/3", "baseline/5")
    answer = sent(bot.client, page, body)
    assert answer.status_code == 409
    reply = told(answer)
    assert (reply["error"], reply["next"]) == ("out_of_step", f"{at(run)}baseline/3/")
    assert len(Run.load(run.id).assessments["baseline"].questions) == 2


def test_a_stopped_session_repeats_what_it_acknowledged_and_takes_what_was_given_before(bot: Bot) -> None:
    run = started(at=study.now() - HOUR)
    page = advance(bot, run, "baseline/3")
    body = body_of(page)
    first = sent(bot.client, page, body)
    other = bot.open(at(run))
    close(run)
    assert told(sent(bot.client, page, body)) == told(first)
    before = sent(bot.client, other, body_of(other), **{"Held-Seconds": "60"})
    assert (before.status_code, told(before)["saved"]) == (200, True)
    after = Run.load(run.id)
    assert after.session.state == "stopped"
    assert after.assessments["baseline"].questions[3].held_seconds == 60
    assert not after.conflicts


def given_after_the_stop(bot: Bot) -> tuple[Run, Page]:
    run = started()
    page = advance(bot, run, "baseline/3")
    close(run)
    return run, page


def test_what_was_given_after_the_stop_is_acknowledged_as_kept(bot: Bot, dynamodb: Any, table: str) -> None:
    run, page = given_after_the_stop(bot)
    body = body_of(page, answer="The river gave power.")
    answer = sent(bot.client, page, body)
    reply = told(answer)
    assert (answer.status_code, reply["error"], reply["saved"], reply["kept"]) == (
        409,
        "after_end",
        False,
        True,
    )
    assert reply["sha256"] == hashlib.sha256(body).hexdigest()
    assert reply["next"] == f"{at(run)}done/"
    assert "staff of the study can see it" in reply["message"]
    before = everything(dynamodb, table, run)
    assert told(sent(bot.client, page, body)) == reply
    assert everything(dynamodb, table, run) == before

    assert "What you sent after that does not count" in bot.open(f"{at(run)}done/").text
    shown = bot.open(f"/sessions/{run.id}/").text
    assert "Given after the session had ended" in shown
    assert "The river gave power." in shown
    assert "Conflicting answers" not in shown


def test_a_plain_form_sent_after_the_stop_is_kept_and_its_page_says_so(bot: Bot) -> None:
    run, page = given_after_the_stop(bot)
    last = bot.send(page, answer="The river gave power.")
    assert last.path == f"{at(run)}done/"
    assert "It does not count, but it is not lost" in last.text
    assert [conflict.text for conflict in Run.load(run.id).conflicts] == ["The river gave power."]


@pytest.mark.parametrize("step", STEPS)
def test_a_session_that_timed_out_takes_a_late_answer_and_goes_on(step: str, bot: Bot) -> None:
    run = started("L4-I3-S", at=study.now() - timedelta(hours=30))
    page = advance(bot, run, step)
    body = body_of(page)
    run = Run.load(run.id)
    assert abandoned.close(run.id, now=run.last_seen + timedelta(hours=25), after=timedelta(hours=24))
    assert "timed out" in bot.open(at(run)).text
    answer = sent(bot.client, page, body, **{"Held-Seconds": "3600"})
    assert (answer.status_code, told(answer)["saved"]) == (200, True)
    after = Run.load(run.id)
    assert after.session.state == ("completed" if step == "survey" else "running")
    assert "late_sync" in after.session.metadata.data_quality_flags
    following = bot.open(at(run)).path
    assert following == (f"{at(run)}done/" if step == "survey" else pages.url_of(after, after.step))


def test_a_player_plays_on_in_a_session_that_timed_out(bot: Bot) -> None:
    run = started("L4-I3-S")
    advance(bot, run, "segment-1")
    assert abandoned.close(run.id, now=study.now() + timedelta(hours=25), after=timedelta(hours=24))
    played = bot.client.post(f"{at(run)}segment-1/progress/", {"position": "20", "played": "20"})
    assert (played.status_code, json.loads(played.content)) == (200, {"saved": False})


def test_a_withdrawn_session_refuses(bot: Bot) -> None:
    student = enrolled()
    run = started(student=student)
    page = advance(bot, run, "baseline/3")
    by = Actor("a-facilitator", "facilitator")
    withdrawal.withdraw(student.student_id, keep=True, by=by, now=study.now())
    answer = sent(bot.client, page, body_of(page), **{"Held-Seconds": "60"})
    assert (answer.status_code, told(answer)["error"]) == (410, "closed")
    assert "The student has left the study" in told(answer)["message"]
    assert not Run.load(run.id).conflicts


def test_without_consent_nothing_is_stored(bot: Bot, dynamodb: Any, table: str) -> None:
    student = enrolled()
    run = started(student=student)
    page = advance(bot, run, "baseline/3")
    withdraw(student.student_id)
    before = everything(dynamodb, table, run)
    answer = sent(bot.client, page, body_of(page))
    assert (answer.status_code, told(answer)["error"]) == (410, "consent")
    assert everything(dynamodb, table, run) == before


@pytest.mark.parametrize("path", ["/run/no-such-session/baseline/1/", "{here}nowhere/", "{here}baseline/99/"])
def test_an_address_that_is_none_is_a_refusal_too(path: str, bot: Bot) -> None:
    run = started()
    page = bot.open(at(run))
    body = body_of(page)
    page.url = path.format(here=at(run))
    answer = sent(bot.client, page, body)
    assert answer.status_code == 404
    assert told(answer)["sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("operations", [(), ("TransactWriteItems",)])
def test_while_the_store_is_away_nothing_is_acknowledged(operations: tuple[str, ...], bot: Bot) -> None:
    run = started()
    page = advance(bot, run, "baseline/3")
    body = body_of(page)
    with store_away(*operations):
        answer = sent(bot.client, page, body)
    assert answer.status_code == 503
    assert "stored_at" not in told(answer)
    assert sent(bot.client, page, body).status_code == 200


def test_a_form_in_parts_is_refused_as_its_bytes_cannot_be_told(bot: Bot) -> None:
    run = started()
    page = bot.open(at(run))
    answer = bot.client.post(page.path, page.form().filled(answers_to(page)), headers=SCRIPT)
    assert (answer.status_code, told(answer)["error"]) == (415, "unreadable")
    assert not Run.load(run.id).assessments


@pytest.mark.parametrize("script", [True, False])
def test_a_body_that_is_too_large_is_refused_with_a_reason(script: bool, bot: Bot) -> None:
    run = started()
    page = bot.open(at(run))
    body = body_of(page, answer="x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    answer = bot.client.post(page.path, body, content_type=URLENCODED, headers=SCRIPT if script else {})
    assert answer.status_code == 413
    assert "too large" in answer.content.decode()
    assert (answer.headers["Content-Type"] == "application/json") is script
    assert not Run.load(run.id).assessments


def test_a_signed_out_script_is_acknowledged_by_nobody(bot: Bot) -> None:
    run = started()
    page = bot.open(at(run))
    answer = sent(Client(), page, body_of(page))
    assert answer.status_code == 302
    assert not Run.load(run.id).assessments


# --- late


def test_a_late_answer_keeps_the_devices_measure_and_flags_the_session(bot: Bot) -> None:
    run = started("L4-I3-S", at=study.now() - HOUR)
    late = {"Held-Seconds": "900", "Took-Seconds": "42"}
    for step in ("baseline/2", "questions-4/1"):
        page = advance(bot, Run.load(run.id), step)
        assert sent(bot.client, page, body_of(page), **late).status_code == 200

    after = brought_to(Run.load(run.id), "final/1")
    baseline, talk = after.assessments["baseline"], after.interventions[4]
    assert [q.held_seconds for q in baseline.questions] == [None, 900, *[None] * 8]
    assert baseline.questions[1].response_time_seconds == 42
    assert baseline.assessment_metadata.duration_seconds == sum(
        q.response_time_seconds for q in baseline.questions
    )
    assert talk.questions[0].answer_metadata.response_time_seconds == 42
    assert talk.metadata.data_quality_flags == ["late_sync"]
    assert "late_sync" in after.session.metadata.data_quality_flags


@pytest.mark.parametrize("step", ["format", "segment-1", "survey"])
def test_a_late_stage_of_one_page_flags_the_session(step: str, bot: Bot) -> None:
    run = started("L4-I3-S", at=study.now() - HOUR)
    page = advance(bot, run, step)
    assert sent(bot.client, page, body_of(page), **{"Held-Seconds": "60"}).status_code == 200
    assert "late_sync" in Run.load(run.id).session.metadata.data_quality_flags


@pytest.mark.parametrize(
    ("held", "took", "stored"),
    [
        ("4", "42", (None, 0)),
        ("", "42", (None, 0)),
        ("-900", "42", (None, 0)),
        ("3700", "42", (3600, 42)),
        ("99999999999", "42", (3600, 42)),
        ("9999999999999", "42", (None, 0)),
        ("900", "-1", (900, 0)),
        ("900", "86400", (900, 0)),
        ("900", "soon", (900, 0)),
    ],
)
def test_what_no_clock_can_have_measured_is_not_believed(
    held: str, took: str, stored: tuple[Any, int], bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = study.now()
    monkeypatch.setattr(study, "now", lambda: now)
    run = started(at=now - HOUR)
    page = bot.open(at(run))
    sent(bot.client, page, body_of(page), **{"Held-Seconds": held, "Took-Seconds": took})
    after = Run.load(run.id)
    first = after.assessments["baseline"].questions[0]
    assert (first.held_seconds, first.response_time_seconds) == stored
    assert ("clock_skew" in after.session.metadata.data_quality_flags) is (stored == (3600, 42))


def test_every_form_of_a_run_has_a_number_of_its_own(bot: Bot) -> None:
    run = started()
    numbers = {bot.open(at(run)).form().values["submission_id"][0] for _ in range(2)}
    assert len({uuid.UUID(number) for number in numbers}) == 2
    assert re.fullmatch(r"[0-9a-f-]{36}", numbers.pop())


def test_where_a_session_stands_does_not_change_what_follows_a_step() -> None:
    stages = flow.plan("10.0")
    assert flow.following(stages, flow.Step(stages[0], 10)) == flow.Step(stages[1], 1)
    assert flow.following(stages, flow.Step(stages[-1], 1)) is None


def test_an_account_that_may_not_send_an_answer_leaves_it_waiting(bot: Bot) -> None:
    """404 would set it aside for good, though an account of the right school could store it."""
    page = advance(bot, started(), "baseline/2")
    foreign = signed_in("facilitator")
    user = User.objects.get(username="a-facilitator")
    user.groups.filter(name__startswith=SITE_PREFIX).delete()
    answer = sent(foreign, page, body_of(page))
    assert (answer.status_code, told(answer)["error"]) == (403, "forbidden")
