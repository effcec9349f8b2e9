"""The results as one printed table, as JSON, and as the tables of docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from socratic_site.local.dynamodb_local import find_jar, find_java

from .results import Cell, Figure, Measured, Table

BASE: Final = Path(__file__).parents[1]
RESULTS: Final = BASE / "bench" / "results.json"
DOCUMENT: Final = BASE / "docs" / "performance.md"
PLOT: Final = BASE / "docs" / "pictures" / "growth.svg"
QUICK: Final = BASE / "var" / "bench"
PACKAGES: Final = ("Django", "pynamodb", "boto3", "pandas", "pyarrow")
MARK: Final = re.compile(r"(<!-- bench: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


# --- results.json


def results(measured: Iterable[Measured], *, quick: bool, seed: int) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "kind": "quick" if quick else "full",
        "seed": seed,
        "machine": _machine(),
        "versions": _versions(),
        "parts": [each.as_json() for each in measured],
    }


def _machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(memory / 2**30),
        "system": platform.system(),
    }


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", told.read_text()) if told.exists() else None
    return found[1].strip() if found else platform.machine()


def _versions() -> dict[str, str]:
    engine = re.search(r"dynamodb_local_([\d-]+)", str(find_jar()))
    java = subprocess.run([find_java(), "-version"], capture_output=True, text=True, check=True).stderr
    number = re.search(r'"([^"]+)"', java)
    return {
        "Python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "DynamoDB Local": engine[1] if engine else "unknown",
        "Java": number[1] if number else "unknown",
    }


def write(told: Mapping[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


# --- the printed table


def printed(told: Mapping[str, Any]) -> str:
    lines = [_about(told), ""]
    for part in map(Measured.from_json, told["parts"]):
        lines.append(f"{part.number}. {part.title}  ({part.seconds:.0f} s)")
        if part.fault:
            lines.append(f"   FAILED  {part.fault}")
        rows = [_figure_cells(figure) for figure in part.outcome.figures]
        lines += [f"   {line}" for line in _aligned(rows)]
        lines += [f"   NOT MEASURED  {why}" for why in part.outcome.left_out] + [""]
    return "\n".join([*lines, summary(told)])


def _about(told: Mapping[str, Any]) -> str:
    machine, versions = told["machine"], told["versions"]
    on = f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gb']} GB, {machine['system']}"
    with_ = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"Socratic Benchmarks, {told['kind']} bench, {told['date']}, seed {told['seed']}\n{on}\n{with_}"


def summary(told: Mapping[str, Any]) -> str:
    figures = [figure for part in told["parts"] for figure in part["figures"] if figure["goal"] is not None]
    met = sum(1 for figure in figures if figure["met"])
    failed = [str(part["number"]) for part in told["parts"] if part["fault"]]
    ended = f"; parts that failed: {', '.join(failed)}" if failed else ""
    return f"{met} of {len(figures)} goals met{ended}"


def _figure_cells(figure: Figure) -> list[str]:
    goal = f"goal {figure.sense} {number(figure.goal)}" if figure.goal is not None else ""
    met = {True: "met", False: "MISSED", None: ""}[figure.met]
    return [figure.what, f"{number(figure.value)} {figure.unit}", figure.beside, goal, met]


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max((len(row[place]) for row in rows), default=0) for place in range(5)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def number(value: Cell) -> str:
    """Three digits that matter, and no more than are known."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if value == round(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


# --- the document


def document(told: Mapping[str, Any], text: str) -> str:
    """The document with what stands between its markers made anew; the words around them stay."""
    made = {"machine": _about(told).replace("\n", "  \n"), "goals": "\n".join(_goals(told))}
    for part in map(Measured.from_json, told["parts"]):
        made[f"part-{part.number}"] = "\n".join(_part(part))
    asked = [name for _, name, _ in MARK.findall(text)]
    missing = made.keys() ^ set(asked)
    if missing:
        raise ValueError(f"docs/performance.md and the results differ in their parts: {sorted(missing)}")
    return MARK.sub(lambda found: f"{found[1]}\n{made[found[2]]}\n\n{found[3]}", text)


def _goals(told: Mapping[str, Any]) -> Iterator[str]:
    yield from _markdown_row("part", "figure", "value", "goal", "")
    yield from _markdown_row("---", "---", "---", "---", "---")
    for part in map(Measured.from_json, told["parts"]):
        for figure in part.outcome.figures:
            if figure.goal is not None:
                what, value, _, goal, met = _figure_cells(figure)
                yield from _markdown_row(
                    str(part.number), what, value, goal.removeprefix("goal "), met.lower()
                )
    yield from ("", f"{summary(told)}.")


def _part(part: Measured) -> Iterator[str]:
    if part.fault:
        yield f"**This part failed: {part.fault}**"
    if part.outcome.figures:
        yield from _markdown_row("figure", "value", "beside it", "goal", "")
        yield from _markdown_row("---", "---:", "---", "---", "---")
        for figure in part.outcome.figures:
            yield from _markdown_row(*_figure_cells(figure))
    for figure in part.outcome.figures:
        if figure.met is False and figure.why:
            yield from ("", *textwrap.wrap(f"Missed: {figure.what}. {figure.why}", 110))
    for why in part.outcome.left_out:
        yield from ("", *textwrap.wrap(f"Not measured: {why}", 110))
    for table in part.outcome.tables:
        yield from ("", f"**{table.title}**", "", *_markdown(table))
        if table.note:
            yield from ("", *textwrap.wrap(table.note, 110))


def _markdown(table: Table) -> Iterator[str]:
    numeric = [
        all(not isinstance(row[place], str) for row in table.rows) for place in range(len(table.columns))
    ]
    yield from _markdown_row(*table.columns)
    yield from _markdown_row(*("---:" if each else "---" for each in numeric))
    for row in table.rows:
        yield from _markdown_row(*map(number, row))


def _markdown_row(*cells: str) -> Iterator[str]:
    yield f"| {' | '.join(cells)} |"
