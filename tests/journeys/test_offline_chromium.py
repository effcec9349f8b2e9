"""Sessions that go on without a network, in Chromium: to their end, waiting, and through a killed browser."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Error, Page, Route, expect

from sessions_app import study
from sessions_app.domain import models
from sessions_app.domain.session import abandoned
from sessions_app.domain.session.record import Run
from socratic_site.local.dynamodb_local import REGION
from support.cast import at, brought_to, close, started
from support.chromium import FLAGS
from tests.journeys.conftest import SECONDS, TABLET, Site, shoot
from tests.journeys.device import DRAFTED
from tests.journeys.guide import ANSWERS, Guide

pytestmark = pytest.mark.browser

Tablet = Callable[[], Page]
KEPT = "async (url) => { while (!(await caches.match(url))) await new Promise(requestAnimationFrame); }"
CONTROLLED = "() => navigator.serviceWorker.controller !== null"


@pytest.fixture(scope="module", autouse=True)
def table(site: Site) -> Iterator[str]:
    """Sessions are started past the pages, in the table that the site runs on and with its short segments."""
    models.configure(table_name=site.table, region=REGION)
    before, settings.CONTENT_PACKAGE = settings.CONTENT_PACKAGE, Path(site.environment["CONTENT_PACKAGE"])
    study.package.cache_clear()
    yield site.table
    settings.CONTENT_PACKAGE = before
    study.package.cache_clear()


@pytest.fixture
def tablet(site: Site, browser: Browser) -> Iterator[Tablet]:
    """A signed-in page in a browser context of its own; at the end no script may have failed."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def opened() -> Page:
        context = browser.new_context(base_url=site.url, viewport=TABLET)
        context.set_default_timeout(20_000)
        context.on("weberror", lambda error: faults.append(str(error.error)))
        contexts.append(context)
        page = context.new_page()
        Guide(page, shoot, scripts=False).sign_in(site.accounts["facilitator"])
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def open_with_pack(page: Page, run: Run, step: str) -> None:
    """The step, with all that is to come on the device."""
    page.goto(f"{at(run)}{step}/")
    page.evaluate(KEPT, f"{at(run)}pack/")
    page.wait_for_function(CONTROLLED)


def cut_short(guide: Guide) -> None:
    guide.page.get_by_text("Something not working?").click()
    guide.page.get_by_role("button", name="The player is stuck").click()


def test_a_static_session_goes_to_its_end_without_a_network(tablet: Tablet) -> None:
    run, page = brought_to(started("L4-I3-S"), "baseline/10"), tablet()
    guide = Guide(page, shoot, scripts=False)
    open_with_pack(page, run, "baseline/10")
    page.context.set_offline(True)

    page.fill("textarea", ANSWERS[0]) if page.locator("textarea").count() else page.locator(
        "label.choice"
    ).first.click()
    guide.send()
    expect(page.locator("#save-state")).to_have_text("On this device, 1 waiting")
    guide.follow_by("Listen to it")
    expect(page.locator("#captions")).to_be_hidden()  # as was chosen here, and the server does not know yet
    page.click("#play")
    expect(page.locator("#player-note")).to_contain_text("Finished. You can go on.")
    guide.send()
    for part in (2, 3, 4):
        expect(page).to_have_url(re.compile(f"/segment-{part}/$"))
        cut_short(guide)
    expect(page).to_have_url(re.compile("/questions-4/1/$"))
    guide.talk(4)
    guide.assessment("final", well=True)
    for group in page.locator("fieldset.field").all():
        group.locator("label").nth(1).click()
    guide.send()
    expect(page.locator("main")).to_contain_text("Your answers are safe on this device")
    expect(page.locator("#save-state")).to_have_text("On this device, 20 waiting")
    shoot(page, "offline-done")
    assert len(Run.load(run.id).assessments["baseline"].questions) == 9

    page.context.set_offline(False)
    expect(page.locator("main")).to_contain_text("You are done, and every answer is saved.", timeout=40_000)
    after = Run.load(run.id)
    assert after.session.state == "completed"
    assert [q.answer for q in after.interventions[4].questions] == list(ANSWERS)
    assert after.content is not None
    assert after.content.delivery_preferences.format_chosen == "audio"
    heard, *skipped = after.content.segment_tracking
    assert (heard.delivered_by, heard.heard) == ("recording", f"0-{SECONDS[1]}")  # kept with the pages
    assert [part.skip_reason for part in skipped] == ["stuck"] * 3
    assert "late_sync" in after.session.metadata.data_quality_flags
    assert after.conflicts == []
    page.wait_for_function("async () => (await caches.keys()).every((name) => !name.startsWith('run '))")


