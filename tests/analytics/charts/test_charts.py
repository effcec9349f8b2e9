"""What every chart must be: a picture that a strict page may show, told in words, with its numbers beside."""

import csv
import functools
import io
import subprocess
import sys
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

from analytics_app import charts
from analytics_app.charts import Look, registry
from tests.analytics.charts import samples

SIZES = {size: samples.rows(size) for size in ("study", "one", "huge")}
STUDY = SIZES["study"]
NAMES = sorted(charts.KINDS)
SVG = "{http://www.w3.org/2000/svg}"
THEMES = [pytest.param(None, id="light"), pytest.param(Look("dark", 340), id="dark-narrow")]


@functools.cache
def drawn(name: str, size: str = "study", look: Look | None = None) -> charts.Picture:
    """One drawing serves several tests."""
    return charts.render(name, SIZES[size][name], look=look)


def parsed(picture: charts.Picture) -> ElementTree.Element:
    return ElementTree.fromstring(picture.content)


def texts(picture: charts.Picture) -> list[str]:
    return [element.text or "" for element in parsed(picture).iter(f"{SVG}text")]


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    charts.cache.clear()


def test_every_chart_has_its_samples() -> None:
    assert all(set(rows) == set(NAMES) for rows in SIZES.values())


@pytest.mark.parametrize("look", THEMES)
@pytest.mark.parametrize("name", NAMES)
def test_a_chart_is_a_picture_that_a_strict_page_may_show(name: str, look: Look | None) -> None:
    picture = drawn(name, "study", look) if look else drawn(name)
    root = parsed(picture)
    assert picture.media_type == "image/svg+xml"
    assert not picture.empty
    for element in root.iter():
        assert element.tag.removeprefix(SVG) not in {"script", "style", "foreignObject", "image"}
        assert not [key for key in element.attrib if key == "style" or key.startswith("on")]
        assert not [key for key in element.attrib if key.endswith("href")]
    assert b"http" not in picture.content.replace(b"http://www.w3.org/", b"")


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_has_no_number_that_is_none(name: str) -> None:
    for size in ("study", "one"):
        picture = drawn(name, size)
        assert b"NaN" not in picture.content
        assert not {"null", "undefined", "nan", "None"} & set(texts(picture))


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_is_told_in_words_that_are_also_in_the_picture(name: str) -> None:
    picture = drawn(name)
    assert picture.alt.startswith(charts.KINDS[name].title)
    assert len(picture.alt) > len(charts.KINDS[name].title) + 20
    assert parsed(picture).findtext(f"{SVG}title") == picture.alt
    assert "nan" not in picture.alt.lower().split()


@pytest.mark.parametrize("name", NAMES)
def test_one_session_makes_a_picture(name: str) -> None:
    picture = drawn(name, "one")
    assert not picture.empty
    assert len(texts(picture)) > 2


@pytest.mark.parametrize("name", NAMES)
def test_fifty_thousand_sessions_make_a_picture_of_bounded_size(name: str) -> None:
    picture = drawn(name, "huge")
    assert not picture.empty
    assert len(picture.content) < 150_000


@pytest.mark.parametrize("name", NAMES)
def test_no_data_is_said(name: str) -> None:
    columns = {column: [] for column in charts.KINDS[name].columns}
    for nothing in ([], pd.DataFrame(columns)):
        picture = charts.render(name, nothing)
        assert picture.empty
        assert "no data yet" in picture.alt
        assert any("No data yet" in text for text in texts(picture))


@pytest.mark.parametrize("name", [name for name in NAMES if "n" in charts.KINDS[name].columns])
def test_rows_that_count_nothing_are_no_data(name: str) -> None:
    rows = [{**row, "n": 0} for row in STUDY[name]]
    assert charts.render(name, rows).empty


@pytest.mark.parametrize("name", NAMES)
def test_what_has_axes_has_titles_on_them(name: str) -> None:
    """Rows and columns that are named one by one need none."""
    named = {"condition_cells"}
    spec = str(charts.draw(name, STUDY[name]).to_dict())
    assert name in named or "'title': '" in spec or "'title': ['" in spec


@pytest.mark.parametrize("name", NAMES)
def test_every_column_is_explained(name: str) -> None:
    kind = charts.KINDS[name]
    assert kind.columns
    assert all(kind.columns.values())
    assert kind.empty.endswith(".")


@pytest.mark.parametrize("name", ["gain_by_condition", "sessions_over_time"])
def test_a_png_carries_its_title(name: str) -> None:
    picture = charts.render(name, STUDY[name], form="png")
    assert picture.media_type == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    bare = charts.render(name, STUDY[name], form="png", titled=False)
    assert picture.content != bare.content


def test_an_svg_can_carry_its_title_too() -> None:
    title = charts.KINDS["ai_cost"].title
    assert title not in texts(charts.render("ai_cost", STUDY["ai_cost"]))
    assert title in texts(charts.render("ai_cost", STUDY["ai_cost"], titled=True))


def test_markup_in_data_stays_text() -> None:
    rows = [{"stage": "<script>alert(1)</script>", "n": 3, "note": "a & b"}]
    picture = charts.render("participant_flow", rows)
    assert b"<script" not in picture.content
    assert "<script>alert(1)</script> 3" in picture.alt


# --- the numbers beside


