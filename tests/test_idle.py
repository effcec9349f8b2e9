"""When a web session ends by itself, and what counts as a sign of life."""

from __future__ import annotations

import pytest
from django.test import Client

from sessions_app.access import accounts
from support.cast import started
from tests.domain.cast import reason_of
from tests.test_signin import account, entry

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(table: str) -> Client:
    """A facilitator, signed in this moment."""
    client = Client()
    client.force_login(account())
    client.get("/")
    return client


def age(client: Client, *, minutes: float, what: str = "seen") -> None:
    session = client.session
    session[what] -= int(minutes * 60)
    session.save()


def left(client: Client) -> int:
    seconds: int = client.get("/signed-in/").json()["left"]
    return seconds


def test_a_facilitator_may_be_away_for_an_hour(client: Client) -> None:
    age(client, minutes=59)
    assert client.get("/students/").status_code == 200


def test_after_that_the_page_leads_to_the_login_page_and_back(client: Client) -> None:
    age(client, minutes=61)
    assert client.get("/students/?page=2")["Location"] == "/login/?next=/students/%3Fpage%3D2"
    assert "nothing happened here for 60 minutes" in client.get("/login/").content.decode()
    assert reason_of(entry("sign_out")) == "nothing happened here for 60 minutes"


@pytest.mark.parametrize("role", ["researcher", "irb", "admin"])
def test_other_roles_may_be_away_for_twenty_minutes(table: str, role: str) -> None:
    client = Client()
    client.force_login(account(role=role))
    assert left(client) == 20 * 60
    client.get("/")
    age(client, minutes=21)
    assert client.get("/").status_code == 302


def test_of_several_roles_the_shorter_time_counts(table: str) -> None:
    account()
    user, _ = accounts.ensure_account(username="miriam", role="irb", password="not used")
    client = Client()
    client.force_login(user)
    assert left(client) == 20 * 60


def test_a_fragment_after_that_leads_the_whole_page_to_the_login_page(client: Client) -> None:
    age(client, minutes=61)
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/monitor/"}
    assert client.get("/monitor/", headers=headers)["HX-Redirect"] == "/login/?next=/monitor/"


def test_a_form_after_that_leads_back_to_the_page_it_stood_on(client: Client) -> None:
    age(client, minutes=61)
    headers = {"Referer": "http://testserver/sessions/some-session/?tab=2"}
    response = client.post("/sessions/some-session/stop/", headers=headers)
    assert response["Location"] == "/login/?next=/sessions/some-session/%3Ftab%3D2"


@pytest.mark.parametrize("referer", ["", "https://elsewhere.example/sessions/"])
def test_a_form_of_nowhere_leads_to_the_start(client: Client, referer: str) -> None:
    age(client, minutes=61)
    response = client.post("/sessions/some-session/stop/", headers={"Referer": referer} if referer else {})
    assert response["Location"] == "/login/?next=/"


def test_a_page_or_a_form_is_a_sign_of_life(client: Client) -> None:
    for method, address in (("get", "/"), ("post", "/signed-in/"), ("post", "/students/new/")):
        age(client, minutes=50)
        assert left(client) <= 10 * 60
        getattr(client, method)(address)
        assert left(client) > 59 * 60, address


def test_looking_for_news_is_none(client: Client) -> None:
    age(client, minutes=50)
    client.get("/monitor/", headers={"HX-Request": "true"})
    client.get("/signed-in/")
    assert left(client) <= 10 * 60


def test_the_report_of_a_player_is_a_sign_of_life(client: Client) -> None:
    run = started()
    age(client, minutes=50)
    client.post(f"/run/{run.id}/segment-1/progress/", {"position": "3"})
    assert left(client) > 59 * 60


def test_a_cookie_kept_alive_for_ever_ends_after_a_school_day(client: Client) -> None:
    age(client, minutes=12 * 60 + 1, what="since")
    assert client.get("/").status_code == 302
    assert "more than 12 hours ago" in client.get("/login/").content.decode()


def test_a_sign_of_life_is_written_twice_a_minute_at_most(client: Client) -> None:
    age(client, minutes=0.25)
    before = client.session["seen"]
    client.get("/")
    assert client.session["seen"] == before
    age(client, minutes=0.25)
    client.get("/")
    assert client.session["seen"] > before


def test_signed_out_nothing_is_left_and_nothing_is_told(table: str) -> None:
    assert Client().get("/signed-in/").json() | {"token": ""} == {"left": 0, "user": None, "token": ""}
    assert Client().post("/signed-in/").json()["left"] == 0


def test_pages_tell_the_browser_how_long(client: Client) -> None:
    assert '<meta name="idle" content="3600"' in client.get("/").content.decode()
    assert 'name="idle"' not in Client().get("/login/").content.decode()
