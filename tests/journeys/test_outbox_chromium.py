"""Bad networks, killed browsers, two tabs, expired sign-ins, in Chromium: nothing is lost or counts twice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Locator, Page, Route, expect

from sessions_app.domain import models
from sessions_app.domain.session.record import Run
from socratic_site.local.dynamodb_local import REGION
from support.cast import at, brought_to, started
from tests.journeys.conftest import TABLET, Site, give_password, shoot
from tests.journeys.device import DRAFT, DRAFTED, KEEP, PUT_DRAFT
from tests.journeys.guide import Guide

pytestmark = pytest.mark.browser

TEXT = "The river moved the wheels. Ich weiß: 🏭 & more."
Tablet = Callable[..., Page]

# Replies that are no acknowledgement, whatever their status says.
STRANGERS: list[dict[str, Any]] = [
    {
        "status": 200,
        "content_type": "text/html",
        "body": "<title>Free WiFi</title><p>Please accept our terms.",
    },
    {"status": 200, "content_type": "application/json", "body": '{"saved": true, "submission_id": "'},
    {
        "status": 200,
        "content_type": "application/json",
        "body": '{"saved": true, "stored_at": "now", "next": "/"}',
    },
    {"status": 502, "content_type": "text/html", "body": "Bad gateway"},
    {"status": 409, "content_type": "application/json", "body": '{"saved": false, "error": "conflict"}'},
    {"status": 403, "content_type": "text/html", "body": "Forbidden"},
]


@pytest.fixture(scope="module", autouse=True)
def table(site: Site) -> str:
    """Sessions are started past the pages, in the table that the site runs on."""
    models.configure(table_name=site.table, region=REGION)
    return site.table


@pytest.fixture(scope="module")
def signed_in(site: Site, browser: Browser) -> Any:
    """What a browser keeps of a sign-in: the accounts are asked once."""
    context = browser.new_context(base_url=site.url)
    Guide(context.new_page(), shoot, scripts=False).sign_in(site.accounts["facilitator"])
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def tablet(site: Site, browser: Browser, signed_in: Any) -> Iterator[Tablet]:
    """A page in a browser context of its own, signed in; at the end no script may have failed.

    Without the worker, which would go on with kept pages where these tests look at one that waits.
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def opened(**options: Any) -> Page:
        context = browser.new_context(
            base_url=site.url,
            service_workers="block",
            **{"viewport": TABLET, "storage_state": signed_in} | options,
        )
        context.set_default_timeout(20_000)
        context.on("weberror", lambda error: faults.append(str(error.error)))
        contexts.append(context)
        return context.new_page()

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def state(page: Page) -> Any:
    return expect(page.locator("#save-state"))


def send(page: Page, answer: str = TEXT) -> None:
    page.fill("textarea", answer)
    page.locator(".action-bar .button.primary").click()


def apart(before: Locator, after: Locator) -> bool:
    """The second stands right of the first, or below it."""
    first, second = before.bounding_box(), after.bounding_box()
    assert first
    assert second
    return first["x"] + first["width"] <= second["x"] or first["y"] + first["height"] <= second["y"]


def try_again(page: Page) -> None:
    try:
        page.evaluate("dispatchEvent(new Event('online'))")
    except Error as error:
        if "context was destroyed" not in str(error):
            raise
        # the outbox had tried again by itself, and led on to the next page


def answers(run: Run, kind: str = "baseline") -> list[str | None]:
    record = Run.load(run.id).assessments.get(kind)
    return [question.student_answer for question in record.questions] if record else []


def answer_instead(route: Route, reply: dict[str, Any]) -> None:
    if route.request.method == "POST":
        route.fulfill(**reply)
    else:
        route.continue_()


def test_nothing_but_the_store_itself_acknowledges(tablet: Tablet) -> None:
    run, page = brought_to(started(), "baseline/3"), tablet()
    page.goto(f"{at(run)}baseline/3/")
    reply = dict(STRANGERS[0])
    page.route("**/run/**", lambda route: answer_instead(route, reply))
    send(page)
    for stranger in STRANGERS:
        reply.update(stranger)
        with page.expect_response(lambda response: response.request.method == "POST"):
            try_again(page)
        state(page).to_have_text("On this device, 1 waiting")
        expect(page.locator("#outbox-note")).to_contain_text("Your answer is safe on this device")
    expect(page.locator("textarea")).to_have_value(TEXT)
    shoot(page, "outbox-waiting")
    page.set_viewport_size({"width": 360, "height": 740})
    shoot(page, "outbox-waiting-phone")
    assert apart(page.locator(".run-where .nowrap").last, page.locator("#save-state"))
    assert len(answers(run)) == 2

    page.unroute_all()
    try_again(page)
    expect(page).to_have_url(re.compile("/baseline/4/$"))
    assert answers(run)[2] == TEXT
    state(page).to_have_text(re.compile(r"^\s*Saved \d\d:\d\d:\d\d\s*$"))


