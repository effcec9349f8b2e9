"""A tablet forgets a session where it changes hands: offline, a stranger finds no word of an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect

from sessions_app import study
from sessions_app.domain import models
from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.participants import erasure
from sessions_app.domain.session.record import Run
from socratic_site.local.dynamodb_local import REGION
from support.cast import at, brought_to, started
from tests.journeys.conftest import TABLET, Site, shoot
from tests.journeys.device import DRAFTED, STORE
from tests.journeys.guide import Guide

pytestmark = pytest.mark.browser

PIN = "4711"
ANSWERED, TYPED = "quokkas turned the waterwheel", "wombats carried the iron"
Tablet = Callable[[], Page]
CONTROLLED = "() => navigator.serviceWorker.controller !== null"
KEPT_PAGES = """async () => {
  const names = (await caches.keys()).filter((name) => name.startsWith("run "));
  const kept = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
  return kept.flat().map((request) => request.url);
}"""
KEPT_TEXT = """async () => {
  const names = (await caches.keys()).filter((name) => name.startsWith("run "));
  const texts = [];
  for (const name of names) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) texts.push(await (await cache.match(request)).text());
  }
  return texts.join("\\n");
}"""
DRAFTS = f"() => ({STORE})('drafts', 'readonly', (drafts) => drafts.getAll())"
SENT = f"() => ({STORE})('sent', 'readonly', (sent) => sent.getAll())"


@pytest.fixture(scope="module", autouse=True)
def table(site: Site) -> str:
    """Sessions are started past the pages, in the table that the site runs on."""
    models.configure(table_name=site.table, region=REGION)
    return site.table


@pytest.fixture
def tablet(site: Site, browser: Browser) -> Iterator[Tablet]:
    contexts: list[BrowserContext] = []

    def opened() -> Page:
        context = browser.new_context(base_url=site.url, viewport=TABLET)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        Guide(page, shoot, scripts=False).sign_in(site.accounts["facilitator"])
        return page

    yield opened
    for context in contexts:
        context.close()


def hand_over(page: Page, run: Run) -> None:
    page.goto(f"/sessions/{run.id}/hand-over/")
    page.fill("[name=pin]", PIN)
    page.get_by_role("button", name="Hand over").click()
    page.wait_for_url(f"**{at(run)}**")


def take_back(page: Page, run: Run) -> dict[str, str]:
    page.goto(f"{at(run)}take-back/")
    page.fill("[name=pin]", PIN)
    with page.expect_response(lambda response: response.request.method == "POST") as reply:
        page.get_by_role("button", name="Take it back").click()
    expect(page).to_have_url(re.compile(f"/sessions/{run.id}/$"))
    headers: dict[str, str] = reply.value.all_headers()
    return headers


def second_question(page: Page, run: Run) -> None:
    """The first question was answered; the draft of a second answer and later pages are on the device."""
    page.goto(f"{at(run)}questions-4/1/")
    page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
    page.reload()  # a worker that was ready while this page loaded takes the next one
    page.wait_for_function(CONTROLLED)
    page.fill("textarea", ANSWERED)
    page.locator(".action-bar .button.primary").click()
    expect(page).to_have_url(re.compile("/questions-4/2/$"))
    page.reload()  # the worker keeps it as it was shown
    expect(page.locator("details", has_text="What we said so far")).to_contain_text(ANSWERED)
    page.fill("textarea", TYPED)
    page.evaluate(DRAFTED, f"{at(run)}questions-4/2/")
    kept = f"async () => (await ({KEPT_PAGES})()).some((address) => address.endsWith('/questions-4/2/'))"
    page.wait_for_function(kept)


def dialogue() -> Run:
    return brought_to(started("L4-I3-S"), "questions-4/1")


def finds_nothing(page: Page, addresses: list[str]) -> None:
    """Offline, each of these addresses is opened, and what the browser shows is read."""
    page.context.set_offline(True)
    for address in addresses:
        try:
            page.goto(address)
        except Error:
            continue  # no page at all
        page.wait_for_timeout(300)  # for a script that would fill a field
        fields = page.evaluate(
            "() => [...document.querySelectorAll('textarea, input')].map((one) => one.value).join()"
        )
        for words in (ANSWERED, TYPED):
            assert words not in page.content() + fields, address
    page.context.set_offline(False)


def test_no_kept_page_holds_what_was_answered_before(tablet: Tablet) -> None:
    run, page = dialogue(), tablet()
    second_question(page, run)
    kept = page.evaluate(KEPT_TEXT)
    assert "questions-4/2" in kept
    assert ANSWERED not in kept
    page.context.set_offline(True)
    page.reload()
    expect(page.locator("textarea")).to_have_value(TYPED)  # the session goes on, in the same hands
    assert ANSWERED not in page.content()


def test_after_the_take_back_a_stranger_finds_nothing(tablet: Tablet) -> None:
    run, page = dialogue(), tablet()
    hand_over(page, run)
    second_question(page, run)
    addresses = page.evaluate(KEPT_PAGES)
    assert len(addresses) > 5
    headers = take_back(page, run)
    assert headers["clear-site-data"] == '"cache", "storage"'
    expect(page.locator("body")).to_contain_text("Tablet unlocked.")
    assert page.evaluate(KEPT_PAGES) == []
    page.context.clear_cookies()
    finds_nothing(page, addresses)


def test_an_answer_that_waits_survives_the_take_back_unread(tablet: Tablet) -> None:
    run, page = dialogue(), tablet()
    hand_over(page, run)
    second_question(page, run)
    addresses = page.evaluate(KEPT_PAGES)
    page.context.route(
        "**/questions-4/2/",
        lambda route: route.abort() if route.request.method == "POST" else route.continue_(),
    )
    page.locator(".action-bar .button.primary").click()
    expect(page.locator("#save-state")).to_have_text("On this device, 1 waiting")
    expect(page).to_have_url(re.compile("/questions-4/3/$"))  # the kept page took over
    assert "clear-site-data" not in take_back(page, run)
    page.wait_for_function(f"async () => !(await ({KEPT_PAGES})()).length && !(await ({DRAFTS})()).length")
    (waiting,) = page.evaluate(SENT)
    assert "wombats" in waiting["body"]
    finds_nothing(page, addresses)
    page.context.unroute_all()
    page.goto("/sessions/")  # or a page in the back/forward cache, past the route, was faster
    page.wait_for_function(f"async () => !(await ({SENT})()).length")
    stored = Run.load(run.id)
    answered = [question.answer for question in stored.interventions[4].questions]
    assert answered[:2] == [ANSWERED, TYPED], [conflict.text for conflict in stored.conflicts]


def test_the_sign_in_page_means_that_nobody_is_signed_in(tablet: Tablet) -> None:
    run, page = dialogue(), tablet()
    second_question(page, run)
    addresses = page.evaluate(KEPT_PAGES)
    page.context.clear_cookies()  # as an expiry leaves it
    page.goto(f"{at(run)}questions-4/3/")
    expect(page).to_have_url(re.compile("/login/"))
    page.wait_for_function(f"async () => !(await ({KEPT_PAGES})()).length && !(await ({DRAFTS})()).length")
    finds_nothing(page, addresses)


def test_signing_out_leaves_nothing(tablet: Tablet) -> None:
    run, page = dialogue(), tablet()
    second_question(page, run)
    addresses = page.evaluate(KEPT_PAGES)
    page.goto("/sessions/")
    page.locator("details.menu summary").click()
    with page.expect_response(lambda response: response.request.method == "POST") as reply:
        page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/login/"))
    assert reply.value.all_headers()["clear-site-data"] == '"cache", "storage"'
    finds_nothing(page, addresses)


def test_an_erased_session_leaves_the_tablet_at_its_next_page(tablet: Tablet) -> None:
    run, page = dialogue(), tablet()
    second_question(page, run)
    addresses = page.evaluate(KEPT_PAGES)
    by = audit_log.Actor("admin", "admin")
    erasure.erase(run.session.student_id, by=by, now=study.now())
    page.goto(f"{at(run)}questions-4/3/")
    expect(page.locator("h1")).to_have_text("This student's data were erased")
    page.wait_for_function(f"async () => !(await ({KEPT_PAGES})()).length")
    assert [draft for draft in page.evaluate(DRAFTS) if draft["session"] == run.id] == []
    finds_nothing(page, addresses)
