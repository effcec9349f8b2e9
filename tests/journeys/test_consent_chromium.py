"""The review board in Chromium: pages in three sizes, a review, a page on paper, a renewal, an erasure."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Site, shoot, sign_in, width_needed
from tests.journeys.test_dashboards_chromium import SIZES, manage

pytestmark = pytest.mark.browser


def signed_in(page: Page, site: Site, role: str) -> Page:
    sign_in(page, site.accounts[role])
    expect(page.locator("h1")).to_contain_text("Home")
    return page


def see(page: Page, address: str, title: str, name: str) -> None:
    page.goto(address)
    expect(page.locator("h1")).to_contain_text(title)
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        needed = width_needed(page)
        assert needed <= width, f"{address} is {needed} px wide on a {size}"
        shoot(page, f"{name}-{size}")


def test_the_board_sees_reviews_and_prints_and_a_facilitator_renews(
    site: Site, visit: Callable[..., Page]
) -> None:
    manage(site, "simulate", "--beside-real", "--students", "6", "--seed", "5")
    page = signed_in(visit(), site, "irb")
    see(page, "/consent/", "Consent", "consent-list")
    see(page, "/consent/?tab=refused", "Consent", "consent-empty")
    see(page, "/consent/forms/", "Forms and versions", "consent-forms")
    page.goto("/consent/")
    first = page.locator(".row-link").first
    code = first.inner_text()
    first.click()
    expect(page.locator("h1")).to_have_text(code)
    record = page.url
    see(page, record, code, "consent-record")
    see(page, f"{record}certificate/", "Certificate", "consent-certificate")
    for paper in ("A4", "Letter"):
        assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format=paper))) == 1, paper

    page.goto(record)
    page.get_by_text("Return for correction").click()
    page.fill("[name=reason]", "The father's signature is not readable.")
    page.get_by_role("button", name="Save review").click()
    expect(page.locator(".notice.ok")).to_contain_text("The consent is returned.")
    shoot(page, "consent-returned")

    field = signed_in(visit(wanted="status of (409|410|422|429)"), site, "facilitator")
    student = record.rstrip("/").split("/")[-1]
    see(field, f"/students/{student}/", code, "student-returned")
    field.get_by_role("link", name="Go through the forms again").click()
    expect(field.locator(".notice.warn")).to_contain_text("not readable")
    field.fill("[name=today-age]", "18")
    shoot(field, "renew-age")
    field.get_by_role("button", name="Next").click()
    field.get_by_text("On this screen").click()
    field.get_by_label("Yes", exact=True).check()
    shoot(field, "renew-form")
    field.get_by_text("Yes, I want to take part").click()
    field.get_by_role("button", name="Save consent").click()
    expect(field.locator(".notice.ok")).to_contain_text("Consent is complete again.")

    see(field, f"/students/{student}/withdraw/", "Withdraw", "withdraw")
    field.get_by_text("Erase it").click()
    field.get_by_role("button", name="Withdraw student").click()
    expect(field.locator("h1")).to_contain_text("permanently?")
    shoot(field, "withdraw-certain")
    field.get_by_role("button", name="Erase everything now").click()
    expect(field.locator("h1")).to_have_text("This student's data were erased")
    shoot(field, "withdraw-erased")