CACHED = "(url) => caches.open('run x').then((cache) => cache.put(url, new Response('kept')))"


def test_a_page_without_its_worker_stays_though_the_next_one_is_kept(tablet: Tablet) -> None:
    """The server, which has nothing of the answer yet, would lead back here, and this page there again."""
    run, page = brought_to(started(), "baseline/3"), tablet()
    page.goto(f"{at(run)}baseline/3/")
    page.evaluate(CACHED, f"{at(run)}baseline/4/")
    shown: list[str] = []
    page.on("framenavigated", lambda frame: shown.append(frame.url))
    page.route("**/run/**", lambda route: answer_instead(route, {"status": 502, "body": "Bad gateway"}))
    send(page)
    expect(page.locator("#outbox-note")).to_contain_text("Your answer is safe on this device")
    for _ in range(3):
        with page.expect_response(lambda response: response.request.method == "POST"):
            try_again(page)
    state(page).to_have_text("On this device, 1 waiting")
    expect(page.locator("textarea")).to_have_value(TEXT)
    assert shown == []


def test_after_a_new_sign_in_the_answer_is_sent(tablet: Tablet, site: Site) -> None:
    run, page = brought_to(started(), "baseline/3"), tablet()
    page.goto(f"{at(run)}baseline/3/")
    page.context.clear_cookies()
    send(page)
    state(page).to_have_text("On this device, 1 waiting")
    expect(page.locator("#outbox-note")).to_contain_text("You are signed out.")
    page.get_by_role("link", name="Sign in again").click()
    give_password(page, site.accounts["admin"])
    expect(page).to_have_url(re.compile("/baseline/4/$"))
    assert answers(run)[2] == TEXT


def test_what_is_typed_in_two_tabs_is_kept_twice(tablet: Tablet) -> None:
    run, page = brought_to(started(), "baseline/3"), tablet()
    page.goto(f"{at(run)}baseline/3/")
    other = page.context.new_page()
    other.goto(page.url)
    send(page)
    expect(page).to_have_url(re.compile("/baseline/4/$"))
    send(other, "From the other tab.")
    expect(other.locator("#outbox-aside")).to_contain_text("Both answers are kept; the first counts.")
    expect(other.locator("body")).not_to_contain_text("From the other tab.")
    other.goto(f"/sessions/{run.id}/")
    aside = other.locator("#outbox-aside")
    expect(aside).to_contain_text(f"Session {run.id[:8]}, step baseline/3.")
    expect(aside.locator(".said")).to_have_text("From the other tab.")
    shoot(other, "outbox-aside")
    other.get_by_role("button", name="Seen").click()
    expect(aside.locator("article")).to_have_count(0)
    after = Run.load(run.id)
    assert after.assessments["baseline"].questions[2].student_answer == TEXT
    assert [conflict.text for conflict in after.conflicts] == ["From the other tab."]


def test_what_was_refused_for_good_is_shown_to_staff_on_the_page_of_its_session(tablet: Tablet) -> None:
    run, page = brought_to(started(), "baseline/3"), tablet()
    page.goto(f"{at(run)}baseline/3/")
    refused = {
        "id": "refused",
        "session": run.id,
        "next": f"{at(run)}baseline/4/",
        "path": f"{at(run)}baseline/3/",
        "body": urlencode({"answer": TEXT}),
        "at": 0,
        "took": 1,
        "refusal": {"error": "unreadable", "message": "This was not saved."},
    }
    page.evaluate(KEEP, refused)
    page.reload()
    aside = page.locator("#outbox-aside")
    expect(aside).to_contain_text("This was not saved. Staff find it on the page of this session.")
    expect(page.locator("body")).not_to_contain_text(TEXT)
    for path in ("/", "/students/", "/students/new/", f"/sessions/{started().id}/"):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        expect(page.locator("body")).not_to_contain_text(TEXT)
    page.goto(f"/sessions/{run.id}/")
    expect(aside).to_contain_text(f"Session {run.id[:8]}, step baseline/3.")
    expect(aside.locator(".said")).to_have_text(TEXT)
    page.get_by_role("button", name="Remove from this device").click()
    page.get_by_role("button", name="Really remove it?").click()
    expect(aside.locator("article")).to_have_count(0)


def test_a_field_that_needs_another_look_is_named_on_the_page(tablet: Tablet) -> None:
    run, page = brought_to(started(), "baseline/3"), tablet()
    page.goto(f"{at(run)}baseline/3/")
    send(page, "   ")
    expect(page.locator(".errors")).to_be_focused()
    expect(page.locator(".errors a")).to_have_attribute("href", "#id_answer")
    state(page).to_have_text(re.compile(r"^\s*Saved"))
    send(page)
    expect(page).to_have_url(re.compile("/baseline/4/$"))
    assert answers(run)[2] == TEXT


