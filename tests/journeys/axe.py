"""What axe-core says of a page, by the rules of WCAG 2.2 up to level AA."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "resultTypes": ["violations"],
}
AXE = Axe()


def check(page: Page, name: str) -> None:
    """Every element that breaks a rule is named. Of a page without motion: a fading colour is no colour."""
    found = AXE.run(page, options=RULES).response["violations"]
    faults = [f"{rule['id']}: {rule['help']}: {node['html']}" for rule in found for node in rule["nodes"]]
    assert not faults, "\n".join([name, *faults])
