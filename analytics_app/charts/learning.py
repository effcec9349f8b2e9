"""Charts of learning: gain by condition, the 24 cells, scores before and after, a student's sessions."""

from __future__ import annotations

import altair as alt
import pandas as pd  # type: ignore[import-untyped]

from . import encodings
from .registry import Drawn, chart
from .theme import ARM_ORDER, Look

GAIN = "Mean gain (percentage points)"
SMALL = 5  # a cell with fewer sessions is outlined
MAX_PAIRS = 300  # with more distinct pairs of scores they are gathered on a grid of GRID points
GRID = 5
MOMENTS = {"baseline": "pre-test (baseline)", "final": "post-test (final)"}


# --- gain by condition


def _gain_words(data: pd.DataFrame) -> str:
    known = data[data["n"] > 0]
    lowest, highest = encodings.least_and_most(known, "mean", "condition")
    least, most = known["mean"].min(), known["mean"].max()
    first = f"{encodings.plural(known['n'].sum(), 'session')} in {len(known)} of 24 conditions."
    if len(known) == 1:
        return f"{first} {highest}: {encodings.signed(most)} percentage points."
    return (
        f"{first} Mean gains go from {encodings.signed(least)} ({lowest}) "
        f"to {encodings.signed(most)} ({highest}) percentage points."
    )


@chart(
    "gain_by_condition",
    title="Learning gain by condition, with 95% CIs",
    columns={
        "condition": "condition code",
        "n": "sessions with both scores",
        "mean": "mean gain, percentage points",
        "low": "lower end of the 95% CI; missing below 2 sessions",
        "high": "upper end of the 95% CI",
    },
    tell=_gain_words,
    empty="No session has both scores.",
)
def gain_by_condition(data: pd.DataFrame, look: Look) -> Drawn:
    rows = encodings.with_condition(encodings.all_conditions(data), look)
    rows["told"] = [f"n {n:,}" if n else "none" for n in rows["n"]]
    width = max(look.width - 200, 120)
    y = alt.Y("arm:N", sort=ARM_ORDER, axis=encodings.arms_axis())
    stroke = alt.Stroke(**encodings.as_is("stroke"))
    base = alt.Chart(rows).encode(y=y)
    layers = alt.layer(
        alt.Chart(rows).mark_rule(color=look.line).encode(x=alt.datum(0)),
        base.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=2)
        .encode(x=alt.X("low:Q", title=GAIN), x2="high:Q", stroke=stroke),
        base.transform_filter("isValid(datum.mean)")
        .mark_point(size=110, strokeWidth=2, opacity=1)
        .encode(
            x=alt.X("mean:Q", title=GAIN),
            shape=alt.Shape(**encodings.as_is("shape")),
            stroke=stroke,
            fill=alt.Fill(**encodings.as_is("fill")),
        ),
        base.mark_text(align="left", color=look.muted).encode(x=alt.value(width + 10), text="told:N"),
    )
    header = alt.Header(labelAlign="left", labelAnchor="start", labelOrient="top", title=None, labelPadding=4)
    row = alt.Row("place:N", sort=encodings.PLACE_ORDER, header=header)
    return layers.properties(width=width, height=alt.Step(24)).facet(row=row, spacing=14)


# --- the 24 cells


def _cells_words(data: pd.DataFrame) -> str:
    known = data[data["n"] > 0]
    small = len(known[known["n"] < SMALL])
    tail = f" {encodings.plural(small, 'cell')} with fewer than {SMALL} sessions." if small else ""
    first = f"{encodings.plural(known['n'].sum(), 'session')} in {len(known)} of 24 cells."
    if known["gain"].isna().all():
        return f"{first} None has both scores.{tail}"
    lowest, highest = encodings.least_and_most(known, "gain", "condition")
    if lowest == highest:
        return f"{first} Mean gain in {highest} {encodings.signed(known['gain'].max())}.{tail}"
    least, most = encodings.signed(known["gain"].min()), encodings.signed(known["gain"].max())
    return f"{first} Highest mean gain in {highest} ({most}), lowest in {lowest} ({least}).{tail}"