def test_a_draft_comes_back_and_goes_when_it_is_stored(tablet: Tablet) -> None:
    run, page = brought_to(started(), "baseline/3"), tablet()
    page.goto(f"{at(run)}baseline/3/")
    page.fill("textarea", TEXT)
    page.evaluate(DRAFTED, f"{at(run)}baseline/3/")
    page.reload()
    expect(page.locator("textarea")).to_have_value(TEXT)
    expect(page.locator(".counter")).to_have_text(f"{len(TEXT.split())} words")
    page.locator(".action-bar .button.primary").click()
    expect(page).to_have_url(re.compile("/baseline/4/$"))
    assert "fields" not in page.evaluate(DRAFT, f"{at(run)}baseline/3/")


def test_a_page_made_before_its_answer_was_stored_leads_on(tablet: Tablet) -> None:
    """Loaded again while the answer is on its way, acknowledged meanwhile: nothing waits that would tell."""
    run, page = brought_to(started(), "baseline/3"), tablet()
    address = f"{at(run)}baseline/3/"
    made_before = page.request.get(address)
    page.goto(address)
    send(page)
    expect(page).to_have_url(re.compile("/baseline/4/$"))

    def replay(route: Route) -> None:
        route.fulfill(response=made_before) if route.request.method == "GET" else route.continue_()

    page.route(f"**{address}", replay)
    page.goto(address)
    expect(page).to_have_url(re.compile("/baseline/4/$"))
    expect(page.locator("textarea, label.choice").first).to_be_visible()
    page.goto(address)  # whoever made this one does not have the answer: asked again, it is given again
    send(page)
    expect(page).to_have_url(re.compile("/baseline/4/$"))
    assert answers(run)[2:] == [TEXT]


def test_a_draft_that_nobody_came_back_to_goes(tablet: Tablet) -> None:
    """The session went on at another device: a child's words do not stay on this one for good."""
    run, page = brought_to(started(), "baseline/3"), tablet()
    page.goto(f"{at(run)}baseline/3/")
    send(page)
    expect(page).to_have_url(re.compile("/baseline/4/$"))
    day = 24 * 3600 * 1000
    now = page.evaluate("Date.now()")
    for path, age in (("/run/old/a/", 8), ("/run/new/a/", 6)):
        page.evaluate(PUT_DRAFT, {"path": path, "session": "other", "fields": [], "at": now - age * day})
    page.reload()
    page.locator("label.choice").first.click()
    page.locator(".action-bar .button.primary").click()
    expect(page).to_have_url(re.compile("/baseline/5/$"))
    assert page.evaluate(DRAFT, "/run/old/a/") is None
    assert page.evaluate(DRAFT, "/run/new/a/")["fields"] == []


NO_STORAGE = {
    "missing": "Object.defineProperty(window, 'indexedDB', {get() { throw new DOMException('no'); }})",
    "silent": "IDBFactory.prototype.open = () => ({})",
    "full": "IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); }",
}


@pytest.mark.parametrize("way", NO_STORAGE)
def test_without_storage_the_page_says_so_and_sends_plainly(way: str, tablet: Tablet) -> None:
    run, page = brought_to(started(), "baseline/3"), tablet()
    page.add_init_script(NO_STORAGE[way])
    page.goto(f"{at(run)}baseline/3/")
    state(page).to_contain_text("Not saved: this browser keeps nothing")
    expect(page.locator("#outbox-note")).to_contain_text("Stay online; each answer is sent right away.")
    shoot(page, "outbox-no-storage")
    with page.expect_request(lambda request: request.method == "POST") as sent:
        send(page)
    assert sent.value.is_navigation_request()
    expect(page).to_have_url(re.compile("/baseline/4/$"))
    assert answers(run)[2] == TEXT


SLOW_TO_OPEN = """
  const open = IDBFactory.prototype.open;
  const until = performance.now() + 2500;
  IDBFactory.prototype.open = function (...told) {
    const late = {};
    const act = () => {
      const request = open.apply(this, told);
      for (const name of ["onupgradeneeded", "onsuccess", "onerror"]) {
        request[name] = (event) => { late.result = request.result; late[name]?.(event); };
      }
    };
    setTimeout(act, until - performance.now());
    return late;
  };
"""


