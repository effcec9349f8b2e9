"""A tablet that was handed over does its one session and nothing else, until staff take it back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django_otp.plugins.otp_totp.models import TOTPDevice

from sessions_app import study
from sessions_app.access import accounts
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.models import AuditEntry
from sessions_app.domain.session import devices
from sessions_app.domain.session.record import Run
from support.bot import Bot, walk
from support.cast import at, close, enrolled, signed_in, started, store_away

pytestmark = pytest.mark.django_db

PIN = "4711"
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def table(lasting_table: str) -> str:
    return lasting_table


@pytest.fixture
def facilitator(table: str) -> Client:
    client = signed_in("facilitator")
    user = User.objects.get(username="a-facilitator")
    user.set_password(PASSWORD)
    user.save()
    client.force_login(user)
    return client


@pytest.fixture
def run(table: str) -> Run:
    return started()


@pytest.fixture
def tablet(facilitator: Client, run: Run) -> Client:
    """Handed over."""
    response = hand_over(facilitator, run)
    assert response.status_code == 302
    assert response["Location"] == at(run)
    return facilitator


def hand_over(client: Client, run: Run, pin: str = PIN) -> Any:
    return client.post(reverse("session_hand_over", args=[run.id]), {"pin": pin})


def take_back(client: Client, run: Run, **told: str) -> Any:
    return client.post(reverse("take_back", args=[run.id]), told)


def audited(run: Run) -> list[tuple[str, str]]:
    entries = AuditEntry.about_student(run.session.student_id)
    return [(e.action, e.by) for e in entries if isinstance(e, AuditEntry) and e.session_id == run.id]


# --- handing over


def test_handing_over_signs_the_account_out_and_begins_a_new_web_session(
    facilitator: Client, run: Run
) -> None:
    before = facilitator.session.session_key
    hand_over(facilitator, run)
    assert facilitator.session.session_key != before
    assert "_auth_user_id" not in facilitator.session
    assert PIN not in str(dict(facilitator.session))
    assert not Client(headers={"Cookie": f"sessionid={before}"}).get("/").wsgi_request.user.is_authenticated
    assert ("session.hand_over", "a-facilitator") in audited(run)


@pytest.mark.parametrize("pin", ["", "123", "123456789", "12a4", "١٢٣٤", "1234\n5"])
def test_a_pin_is_4_to_8_digits(pin: str, facilitator: Client, run: Run) -> None:
    response = hand_over(facilitator, run, pin)
    assert response.status_code == 422
    assert "4 to 8 digits" in response.content.decode()
    assert facilitator.get("/students/").status_code == 200


def test_a_closed_session_is_not_handed_over(facilitator: Client, run: Run) -> None:
    close(run)
    assert hand_over(facilitator, run)["Location"] == reverse("session", args=[run.id])
    assert facilitator.get("/students/").status_code == 200


def test_without_the_store_nothing_is_handed_over(facilitator: Client, run: Run) -> None:
    with store_away("TransactWriteItems"):
        response = hand_over(facilitator, run)
    assert response.status_code == 503
    assert "nothing has changed" in response.content.decode()
    assert facilitator.get("/students/").status_code == 200


@pytest.mark.parametrize("role", ["researcher", "irb"])
def test_other_roles_hand_nothing_over(role: str, run: Run) -> None:
    assert hand_over(signed_in(role), run).status_code == 403


def test_what_was_to_be_told_to_staff_is_not_told_to_the_student(facilitator: Client, run: Run) -> None:
    other = started()
    stop = reverse("session_stop", args=[other.id])
    facilitator.post(stop, {"reason": "the bell rang"})  # its message waits for the next page
    hand_over(facilitator, run)
    assert "is stopped" not in facilitator.get(f"{at(run)}baseline/1/").content.decode()


# --- what a locked tablet opens


def test_a_whole_session_is_done_on_it_within_the_budget(
    tablet: Client, run: Run, requests_made: list[str]
) -> None:
    bot = Bot(tablet, requests_made)
    pages = list(walk(bot, bot.open(at(run))))
    assert pages[-1].path == f"{at(run)}done/"
    assert "Please give the tablet back." in pages[-1].text
    assert study.package().debrief[0].lines[0] in pages[-1].text
    assert 'href="tel:988"' in pages[-1].html
    assert all(trip.operations.count("Query") == 1 for trip in bot.trips)
    assert tablet.get("/")["Location"] == at(run), "the end of the session opens the tablet"


def test_its_pages_show_no_staff_no_condition_and_no_way_out(tablet: Client, run: Run) -> None:
    bot = Bot(tablet)
    for page in walk(bot, bot.open(at(run))):
        for word in ("a-facilitator", "a-admin", "L4-I3-S", "I3-S", "Sign out", "site-nav"):
            assert word not in page.html, f"{word} on {page.path}"
        ways = {link for link in page.links if link.startswith("/") and not link.startswith(at(run))}
        assert ways == set(), page.path
        assert "no-store" in tablet.get(page.url).headers["Cache-Control"]


def routes(patterns: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route, pattern


def test_every_other_address_leads_back_whatever_the_method(tablet: Client, run: Run) -> None:
    """Of all routes there are, those of this session answer by themselves, and hardly any else."""
    other = started()
    answered = set()
    for route, _ in routes(get_resolver().url_patterns):
        path = "/" + plain(route, other.id)
        for ask in (tablet.get, tablet.post):
            response = ask(path)
            if response.status_code != 302 or response["Location"] != at(run):
                answered.add(route)
    assert answered == {"healthz", "sw.js"}


def plain(route: str, session_id: str) -> str:
    """An address of this route."""
    route = re.sub(r"<slug:session_id>", session_id, route)
    route = re.sub(r"<int:[^>]*>|<path:[^>]*>", "1", route)
    return re.sub(r"<[^>]*>|[\^$\\]|\(\?P?.*\)", "x", route)


@pytest.mark.parametrize("path", ["/no-such-page", "/run/", "/static/../students/", "//students/", "/%2e/"])
def test_what_is_no_page_leads_back_too(path: str, tablet: Client, run: Run) -> None:
    assert tablet.get(path)["Location"] == at(run)


def test_a_fragment_leads_the_whole_page_back(tablet: Client, run: Run) -> None:
    response = tablet.get("/monitor/", headers={"HX-Request": "true"})
    assert (response.status_code, response["HX-Redirect"]) == (200, at(run))
    assert response.content == b""


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Dest": "empty"}, {"Accept": "application/json"}])
def test_a_script_is_refused_and_told_where_to_go(headers: dict[str, str], tablet: Client, run: Run) -> None:
    other = started()
    response = tablet.post(f"{at(other)}segment-1/progress/", headers=headers)
    assert response.status_code == 403
    assert response.json() == {"saved": False, "error": "confined", "next": at(run)}


def test_a_load_balancer_on_the_tablet_is_no_way_out(tablet: Client) -> None:
    assert tablet.get("/healthz").content == b"alive\n"


def test_without_its_cookie_it_is_a_visitors(tablet: Client, run: Run) -> None:
    tablet.cookies.clear()
    for path in (at(run), "/students/", reverse("take_back", args=[run.id])):
        assert tablet.get(path)["Location"].startswith("/login/")


def test_staff_who_sign_in_anew_are_not_locked(tablet: Client, run: Run) -> None:
    tablet.cookies.clear()
    tablet.post("/login/", {"username": "a-facilitator", "password": PASSWORD})
    assert tablet.get("/students/").status_code == 200
    assert tablet.get(at(run)).status_code == 302
    assert tablet.get(reverse("take_back", args=[run.id]))["Location"] == reverse("session", args=[run.id])


# --- taking back


def test_the_pin_takes_it_back(tablet: Client, run: Run) -> None:
    before = tablet.session.session_key
    response = take_back(tablet, run, pin=PIN)
    assert response["Location"].partition("?")[0] == reverse("session", args=[run.id])
    assert tablet.session.session_key != before
    page = tablet.get("/students/")
    assert page.status_code == 200
    assert page.wsgi_request.user.username == "a-facilitator"
    assert {entry for entry in audited(run) if entry[0] != "session.start"} == {
        ("session.hand_over", "a-facilitator"),
        ("session.take_back", "a-facilitator"),
    }


@pytest.fixture
def admin(table: str) -> Client:
    client = signed_in("admin")
    user = User.objects.get(username="a-admin")
    user.set_password(PASSWORD)
    user.is_staff = user.is_superuser = True
    user.save()
    client.force_login(user)
    return client


def test_the_pin_gives_an_administrator_a_facilitators_page_only(admin: Client, run: Run) -> None:
    assert admin.get("/audit/").status_code == 200
    hand_over(admin, run)
    response = take_back(admin, run, pin=PIN)
    page = admin.get(response["Location"])
    assert page.status_code == 200  # the session, of a school that the account does not belong to
    assert "facilitator&#x27;s access. Sign in again" in page.content.decode()
    assert "Sign in again for full access" in page.content.decode()
    assert (page.wsgi_request.user.username, page.context["roles"]) == ("a-admin", {"facilitator"})
    for path in ("/audit/", "/staff/sites/", "/records/", "/exports/", "/consent/"):
        assert admin.get(path).status_code == 403, path
    assert admin.get("/admin/").status_code == 302
    assert admin.get(reverse("session_hand_over", args=[run.id])).status_code == 200
    other = started(student=enrolled(school="A school elsewhere"))
    assert admin.get(reverse("session", args=[other.id])).status_code == 404
    user = User.objects.get(username="a-admin")
    assert (user.is_staff, user.is_superuser) == (True, True)


def test_handing_over_again_gives_nothing_more(admin: Client, run: Run) -> None:
    for told in ({"pin": PIN}, {"pin": PIN}, {"password": PASSWORD}):
        hand_over(admin, run)
        take_back(admin, run, **told)
        assert admin.get("/audit/").status_code == 403


def test_signing_in_again_gives_an_administrator_everything_back(admin: Client, run: Run) -> None:
    hand_over(admin, run)
    take_back(admin, run, pin=PIN)
    assert admin.get("/login/").status_code == 200
    assert admin.post("/login/", {"username": "a-admin", "password": PASSWORD}).status_code == 302
    assert admin.get("/audit/").status_code == 200


def test_the_password_gives_an_administrator_everything_back(admin: Client, run: Run) -> None:
    hand_over(admin, run)
    take_back(admin, run, password=PASSWORD)
    assert admin.get("/audit/").status_code == 200


def test_with_a_second_factor_it_has_to_be_given_again(admin: Client, run: Run, settings: Any) -> None:
    session = admin.session
    device = TOTPDevice.objects.create(user=User.objects.get(username="a-admin"), name="app")
    session["otp_device_id"] = device.persistent_id
    session.save()
    settings.REQUIRE_MFA = True
    hand_over(admin, run)
    take_back(admin, run, pin=PIN)
    assert "otp_device_id" not in admin.session
    assert admin.get(reverse("session", args=[run.id])).status_code == 200
    again = admin.post("/login/", {"username": "a-admin", "password": PASSWORD})
    assert again["Location"].startswith("/login/code/")
    assert admin.get("/audit/").status_code == 302


def test_a_wrong_pin_or_password_is_audited_without_it(tablet: Client, run: Run) -> None:
    take_back(tablet, run, pin="0815")
    take_back(tablet, run, password="some wrong password")
    found = [e for e in AuditEntry.about_student(run.session.student_id) if isinstance(e, AuditEntry)]
    failed = [entry for entry in found if entry.action == "take_back.failed"]
    assert sorted(entry.new["factor"] for entry in failed) == ["password", "pin"]
    assert {(entry.by, entry.subject, entry.session_id) for entry in failed} == {
        ("system", "a-facilitator", run.id)
    }
    assert not {"0815", "some wrong password"} & {text for entry in failed for text in entry.new.values()}


def test_the_password_takes_it_back_and_no_other_accounts(tablet: Client, run: Run) -> None:
    accounts.ensure_account(username="somebody", role="admin", password="another password here")
    assert take_back(tablet, run, password="another password here").status_code == 422
    assert take_back(tablet, run, password=PASSWORD).status_code == 302
    assert tablet.get("/students/").status_code == 200


def test_the_second_factor_need_not_be_given_again(facilitator: Client, run: Run) -> None:
    session = facilitator.session
    device = TOTPDevice.objects.create(user=User.objects.get(username="a-facilitator"), name="app")
    session["otp_device_id"] = device.persistent_id
    session.save()
    hand_over(facilitator, run)
    assert "otp_device_id" not in facilitator.session
    take_back(facilitator, run, pin=PIN)
    assert facilitator.session["otp_device_id"] == device.persistent_id


def test_it_can_be_taken_back_when_the_session_is_over(tablet: Client, run: Run) -> None:
    close(run)
    assert f"{at(run)}take-back/" in tablet.get(f"{at(run)}done/").content.decode()
    assert take_back(tablet, run, pin=PIN).status_code == 302


def test_an_empty_form_is_no_try(tablet: Client, run: Run) -> None:
    for _ in range(devices.PIN_TRIES + 1):
        assert take_back(tablet, run, pin="", password="").status_code == 422
    assert take_back(tablet, run, pin=PIN).status_code == 302


def test_after_five_wrong_pins_only_the_password_works(tablet: Client, run: Run) -> None:
    for _ in range(devices.PIN_TRIES):
        response = take_back(tablet, run, pin="0000")
        assert response.status_code == 422
        assert "This is not right" in response.content.decode()
    response = take_back(tablet, run, pin=PIN)
    assert response.status_code == 422
    assert "Only the password" in response.content.decode()
    assert take_back(tablet, run, password=PASSWORD).status_code == 302


def test_tries_are_counted_outside_of_the_web_session(tablet: Client, run: Run) -> None:
    """A web session that is put back as it was, as two requests at once can do, gives no tries back."""
    kept = dict(tablet.session)
    for _ in range(devices.PIN_TRIES):
        take_back(tablet, run, pin="0000")
        session = tablet.session
        session.clear()
        session.update(kept)
        session.save()
    assert "Only the password" in take_back(tablet, run, pin=PIN).content.decode()


def test_a_password_is_tried_five_times_and_then_once_a_minute(
    tablet: Client, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = study.now()
    monkeypatch.setattr(study, "now", lambda: start)
    for _ in range(devices.PASSWORD_TRIES):
        assert "This is not right" in take_back(tablet, run, password="guess").content.decode()
    assert "wait a minute" in take_back(tablet, run, password=PASSWORD).content.decode()
    monkeypatch.setattr(study, "now", lambda: start + timedelta(seconds=59))
    assert "wait a minute" in take_back(tablet, run, password=PASSWORD).content.decode()
    monkeypatch.setattr(study, "now", lambda: start + timedelta(seconds=60))
    assert "This is not right" in take_back(tablet, run, password="guess").content.decode()
    assert "wait a minute" in take_back(tablet, run, password=PASSWORD).content.decode()
    monkeypatch.setattr(study, "now", lambda: start + timedelta(seconds=120))
    assert take_back(tablet, run, password=PASSWORD).status_code == 302


def test_the_pin_is_worth_nothing_once_the_password_was_changed(tablet: Client, run: Run) -> None:
    user = User.objects.get(username="a-facilitator")
    user.set_password("a new password, later")
    user.save()
    assert take_back(tablet, run, pin=PIN).status_code == 422
    assert take_back(tablet, run, password=PASSWORD).status_code == 422
    assert take_back(tablet, run, password="a new password, later").status_code == 302
    assert tablet.get("/students/").status_code == 200


def test_the_account_that_was_closed_gets_nothing_back(tablet: Client, run: Run) -> None:
    User.objects.filter(username="a-facilitator").update(is_active=False)
    assert take_back(tablet, run, pin=PIN)["Location"] == "/login/"
    assert tablet.get(at(run))["Location"].startswith("/login/")


def test_without_the_store_it_stays_locked_and_says_so(tablet: Client, run: Run) -> None:
    for operations in [("UpdateItem",), ("TransactWriteItems",)]:
        with store_away(*operations):
            response = take_back(tablet, run, pin=PIN)
        assert response.status_code == 503
        assert "Please try again" in response.content.decode()
    assert tablet.get("/students/")["Location"] == at(run)
    assert take_back(tablet, run, pin=PIN).status_code == 302


def test_a_binding_that_was_ended_opens_nothing(tablet: Client, run: Run) -> None:
    """Two taps at once: one takes the tablet back, the other finds it taken."""
    bound = tablet.session["confined"]
    devices.take_back(
        session_id=run.id,
        browser_id=bound["browser_id"],
        student_id=run.session.student_id,
        by=Actor("a-facilitator", "facilitator"),
        now=study.now(),
    )
    assert take_back(tablet, run, pin=PIN)["Location"] == "/login/"
    assert tablet.get("/students/")["Location"].startswith("/login/")


# --- what stays on the device


def take_back_saying(tablet: Client, run: Run, nothing_waits: str) -> Any:
    told = {"pin": PIN, "nothing_waits": nothing_waits}
    return tablet.post(reverse("take_back", args=[run.id]), told)


def test_the_browser_is_cleared_where_nothing_waits_on_it(tablet: Client, run: Run) -> None:
    response = take_back_saying(tablet, run, "yes")
    assert response["Clear-Site-Data"] == '"cache", "storage"'
    assert response["Location"] == f"/sessions/{run.id}/?taken-back=yes"


@pytest.mark.parametrize("told", ["", "no", "1"])
def test_silence_means_that_an_answer_may_wait(tablet: Client, run: Run, told: str) -> None:
    assert "Clear-Site-Data" not in take_back_saying(tablet, run, told)


def test_a_wrong_pin_clears_nothing(tablet: Client, run: Run) -> None:
    told = {"pin": "0000", "nothing_waits": "yes"}
    assert "Clear-Site-Data" not in tablet.post(reverse("take_back", args=[run.id]), told)


def test_a_session_that_is_gone_says_so_to_the_device(tablet: Client, facilitator: Client) -> None:
    assert signed_in("facilitator").get("/run/nobody/baseline/1/")["Run-Gone"] == "yes"
    assert "Run-Gone" not in signed_in("facilitator").get("/students/nobody/")
