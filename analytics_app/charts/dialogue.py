"""Charts of the dialogue and of what students made of it: static against dynamic, the tutor, the survey."""

from __future__ import annotations

import altair as alt
import pandas as pd  # type: ignore[import-untyped]

from sessions_app.domain.store import keys

from . import encodings
from .registry import Drawn, chart
from .theme import MARKS, PLACES, Look

TYPES = tuple(keys.TYPES.values())
TARGETS = ((1.5, "p50 target 1.5 s"), (3.0, "p95 target 3 s"), (10.0, "limit 10 s"))
RATINGS = [1, 2, 3, 4, 5]


# --- static against dynamic


def _styles(look: Look) -> dict[str, encodings.Style]:
    """Static is an outline, dynamic is filled."""
    return {
        "static": encodings.Style(look.ink, (6, 3), 0),
        "dynamic": encodings.Style(look.accent, (1, 0), 0.25),
    }


def _of_type(data: pd.DataFrame, kind: str) -> pd.DataFrame:
    return data[data["type"].astype(str) == kind]


def _shares(data: pd.DataFrame, value: str, edges: list[float]) -> dict[str, pd.DataFrame]:
    """By type, a stepped outline in percent of that type's values."""
    series = {}
    for kind in TYPES:
        rows = _of_type(data, kind)
        totals = encodings.binned(rows[value], rows["n"], edges)
        if whole := sum(totals):
            series[kind] = encodings.outline([100 * total / whole for total in totals], edges)
    return series


def _medians(data: pd.DataFrame, value: str, unit: str, places: int) -> str:
    told = []
    for kind in TYPES:
        rows = _of_type(data, kind)
        if rows["n"].sum():
            middle = encodings.number(encodings.quantile(rows[value], rows["n"], 0.5), places)
            told.append(f"{kind}: {encodings.plural(rows['n'].sum(), 'answer')}, median {middle}{unit}")
    return "; ".join(told).capitalize() + "."


SHARE = "Percent of the type's answers"


@chart(
    "response_time",
    title="Time to answer, static and dynamic questions",
    columns={
        "type": "static or dynamic",
        "seconds": "time to answer, seconds",
        "n": "answers with this time",
    },
    tell=lambda data: _medians(data, "seconds", " s", 0),
    empty="No question is answered.",
)
def response_time(data: pd.DataFrame, look: Look) -> Drawn:
    top = max(encodings.quantile(data["seconds"], data["n"], 0.99), 10)
    edges = encodings.edges_of(0, top, encodings.nice_width(top, 24))
    scale = encodings.fixed(0, edges[-1])
    title = encodings.titled("Time to answer, seconds", data["seconds"], edges)
    x = alt.X("x:Q", title=title, scale=scale, axis=alt.Axis(grid=False))
    drawn = encodings.stepped(_shares(data, "seconds", edges), x=x, y=SHARE, styles=_styles(look))
    return drawn.properties(width=look.width - 90, height=240)


@chart(
    "answer_depth",
    title="Depth of answers, static and dynamic questions",
    columns={
        "type": "static or dynamic",
        "depth": "depth of the answer, 1 to 5",
        "n": "answers with this depth",
    },
    tell=lambda data: _medians(data, "depth", "", 1),
    empty="No answer is scored.",
)
def answer_depth(data: pd.DataFrame, look: Look) -> Drawn:
    depths = data["depth"].astype(float)
    width = 1.0 if (depths == depths.round()).all() else 0.5
    edges = encodings.edges_of(1 - width / 2, 5 + width / 2, width)
    axis = alt.Axis(values=RATINGS, format="d", grid=False)
    scale = encodings.fixed(edges[0], edges[-1])
    x = alt.X("x:Q", title="Depth of the answer, 1 (thin) to 5 (deep)", scale=scale, axis=axis)
    drawn = encodings.stepped(_shares(data, "depth", edges), x=x, y=SHARE, styles=_styles(look))
    return drawn.properties(width=look.width - 90, height=240)


def _quality_words(data: pd.DataFrame) -> str:
    told = [
        f"{row.measure}, {row.type}: {encodings.number(row.mean, 2)} (n {row.n:,})"
        for row in data.dropna(subset=["mean"]).itertuples(index=False)
    ]
    return f"Means from 1 to 5. {'; '.join(told)}."