def test_a_device_that_is_slow_as_a_page_opens_still_keeps_what_is_sent(tablet: Tablet) -> None:
    run, page = brought_to(started(), "baseline/3"), tablet()
    page.add_init_script(SLOW_TO_OPEN)
    page.goto(f"{at(run)}baseline/3/")
    state(page).to_have_text("Not saved: this device is slow to keep it", timeout=2000)
    with page.expect_request(lambda request: request.method == "POST") as sent:
        send(page)
    assert not sent.value.is_navigation_request()
    expect(page).to_have_url(re.compile("/baseline/4/$"))
    assert answers(run)[2] == TEXT


SLOW_STORAGE = """addEventListener('submit', () => {
  const add = IDBObjectStore.prototype.add;
  IDBObjectStore.prototype.add = function (entry) {
    const until = performance.now() + 2500;
    const late = {};
    const act = () => add.call(this, entry).onsuccess = ({ target }) => { late.result = target.result; };
    const wait = () => performance.now() < until ? (this.get(0).onsuccess = wait) : act();
    wait();
    return late;
  };
}, { capture: true, once: true });"""


def test_a_device_that_is_slow_to_keep_an_answer_says_so_and_keeps_it(tablet: Tablet) -> None:
    """Sent plainly instead, it would be refused where an earlier answer still waits, and would be gone."""
    run, page = brought_to(started(), "baseline/3"), tablet()
    page.goto(f"{at(run)}baseline/3/")
    page.evaluate(SLOW_STORAGE)
    with page.expect_request(lambda request: request.method == "POST") as sent:
        send(page)
        state(page).to_have_text("Not saved: this device is slow to keep it", timeout=2000)
        expect(page.locator("#outbox-note")).to_have_text(re.compile("Stay on this page"))
        shoot(page, "outbox-slow")
        page.set_viewport_size({"width": 360, "height": 740})
        shoot(page, "outbox-slow-phone")
    assert not sent.value.is_navigation_request()
    expect(page).to_have_url(re.compile("/baseline/4/$"))
    assert answers(run)[2] == TEXT


def test_an_earlier_step_that_is_missing_holds_nothing_up_for_good(tablet: Tablet) -> None:
    """The answer to a later step waits until the missing one is given, and then goes through by itself."""
    run, page = brought_to(started(), "baseline/3"), tablet()
    page.goto(f"{at(run)}baseline/3/")
    early = f"{at(run)}baseline/4/"
    form = page.evaluate("Object.fromEntries(new FormData(document.getElementById('step-form')))")
    entry = {"id": form["submission_id"], "session": run.id, "path": early, "at": 0, "took": 1}
    entry["body"] = "answer=x&submission_id=" + form["submission_id"] + "&shown=" + form["shown"]
    page.evaluate(KEEP, entry | {"at": 1})
    with page.expect_response(lambda response: response.request.method == "POST") as reply:
        try_again(page)
    assert json.loads(reply.value.text())["error"] == "out_of_step"
    state(page).to_have_text("On this device, 1 waiting")
    send(page)
    # What was early is tried again at once; its form was made for another step, and the page says so.
    expect(page).to_have_url(re.compile("/baseline/4/$"))
    expect(page.locator("main")).to_contain_text("This page belongs to another step or session")
    state(page).to_have_text(re.compile(r"^\s*Saved"))
    assert answers(run)[2:] == [TEXT]


def test_nobody_signs_out_while_something_is_left_to_send(tablet: Tablet, site: Site) -> None:
    run, page = brought_to(started(), "baseline/3"), tablet(storage_state=None)
    Guide(page, shoot, scripts=False).sign_in(site.accounts["facilitator"])
    page.goto(f"{at(run)}baseline/3/")
    page.context.route("**/run/**", lambda route: answer_instead(route, STRANGERS[0]))
    send(page)
    state(page).to_have_text("On this device, 1 waiting")
    page.goto("/sessions/")
    page.locator("details.menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    note = page.locator("#outbox-note")
    expect(note).to_contain_text("Not signed out: 1 answer on this device not sent yet.")
    expect(note).to_be_focused()
    shoot(page, "outbox-sign-out")
    assert answers(run)[2:] == []

    page.context.unroute_all()
    try_again(page)
    expect(note).to_contain_text("Everything on this device is sent. You can sign out now.")
    assert answers(run)[2] == TEXT
    page.locator("details.menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/login/"))


def test_a_question_that_does_not_come_is_asked_for_again(tablet: Tablet) -> None:
    run, page = brought_to(started("L4-I3-D"), "questions-4/1"), tablet()
    in_the_way = [lambda route: route.abort(), lambda route: route.fulfill(**STRANGERS[0])]

    def spoil(route: Route) -> None:
        asked_by_script = "hx-request" in route.request.headers
        (in_the_way.pop() if asked_by_script and in_the_way else Route.continue_)(route)

    page.route("**/questions-4/1/", spoil)
    page.goto(f"{at(run)}questions-4/1/")
    expect(page.locator("#asked")).to_be_visible()
    assert in_the_way == []
