"""A student with a locked tablet tries the ways out that a browser has."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Site, shoot
from tests.journeys.guide import Guide

pytestmark = pytest.mark.browser

PIN = "4711"


def test_a_locked_tablet_in_the_hands_of_a_student(site: Site, visit: Callable[..., Page]) -> None:
    guide = Guide(visit(), shoot)
    page = guide.page
    guide.sign_in(site.accounts["facilitator"])
    code = guide.onboard()
    guide.choose(code, "home")
    page.check("[name=at_home]")
    page.locator("#start .button.primary").click()
    page.wait_for_url("**/hand-over/")
    session = page.url.split("/sessions/")[1].split("/")[0]
    guide.look("hand-over")
    page.fill("[name=pin]", PIN)
    page.get_by_role("button", name="Hand over").click()
    first = re.compile(f"/run/{session}/baseline/1/$")
    expect(page).to_have_url(first)
    guide.look("locked")

    for _ in range(3):  # back, again and again
        page.go_back()
        expect(page).to_have_url(first)
    for path in (
        "/",
        "/students/",
        f"/sessions/{session}/",
        "/monitor/",
        "/admin/",
        "/logout/",
        "/login/",
        "/x",
    ):
        page.goto(path)
        expect(page).to_have_url(first)
        expect(page.locator(".site-head")).to_have_count(0)
    guide.primary.click()  # no answer yet: the step says so and stays
    expect(page.locator(".errors")).to_be_visible()

    again = visit(storage_state=page.context.storage_state())  # the browser is closed and opened
    again.goto("/students/")
    expect(again).to_have_url(first)
    cleared = visit()
    cleared.goto(f"/run/{session}/baseline/1/")
    expect(cleared).to_have_url(re.compile("/login/"))

    page.goto(f"/run/{session}/")
    page.get_by_role("link", name="For staff").click()
    expect(page.locator("h1")).to_have_text("For staff: take the tablet back")
    guide.look("take-back")
    page.fill("[name=pin]", "0000")
    guide.primary.click()
    expect(page.locator(".errors")).to_contain_text("This is not right.")
    page.fill("[name=pin]", PIN)
    guide.primary.click()
    expect(page).to_have_url(re.compile(f"/sessions/{session}/$"))
    expect(page.locator("body")).to_contain_text("Tablet unlocked.")
    again.goto("/students/")  # the copy of the old cookie is worth nothing
    expect(again).to_have_url(re.compile("/login/"))
