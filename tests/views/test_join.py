"""A participant's own device: what a link opens, for how long, and what is said between it and staff."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from sessions_app import study
from sessions_app.domain.models import AuditEntry
from sessions_app.domain.session import devices
from sessions_app.domain.session import messages as session_messages
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from support.bot import Bot, walk
from support.cast import at, close, enrolled, items_of, signed_in, started, store_away, withdraw

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script> & \"quoted\" 'text'"
WRITES = {"TransactWriteItems", "PutItem", "UpdateItem"}


@pytest.fixture(scope="module")
def table(lasting_table: str) -> str:
    return lasting_table


@pytest.fixture(scope="module")
def dynamodb(lasting_dynamodb: Any) -> Any:
    return lasting_dynamodb


@pytest.fixture
def facilitator(table: str) -> Client:
    return signed_in("facilitator")


@pytest.fixture
def run(table: str) -> Run:
    return started()


def link_for(facilitator: Client, run: Run) -> str:
    """The link's path."""
    page = facilitator.post(reverse("session_link", args=[run.id]))
    assert page.status_code == 200
    found = re.search(r'data-copy="http://testserver(/join/[^"]+)"', page.content.decode())
    assert found
    return found[1]


@pytest.fixture
def link(facilitator: Client, run: Run) -> str:
    return link_for(facilitator, run)


@pytest.fixture
def phone(link: str, run: Run) -> Client:
    client = Client()
    assert client.post(link)["Location"] == at(run)
    return client


def audited(run: Run) -> list[str]:
    entries = AuditEntry.about_student(run.session.student_id)
    return [e.action for e in entries if isinstance(e, AuditEntry) and e.session_id == run.id]


def revoke(facilitator: Client, run: Run) -> None:
    (made,) = Run.load(run.id).links
    facilitator.post(reverse("session_link_revoke", args=[run.id]), {"link": made.token_sha256})


# --- opening


def test_opening_a_link_starts_nothing(link: str, run: Run, requests_made: list[str]) -> None:
    before = Run.load(run.id)
    requests_made.clear()
    client = Client()
    for ask in (client.get, client.head, client.get):
        assert ask(link).status_code == 200
    assert requests_made == ["Query"] * 3
    assert Run.load(run.id).browsers == before.browsers == []
    assert not client.cookies.get("sessionid")


def test_a_link_takes_a_participant_through_the_session(
    link: str, run: Run, requests_made: list[str]
) -> None:
    bot = Bot(Client(), requests_made)
    page = bot.send(bot.open(link))
    bot.trips.clear()
    pages = list(walk(bot, page))
    assert pages[-1].path == f"{at(run)}done/"
    assert "You can close this page now." in pages[-1].text
    for trip in bot.trips:
        assert [name for name in trip.operations if name not in WRITES] == ["Query"], trip
    for page in pages:
        assert link.split("/")[2] not in page.html
        for word in ("a-facilitator", "I3-S", "For staff", "Hand over"):
            assert word not in page.html, page.path


def test_a_device_that_joins_is_audited_and_an_opened_page_is_not(
    facilitator: Client, link: str, run: Run
) -> None:
    Client().get(link)
    assert "device.join" not in audited(run)
    Client().post(link)
    assert audited(run).count("device.join") == 1


def test_the_token_is_kept_and_told_nowhere(
    link: str, run: Run, phone: Client, dynamodb: Any, table: str
) -> None:
    token = link.split("/")[2]
    assert token not in repr(items_of(dynamodb, table, run.id))
    assert token not in repr(dict(phone.session))
    response = Client().get(link)
    assert response["Referrer-Policy"] == "strict-origin"
    assert "no-store" in response["Cache-Control"]
    title = re.search("<title>(.*?)</title>", response.content.decode(), re.S)
    assert title
    assert token not in title[1]


@pytest.mark.parametrize("path", [at, lambda run: "/", lambda run: "/students/", lambda run: "/login/"])
def test_the_device_does_this_session_and_nothing_else(path: Any, phone: Client, run: Run) -> None:
    other = started()
    assert phone.get(at(other))["Location"] == at(run)
    response = phone.get(path(run))
    assert response["Location"] == (f"{at(run)}baseline/1/" if path is at else at(run))


def test_nobody_takes_a_participants_own_device_back(phone: Client, run: Run) -> None:
    for ask in (phone.get, phone.post):
        assert ask(reverse("take_back", args=[run.id]))["Location"] == at(run)


def test_the_link_may_be_opened_again_and_on_a_second_device(phone: Client, link: str, run: Run) -> None:
    assert phone.get(link)["Location"] == at(run)
    second = Client()
    assert second.post(link)["Location"] == at(run)
    for device in (phone, second):
        assert device.get(f"{at(run)}baseline/1/").status_code == 200


