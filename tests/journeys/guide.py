"""What a person does in a browser during a journey, and what is looked at on the way."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from playwright.sync_api import Locator, Page, expect

from tests.journeys import axe
from tests.journeys.conftest import give_password, width_needed

WIDTHS = {
    "narrow": (320, 640),
    "phone": (360, 740),
    "wide": (1440, 900),
    "tablet": (820, 1180),
}  # the tablet last: it stays
PAPER: dict[Literal["dark", "light"], str] = {
    "dark": "rgb(18, 22, 27)",
    "light": "rgb(251, 250, 247)",
}  # light last: it stays
TOUCH = 44  # CSS pixels, the least height of what is tapped
ANSWERS = (
    "The river gave the furnaces their power and the boats brought coal.",
    "People carried heavy castings while others counted money in offices.",
    "Both tell me that places change when people decide what stays.",
)

# What is tapped and how high it is; a pseudo-element laid over it may make the place to tap larger.
TOUCHED = """() => [...document.querySelectorAll(
    "button, .button, summary, label.choice, .segmented label, .rating label, textarea, select")]
  .filter((e) => e.checkVisibility({checkVisibilityCSS: true}) && !e.closest(".vh"))
  .map((e) => [e, e.getBoundingClientRect(), getComputedStyle(e, "::after")])
  .filter(([, box]) => box.width > 0 && box.height > 0)
  .map(([e, box, over]) => [
    `${e.tagName} ${e.textContent.trim().slice(0, 40)}`,
    Math.max(box.height, over.position === "absolute" ? parseFloat(over.height) || 0 : 0)])"""


@dataclass
class Guide:
    """`look` looks once at each kind of page, at each width and in both themes, where scripts run."""

    page: Page
    shoot: Callable[[Page, str], None]
    scripts: bool = True
    seen: set[str] = field(default_factory=set)

    # --- looking

    def look(self, name: str) -> None:
        if name in self.seen or not self.scripts:
            return
        self.seen.add(name)
        for theme, paper in PAPER.items():
            self.page.emulate_media(color_scheme=theme)
            background = self.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
            assert background == paper, f"{name} is {background} in {theme}"
            axe.check(self.page, f"{name} in {theme}")
            self.shoot(self.page, f"{name}-{theme}")
        for device, (width, height) in WIDTHS.items():
            self.page.set_viewport_size({"width": width, "height": height})
            needed = width_needed(self.page)
            assert needed <= width, f"{name} is {needed} px wide on a {device} of {width} px"
            small = [text for text, high in self.page.evaluate(TOUCHED) if high < TOUCH - 0.5]
            assert not small, f"{name} on a {device}: {small}"
            self.shoot(self.page, f"{name}-{device}")
        self._look_at_large_text(name, width)

    def _look_at_large_text(self, name: str, width: int) -> None:
        """Whoever reads with letters twice as large."""
        self.page.evaluate("document.documentElement.style.fontSize = '200%'")
        needed = width_needed(self.page)
        assert needed <= width, f"{name} is {needed} px wide with text at 200 %"
        self.shoot(self.page, f"{name}-large")
        self.page.evaluate("document.documentElement.style.fontSize = ''")

    # --- staff

    def sign_in(self, account: dict[str, str]) -> None:
        self.page.goto("/login/")
        self.look("login")
        give_password(self.page, account)

    def onboard(self) -> str:
        """A student of 16, with a mother's permission and the student's own yes; the code comes back."""
        page = self.page
        page.goto("/students/new/")
        self.look("onboard-about")
        page.fill("[name=about-age]", "16")
        page.fill("[name=about-grade_level]", "10")
        page.fill("[name=about-school]", "Riverside High")
        page.locator("[name=about-richmond_resident]").first.check(force=True)
        self._next("Learning")
        self.look("onboard-learning")
        page.check("[name=learning-depth_preference][value=moderate]")
        page.check("[name=learning-learning_style][value=visual]")
        page.check("[name=learning-prior_knowledge_topics][value=none]")
        self._next("Permission of a parent or guardian")
        assert page.locator("form input:checked").count() == 0, "something was chosen beforehand"
        self.look("onboard-permission")
        page.check("[name=parental_permission-relation][value=mother]")
        page.check("[name=parental_permission-method][value=on_screen]")
        page.locator("[name=parental_permission-sharing]").first.check(force=True)
        page.check("[name=parental_permission-agrees][value=yes]")
        self._next("Student assent")
        page.check("[name=assent-method][value=on_screen]")
        page.check("[name=assent-agrees][value=yes]")
        self._next("The student is enrolled")
        self.look("onboarded")
        return page.locator(".big-code").inner_text()

    def _next(self, heading: str) -> None:
        self.page.locator("form .button.primary").click()
        expect(self.page.locator("h1")).to_have_text(heading)

    def choose(self, code: str, place: str) -> None:
        if "/sessions/new/" not in self.page.url:
            self.page.goto("/sessions/new/")
        self.look("start-who")
        self.page.fill("[name=code]", code)
        self.page.check(f"[name=place][value={place}]")
        self.page.locator("#who .button.primary").click()
        self.page.wait_for_selector("#start")

    def start(self, condition: str = "") -> str:
        """The session's id."""
        if condition:
            self.page.get_by_text("Set the condition by hand").click()
            self.page.select_option("[name=condition]", condition)
            self.page.fill("[name=condition_reason]", "a journey")
        self.page.locator("#start .button.primary").click()
        self.page.wait_for_url("**/hand-over/")
        self.look("hand-over")
        self.page.get_by_role("link", name="Continue without the lock").click()
        self.page.wait_for_url("**/run/**/baseline/1/")
        found = re.search(r"/run/([^/]+)/", self.page.url)
        assert found
        return found[1]

    # --- the student

    @property
    def step(self) -> str:
        """`baseline/3`, of the address."""
        return self.page.url.split("/run/", 1)[1].split("/", 1)[1].strip("/")

    @property
    def primary(self) -> Locator:
        return self.page.locator(".action-bar .button.primary")

    def send(self) -> None:
        """Send the step and wait for the next one."""
        before = self.page.url
        self.primary.click()
        self.page.wait_for_url(lambda url: url != before)

    def assessment(self, kind: str, *, well: bool) -> None:
        """Ten items. `well`: the choices are right, which the stored points will show."""
        for number in range(1, 11):
            expect(self.page).to_have_url(re.compile(f"/{kind}/{number}/$"))
            if self.page.locator("textarea").count():
                self.look(f"{kind}-words")
                self.page.fill("textarea", ANSWERS[number % 3])
                if self.scripts:
                    counted = f"{len(ANSWERS[number % 3].split())} words"
                    expect(self.page.locator(".counter")).to_have_text(counted)
            else:
                self.look(f"{kind}-choice")
                choice = self.page.locator("label.choice").nth(1 if well else 0)
                choice.click()
            self.send()

    def follow_by(self, way: str) -> None:
        expect(self.page).to_have_url(re.compile("/format/$"))
        self.look("format")
        self.page.get_by_text(way).click()
        self.send()

    def play(self, number: int) -> None:
        """A segment to its end; only then it can be left."""
        expect(self.page).to_have_url(re.compile(f"/segment-{number}/$"))
        if self.scripts:
            expect(self.primary).to_be_disabled()
            self.look("segment")
            self.page.click("#play")
            expect(self.page.locator("#player-note")).to_have_text("Finished. You can go on.")
        else:
            expect(self.page.locator("main > .narration, noscript .narration")).to_be_visible()
        self.send()

    def talk(self, segment: int, *, up_to: int = 3) -> list[str]:
        """The questions from where the student stands; they come back as they were shown."""
        asked = []
        for number in range(int(self.step.split("/")[1]), up_to + 1):
            expect(self.page).to_have_url(re.compile(f"/questions-{segment}/{number}/"))
            self.page.wait_for_selector("textarea")
            self.look("question")
            asked.append(self.page.locator("#asked").inner_text())
            self.page.fill("textarea", ANSWERS[number - 1])
            self.send()
        return asked

    def rate(self) -> None:
        expect(self.page).to_have_url(re.compile("/survey/$"))
        self.primary.click()
        expect(self.page.locator(".errors")).to_contain_text("Please choose one.")
        if self.scripts:
            expect(self.page.locator(".errors")).to_be_focused()
        for group in self.page.locator("fieldset.field").all():
            group.locator("label").nth(1 if group.locator("label").count() < 4 else 3).click()
        self.page.locator("textarea").last.fill("The river.")
        self.look("survey")
        self.send()
        expect(self.page.locator("h1")).to_have_text("Thank you!")
        self.look("done")
