"""A whole session without a pointer: Tab, arrows, Space and Enter; where the focus is can be seen."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from sessions_app.domain import models
from sessions_app.domain.session.record import Run
from socratic_site.local.dynamodb_local import REGION
from support.cast import started
from tests.journeys.conftest import Site

pytestmark = pytest.mark.browser

TABS = 40  # more than any page needs
WHERE = """() => {
  const at = document.activeElement, style = getComputedStyle(at), shown = at.closest("label") ?? at;
  const ring = getComputedStyle(shown);
  const seen = [style, ring].some((s) => s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2);
  return {tag: at.tagName, name: at.getAttribute("name") ?? "", type: at.getAttribute("type") ?? "",
          classes: at.className, seen, checked: at.checked ?? false};
}"""


class Keyboard:
    def __init__(self, page: Page) -> None:
        self.page = page

    def at(self) -> dict[str, object]:
        found: dict[str, object] = self.page.evaluate(WHERE)
        return found

    def tab_to(self, wanted: Callable[[dict[str, object]], bool], what: str) -> None:
        for _ in range(TABS):
            self.page.keyboard.press("Tab")
            at = self.at()
            if wanted(at):
                assert at["seen"], f"the focus on {what} cannot be seen at {self.page.url}"
                return
        raise AssertionError(f"Tab never comes to {what} at {self.page.url}")

    def fill(self) -> None:
        """Every group of choices, and every text that is asked for, in the order of Tab."""
        groups = self.page.locator("form#step-form input[type=radio]").evaluate_all(
            "all => [...new Set(all.filter(e => !document.querySelector(`[name='${e.name}']:checked`))"
            ".map(e => e.name))]"
        )
        for name in groups:
            self.tab_to(lambda at, name=name: at["name"] == name, name)
            self.page.keyboard.press("Space")
            assert self.at()["checked"], f"Space chose nothing in {name}"
        if self.page.locator("textarea[name=answer]").count():
            self.tab_to(lambda at: at["tag"] == "TEXTAREA", "the answer")
            self.page.keyboard.type("The river moved the wheels.")

    def send(self) -> None:
        before = self.page.url
        expect(self.page.locator(".action-bar .button.primary")).to_be_enabled()
        self.tab_to(lambda at: "primary" in str(at["classes"]), "the button")
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(lambda url: url != before)


def test_a_whole_session_by_keyboard(visit: Callable[..., Page], site: Site) -> None:
    models.configure(table_name=site.table, region=REGION)
    run = started("L4-I3-S")
    page = visit()
    page.goto("/login/")
    keyboard, steps = Keyboard(page), 0
    for name in ("username", "password"):
        if keyboard.at()["name"] != name:
            keyboard.tab_to(lambda at, name=name: at["name"] == name, name)
        page.keyboard.type(site.accounts["admin"][name])
    page.keyboard.press("Enter")
    page.wait_for_url(site.url)
    page.goto(f"/run/{run.id}/")
    while "/done/" not in page.url:
        if re.search("/segment-", page.url):
            keyboard.tab_to(lambda at: at["tag"] == "BUTTON", "the player")
            if page.locator("#play").count():
                page.keyboard.press("Enter")
        else:
            keyboard.fill()
        keyboard.send()
        steps += 1
    assert steps == 10 + 1 + 4 + 3 + 10 + 1
    assert Run.load(run.id).session.state == "completed"
