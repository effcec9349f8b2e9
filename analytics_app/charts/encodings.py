"""Pieces that several charts share: conditions taken apart, dots with intervals, stepped outlines, words."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd  # type: ignore[import-untyped]

from sessions_app.domain.store import keys

from .theme import MARKS, PLACES, Look, arm, minutes


def with_condition(data: pd.DataFrame, look: Look) -> pd.DataFrame:
    """Adds place, arm and the mark of each row's condition: shape, stroke, fill (none for static)."""
    cells = [keys.Condition.from_code(str(code)) for code in data["condition"]]
    return data.assign(
        place=[PLACES[cell.location] for cell in cells],
        location=[cell.location for cell in cells],
        interval=[f"{minutes(cell.interval)} min" for cell in cells],
        type=[cell.type for cell in cells],
        arm=[arm(cell.interval, cell.type) for cell in cells],
        shape=[MARKS[cell.location] for cell in cells],
        stroke=[look.place(cell.location) for cell in cells],
        fill=[look.place(cell.location) if cell.type == "dynamic" else look.surface for cell in cells],
    )


def all_conditions(data: pd.DataFrame) -> pd.DataFrame:
    """A row for each of the 24 conditions in their order; those without data have n = 0."""
    every = pd.DataFrame({"condition": [cell.code for cell in keys.CONDITIONS]})
    filled = every.merge(data.assign(condition=data["condition"].astype(str)), how="left", on="condition")
    return filled.assign(n=filled["n"].fillna(0).astype(int))


PLACE_ORDER = list(PLACES.values())


def as_is(field: str) -> dict[str, Any]:
    """Arguments of a channel whose values are colours or shapes themselves."""
    return {"shorthand": f"{field}:N", "scale": None}


def number(value: float, places: int = 1) -> str:
    """`12.3`, with a proper minus sign, and never -0."""
    text = f"{value:.{places}f}"
    return "0" if float(text) == 0 else text.replace("-", "−")


def signed(value: float, places: int = 1) -> str:
    """`+12.3`."""
    text = number(value, places)
    return text if text == "0" or text.startswith("−") else f"+{text}"


def plural(n: float, one: str, many: str | None = None) -> str:
    return f"{n:,.0f} {one if n == 1 else many or one + 's'}"


def least_and_most(data: pd.DataFrame, value: str, label: str) -> tuple[str, str]:
    """The labels of the rows with the smallest and the largest value."""
    known = data.dropna(subset=[value])
    return str(known.loc[known[value].idxmin(), label]), str(known.loc[known[value].idxmax(), label])


# --- histograms


def weighted(values: pd.Series, counts: pd.Series) -> float:
    """The mean of values that occur so often."""
    return float((values.astype(float) * counts.astype(float)).sum() / counts.astype(float).sum())


def quantile(values: pd.Series, counts: pd.Series, share: float) -> float:
    """The least value that at least `share` of the values do not exceed."""
    ordered = pd.DataFrame({"value": values.astype(float), "n": counts.astype(float)}).sort_values("value")
    passed = ordered["n"].cumsum() >= share * ordered["n"].sum() - 1e-9
    return float(ordered.loc[passed, "value"].iloc[0])


def nice_width(span: float, bins: int) -> float:
    """A round bin width (1, 2 or 5 times a power of ten) that makes at most `bins` of a span."""
    raw = max(span, 1e-9) / bins
    power = 10.0 ** math.floor(math.log10(raw))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= raw - 1e-12)


def binned(values: pd.Series, counts: pd.Series, edges: Sequence[float]) -> list[float]:
    """How many values lie in each bin; the last takes its upper edge and all beyond, too."""
    totals = [0.0] * (len(edges) - 1)
    width = edges[1] - edges[0]
    for value, n in zip(values.astype(float), counts.astype(float), strict=True):
        place = math.floor((value - edges[0]) / width + 1e-9)
        totals[min(max(place, 0), len(totals) - 1)] += n
    return totals