def test_the_csv_has_the_charts_columns_and_no_others() -> None:
    rows = [{"condition": "L1-I1-D", "n": 3, "gain": None, "student_id": "secret"}]
    told = list(csv.DictReader(io.StringIO(charts.csv("condition_cells", rows))))
    assert told == [{"condition": "L1-I1-D", "n": "3", "gain": ""}]


def test_the_table_has_none_for_what_is_missing() -> None:
    rows = [{"condition": "L1-I1-D", "n": 3, "gain": None}, {"condition": "L1-I1-S", "n": 4, "gain": 2.5}]
    table = charts.table("condition_cells", rows)
    assert table.columns == ("condition", "n", "gain")
    assert table.rows == (("L1-I1-D", 3, None), ("L1-I1-S", 4, 2.5))


def test_the_csv_of_nothing_has_its_head() -> None:
    assert charts.csv("ai_latency", []) == "seconds,n\r\n"


# --- bad input


def test_an_unknown_chart_is_refused() -> None:
    with pytest.raises(charts.UnknownChart):
        charts.render("pie", [])


def test_data_that_lack_a_column_are_refused_by_name() -> None:
    with pytest.raises(charts.MissingColumns, match="needs n, gain"):
        charts.render("condition_cells", [{"condition": "L1-I1-D"}])


def test_the_rows_may_be_a_frame_or_a_function() -> None:
    rows = STUDY["ai_latency"]
    pictures = [charts.render("ai_latency", data) for data in (rows, pd.DataFrame(rows), lambda: rows)]
    assert len({picture.content for picture in pictures}) == 1


# --- what is kept


def counting(rows: Any) -> tuple[Any, list[int]]:
    calls: list[int] = []

    def data() -> Any:
        calls.append(1)
        return rows

    return data, calls


def test_a_picture_of_the_same_version_is_drawn_once() -> None:
    data, calls = counting(STUDY["ai_latency"])
    one, other = (charts.render("ai_latency", data, version="v1") for _ in range(2))
    assert one is other
    assert len(calls) == 1


def test_another_version_look_or_form_is_drawn_anew() -> None:
    data, calls = counting(STUDY["ai_latency"])
    charts.render("ai_latency", data, version="v1")
    charts.render("ai_latency", data, version="v2")
    charts.render("ai_latency", data, version="v1", look=Look("dark"))
    charts.render("ai_latency", data, version="v1", form="png")
    assert len(calls) == 4


def test_nothing_is_kept_without_a_version() -> None:
    data, calls = counting(STUDY["ai_latency"])
    charts.render("ai_latency", data)
    charts.render("ai_latency", data)
    assert (len(calls), len(charts.cache)) == (2, 0)


def test_the_cache_forgets_what_was_used_longest_ago() -> None:
    kept = registry.Cache(2)
    picture = charts.render("ai_latency", [])
    kept.put("a", picture)
    kept.put("b", picture)
    assert kept.get("a") is picture
    kept.put("c", picture)
    assert kept.get("b") is None
    assert (len(kept), kept.get("a"), kept.get("c")) == (2, picture, picture)


# --- marks


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_places_differ_in_mark_as_well_as_in_colour(theme: Any) -> None:
    from analytics_app.charts.theme import MARKS, PLACES

    look = Look(theme)
    assert len(set(MARKS.values())) == len({look.place(key) for key in PLACES}) == 4


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2): what is left of a colour in grey."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_on_what_is_below_it(theme: Any) -> None:
    look = Look(theme)
    assert contrast(look.ink, look.surface) > 12
    assert contrast(look.muted, look.surface) > 4.5
    assert all(contrast(look.ink, tint) > 4.5 for tint in look.tint)
    assert all(contrast(ink, fill) >= 4.5 for ink, fill in zip(look.on_ratings, look.ratings, strict=True))
    assert all(contrast(look.place(place), look.surface) > 4.5 for place in samples.PLACES)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_states_can_be_told_apart_in_grey(theme: Any) -> None:
    look = Look(theme)
    fills = [look.accent, look.line, look.pale, look.surface]
    assert all(contrast(a, b) > 1.25 for at, a in enumerate(fills) for b in fills[at + 1 :])


def test_static_is_an_outline_and_dynamic_is_filled() -> None:
    rows = [
        {"condition": code, "n": 4, "mean": 10.0, "low": 5.0, "high": 15.0} for code in ("L1-I1-S", "L1-I1-D")
    ]
    spec = charts.draw("gain_by_condition", rows).to_dict()
    data = next(iter(spec["datasets"].values()))
    fills = {row["condition"]: row["fill"] for row in data}
    assert fills["L1-I1-S"] == Look().surface
    assert fills["L1-I1-D"] == Look().place("on-site")
    assert {row["shape"] for row in data if row["location"] == "home"} == {"diamond"}


# --- the way in


def test_starting_the_application_loads_no_chart_and_no_statistics() -> None:
    """Only the modules themselves bring these packages, when a page asks for one."""
    code = (
        "import sys, analytics_app, analytics_app.apps, analytics_app.inference;"
        "heavy = ('altair', 'pandas', 'scipy', 'statsmodels', 'vl_convert');"
        "print([name for name in heavy if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_effects_need_no_statsmodels_no_pandas_and_no_scipy_stats() -> None:
    code = (
        "import sys, analytics_app.inference.effects;"
        "heavy = ('altair', 'pandas', 'statsmodels', 'scipy.stats');"
        "print([name for name in heavy if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
