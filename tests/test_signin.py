"""Signing in: equal answers, waiting after guesses, the second factor, and what the audit log is told."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher, MD5PasswordHasher
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.test import Client
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from sessions_app import study
from sessions_app.access import accounts
from sessions_app.domain.models import AuditEntry
from socratic_site.accounts import second_factor
from support.cast import store_away

pytestmark = pytest.mark.django_db

PASSWORD = "river mill gate 1837"
ENTER = {"username": "miriam", "password": PASSWORD}


def account(name: str = "miriam", role: str = "facilitator", **changes: Any) -> User:
    user, _ = accounts.ensure_account(username=name, role=role, password=PASSWORD)
    User.objects.filter(pk=user.pk).update(**changes)
    return User.objects.get(pk=user.pk)


def sign_in(client: Client, **fields: str) -> Any:
    return client.post("/login/", ENTER | fields)


def told() -> list[tuple[str, str, str | None]]:
    """Today's audit entries, oldest first: action, who, about whom."""
    entries = [item for item in AuditEntry.on_day(study.now().date()) if isinstance(item, AuditEntry)]
    return sorted((entry.action, entry.by, entry.subject) for entry in entries)


def entry(action: str) -> AuditEntry:
    found = [item for item in AuditEntry.on_day(study.now().date()) if getattr(item, "action", "") == action]
    assert len(found) == 1
    assert isinstance(found[0], AuditEntry)
    return found[0]


def is_signed_in(client: Client) -> bool:
    return client.get("/").status_code == 200


# --- with a password


def test_a_password_signs_in_and_the_audit_log_is_told(table: str) -> None:
    account()
    client = Client()
    response = sign_in(client, next="/students/")
    assert (response.status_code, response["Location"]) == (302, "/students/")
    assert is_signed_in(client)
    assert (entry("sign_in").by, entry("sign_in").role) == ("miriam", "facilitator")


@pytest.mark.parametrize("following", ["https://elsewhere.example/", "//elsewhere.example", "/login/", ""])
def test_signing_in_leads_nowhere_else(table: str, following: str) -> None:
    account()
    assert sign_in(Client(), next=following)["Location"] == "/"


def test_whoever_is_signed_in_is_not_led_in_circles(table: str) -> None:
    client = Client()
    client.force_login(account())
    assert client.get("/login/?next=/login/")["Location"] == "/"


def test_a_sign_in_that_cannot_be_told_is_refused(table: str) -> None:
    account()
    client = Client()
    with store_away():
        response = sign_in(client)
    assert response.status_code == 503
    assert "The database is not responding" in response.content.decode()
    assert not is_signed_in(client)


def test_a_copied_cookie_is_dead_after_the_sign_out(table: str) -> None:
    account()
    client, thief = Client(), Client()
    sign_in(client)
    copied = client.cookies["sessionid"].value
    thief.cookies["sessionid"] = copied
    assert is_signed_in(thief)
    assert client.post("/logout/").status_code == 302
    thief.cookies["sessionid"] = copied
    assert not is_signed_in(thief)
    assert Session.objects.count() == 0
    assert entry("sign_out").by == "miriam"


def test_a_sign_out_happens_also_when_it_cannot_be_told(table: str) -> None:
    account()
    client = Client()
    sign_in(client)
    with store_away():
        client.post("/logout/")
    assert not is_signed_in(client)


def test_a_link_to_the_sign_out_signs_nobody_out(table: str) -> None:
    account()
    client = Client()
    sign_in(client)
    assert client.get("/logout/").status_code == 405
    assert is_signed_in(client)


