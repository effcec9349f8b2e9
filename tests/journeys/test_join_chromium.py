"""A participant at home: a link, a phone, a note from the live board, and a call for help."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Site, shoot
from tests.journeys.guide import Guide

pytestmark = pytest.mark.browser

PHONE = {"width": 360, "height": 740}
NOTE = 'Take your time. <b>"The river"</b> & you.'


def test_a_participant_at_home_with_a_note_from_the_board(site: Site, visit: Callable[..., Page]) -> None:
    staff = Guide(visit(), shoot)
    page = staff.page
    staff.sign_in(site.accounts["facilitator"])
    code = staff.onboard()
    staff.choose(code, "home")
    page.check("[name=at_home]")
    page.locator("#start .button.primary").click()
    page.get_by_role("button", name="Create a link").click()
    expect(page.locator(".place-code svg path")).to_be_visible()
    staff.look("link")
    url = page.locator(".copy").get_attribute("data-copy")
    assert url
    assert url.startswith(f"{site.url}join/")

    phone = Guide(visit(viewport=PHONE, is_mobile=True, has_touch=True), shoot)
    device = phone.page
    device.clock.install()
    device.goto(url)
    phone.look("join-start")
    phone.primary.click()
    expect(device).to_have_url(re.compile("/run/[^/]+/baseline/1/$"))
    assert device.evaluate("document.referrer") in ("", site.url)

    page.goto("/monitor/")
    expect(page.locator("tr", has_text=code)).to_contain_text("own device")
    page.locator("tr", has_text=code).get_by_role("link", name="Write a note").click()
    page.fill("[name=text]", NOTE)
    page.get_by_role("button", name="Send the note").click()
    expect(page.locator(".timeline")).to_contain_text("Not read yet.")
    staff.look("words")

    device.locator("label.choice").first.click()
    device.clock.fast_forward(10_000)
    expect(device.locator("#notes")).to_contain_text(NOTE)
    assert device.locator("label.choice input").first.is_checked(), "a note takes nothing from the page"
    phone.look("note")
    device.get_by_role("button", name="I have read it").click()
    expect(device.locator("#notes .notice")).to_have_count(0)
    device.get_by_role("button", name="I need help").click()
    expect(device.locator("#notes")).to_contain_text("Staff know that you need help.")
    phone.look("help-asked")
    page.reload()
    expect(page.locator(".timeline")).to_contain_text("Read at")

    page.goto("/monitor/")
    expect(page.locator("#board-says")).to_contain_text("needs attention")
    staff.look("board-called")
    page.locator("#board .notice", has_text=code).get_by_role("button", name="I'm on it").click()
    expect(page.locator("#board .notice", has_text=code)).to_have_count(0)
    phone.send()
    expect(device).to_have_url(re.compile("/baseline/2/$"))