def test_a_page_whose_scripts_do_not_come_has_the_kept_ones(tablet: Tablet) -> None:
    """Without them it would not know what waits on the device, and would ask again for it."""
    run, page = brought_to(started("L4-I3-S"), "baseline/9"), tablet()
    open_with_pack(page, run, "baseline/9")
    replies = {
        "savestate.js": {"status": 503, "body": "Busy"},
        "offline_pages.js": {"body": "<p>Free WiFi</p>"},
    }
    struck = set()

    def answer(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        struck.add(name)
        route.fulfill(content_type="text/html", **replies[name])

    for name in replies:
        page.context.route(f"**/static/js/{name}", answer)
    page.reload()
    assert struck == set(replies)
    page.context.set_offline(True)
    page.locator("label.choice").first.click()
    page.locator(".action-bar .button.primary").click()
    expect(page).to_have_url(re.compile("/baseline/10/$"))
    expect(page.locator("#save-state")).to_have_text("On this device, 1 waiting")


def test_an_address_of_a_step_that_is_through_leads_to_where_the_device_is(tablet: Tablet) -> None:
    run, page = brought_to(started("L4-I3-S"), "baseline/8"), tablet()
    open_with_pack(page, run, "baseline/8")
    for step in ("baseline/9", "baseline/10"):
        page.locator("label.choice").first.click()
        page.locator(".action-bar .button.primary").click()
        expect(page).to_have_url(re.compile(f"/{step}/$"))
        page.context.set_offline(True)  # with the first answer stored
    page.goto(f"{at(run)}baseline/8/")
    expect(page).to_have_url(re.compile("/baseline/10/$"))
    expect(page.locator("#save-state")).to_have_text("On this device, 1 waiting")
    expect(page.locator(".action-bar .button.primary")).not_to_have_attribute("aria-disabled", "true")


def test_no_page_is_kept_before_its_scripts_are(tablet: Tablet) -> None:
    """Without them it would ask again, offline, for what waits on the device."""
    run, page = brought_to(started("L4-I3-S"), "baseline/8"), tablet()

    def answer(route: Route) -> None:
        route.fulfill(status=503) if route.request.resource_type == "fetch" else route.continue_()

    page.context.route("**/static/js/savestate.js", answer)
    with page.expect_response(lambda response: response.status == 503):
        page.goto(f"{at(run)}baseline/8/")
    page.wait_for_function(CONTROLLED)
    page.reload()  # the worker would keep it now
    assert f"run {run.id}" not in page.evaluate("caches.keys()")


def test_a_kept_page_of_a_step_that_is_stored_leads_on(tablet: Tablet) -> None:
    run, page = brought_to(started("L4-I3-S"), "baseline/8"), tablet()
    open_with_pack(page, run, "baseline/8")
    page.locator("label.choice").first.click()
    page.locator(".action-bar .button.primary").click()
    expect(page).to_have_url(re.compile("/baseline/9/$"))
    page.context.set_offline(True)
    for _ in range(2):
        page.goto(f"{at(run)}baseline/8/")
        expect(page).to_have_url(re.compile("/baseline/9/$"))
    expect(page.locator("#save-state")).not_to_contain_text("waiting")


def test_a_dynamic_session_waits_for_its_question_or_goes_on_with_the_fixed_ones(tablet: Tablet) -> None:
    run, page = brought_to(started("L4-I3-D"), "segment-4"), tablet()
    guide = Guide(page, shoot, scripts=False)
    open_with_pack(page, run, "segment-4")
    page.context.set_offline(True)
    cut_short(guide)
    expect(page.locator("h1")).to_have_text("Waiting for the network…")
    shoot(page, "offline-waiting")
    page.get_by_text("For the facilitator").click()
    page.get_by_role("link", name="Go on with the prepared questions").click()
    page.fill("textarea", ANSWERS[0])
    guide.send()
    expect(page).to_have_url(re.compile(r"/questions-4/2/\?fallback=1$"))

    page.context.set_offline(False)
    page.goto(f"{at(run)}questions-4/2/")
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator("#asked")).to_be_visible(timeout=40_000)
    after = Run.load(run.id)
    first, second = after.interventions[4].questions
    assert (first.question_source, first.answer) == ("static_fallback", ANSWERS[0])
    assert second.question_source == "generated"
    assert page.locator("#asked").inner_text() == second.question
    assert "ai_fallback" in after.interventions[4].metadata.data_quality_flags