def test_the_device_may_go_on_to_another_session_by_its_link(phone: Client, facilitator: Client) -> None:
    other = started()
    assert phone.post(link_for(facilitator, other))["Location"] == at(other)
    assert phone.get(f"{at(other)}baseline/1/").status_code == 200


def test_staff_who_open_it_stay_signed_in(facilitator: Client, link: str, run: Run) -> None:
    assert "participant's own device" in facilitator.get(link).content.decode()
    assert facilitator.post(link).status_code == 403
    assert facilitator.get("/students/").status_code == 200
    assert Run.load(run.id).browsers == []


# --- links that open nothing


@pytest.mark.parametrize(
    "change",
    [lambda t: t[:-1], lambda t: t + "x", lambda t: "x" + t, lambda t: t.split(".")[0], lambda t: "x"],
)
def test_a_link_that_was_changed_is_unknown_and_costs_nothing(
    change: Any, link: str, requests_made: list[str]
) -> None:
    requests_made.clear()
    path = f"/join/{change(link.split('/')[2])}/"
    for ask in (Client().get, Client().post):
        response = ask(path)
        assert response.status_code == 404
        assert "does not work" in response.content.decode()
    assert requests_made == []


def test_a_signed_link_that_nobody_made_is_unknown(run: Run) -> None:
    from sessions_app.views.run.participant_links import new_token

    for session_id in (run.id, "no-such-session", "a b"):
        assert Client().post(reverse("join", args=[new_token(session_id)])).status_code == 404


