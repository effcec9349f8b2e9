"""Staff sign in with a second factor, stay away for too long, and keep accounts, in a browser."""

from __future__ import annotations

import subprocess
import sys
import time
from base64 import b32decode
from collections.abc import Callable, Iterator

import pytest
from django_otp.oath import TOTP
from playwright.sync_api import Page, expect

from socratic_site.local import files
from socratic_site.local.dynamodb_local import Engine
from tests.journeys.conftest import Site, give_password, serving, shoot, sign_in, width_needed

pytestmark = pytest.mark.browser

SIZES = {"phone": (360, 740), "tablet": (820, 1180), "desk": (1440, 900)}
ADMIN_PAGES = ("/admin/", "/admin/auth/user/", "/admin/auth/user/add/", "/admin/password_change/")
Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def site(engine: Engine, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site of its own, that asks everybody for a second factor."""
    with serving(engine, tmp_path_factory.mktemp("site"), REQUIRE_MFA="1") as site:
        yield site


def fits(page: Page, name: str) -> None:
    """In every size; and a picture for whoever wants to look."""
    before = page.viewport_size
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        needed = width_needed(page)
        assert needed <= width, f"{name} is {needed} px wide on a {size}"
        shoot(page, f"{name}-{size}")
    assert before is not None
    page.set_viewport_size(before)


def set_up_factor(page: Page) -> list[str]:
    """As the app would, which reads the secret; the recovery codes."""
    expect(page.locator("h1")).to_have_text("Set up your second factor")
    totp = TOTP(b32decode(page.locator("[data-copy]").get_attribute("data-copy").replace(" ", "")))  # type: ignore[union-attr]
    totp.time = time.time()
    page.fill("#code", f"{totp.token():06d}")
    page.get_by_role("button", name="Confirm and sign in").click()
    expect(page.locator("h1")).to_have_text("Keep these recovery codes")
    return page.locator(".recovery-codes code").all_inner_texts()


def age_sessions(site: Site, seconds: int) -> None:
    """As if nobody had been there for so long."""
    program = (
        "from django.contrib.sessions.backends.db import SessionStore as S\n"
        "for row in S.get_model_class().objects.all():\n"
        "    kept = S(row.session_key)\n"
        f"    kept['seen'] = kept.get('seen', 0) - {seconds}\n"
        "    kept.save()\n"
    )
    command = [sys.executable, str(files.BASE / "manage.py"), "shell", "-v0", "-c", program]
    subprocess.run(command, env=site.environment, check=True, capture_output=True)


def test_a_second_factor_is_set_up_and_then_asked_for(site: Site, visit: Visit) -> None:
    page = visit()
    sign_in(page, site.accounts["researcher"], following="/records/")
    fits(page, "second-factor-set-up")
    page.fill("#code", "000000")
    page.get_by_role("button", name="Confirm and sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("This code is incorrect")
    codes = set_up_factor(page)
    assert len(codes) == 10
    fits(page, "recovery-codes")
    page.get_by_role("link", name="I saved them").click()
    expect(page.locator("h1")).to_have_text("Records")

    other = visit()
    sign_in(other, site.accounts["researcher"], following="/records/")
    expect(other.locator("h1")).to_have_text("Your code")
    fits(other, "second-factor-code")
    other.get_by_text("Don't have your device? Use a recovery code").click()
    other.fill("#recovery", codes[0])
    fits(other, "second-factor-recovery")
    other.get_by_role("button", name="Sign in with a recovery code").click()
    expect(other.get_by_text("9 are left")).to_be_visible()


def test_guesses_are_answered_with_a_page_that_says_when_to_try_again(site: Site, visit: Visit) -> None:
    page = visit()
    for _ in range(5):
        sign_in(page, {"username": "irb", "password": "a guess"})
    expect(page.locator("h1")).to_have_text("Too many attempts: please wait")
    fits(page, "locked-out")
    page.get_by_role("link", name="Back", exact=True).click()
    expect(page.locator("h1")).to_have_text("Sign in")


def test_a_warning_comes_before_the_sign_out_and_typed_words_outlive_it(site: Site, visit: Visit) -> None:
    page = visit()
    page.clock.install()
    sign_in(page, site.accounts["facilitator"], following="/students/new/")
    page.fill("[name$=age]", "16")

    age_sessions(site, 3500)
    page.clock.fast_forward(3500 * 1000)
    warning = page.get_by_role("alertdialog", name="Are you still there?")
    expect(warning).to_be_visible()
    expect(warning.locator(".num")).to_contain_text("1:")
    expect(page.get_by_role("button", name="Stay signed in")).to_be_focused()
    fits(page, "idle-warning")
    page.get_by_role("button", name="Stay signed in").click()
    expect(warning).not_to_be_attached()

    age_sessions(site, 3700)
    page.clock.fast_forward(3700 * 1000)
    over = page.get_by_role("alertdialog", name="You are signed out")
    expect(over).to_be_visible()
    fits(page, "idle-over")

    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in again").click()
    again = opened.value
    expect(again.get_by_text("nothing happened here for 60 minutes")).to_be_visible()
    give_password(again, site.accounts["facilitator"])
    expect(again.locator("h1")).to_have_text("Home")
    page.bring_to_front()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(over).not_to_be_attached()
    expect(page.locator("[name$=age]")).to_have_value("16")
    page.locator("main form[method=post] button[type=submit], main form[method=post] button").last.click()
    expect(page.locator(".errors")).to_be_visible()  # the form was read: its token is the new one


def test_a_page_without_typed_words_leads_to_the_login_page(site: Site, visit: Visit) -> None:
    page = visit()
    page.clock.install()
    sign_in(page, site.accounts["facilitator"], following="/students/")
    expect(page.locator("h1")).to_contain_text("Students")
    age_sessions(site, 3700)
    page.clock.fast_forward(3700 * 1000)
    page.wait_for_url("**/login/?next=%2Fstudents%2F")
    expect(page.get_by_text("nothing happened here for 60 minutes")).to_be_visible()


def test_the_pages_of_an_admin_keep_to_the_content_policy(site: Site, visit: Visit) -> None:
    page = visit()
    sign_in(page, site.accounts["admin"], following="/admin/")
    set_up_factor(page)
    page.get_by_role("link", name="I saved them").click()
    expect(page.locator("#site-name")).to_be_visible()
    for address in ADMIN_PAGES:
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200, address
        expect(page.locator("#site-name")).to_be_visible()
        fits(page, f"admin{address.removeprefix('/admin').strip('/').replace('/', '-')}")
    page.goto("/admin/auth/user/")
    page.locator("#result_list").get_by_role("link", name="irb").click()
    expect(page.locator("[name=username]")).to_have_value("irb")
    fits(page, "admin-account")
