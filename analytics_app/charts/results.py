"""The forest plot of the primary contrast: as planned, and under every sensitivity analysis."""

from __future__ import annotations

import altair as alt
import pandas as pd  # type: ignore[import-untyped]

from . import encodings
from .registry import Drawn, chart
from .theme import Look

ESTIMATE = "Primary contrast (percentage points)"


def _forest_words(data: pd.DataFrame) -> str:
    known = data.dropna(subset=["value"])
    if known.empty:
        return "No analysis has an estimate."
    first = known.iloc[0]
    text = f"{first['analysis']}: {encodings.signed(first['value'])} percentage points."
    least, most = known["value"].min(), known["value"].max()
    return f"{text} Over {len(known)} analyses from {encodings.signed(least)} to {encodings.signed(most)}."


@chart(
    "primary_forest",
    title="Primary contrast and sensitivity analyses, with 95% CIs",
    columns={
        "analysis": "analysis; the first is the one of the plan",
        "n": "participants analyzed; 0 where there is no estimate",
        "value": "estimate, percentage points",
        "low": "lower end of the 95% CI",
        "high": "upper end of the 95% CI",
    },
    tell=_forest_words,
    empty="No estimate yet.",
)
def primary_forest(data: pd.DataFrame, look: Look) -> Drawn:
    rows = data[data["n"] > 0].copy()
    rows["first"] = rows["analysis"] == data["analysis"].iloc[0]
    order = list(rows["analysis"])
    limit = 130 if look.narrow else 270
    y = alt.Y(
        "analysis:N", sort=order, title=None, axis=alt.Axis(labelLimit=limit, ticks=False, domain=False)
    )
    base = alt.Chart(rows).encode(y=y)
    fill = alt.condition("datum.first", alt.value(look.ink), alt.value(look.surface))
    layers = alt.layer(
        alt.Chart(rows).mark_rule(color=look.line).encode(x=alt.datum(0)),
        base.mark_rule(strokeWidth=2, color=look.ink).encode(x=alt.X("low:Q", title=ESTIMATE), x2="high:Q"),
        base.mark_point(size=90, strokeWidth=2, opacity=1, stroke=look.ink).encode(
            x=alt.X("value:Q", title=ESTIMATE), fill=fill
        ),
    )
    return layers.properties(width=max(look.width - limit - 30, 120), height=alt.Step(26))


# --- power


def _power_words(data: pd.DataFrame) -> str:
    last = data.iloc[-1]
    marked = [f"{row.point} n = {row.n}: {row.power:.0%}." for row in data.itertuples() if row.point]
    return " ".join([f"Power {last['power']:.0%} at n = {last['n']}.", *marked])


@chart(
    "power_curve",
    title="Power of the primary contrast",
    columns={
        "n": "students enrolled",
        "power": "chance that the contrast is significant, by simulation",
        "point": "the present or the planned n",
    },
    tell=_power_words,
    empty="No power yet.",
)
def power_curve(data: pd.DataFrame, look: Look) -> Drawn:
    words = [f"{row.point} {row.power:.0%}" if row.point else "" for row in data.itertuples()]
    rows = data.assign(words=words)
    x = alt.X("n:Q", title="Students enrolled")
    y = alt.Y("power:Q", title="Power", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
    base = alt.Chart(rows).encode(x=x, y=y)
    marked = base.transform_filter("datum.words != ''")
    layers = alt.layer(
        alt.Chart(rows).mark_rule(color=look.line, strokeDash=[4, 4]).encode(y=alt.datum(0.8)),
        base.mark_line(color=look.ink, strokeWidth=2),
        marked.mark_point(size=90, opacity=1, fill=look.ink, stroke=look.ink),
        marked.mark_text(align="left", dx=8, dy=12, color=look.ink).encode(text="words:N"),
    )
    return layers.properties(width=look.width - 110, height=220)
