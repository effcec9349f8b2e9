"""Charts of participants: the flow through a session, and how evenly conditions were drawn."""

from __future__ import annotations

import altair as alt
import pandas as pd  # type: ignore[import-untyped]

from . import encodings
from .registry import Drawn, chart
from .theme import Look


def _flow_words(data: pd.DataFrame) -> str:
    first, last = float(data["n"].iloc[0]), float(data["n"].iloc[-1])
    stages = [f"{stage} {n:,.0f}" for stage, n in zip(data["stage"], data["n"], strict=True)]
    share = f" {100 * last / first:.0f} percent came to the last stage." if first else ""
    return f"{', '.join(stages)}.{share}"


@chart(
    "participant_flow",
    title="Participant flow",
    columns={
        "stage": "stage, in order",
        "n": "how many came so far",
        "note": "why others did not, in words; may be empty",
    },
    tell=_flow_words,
    empty="No session has started.",
)
def participant_flow(data: pd.DataFrame, look: Look) -> Drawn:
    first = max(float(data["n"].iloc[0]), 1)
    rows = data.assign(
        told=[f"{n:,.0f} ({100 * n / first:.0f}%)" for n in data["n"].astype(float)],
        note=data["note"].fillna("").astype(str),
    )
    scale = encodings.fixed(0, max(float(rows["n"].max()), 1))
    axis = encodings.counting(min(rows["n"].max(), 4))
    x = alt.X("n:Q", scale=scale, title="Students or sessions", axis=axis)
    base = alt.Chart(rows).encode(y=alt.Y("stage:N", sort=list(rows["stage"]), axis=encodings.arms_axis()))
    bars = base.mark_bar(color=look.pale, stroke=look.accent, strokeWidth=1, height=24)
    notes = base.mark_text(align="left", color=look.muted, dy=21, fontSize=13)
    layers = [
        bars.encode(x=x),
        base.mark_text(align="left", dx=8).encode(x=x, text="told:N"),
        notes.encode(x=alt.value(0), text="note:N"),
    ]
    return alt.layer(*layers).properties(width=max(look.width - 270, 90), height=alt.Step(52))


def _balance_words(data: pd.DataFrame) -> str:
    counts = encodings.all_conditions(data)["n"]
    off = (data["n"].astype(float) - data["expected"].astype(float)).abs().max()
    told = "" if pd.isna(off) else f" The furthest from what was expected is off by {encodings.number(off)}."
    return (
        f"{encodings.plural(counts.sum(), 'session')} allocated; conditions hold {counts.min():,} to "
        f"{counts.max():,}.{told}"
    )


@chart(
    "allocation_balance",
    title="Allocation by condition (actual vs. expected)",
    columns={
        "condition": "condition code",
        "n": "sessions allocated",
        "expected": "sessions expected by the plan or by even allocation",
    },
    tell=_balance_words,
    empty="No session has started.",
)
def allocation_balance(data: pd.DataFrame, look: Look) -> Drawn:
    rows = encodings.with_condition(encodings.all_conditions(data), look)
    rows["head"] = encodings.two_lines(rows, short=True)
    columns = 2 if look.narrow else 4
    step = max((look.width - 70 - 16 * columns) // columns // 6, 16)
    axis = encodings.two_line_axis(labelFontSize=12, ticks=False)
    spaced = alt.Scale(paddingInner=0.25, paddingOuter=0.2)
    x = alt.X("head:N", sort=list(dict.fromkeys(rows["head"])), scale=spaced, axis=axis)
    y = alt.Y("n:Q", title="Sessions (line: expected)", axis=encodings.counting(rows["n"].max()))
    base = alt.Chart(rows).encode(x=x)
    bars = base.mark_bar(strokeWidth=2).encode(
        y=y, fill=alt.Fill(**encodings.as_is("fill")), stroke=alt.Stroke(**encodings.as_is("stroke"))
    )
    expected = base.transform_filter("isValid(datum.expected)").mark_tick(
        color=look.ink, thickness=3, width=step
    )
    facet = alt.Facet("place:N", sort=encodings.PLACE_ORDER, header=alt.Header(title=None))
    return (
        alt.layer(bars, expected.encode(y="expected:Q"))
        .properties(width=alt.Step(step), height=190)
        .facet(facet=facet, columns=columns, spacing=16)
        .resolve_axis(x="independent")
    )
