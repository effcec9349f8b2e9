"""A researcher opens every dashboard, the records, grading and the live board in three sizes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from socratic_site.local import files
from tests.journeys import axe
from tests.journeys.conftest import Site, shoot, sign_in, width_needed

pytestmark = pytest.mark.browser

SIZES = {"phone": (360, 740), "tablet": (820, 1180), "desk": (1440, 900)}
PAGES = {
    "/dashboards/?realm=simulated": "Overview",
    "/dashboards/conditions/?realm=simulated": "The 24 conditions",
    "/dashboards/conditions/L1-I1-D/?realm=simulated": "L1-I1-D",
    "/dashboards/locations/?realm=simulated": "Locations",
    "/dashboards/interventions/?realm=simulated": "Static vs. dynamic",
    "/dashboards/time/?realm=simulated": "by month",
    "/dashboards/time/?unit=day&realm=simulated": "by day",
    "/dashboards/ai/?realm=simulated": "The tutor",
    "/dashboards/inference/?realm=simulated": "Inference",
    "/records/": "Records",
    "/records/session/": "Sessions",
    "/grading/": "Grading",
    "/grading/agreement/?realm=simulated": "Inter-rater agreement",
    "/monitor/?realm=simulated": "Running now",
    "/exports/": "Exports",
}


def manage(site: Site, *words: str) -> None:
    environment = os.environ | {
        "SOCRATIC_TABLE": site.table,
        "DJANGO_SETTINGS_MODULE": "socratic_site.settings",
        "SECRET_KEY": "only for this cohort",
    }
    command = [sys.executable, str(files.BASE / "manage.py"), *words]
    subprocess.run(command, env=environment, check=True)


def see_pictures(page: Page) -> None:
    """Pictures further down load when they come near."""
    for picture in page.locator("main img:visible").all():
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("each => each.naturalWidth") > 0


def test_every_page_of_a_researcher_in_three_sizes(site: Site, visit: Callable[..., Page]) -> None:
    manage(site, "simulate", "--beside-real", "--students", "8", "--seed", "8")
    manage(site, "rebuild_statistics", "--quiet")
    page = visit()
    sign_in(page, site.accounts["researcher"])
    for address, title in PAGES.items():
        page.goto(address)
        expect(page.locator("h1")).to_contain_text(title)
        see_pictures(page)
        axe.check(page, address)
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            needed = width_needed(page)
            assert needed <= width, f"{address} is {needed} px wide on a {size}"
            shoot(page, f"{address.partition('?')[0].strip('/').replace('/', '-')}-{size}")
