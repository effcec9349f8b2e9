"""The plot of part 7: a panel a group, both axes logarithmic, drawn as the charts of the application are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd  # type: ignore[import-untyped]
import vl_convert

from analytics_app.charts.theme import FONT, Look

Series = Mapping[tuple[str, str], Mapping[int, float]]

OTHERS = ("as written", "naive")


def write(series: Series, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        vl_convert.vegalite_to_svg(_drawn(series).to_dict(), allowed_base_urls=[]), encoding="utf-8"
    )


def _drawn(series: Series) -> Any:
    groups = list(dict.fromkeys(group for group, _ in series))
    panels = [_panel(group, series) for group in groups]
    look = Look("light")
    return (
        alt.concat(*panels, columns=2, spacing=30)
        .resolve_scale(shape="independent")
        .configure(font=FONT, background=look.surface)
        .configure_axis(labelFontSize=12, titleFontSize=12, gridOpacity=0.4, labelColor=look.ink)
        .configure_title(fontSize=14, anchor="start", color=look.ink)
        .configure_view(stroke=None)
    )


def _panel(group: str, series: Series) -> Any:
    rows = [
        {"line": _name(line), "way": _way(line), "sessions": n, "value": value}
        for (of, line), values in series.items()
        if of == group
        for n, value in values.items()
        if value > 0
    ]
    scale, named = alt.Scale(type="log"), any(row["line"] for row in rows)
    base = alt.Chart(
        pd.DataFrame(rows), title=f"{group[0].upper()}{group[1:]}", width=330, height=220
    ).encode(
        alt.X("sessions:Q", scale=scale, title="sessions", axis=alt.Axis(format=",~g", tickCount=4)),
        alt.Y("value:Q", scale=scale, title=None, axis=alt.Axis(format=",~g", tickCount=5)),
        alt.Color(
            "way:N",
            scale=alt.Scale(domain=["ours", "the document's way"], range=[Look("light").accent, "#B5562B"]),
            legend=alt.Legend(title=None, orient="top"),
        ),
        alt.Shape("line:N", title=None, legend=alt.Legend(offset=8) if named else None),
        alt.Detail("line:N"),
    )
    lines = base.mark_line(strokeWidth=2).encode(alt.StrokeDash("way:N", legend=None))
    return lines + base.mark_point(size=60, filled=True)


def _way(line: str) -> str:
    return "the document's way" if line.endswith(OTHERS) else "ours"


def _name(line: str) -> str:
    for way in (", ours", *(f", {other}" for other in OTHERS)):
        line = line.removesuffix(way)
    return "" if line in ("ours", *OTHERS) else line