@chart(
    "condition_cells",
    title="The 24 conditions: sessions and mean gain",
    columns={
        "condition": "condition code",
        "n": "completed sessions",
        "gain": "mean gain, percentage points; missing where no session has both scores",
    },
    tell=_cells_words,
    empty="No session is completed.",
)
def condition_cells(data: pd.DataFrame, look: Look) -> Drawn:
    rows = encodings.with_condition(encodings.all_conditions(data), look)
    gains = rows["gain"].astype(float)
    places = 0 if look.narrow else 1
    rows["told"] = ["" if pd.isna(gain) else encodings.signed(gain, places) for gain in gains]
    rows["count"] = [f"n {n:,}" if n else "none" for n in rows["n"]]
    rows["small"] = [0 < n < SMALL for n in rows["n"]]
    rows["head"] = encodings.two_lines(rows, short=look.narrow)
    low = min(0.0, gains.min()) if gains.notna().any() else 0.0
    high = max(low + 1, gains.max()) if gains.notna().any() else 1.0
    axis = encodings.two_line_axis(orient="top", ticks=False, domain=False, labelPadding=24)
    base = alt.Chart(rows).encode(
        x=alt.X("head:N", sort=list(dict.fromkeys(rows["head"])), axis=axis),
        y=alt.Y("place:N", sort=encodings.PLACE_ORDER, axis=encodings.arms_axis()),
    )
    scale = alt.Scale(domain=[low, high], range=look.tint, interpolate="rgb")
    size = 14 if look.narrow else 18
    layers = [
        base.mark_rect(stroke=look.grid, strokeWidth=1, fill=look.surface),
        base.transform_filter("isValid(datum.gain)")
        .mark_rect(stroke=look.surface, strokeWidth=2)
        .encode(color=alt.Color("gain:Q", scale=scale, legend=None)),
        base.transform_filter("datum.small").mark_rect(
            fillOpacity=0, stroke=look.ink, strokeWidth=1.5, strokeDash=[4, 3]
        ),
        base.mark_text(dy=-9, fontSize=size, fontWeight=600).encode(text="told:N"),
        base.mark_text(dy=12, fontSize=14).encode(text="count:N"),
    ]
    step = max((look.width - 120) // 6, 36)
    return alt.layer(*layers).properties(width=alt.Step(step), height=alt.Step(58))


# --- scores before and after


def _scores_words(data: pd.DataFrame) -> str:
    told = []
    for moment in MOMENTS:
        rows = data[data["moment"].astype(str) == moment]
        if rows["n"].sum():
            mean = encodings.number(encodings.weighted(rows["score"], rows["n"]))
            told.append(f"{moment}: {encodings.plural(rows['n'].sum(), 'score')}, mean {mean} percent")
    return "; ".join(told).capitalize() + "."


@chart(
    "score_distribution",
    title="Pre-test and post-test scores",
    columns={
        "moment": "baseline or final",
        "score": "score, percent of the points",
        "n": "sessions with this score",
    },
    tell=_scores_words,
    empty="No assessment is scored.",
)
def score_distribution(data: pd.DataFrame, look: Look) -> Drawn:
    edges = encodings.edges_of(0, 100, 10)
    series, means = {}, {}
    for moment, name in MOMENTS.items():
        rows = data[data["moment"].astype(str) == moment]
        series[name] = encodings.outline(encodings.binned(rows["score"], rows["n"], edges), edges)
        if rows["n"].sum():
            means[name] = encodings.weighted(rows["score"], rows["n"])
    styles = {
        MOMENTS["baseline"]: encodings.Style(look.muted, (6, 3), 0),
        MOMENTS["final"]: encodings.Style(look.accent, (1, 0), 0.22),
    }
    axis = alt.Axis(values=edges, grid=False)
    x = alt.X(
        "x:Q", title="Score, percent of the points (bars of 10)", scale=encodings.fixed(0, 100), axis=axis
    )
    most = max(points["y"].max() for points in series.values())
    layers = [encodings.stepped(series, x=x, y="Sessions", styles=styles, axis=encodings.counting(most))]
    for place, (name, mean) in enumerate(sorted(means.items(), key=lambda pair: pair[1])):
        at = pd.DataFrame([{"x": mean, "told": f"mean {encodings.number(mean)}"}])
        rule, colour = alt.Chart(at).encode(x="x:Q"), styles[name].colour
        layers.append(rule.mark_rule(strokeWidth=1.5, strokeDash=[2, 2], color=colour))
        text = rule.mark_text(dx=-5 if place == 0 else 5, align="right" if place == 0 else "left", dy=-7)
        layers.append(text.encode(y=alt.value(0), text="told:N", color=alt.value(colour)))
    return alt.layer(*layers).properties(width=look.width - 90, height=260)


def _pairs_words(data: pd.DataFrame) -> str:
    total = data["n"].sum()
    up = data.loc[data["final"] > data["baseline"], "n"].sum()
    down = data.loc[data["final"] < data["baseline"], "n"].sum()
    before, after = (encodings.number(encodings.weighted(data[name], data["n"])) for name in MOMENTS)
    return (
        f"{encodings.plural(total, 'session')}: {up:,.0f} gained, "
        f"{total - up - down:,.0f} did not change, {down:,.0f} decreased. "
        f"Mean pre-test {before}, post-test {after} percent."
    )


def _pairs(data: pd.DataFrame) -> pd.DataFrame:
    """Pairs of scores with how often they occur, not more than can be told apart."""
    scores = list(MOMENTS)
    pairs = data.dropna().astype(float).groupby(scores, as_index=False)["n"].sum()
    if len(pairs) > MAX_PAIRS:
        grid = {name: (pairs[name] / GRID).round() * GRID for name in scores}
        pairs = pairs.assign(**grid).groupby(scores, as_index=False)["n"].sum()
    change = (pairs["final"] - pairs["baseline"]).to_numpy()
    return pairs.assign(change=["gained" if c > 0 else "decreased" if c < 0 else "no change" for c in change])


@chart(
    "before_after",
    title="Each session's pre-test and post-test scores",
    columns={
        "baseline": "pre-test score, percent",
        "final": "post-test score, percent",
        "n": "sessions with this pair of scores",
    },
    tell=_pairs_words,
    empty="No session has both scores.",
)
def before_after(data: pd.DataFrame, look: Look) -> Drawn:
    pairs = _pairs(data)
    side = min(look.width - 110, 440)
    axis = alt.Axis(values=list(range(0, 101, 20)))
    x = alt.X("baseline:Q", title="Pre-test, percent", scale=encodings.fixed(0, 100), axis=axis)
    y = alt.Y(
        "final:Q",
        title="Post-test, percent (larger mark: more sessions)",
        scale=encodings.fixed(0, 100),
        axis=axis,
    )
    ends = pd.DataFrame({"baseline": [0, 100], "final": [0, 100]})
    line = alt.Chart(ends).mark_line(color=look.line, strokeDash=[5, 4]).encode(x=x, y=y)
    foot = pd.DataFrame({"baseline": [11], "final": [4], "told": ["no change"]})
    note = alt.Chart(foot).mark_text(color=look.muted, align="left").encode(x=x, y=y, text="told:N")
    changes = ["gained", "no change", "decreased"]
    largest = max(float(pairs["n"].max()), 4)

    def by_change(channel: type, values: list[str]) -> object:
        return channel("change:N", sort=changes, scale=alt.Scale(domain=changes, range=values))

    dots = (
        alt.Chart(pairs)
        .mark_point(strokeWidth=1.5, opacity=0.85)
        .encode(
            x=x,
            y=y,
            size=alt.Size("n:Q", scale=alt.Scale(domain=[0, largest], range=[0, 380]), legend=None),
            shape=by_change(alt.Shape, ["triangle-up", "circle", "triangle-down"]),
            fill=by_change(alt.Fill, [look.pale, look.surface, look.surface]),
            stroke=by_change(alt.Stroke, [look.accent] * 3),
        )
    )
    return alt.layer(line, note, dots).properties(width=side, height=side)


# --- a student over sessions


def _student_words(data: pd.DataFrame) -> str:
    last = data.iloc[-1]
    gains = (data["final"].astype(float) - data["baseline"].astype(float)).dropna()
    told = f"{encodings.plural(len(data), 'session')}, the last in {last['condition']}."
    if gains.empty:
        return told
    return f"{told} Gains: {', '.join(encodings.signed(gain) for gain in gains)} percentage points."


@chart(
    "student_sessions",
    title="A student's scores over sessions",
    columns={
        "start": "start of the session",
        "condition": "condition code",
        "baseline": "pre-test score, percent",
        "final": "post-test score, percent",
    },
    tell=_student_words,
    empty="This student has no session.",
)
def student_sessions(data: pd.DataFrame, look: Look) -> Drawn:
    rows = encodings.with_condition(data, look).sort_values("start", kind="stable")
    days = pd.to_datetime(rows["start"], utc=True)
    rows["session"] = [
        f"{place}. {day:%d %b %Y}|{code}"
        for place, (day, code) in enumerate(zip(days, rows["condition"], strict=True), start=1)
    ]
    title = "Session, day (UTC), condition"
    x = alt.X("session:N", sort=list(rows["session"]), axis=encodings.two_line_axis(title=title))
    score = alt.Axis(title="Score, percent (dashed: pre-test, line: post-test)")
    before = alt.Y("baseline:Q", scale=encodings.fixed(0, 100), axis=score)
    after = alt.Y("final:Q", scale=encodings.fixed(0, 100), axis=score)
    stroke = alt.Stroke(**encodings.as_is("stroke"))
    base = alt.Chart(rows.drop(columns="start")).encode(x=x)
    finished = base.transform_filter("isValid(datum.baseline) && isValid(datum.final)")
    return alt.layer(
        base.mark_line(color=look.muted, strokeDash=[6, 3]).encode(y=before),
        base.mark_line(color=look.accent, strokeWidth=2.5).encode(y=after),
        finished.mark_rule(strokeWidth=2, opacity=0.6).encode(y=before, y2="final:Q", stroke=stroke),
        base.mark_tick(color=look.muted, thickness=3, width=22).encode(y=before),
        base.transform_filter("isValid(datum.final)")
        .mark_point(size=140, strokeWidth=2, opacity=1)
        .encode(
            y=after,
            stroke=stroke,
            shape=alt.Shape(**encodings.as_is("shape")),
            fill=alt.Fill(**encodings.as_is("fill")),
        ),
    ).properties(width=look.width - 90, height=280)