# --- guesses


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each time that a password was hashed."""
    runs: list[str] = []
    encode = MD5PasswordHasher.encode

    def counted(self: Any, password: str, salt: str) -> str:
        runs.append("hash")
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    return runs


def bare(page: Any) -> str:
    """The page without what differs by request."""
    text = re.sub(r'(nonce=|value=|X-CSRFToken": )"[^"]*"', "", page.content.decode())
    return re.sub(r"\d\d:\d\d", "", text)


def test_unknown_wrong_and_closed_get_one_answer_for_the_same_work(hashed: list[str]) -> None:
    account("known")
    account("closed", is_active=False)
    answers = []
    for name, password in (("known", "wrong"), ("nobody", PASSWORD), ("closed", PASSWORD)):
        hashed.clear()
        response = Client().post("/login/", {"username": name, "password": password})
        answers.append((response.status_code, bare(response), len(hashed)))
    assert len(set(answers)) == 1
    assert answers[0][0] == 200
    assert answers[0][2] == 1


def guess(name: str, times: int, **headers: str) -> Any:
    response = None
    for _ in range(times):
        response = Client(**headers).post("/login/", {"username": name, "password": "a guess"})  # type: ignore[arg-type]
    return response


def test_the_fifth_guess_makes_the_name_wait_and_says_until_when(table: str) -> None:
    account()
    assert guess("miriam", 4).status_code == 200
    response = guess("miriam", 1)
    page = response.content.decode()
    assert (response.status_code, response["Retry-After"]) == (429, "900")
    assert "Too many attempts" in page
    assert re.search(r"Try again after\s+<strong[^>]*>\d\d:\d\d\s+\(E[SD]T\)", page)
    assert sign_in(Client()).status_code == 429
    assert entry("lockout").subject == "miriam"


def test_an_unknown_name_waits_as_well_and_is_not_written_down(table: str, hashed: list[str]) -> None:
    account()
    first = [bare(guess(name, 5)) for name in ("miriam", "no such name")]
    assert first[0] == first[1]
    counts = []
    for name in ("miriam", "no such name"):
        hashed.clear()
        guess(name, 1)
        counts.append(len(hashed))
    assert counts == [1, 1]
    assert {subject for action, _, subject in told() if action == "lockout"} == {
        "miriam",
        "an unknown account",
    }


def test_another_name_and_another_address_do_not_wait(table: str) -> None:
    account()
    account("tariq")
    guess("miriam", 5)
    assert sign_in(Client(), username="tariq").status_code == 302
    assert sign_in(Client(REMOTE_ADDR="192.0.2.9")).status_code == 302


def test_changing_the_browser_does_not_help_to_guess(table: str) -> None:
    account()
    for number in range(5):
        response = guess("miriam", 1, HTTP_USER_AGENT=f"browser {number}")
    assert response.status_code == 429


def test_the_wait_ends_and_guesses_in_between_do_not_prolong_it(table: str, settings: Any) -> None:
    from axes.models import AccessAttempt

    account()
    guess("miriam", 7)
    AccessAttempt.objects.update(attempt_time=study.now() - settings.AXES_COOLOFF_TIME - timedelta(seconds=1))
    assert sign_in(Client()).status_code == 302


def test_the_lock_stands_while_the_store_is_away(table: str) -> None:
    account()
    with store_away():
        assert guess("miriam", 5).status_code == 429


@pytest.fixture
def logged() -> Iterator[StringIO]:
    """What every logger says, as loudly as it can."""
    stream, root = StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    loggers = [root, *(logging.getLogger(name) for name in ("axes", "django", "django.security"))]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    yield stream
    for logger, kept, propagate in before:
        logger.removeHandler(handler)
        logger.setLevel(kept)
        logger.propagate = propagate
    root.setLevel(level)


def test_no_name_and_no_password_reaches_the_log(table: str, logged: StringIO) -> None:
    account("zelda-of-the-mill")
    guess("zelda-of-the-mill", 6)
    Client(REMOTE_ADDR="192.0.2.9").post("/login/", ENTER | {"username": "zelda-of-the-mill"})
    assert "AXES" in logged.getvalue()
    assert "zelda" not in logged.getvalue()
    assert PASSWORD not in logged.getvalue()


def test_argon2_takes_and_knows_a_password() -> None:
    hasher = Argon2PasswordHasher()
    stored = hasher.encode(PASSWORD, hasher.salt())
    assert stored.startswith("argon2$argon2id$")
    assert hasher.verify(PASSWORD, stored)
    assert not hasher.verify("another", stored)


# --- the second factor


@pytest.fixture
def mfa(settings: Any) -> None:
    settings.REQUIRE_MFA = True


def code_for(key: str, steps: int = 0) -> str:
    totp = TOTP(bytes.fromhex(key))
    totp.time = time.time() + 30 * steps
    return f"{totp.token():06d}"


def halfway(role: str = "researcher", following: str = "/records/") -> Client:
    """Somebody who has given the password."""
    account(role=role)
    client = Client()
    response = sign_in(client, next=following)
    assert response["Location"] == f"/login/code/?next={following.replace('/', '%2F')}"
    return client


def set_up(client: Client) -> list[str]:
    """The recovery codes."""
    key = client.session["pending"]["key"]
    page = client.post("/login/code/", {"code": code_for(key), "next": "/records/"}).content.decode()
    return re.findall(r"<code>([a-z2-9]{5}-[a-z2-9]{5})</code>", page)


@pytest.fixture
def enrolled(table: str, mfa: None) -> tuple[User, str, list[str]]:
    """A researcher with a second factor, its key, and the recovery codes; nothing used yet but one code."""
    codes = set_up(halfway())
    device = TOTPDevice.objects.get()
    TOTPDevice.objects.update(last_t=-1)
    return device.user, device.key, codes


@pytest.mark.parametrize("role", ["researcher", "irb", "admin"])
def test_a_password_alone_opens_nothing(mfa: None, role: str) -> None:
    client = halfway(role)
    for address in ("/", "/records/", "/admin/", "/sessions/", "/signed-in/"):
        response = client.get(address)
        assert response.status_code == 302 or response.json()["user"] is None, address
    assert client.get("/login/code/").status_code == 200


def test_a_facilitator_needs_no_second_factor(table: str, mfa: None) -> None:
    account()
    assert sign_in(Client())["Location"] == "/"


def test_setting_up_shows_the_secret_as_picture_and_text(mfa: None) -> None:
    client = halfway()
    page = client.get("/login/code/").content.decode()
    key = client.session["pending"]["key"]
    assert second_factor.spelled(key) in page
    assert "<svg" in page
    assert second_factor.address_of(User.objects.get(), key).startswith(
        "otpauth://totp/Socratic%20Benchmarks%3Amiriam?secret="
    )


def test_the_first_code_signs_in_and_shows_ten_recovery_codes_once(table: str, mfa: None) -> None:
    client = halfway()
    codes = set_up(client)
    assert len(set(codes)) == 10
    assert client.get("/records/").status_code == 200
    assert client.get("/login/code/").status_code == 302
    assert [action for action, _, _ in told()] == ["factor.enrol", "sign_in"]
    assert entry("sign_in").new == {"second_factor": "yes"}


def test_recovery_codes_are_not_stored_as_they_are(enrolled: tuple[User, str, list[str]]) -> None:
    stored = set(StaticToken.objects.values_list("token", flat=True))
    assert len(stored) == 10
    assert not stored & {code.replace("-", "") for code in enrolled[2]}


def test_a_wrong_first_code_sets_nothing_up(mfa: None) -> None:
    client = halfway()
    response = client.post("/login/code/", {"code": "000000"})
    assert response.status_code == 422
    assert "This code is incorrect" in response.content.decode()
    assert TOTPDevice.objects.count() == 0


def test_what_cannot_be_told_is_not_set_up(table: str, mfa: None) -> None:
    client = halfway()
    code = code_for(client.session["pending"]["key"])
    with store_away():
        assert client.post("/login/code/", {"code": code}).status_code == 503
    assert (TOTPDevice.objects.count(), StaticToken.objects.count()) == (0, 0)
    assert not is_signed_in(client)


def test_a_second_set_up_in_another_tab_does_not_take_the_first_ones_place(table: str, mfa: None) -> None:
    first, second = halfway(), halfway()
    key = second.session["pending"]["key"]
    set_up(first)
    response = second.post("/login/code/", {"code": code_for(key)})
    assert response.status_code == 422
    assert TOTPDevice.objects.count() == 1
    assert not is_signed_in(second)


def test_the_code_signs_in_and_counts_once(enrolled: tuple[User, str, list[str]]) -> None:
    code = code_for(enrolled[1])
    client = halfway()
    response = client.post("/login/code/", {"code": f"{code[:3]} {code[3:]}", "next": "/records/"})
    assert (response.status_code, response["Location"]) == (302, "/records/")
    assert client.get("/records/").status_code == 200
    assert halfway().post("/login/code/", {"code": code}).status_code == 422


def test_wrong_codes_wait_ever_longer_whoever_sends_them(enrolled: tuple[User, str, list[str]]) -> None:
    assert halfway().post("/login/code/", {"code": "000000"}).status_code == 422
    TOTPDevice.objects.update(throttling_failure_count=6)
    response = halfway().post("/login/code/", {"code": code_for(enrolled[1])})
    assert response.status_code == 429
    assert "Please wait a moment" in response.content.decode()
    device = TOTPDevice.objects.get()
    allowed, told_why = device.verify_is_allowed()
    assert not allowed
    assert told_why["locked_until"] - device.throttling_failure_timestamp == timedelta(seconds=32)


def test_a_recovery_code_signs_in_once_and_says_how_many_are_left(
    enrolled: tuple[User, str, list[str]],
) -> None:
    client = halfway()
    code = enrolled[2][3]
    assert client.post("/login/code/", {"code": code.upper(), "next": "/records/"}).status_code == 302
    assert "9 are left" in client.get("/records/").content.decode()
    assert halfway().post("/login/code/", {"code": code}).status_code == 422


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abc", "-", "١٢٣٤٥٦", "0" * 5000])
def test_what_is_no_code_is_wrong(enrolled: tuple[User, str, list[str]], code: str) -> None:
    assert halfway().post("/login/code/", {"code": code}).status_code == 422


def test_the_time_between_password_and_code_is_short(enrolled: tuple[User, str, list[str]]) -> None:
    client = halfway()
    session = client.session
    session["pending"] |= {"at": int(time.time()) - 601}
    session.save()
    response = client.post("/login/code/", {"code": code_for(enrolled[1])})
    assert response["Location"] == "/login/?next=%2F"


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "md5$a$b"}])
def test_a_closed_account_or_a_new_password_ends_a_sign_in_halfway(
    enrolled: tuple[User, str, list[str]], change: dict[str, Any]
) -> None:
    client = halfway()
    User.objects.filter(pk=enrolled[0].pk).update(**change)
    assert client.post("/login/code/", {"code": code_for(enrolled[1])})["Location"].startswith("/login/?")


def test_a_session_without_the_second_factor_ends_when_the_account_needs_it(
    table: str, settings: Any
) -> None:
    client = Client()
    client.force_login(account(role="researcher"))
    assert is_signed_in(client)
    settings.REQUIRE_MFA = True
    assert client.get("/records/")["Location"] == "/login/?next=/records/"
    assert "needs a second factor" in client.get("/login/").content.decode()


def test_a_reset_ends_the_sessions_that_the_old_factor_signed_in(
    enrolled: tuple[User, str, list[str]],
) -> None:
    client = halfway()
    client.post("/login/code/", {"code": code_for(enrolled[1])})
    assert is_signed_in(client)
    second_factor.reset(enrolled[0])
    assert not is_signed_in(client)


def test_a_code_page_without_a_password_leads_to_the_login_page() -> None:
    assert Client().get("/login/code/?next=/records/")["Location"] == "/login/?next=%2Frecords%2F"


# --- commands


def test_an_account_made_by_command_is_told(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_staff", "tariq", role="irb")
    made = entry("account.create")
    assert (made.by, made.subject) == ("create_staff", "tariq")
    assert made.new == {"active": "True", "roles": "irb", "is_staff": "False"}
    assert capsys.readouterr().out.split()[-1] not in str(made.attribute_values)


def test_an_account_that_cannot_be_told_is_not_made(table: str) -> None:
    with store_away(), pytest.raises(CommandError, match="does not answer"):
        call_command("create_staff", "tariq", role="irb")
    assert not User.objects.filter(username="tariq").exists()