def test_a_link_runs_out_and_who_came_by_it_goes_on(
    phone: Client, link: str, run: Run, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = study.now() + timedelta(hours=settings.JOIN_HOURS)
    monkeypatch.setattr(study, "now", lambda: later)
    for ask in (Client().get, Client().post):
        response = ask(link)
        assert response.status_code == 410
        assert "has expired" in response.content.decode()
    assert phone.get(f"{at(run)}baseline/1/").status_code == 200


def test_a_finished_session_takes_nobody(link: str, run: Run) -> None:
    close(run)
    response = Client().post(link)
    assert response.status_code == 410
    assert "This session is over" in response.content.decode()
    assert Run.load(run.id).browsers == []


def test_without_consent_nobody_joins(facilitator: Client) -> None:
    student = enrolled()
    run = started(student=student)
    link = link_for(facilitator, run)
    withdraw(student.student_id)
    assert Client().post(link).status_code == 403
    assert Run.load(run.id).browsers == []


def test_a_revoked_link_ends_every_device_at_its_next_request(
    phone: Client, link: str, facilitator: Client, run: Run
) -> None:
    other = Client()
    other.post(link)
    revoke(facilitator, run)
    ended = phone.get(f"{at(run)}baseline/1/")
    assert ended.status_code == 410
    assert "no longer works" in ended.content.decode()
    assert phone.get(f"{at(run)}baseline/1/")["Location"].startswith("/login/")
    script = other.post(f"{at(run)}segment-1/progress/", headers={"Sec-Fetch-Dest": "empty"})
    assert (script.status_code, script.json()["error"]) == (410, "ended")
    assert Client().post(link).status_code == 410
    assert {"link.create", "link.revoke"} <= set(audited(run))


def test_a_revoked_link_ends_the_look_for_notes_too(phone: Client, facilitator: Client, run: Run) -> None:
    revoke(facilitator, run)
    response = phone.get(f"{at(run)}notes/", headers={"HX-Request": "true"})
    assert response.status_code == 410


def test_a_link_is_revoked_once(facilitator: Client, link: str, run: Run) -> None:
    revoke(facilitator, run)
    revoke(facilitator, run)
    assert audited(run).count("link.revoke") == 1


def test_so_many_devices_are_no_participant(link: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "MAX_DEVICES", 1)
    assert Client().post(link).status_code == 302
    assert Client().post(link).status_code == 410


def test_while_the_store_is_away_the_link_says_so(link: str, run: Run) -> None:
    with store_away():
        assert Client().get(link).status_code == 503
    with store_away("TransactWriteItems"):
        client = Client()
        assert client.post(link).status_code == 503
    assert client.get(at(run))["Location"].startswith("/login/")


@pytest.mark.parametrize("role", ["researcher", "irb"])
@pytest.mark.parametrize("route", ["session_link", "session_link_revoke", "session_words", "session_office"])
def test_other_roles_make_no_links_and_write_no_notes(role: str, route: str, run: Run) -> None:
    assert signed_in(role).post(reverse(route, args=[run.id]), {"text": "x"}).status_code == 403


def test_a_closed_session_gets_no_link(facilitator: Client, run: Run) -> None:
    close(run)
    response = facilitator.post(reverse("session_link", args=[run.id]))
    assert response["Location"] == reverse("session", args=[run.id])
    assert Run.load(run.id).links == []


# --- notes and help


def note(facilitator: Client, run: Run, text: str) -> Any:
    return facilitator.post(reverse("session_words", args=[run.id]), {"text": text})


def test_a_note_is_on_the_next_page_and_in_what_the_page_asks_for(
    phone: Client, facilitator: Client, run: Run, requests_made: list[str]
) -> None:
    assert note(facilitator, run, HOSTILE).status_code == 302
    requests_made.clear()
    part = phone.get(f"{at(run)}notes/").content.decode()
    assert requests_made == ["Query"]
    for html in (part, phone.get(f"{at(run)}baseline/1/").content.decode()):
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
        assert "a-facilitator" not in html


def test_a_note_that_was_read_is_gone_and_staff_see_that(
    phone: Client, facilitator: Client, run: Run
) -> None:
    note(facilitator, run, "Take your time.")
    (sent,) = Run.load(run.id).calls
    for _ in range(2):
        answer = phone.post(f"{at(run)}notes/read/", {"call": sent.call_id}, headers={"HX-Request": "true"})
        assert answer.status_code == 204
    assert "Take your time." not in phone.get(f"{at(run)}notes/").content.decode()
    page = facilitator.get(reverse("session_words", args=[run.id])).content.decode()
    assert "Take your time." in page
    assert "Read at" in page


@pytest.mark.parametrize(
    ("text", "said"), [("", "Write something"), ("x" * 281, "too long"), (" \n", "Write")]
)
def test_a_note_is_short_and_not_empty(text: str, said: str, facilitator: Client, run: Run) -> None:
    response = note(facilitator, run, text)
    assert response.status_code == 422
    assert said in response.content.decode()
    assert Run.load(run.id).calls == []


def test_without_consent_nothing_is_said(facilitator: Client) -> None:
    student = enrolled()
    run = started(student=student)
    tablet = signed_in("admin")
    withdraw(student.student_id)
    assert note(facilitator, run, "Hello?").status_code == 422
    assert tablet.post(f"{at(run)}help/").status_code == 403
    assert Run.load(run.id).calls == []


def test_help_is_on_top_of_the_board_until_somebody_sees_to_it(
    phone: Client, facilitator: Client, run: Run
) -> None:
    for _ in range(3):
        assert phone.post(f"{at(run)}help/")["Location"] == at(run)
    assert len(Run.load(run.id).calls) == 1, "asking again is one call"
    assert "Staff know that you need help." in phone.get(f"{at(run)}baseline/1/").content.decode()
    board = facilitator.get("/monitor/").content.decode()
    assert "asks for help" in board
    assert "own device" in board
    assert board.index("asks for help") < board.index("<table")
    (call,) = Run.load(run.id).calls
    told = {"call": call.call_id, "next": "/monitor/"}
    assert facilitator.post(reverse("session_answer", args=[run.id]), told)["Location"] == "/monitor/"
    assert "asks for help" not in facilitator.get("/monitor/").content.decode()
    assert "Staff know" not in phone.get(f"{at(run)}notes/").content.decode()


def test_the_office_is_called_and_any_staff_of_the_board_may_answer(facilitator: Client, run: Run) -> None:
    facilitator.post(reverse("session_office", args=[run.id]))
    researcher = signed_in("researcher")
    assert "needs the office (a-facilitator)" in researcher.get("/monitor/").content.decode()
    (call,) = Run.load(run.id).calls
    researcher.post(reverse("session_answer", args=[run.id]), {"call": call.call_id, "next": "/monitor/"})
    assert Run.load(run.id).calls[0].answered_by == "a-researcher"


def test_an_answer_leads_to_no_other_site(facilitator: Client, run: Run) -> None:
    facilitator.post(reverse("session_office", args=[run.id]))
    (call,) = Run.load(run.id).calls
    told = {"call": call.call_id, "next": "https://elsewhere.example/"}
    answer = facilitator.post(reverse("session_answer", args=[run.id]), told)
    assert answer["Location"] == reverse("session_words", args=[run.id])


def test_a_participant_puts_no_call_of_staff_away(phone: Client, facilitator: Client, run: Run) -> None:
    facilitator.post(reverse("session_office", args=[run.id]))
    (call,) = Run.load(run.id).calls
    phone.post(f"{at(run)}notes/read/", {"call": call.call_id})
    assert session_messages.open_call(Run.load(run.id).calls, session_messages.OFFICE)


def test_browsers_links_and_calls_lie_in_one_range() -> None:
    now = study.now()
    low, high = keys.BROWSER_PREFIX, keys.after(keys.CALL_PREFIX)
    for key in (keys.browser("a"), keys.link("f" * 64), keys.call(now, "a")):
        assert low <= key <= high
    for key in (keys.conflict(now, "a"), keys.assessment("final", now), keys.METADATA, keys.CONTENT_DELIVERY):
        assert not low <= key <= high