def outline(totals: Sequence[float], edges: Sequence[float]) -> pd.DataFrame:
    """Points of a stepped outline for `interpolate="step-after"`, in the order `at`, from zero to zero."""
    x, y = [edges[0], *edges], [0.0, *totals, 0.0]
    return pd.DataFrame({"x": x, "y": y, "at": range(len(x))}, dtype=float)


def edges_of(low: float, high: float, width: float) -> list[float]:
    steps = max(math.ceil((high - low) / width - 1e-9), 1)
    return [low + step * width for step in range(steps + 1)]


@dataclass(frozen=True, slots=True)
class Style:
    """How a series is drawn: its colour, dashes of its outline, opacity of its filling."""

    colour: str
    dash: tuple[int, int]
    filling: float


def stepped(
    series: dict[str, pd.DataFrame],
    *,
    x: alt.X,
    y: str,
    styles: dict[str, Style],
    axis: alt.Axis | None = None,
) -> Any:
    """Overlaid stepped histograms with a legend. The series are `outline`s; styles have the same names."""
    names = list(series)
    used = [styles[name] for name in names]
    height = alt.Y("y:Q", title=y, axis=axis or alt.Axis())
    areas = [
        alt.Chart(points)
        .mark_area(
            interpolate="step-after", color=styles[name].colour, opacity=styles[name].filling, line=False
        )
        .encode(x=x, y=height)
        for name, points in series.items()
        if styles[name].filling
    ]
    legend = alt.Legend(symbolType="stroke", symbolStrokeWidth=3, symbolSize=600)
    colours = alt.Scale(domain=names, range=[style.colour for style in used])
    dashes = alt.Scale(domain=names, range=[list(style.dash) for style in used])
    lines = (
        alt.Chart(pd.concat([points.assign(series=name) for name, points in series.items()]))
        .mark_line(interpolate="step-after", strokeWidth=2.5)
        .encode(
            x=x,
            y=height,
            order=alt.Order("at:Q"),
            color=alt.Color("series:N", scale=colours, sort=names, legend=legend),
            strokeDash=alt.StrokeDash("series:N", scale=dashes, sort=names, legend=legend),
        )
    )
    return alt.layer(*areas, lines)


# --- axes


def fixed(low: float, high: float) -> alt.Scale:
    return alt.Scale(domain=[low, high], nice=False)


def arms_axis(**options: Any) -> alt.Axis:
    """Row names, no lines."""
    return alt.Axis(title=None, grid=False, ticks=False, domain=False, labelOverlap=False, **options)


def two_lines(rows: pd.DataFrame, *, short: bool) -> list[str]:
    """Interval and type of each row for a `two_line_axis`: `2.5 min|static`, or `2.5|S`."""
    pairs = zip(rows["interval"], rows["type"], strict=True)
    if short:
        return [f"{interval.removesuffix(' min')}|{kind[0].upper()}" for interval, kind in pairs]
    return [f"{interval}|{kind}" for interval, kind in pairs]


def two_line_axis(*, title: str | None = None, **options: Any) -> alt.Axis:
    """Labels broken at `|`."""
    return alt.Axis(title=title, labelExpr="split(datum.label, '|')", labelAngle=0, grid=False, **options)


def counting(most: float) -> alt.Axis:
    """Whole numbers only."""
    return alt.Axis(tickMinStep=1, tickCount=max(min(round(most), 6), 1), format=",d")


def titled(text: str, values: pd.Series, edges: Sequence[float]) -> list[str]:
    """An axis title; a second line when the last bar holds values above its end."""
    above = float(values.astype(float).max()) > edges[-1]
    return [text, "(the last bar holds all above)"] if above else [text]


def wrapped(text: str, width: int) -> str:
    """Broken at `|` for a label that is split there."""
    return "|".join(textwrap.wrap(text, width))