@chart(
    "question_quality",
    title="Quality of questions and answers, with 95% CIs",
    columns={
        "measure": "what was rated",
        "type": "static or dynamic",
        "n": "ratings",
        "mean": "mean rating, 1 to 5",
        "low": "lower end of the 95% CI; missing below 2 ratings",
        "high": "upper end of the 95% CI",
    },
    tell=_quality_words,
    empty="Nothing is rated.",
)
def question_quality(data: pd.DataFrame, look: Look) -> Drawn:
    rows = data[data["n"].fillna(0) > 0]
    axis = alt.Axis(values=RATINGS, format="d", title="Mean rating, 1 to 5")
    scale = encodings.fixed(1, 5)
    fills = alt.Scale(domain=list(TYPES), range=[look.surface, look.accent])
    legend = alt.Legend(symbolStrokeColor=look.accent, symbolType="circle")
    base = alt.Chart(rows).encode(
        y=alt.Y("measure:N", sort=list(dict.fromkeys(rows["measure"])), axis=encodings.arms_axis()),
        yOffset=alt.YOffset(
            "type:N", sort=list(TYPES), scale=alt.Scale(domain=list(TYPES), paddingOuter=0.4)
        ),
    )
    intervals = base.transform_filter("isValid(datum.low)").mark_rule(color=look.accent, strokeWidth=2)
    dots = base.mark_point(stroke=look.accent, strokeWidth=2, size=110, opacity=1)
    return alt.layer(
        intervals.encode(x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q"),
        dots.encode(
            x=alt.X("mean:Q", scale=scale, axis=axis),
            fill=alt.Fill("type:N", sort=list(TYPES), scale=fills, legend=legend),
        ),
    ).properties(width=max(look.width - 200, 130), height={"step": 44, "for": "position"})


# --- the tutor


def _latency_words(data: pd.DataFrame) -> str:
    p50, p95 = (
        encodings.number(encodings.quantile(data["seconds"], data["n"], share)) for share in (0.5, 0.95)
    )
    slow = data.loc[data["seconds"].astype(float) > TARGETS[-1][0], "n"].sum()
    return (
        f"{encodings.plural(data['n'].sum(), 'question')}; half within {p50} s, 95 percent within {p95} s; "
        f"{slow:,.0f} above 10 s."
    )


@chart(
    "ai_latency",
    title="Time to generate a question",
    columns={"seconds": "time the model took, seconds", "n": "questions with this time"},
    tell=_latency_words,
    empty="No question was generated by a model.",
)
def ai_latency(data: pd.DataFrame, look: Look) -> Drawn:
    top = max(encodings.quantile(data["seconds"], data["n"], 0.995), 3.6)
    edges = encodings.edges_of(0, top, max(encodings.nice_width(top, 30), 0.1))
    totals = encodings.binned(data["seconds"], data["n"], edges)
    bars = pd.DataFrame({"x": edges[:-1], "x2": edges[1:], "n": totals, "zero": 0})
    title = encodings.titled("Time to generate a question, seconds", data["seconds"], edges)
    x = alt.X(
        "x:Q", title=title, scale=encodings.fixed(0, edges[-1]), axis=alt.Axis(grid=False, tickCount=10)
    )
    y = alt.Y("zero:Q", title="Questions", axis=encodings.counting(max(totals)))
    marks = pd.DataFrame([{"x": at, "told": told} for at, told in TARGETS if at <= edges[-1]])
    rules = alt.Chart(marks.assign(row=[24 * place for place in range(len(marks))])).encode(x="x:Q")
    heights = alt.Y("row:Q", scale=None)
    return (
        alt.layer(
            alt.Chart(bars)
            .mark_rect(fill=look.pale, stroke=look.accent, strokeWidth=1)
            .encode(x=x, x2="x2:Q", y=y, y2="n:Q"),
            rules.mark_rule(strokeDash=[4, 3], strokeWidth=1.5, color=look.ink),
            rules.mark_text(align="left", dx=4, dy=4, baseline="top", fontSize=13).encode(
                y=heights, text="told:N"
            ),
        )
        .resolve_scale(y="independent")
        .properties(width=look.width - 90, height=230)
    )


# --- the survey


def _survey_words(data: pd.DataFrame) -> str:
    told = []
    for item, rows in data.groupby("item", observed=True, sort=False):
        if n := rows["n"].sum():
            told.append(f"{item} {encodings.number(encodings.weighted(rows['rating'], rows['n']))} (n {n:,})")
    return f"Mean ratings from 1 to 5: {'; '.join(told)}."


def _around_the_middle(data: pd.DataFrame, look: Look) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A piece for each item and rating, from and to in percent around half of rating 3; a text an item."""
    pieces, heads = [], []
    least = 16 if look.narrow else 7  # a smaller piece has no room for its number
    for text, rows in data.groupby("item", observed=True, sort=False):
        item = encodings.wrapped(str(text), 16 if look.narrow else 28)
        counts = rows.groupby("rating", observed=True)["n"].sum().reindex(RATINGS, fill_value=0).astype(float)
        n = counts.sum()
        if not n:
            continue
        heads.append(
            {
                "item": item,
                "told": f"mean {encodings.weighted(pd.Series(RATINGS, RATINGS), counts):.1f}, n {n:,.0f}",
            }
        )
        shares = [100 * float(count) / n for count in counts]
        left = -(shares[0] + shares[1] + shares[2] / 2)
        for rating, share, ink in zip(RATINGS, shares, look.on_ratings, strict=True):
            told = f"{share:.0f}" if share >= least else ""
            piece = {"item": item, "rating": rating, "from": left, "to": left + share, "ink": ink}
            pieces.append({**piece, "middle": left + share / 2, "told": told})
            left += share
    return pd.DataFrame(pieces), pd.DataFrame(heads)


@chart(
    "survey_ratings",
    title="Survey ratings",
    columns={"item": "what was rated", "rating": "1 to 5", "n": "students who gave this rating"},
    tell=_survey_words,
    empty="No survey is filled in.",
)
def survey_ratings(data: pd.DataFrame, look: Look) -> Drawn:
    """Stacked around the middle rating, so that agreement reaches to the right."""
    pieces, heads = _around_the_middle(data, look)
    axis = alt.Axis(values=[-100, -50, 0, 50, 100], labelExpr="abs(datum.value)")
    title = "Percent of students, 3 in the middle"
    x = alt.X("from:Q", title=title, scale=encodings.fixed(-100, 100), axis=axis)
    names = encodings.arms_axis(labelExpr="split(datum.label, '|')", labelLimit=210)
    y = alt.Y("item:N", sort=list(heads["item"]), axis=names)
    scale = alt.Scale(domain=RATINGS, range=look.ratings)
    legend = alt.Legend(symbolType="square", symbolStrokeWidth=0, columns=0)
    bars = alt.Chart(pieces).encode(y=y)
    width = max(look.width - (160 if look.narrow else 340), 120)
    layers = [
        bars.mark_rect(height=28, stroke=look.surface).encode(
            x=x, x2="to:Q", color=alt.Color("rating:O", scale=scale, legend=legend)
        ),
        bars.mark_text(fontSize=13).encode(x="middle:Q", text="told:N", color=alt.Color("ink:N", scale=None)),
    ]
    if not look.narrow:
        told = alt.Chart(heads).mark_text(align="left", color=look.muted)
        layers.append(told.encode(x=alt.value(width + 12), y=y, text="told:N"))
    return alt.layer(*layers).properties(width=width, height=alt.Step(40))


# --- engagement


def _engagement_words(data: pd.DataFrame) -> str:
    known = data.dropna(subset=["mean"])
    means = [
        f"segment {segment} {encodings.number(encodings.weighted(rows['mean'], rows['n']), 2)}"
        for segment, rows in known.groupby("segment", observed=True)
    ]
    return f"Mean engagement from 0 to 1: {', '.join(means)}."


@chart(
    "engagement_by_segment",
    title="Engagement by segment and location, with 95% CIs",
    columns={
        "location": "location key",
        "segment": "1 to 4",
        "n": "segments played",
        "mean": "mean engagement (coverage x attention), 0 to 1",
        "low": "lower end of the 95% CI; missing below 2",
        "high": "upper end of the 95% CI",
    },
    tell=_engagement_words,
    empty="No segment is played.",
)
def engagement_by_segment(data: pd.DataFrame, look: Look) -> Drawn:
    rows = data[data["n"].fillna(0) > 0]
    present = [place for place in PLACES if (rows["location"].astype(str) == place).any()]
    names = [PLACES[place] for place in present]
    shift = {place: (at - (len(present) - 1) / 2) * 0.13 for at, place in enumerate(present)}
    places = [str(place) for place in rows["location"]]
    rows = rows.assign(
        place=[PLACES[place] for place in places],
        at=[int(segment) + shift[place] for segment, place in zip(rows["segment"], places, strict=True)],
    )
    axis = alt.Axis(values=[1, 2, 3, 4], format="d", grid=False)
    x = alt.X("at:Q", title="Segment", scale=encodings.fixed(0.6, 4.4), axis=axis)
    title, whole = "Mean engagement, 0 to 1", encodings.fixed(0, 1)
    colours = alt.Scale(domain=names, range=[look.place(place) for place in present])
    shapes = alt.Scale(domain=names, range=[MARKS[place] for place in present])
    base = alt.Chart(rows).encode(x=x, color=alt.Color("place:N", sort=names, scale=colours))
    mean = alt.Y("mean:Q", title=title, scale=whole)
    return alt.layer(
        base.mark_line(strokeWidth=1.5, opacity=0.5).encode(y=mean),
        base.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=2)
        .encode(y=alt.Y("low:Q", title=title, scale=whole), y2="high:Q"),
        base.mark_point(filled=True, size=110, opacity=1).encode(
            y=mean, shape=alt.Shape("place:N", sort=names, scale=shapes)
        ),
    ).properties(width=look.width - 90, height=260)
