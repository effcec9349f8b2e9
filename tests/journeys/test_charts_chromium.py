"""No text of a chart is cut or touches other text, in the widest of the fonts that stand in for Arial."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from analytics_app import charts
from analytics_app.charts import Look
from analytics_app.charts.theme import NARROW, WIDE
from tests.analytics.charts import samples

ROWS = samples.rows()

MEASURE = """() => {
  const picture = document.querySelector("svg").getBoundingClientRect();
  const shown = [...document.querySelectorAll("text")]
    .map((text) => [text.textContent, text.getBoundingClientRect(), text.getAttribute("opacity")])
    .filter(([, box, opacity]) => box.width && opacity !== "0");
  const cut = shown.filter(([, box]) =>
    box.left < picture.left - 0.5 || box.right > picture.right + 0.5 ||
    box.top < picture.top - 0.5 || box.bottom > picture.bottom + 0.5);
  const touching = shown.flatMap(([words, a], i) => shown.slice(0, i)
    .filter(([, b]) =>
      Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
      Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 5)
    .map(([others]) => `${words} / ${others}`));
  return { texts: shown.length, cut: cut.map(([words]) => words), touching };
}"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 820, "height": 1180})
    yield page
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", sorted(charts.KINDS))
def test_no_text_is_cut_in_a_wide_font(page: Page, name: str, width: int) -> None:
    picture = charts.render(name, ROWS[name], look=Look(width=width)).content.decode()
    page.set_content(f'<style>text {{ font-family: "DejaVu Sans" !important }}</style>{picture}')
    measured: dict[str, Any] = page.evaluate(MEASURE)
    assert measured["texts"] > 3
    assert measured["cut"] == []
    assert measured["touching"] == []
