"""What docs/performance.md shows is what `make bench` kept; one figure changed is found out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from bench import parts, report

KEPT = "bench/results.json is missing: `make bench` writes it"
AS_SHOWN = 0.006  # three digits: half of the last one of 100, with some room


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(report.RESULTS.read_text(encoding="utf-8"))
    return told


@pytest.fixture(scope="module")
def page() -> str:
    return report.DOCUMENT.read_text(encoding="utf-8")


def test_the_results_are_kept() -> None:
    assert report.RESULTS.exists(), KEPT


def test_the_results_are_those_of_a_whole_full_run(results: dict[str, Any]) -> None:
    assert results["kind"] == "full"
    assert [(each["number"], each["fault"]) for each in results["parts"]] == [
        (part.number, None) for part in parts.PARTS
    ]


def test_the_page_is_what_the_bench_makes_of_the_results(results: dict[str, Any], page: str) -> None:
    assert report.document(results, page) == page


def test_the_page_shows_the_figures_of_the_results(results: dict[str, Any], page: str) -> None:
    assert list(differences(results, page)) == []


def test_every_missed_goal_is_told_as_missed_and_no_other(results: dict[str, Any], page: str) -> None:
    told = {(row[0], row[1]) for row in rows(section(page, "goals")) if row[-1] == "missed"}
    missed = {
        (str(part["number"]), figure["what"])
        for part in results["parts"]
        for figure in part["figures"]
        if figure["goal"] is not None and not reached(figure)
    }
    assert told == missed


def test_the_pictures_of_the_page_are_there(page: str) -> None:
    linked = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page)
    assert report.PLOT in [report.DOCUMENT.parent / path for path in linked]
    for path in linked:
        assert "<svg" in (report.DOCUMENT.parent / path).read_text(encoding="utf-8"), path


@pytest.mark.parametrize("name", ["goals", *(f"part-{part.number}" for part in parts.PARTS)])
def test_one_altered_figure_is_found_out(results: dict[str, Any], page: str, name: str) -> None:
    altered = with_a_figure_altered(page, name)
    assert report.document(results, altered) != altered
    assert len(list(differences(results, altered))) == 1


def test_one_altered_result_is_found_out(results: dict[str, Any], page: str) -> None:
    altered = json.loads(json.dumps(results))
    figure = altered["parts"][1]["figures"][0]
    figure["value"] = figure["value"] * 1.1 + 1
    assert report.document(altered, page) != page
    assert list(differences(altered, page))


# --- the page read by other means than those that wrote it


def differences(results: dict[str, Any], page: str) -> Iterator[str]:
    """Each figure that the page shows otherwise, in its part or among the goals, or not at all."""
    for part in results["parts"]:
        shown = {row[0]: row[1] for row in rows(section(page, f"part-{part['number']}"))}
        goals = {row[1]: row[2] for row in rows(section(page, "goals")) if row[0] == str(part["number"])}
        for figure in part["figures"]:
            yield from _difference(figure, shown, f"part {part['number']}")
            if figure["goal"] is not None:
                yield from _difference(figure, goals, "goals")


def _difference(figure: dict[str, Any], shown: dict[str, str], where: str) -> Iterator[str]:
    value, _, unit = shown.get(figure["what"], "nothing").partition(" ")
    try:
        same = float(value.replace(",", "")) == pytest.approx(figure["value"], rel=AS_SHOWN)
    except ValueError:
        same = False
    if not same or unit != figure["unit"]:
        yield f"{where}: {figure['what']}: {figure['value']} {figure['unit']}, shown as {value} {unit}"


def reached(figure: dict[str, Any]) -> bool:
    value, goal = figure["value"], figure["goal"]
    return bool(value <= goal if figure["sense"] == "at most" else value >= goal)


def section(page: str, name: str) -> str:
    return page.partition(f"<!-- bench: {name} -->")[2].partition("<!-- end -->")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the first table."""
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    lines = table[0].splitlines() if table else []
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def with_a_figure_altered(page: str, name: str) -> str:
    """The first figure of a section, one digit of it another."""
    before = section(page, name)
    value = rows(before)[2][2 if name == "goals" else 1]
    at = next(place for place, letter in enumerate(value) if letter.isdigit())
    other = value[:at] + str((int(value[at]) + 5) % 10) + value[at + 1 :]
    return page.replace(before, before.replace(f"| {value} |", f"| {other} |", 1), 1)