def processes_of(folder: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if f"--user-data-dir={folder}".encode() in words:
                found.append(int(entry.name))
    return found


def test_an_answer_typed_without_a_network_outlives_the_browser(
    site: Site, browser: Browser, chromium: str, tmp_path: Path
) -> None:
    run = brought_to(started(), "baseline/3")
    profile = tmp_path / "profile"
    options: dict[str, Any] = {"executable_path": chromium, "args": FLAGS, "base_url": site.url}
    launch = browser.browser_type.launch_persistent_context
    context = launch(profile, **options)
    page = context.new_page()
    Guide(page, shoot, scripts=False).sign_in(site.accounts["facilitator"])
    open_with_pack(page, run, "baseline/3")
    page.goto("about:blank")
    context.set_offline(True)
    page.goto(f"{site.url.rstrip('/')}{at(run)}baseline/3/")
    page.fill("textarea", ANSWERS[0])
    page.locator(".action-bar .button.primary").click()
    expect(page).to_have_url(re.compile("/baseline/4/$"))
    page.locator("label.choice").nth(2).click()
    page.evaluate(DRAFTED, f"{at(run)}baseline/4/")
    cookies: Any = context.cookies()  # Chromium writes its own only every half minute
    for process in processes_of(profile):
        os.kill(process, signal.SIGKILL)
    with contextlib.suppress(Error):  # it may have noticed by itself that its browser is gone
        context.close()
    assert len(Run.load(run.id).assessments["baseline"].questions) == 2

    context = launch(profile, **options)
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(f"{site.url.rstrip('/')}{at(run)}baseline/4/")
    expect(page.locator("#save-state")).to_have_text(re.compile(r"^\s*Saved"))
    expect(page.locator("label.choice input").nth(2)).to_be_checked()
    page.locator(".action-bar .button.primary").click()
    expect(page).to_have_url(re.compile("/baseline/5/$"))
    given = Run.load(run.id).assessments["baseline"].questions
    assert [given[2].student_answer, len(given)] == [ANSWERS[0], 4]
    context.close()


# --- closed while the tablet had no network


def answer_items(page: Page, first: int, last: int) -> None:
    """Items of the final assessment, on a device without a network."""
    for number in range(first, last + 1):
        expect(page).to_have_url(re.compile(f"/final/{number}/$"))
        if page.locator("textarea").count():
            page.fill("textarea", ANSWERS[0])
        else:
            page.locator("label.choice").first.click()
        page.locator(".action-bar .button.primary").click()


def fill_survey(page: Page) -> None:
    expect(page).to_have_url(re.compile("/survey/$"))
    for group in page.locator("fieldset.field").all():
        group.locator("label").nth(1).click()
    page.locator(".action-bar .button.primary").click()
    expect(page.locator("main")).to_contain_text("Your answers are safe on this device")


def test_a_session_that_timed_out_meanwhile_is_completed_when_the_tablet_is_back(tablet: Tablet) -> None:
    run, page = brought_to(started("L4-I3-S"), "final/8"), tablet()
    open_with_pack(page, run, "final/8")
    page.context.set_offline(True)
    answer_items(page, 8, 10)
    fill_survey(page)
    day = timedelta(hours=24)
    assert abandoned.close(run.id, now=study.now() + day + timedelta(hours=1), after=day)

    page.context.set_offline(False)
    expect(page.locator("main")).to_contain_text("You are done, and every answer is saved.", timeout=40_000)
    after = Run.load(run.id)
    assert (after.session.state, after.conflicts) == ("completed", [])
    assert len(after.assessments["final"].questions) == 10


def test_a_session_that_staff_stopped_meanwhile_takes_what_was_given_before(tablet: Tablet) -> None:
    run, page = brought_to(started("L4-I3-S"), "final/9"), tablet()
    open_with_pack(page, run, "final/9")
    page.context.set_offline(True)
    answer_items(page, 9, 10)
    expect(page).to_have_url(re.compile("/survey/$"))
    page.wait_for_timeout(1_500)  # times are whole seconds: the stop is later than the answers
    close(run)
    page.wait_for_timeout(1_500)
    fill_survey(page)

    page.context.set_offline(False)
    expect(page.locator("main")).to_contain_text("This session was stopped early", timeout=40_000)
    expect(page.locator("main")).to_contain_text("it is not lost")
    expect(page.locator("#outbox-aside")).to_be_empty()
    shoot(page, "stopped-meanwhile")
    after = Run.load(run.id)
    assert (after.session.state, after.survey) == ("stopped", None)
    assert len(after.assessments["final"].questions) == 10
    assert [(conflict.stage, conflict.kind) for conflict in after.conflicts] == [("survey", "after_end")]
