"""Every page of staff, and pages that say no, each as somebody who may open it: by axe, in both themes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from playwright.sync_api import Page

from sessions_app import study
from sessions_app.domain import models
from sessions_app.domain.grading import automated as automated_scoring
from sessions_app.domain.grading import human as human_scoring
from sessions_app.domain.models import GradingTask, Item
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from socratic_site.local.dynamodb_local import REGION
from support.cast import started
from tests.domain.cast import Participant
from tests.journeys import axe
from tests.journeys.conftest import Site, shoot, sign_in, width_needed

pytestmark = pytest.mark.browser

SAYS_NO = "status of (403|404|409|422)|does not conform to the required format"
NARROW = {"width": 320, "height": 720}
THEMES: tuple[Literal["dark", "light"], ...] = ("dark", "light")
PAGES = {
    "facilitator": [
        "/",
        "/students/",
        "/students/?by=school",
        "/students/?code=nobody-here-1",
        "/students/{student}/",
        "/students/{student}/consent/",
        "/sessions/",
        "/sessions/?day=2026-01-31",
        "/sessions/?day=nonsense",
        "/sessions/{done}/",
        "/sessions/{running}/",
        "/sessions/{running}/hand-over/",
        "/sessions/new/",
        "/sessions/new/?code={code}&place=home",
        "/sessions/new/?code=nobody-here-1&place=home",
        "/run/{done}/done/",
        "/run/{running}/take-back/",
        "/monitor/",
        "/consent/",
        "/nowhere/",
    ],
    "researcher": [
        "/",
        "/students/{student}/",
        "/dashboards/students/{student}/",
        "/dashboards/conditions/L4-I3-S/sessions/",
        "/records/student_directory_entry/",
        "/records/session/item/?pk={session_key}&sk=METADATA",
        "/records/session/item/?pk=nothing&sk=nothing",
        "/records/find/?key=nothing",
        "/grading/?kind=dialogue",
        "/grading/{done}/{mark}/q3/",
        "/audit/",
    ],
    "irb": [
        "/",
        "/records/",
        "/records/consent_event/",
        "/consent/",
        "/consent/?tab=withdrawn",
        "/consent/{student}/",
        "/consent/{student}/certificate/",
        "/consent/forms/",
        "/audit/",
        "/audit/?first=nonsense",
    ],
    "admin": ["/", "/audit/", "/sessions/{running}/"],
}


@pytest.fixture(scope="module")
def told(site: Site) -> dict[str, str]:
    """What stands in the addresses: a session that is done and scored, and one that runs."""
    models.configure(table_name=site.table, region=REGION)
    done = Participant(started("L4-I3-S")).walk().run
    running = Participant(started("L4-I3-S")).walk_to("questions-4/2").run
    for task in scoring(done.id):
        automated_scoring.work(task, package=study.package(), tutor=study.tutor(), now=study.now())
    return {
        "student": done.session.student_id,
        "code": str(done.session.student_code),
        "done": done.id,
        "running": running.id,
        "session_key": keys.session(done.id).replace("#", "%23"),
        "mark": human_scoring.mark_of(done.id, "baseline"),
    }


def scoring(session_id: str) -> Iterator[GradingTask]:
    """The site's own worker may be faster."""
    for task in list(Item.query(keys.GRADING_QUEUE)):
        if isinstance(task, GradingTask) and task.session_id == session_id:
            yield task


@pytest.mark.parametrize("role", PAGES)
def test_every_page_passes_axe_and_needs_no_more_than_320_pixels(
    role: str, site: Site, told: dict[str, str], visit: Callable[..., Page]
) -> None:
    page = visit(viewport=NARROW, wanted=SAYS_NO)
    sign_in(page, site.accounts[role])
    for number, address in enumerate(PAGES[role]):
        page.goto(address.format(**told))
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)
            axe.check(page, f"{role} at {address} in {theme}")
        needed = width_needed(page)
        assert needed <= NARROW["width"], f"{address} is {needed} px wide"
        shoot(page, f"axe-{role}-{number:02}")


def test_the_sessions_are_what_the_pages_need(told: dict[str, str]) -> None:
    assert Run.load(told["done"]).session.state == "completed"
    assert Run.load(told["running"]).is_open
