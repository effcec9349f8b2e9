"""Charts over time: sessions, gain and cost by day, week or month (periods begin in UTC)."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd  # type: ignore[import-untyped]

from . import encodings
from .registry import Drawn, chart
from .theme import Look

MAX_BARS = 100  # more periods than that are gathered into weeks, then months
STEPS = {"day": pd.DateOffset(days=1), "week": pd.DateOffset(weeks=1), "month": pd.DateOffset(months=1)}
MIN_PERIODS = 7
EPOCH = pd.Timestamp("1970-01-01")
COARSER = {"day": ("week", "W-SUN"), "week": ("month", "M")}  # weeks from Monday to Sunday
STATES = ("completed", "running", "stopped", "abandoned", "withdrawn")  # from the bottom of a bar
PERIOD = "first day of the day, week or month"


def unit_of(starts: pd.Series) -> str:
    """`day`, `week` or `month`: from the smallest step between the starts of periods."""
    steps = starts.drop_duplicates().sort_values().diff().dropna()
    least = steps.min().days if len(steps) else 1
    return "month" if least >= 28 else "week" if least >= 7 else "day"


def periods(data: pd.DataFrame, *, gather: bool = True) -> tuple[pd.DataFrame, str]:
    """The rows with `start` and `end` of their period instead of `period`, and its unit.

    With `gather`, periods become longer until there are no more than MAX_BARS.
    """
    starts = pd.to_datetime(data["period"], utc=True).dt.tz_localize(None)
    unit = unit_of(starts)
    while gather and unit in COARSER and starts.nunique() > MAX_BARS:
        unit, frequency = COARSER[unit]
        starts = starts.dt.to_period(frequency).dt.start_time
    return data.drop(columns="period").assign(start=starts, end=starts + STEPS[unit]), unit


def _stamp(moment: Any) -> str:
    return str(moment.strftime("%Y-%m-%dT%H:%M:%SZ"))


def _placed(rows: pd.DataFrame) -> pd.DataFrame:
    """Ends of bars a little narrower than their period, and its middle, as texts that are read as UTC."""
    length = rows["end"] - rows["start"]
    moments = {
        "from": rows["start"] + length * 0.08,
        "to": rows["end"] - length * 0.08,
        "middle": rows["start"] + length / 2,
    }
    texts = {name: [_stamp(moment) for moment in column] for name, column in moments.items()}
    return rows.assign(**texts).drop(columns=["start", "end"])


def _x(field: str, unit: str, rows: pd.DataFrame, look: Look) -> alt.X:
    """Labels stand at the middle of days and at the start of weeks and months."""
    starts = _shown(rows, unit)
    shown = "%b %Y" if unit == "month" or (starts[-1] - starts[0]).days > 300 else "%d %b"
    every = -(-len(starts) // (4 if look.narrow else 8))
    middle = pd.Timedelta(hours=12 if unit == "day" else 0)
    ticks = [(start + middle - EPOCH) / pd.Timedelta(milliseconds=1) for start in starts[::every]]
    axis = alt.Axis(format=shown, labelAngle=0, grid=False, values=ticks)
    scale = alt.Scale(type="utc", domain=[_stamp(starts[0]), _stamp(starts[-1] + STEPS[unit])], nice=False)
    return alt.X(f"{field}:T", title=f"{unit.capitalize()} (UTC)", axis=axis, scale=scale)


def _shown(rows: pd.DataFrame, unit: str) -> list[pd.Timestamp]:
    """The starts of all periods that are drawn: from first to last, and more around a few."""
    starts = list(pd.date_range(rows["start"].min(), rows["start"].max(), freq=STEPS[unit]))
    while len(starts) < MIN_PERIODS:
        starts = [starts[0] - STEPS[unit], *starts, starts[-1] + STEPS[unit]]
    return starts


def _span(data: pd.DataFrame) -> str:
    starts = pd.to_datetime(data["period"], utc=True)
    first, last = f"{starts.min():%d %b %Y}", f"{starts.max():%d %b %Y}"
    return f"on {first}" if first == last else f"from {first} to {last}"


# --- sessions


def _sessions_words(data: pd.DataFrame) -> str:
    known = data[data["n"].fillna(0) > 0]
    by_state = known.groupby("state", observed=True)["n"].sum()
    told = ", ".join(f"{n:,} {state}" for state, n in by_state.items())
    peaks = known.groupby("period", observed=True)["n"].sum()
    return (
        f"{encodings.plural(known['n'].sum(), 'session')} {_span(known)}: {told}. "
        f"Most ({peaks.max():,}) at {pd.Timestamp(peaks.idxmax()):%d %b %Y}."
    )


def _stacked(rows: pd.DataFrame) -> pd.DataFrame:
    """Counts of a period by state, with `bottom` and `top` of each in its bar."""
    rows = rows.assign(state=rows["state"].astype(str))
    rows = rows.groupby(["start", "end", "state"], as_index=False)["n"].sum()
    rows["rank"] = rows["state"].map({state: place for place, state in enumerate(STATES)})
    rows = rows.sort_values(["start", "rank"])
    tops = rows.groupby("start")["n"].cumsum()
    return rows.assign(top=tops, bottom=tops - rows["n"])


@chart(
    "sessions_over_time",
    title="Sessions over time",
    columns={
        "period": PERIOD,
        "state": "running, completed, stopped, abandoned or withdrawn",
        "n": "sessions started",
    },
    tell=_sessions_words,
    empty="No session has started.",
)
def sessions_over_time(data: pd.DataFrame, look: Look) -> Drawn:
    rows, unit = periods(data[data["n"].fillna(0) > 0])
    rows = _stacked(rows)
    fills = dict(zip(STATES, (look.accent, look.pale, look.muted, look.line, look.surface), strict=True))
    present = [state for state in STATES if state in set(rows["state"])]
    scale = alt.Scale(domain=present, range=[fills[state] for state in present])
    legend = alt.Legend(symbolType="square", symbolStrokeColor=look.accent, symbolStrokeWidth=1)
    axis = encodings.counting(rows["top"].max())
    return (
        alt.Chart(_placed(rows))
        .mark_rect(stroke=look.accent, strokeWidth=1)
        .encode(
            x=_x("from", unit, rows, look),
            x2="to:T",
            y=alt.Y("bottom:Q", title="Sessions", axis=axis),
            y2="top:Q",
            fill=alt.Fill("state:N", scale=scale, sort=present, legend=legend),
        )
        .properties(width=look.width - 90, height=240)
    )


# --- gain


def _gain_words(data: pd.DataFrame) -> str:
    known = data.dropna(subset=["mean"]).sort_values("period")
    first, last = (encodings.signed(float(known["mean"].iloc[place])) for place in (0, -1))
    counted = f"{encodings.plural(known['n'].sum(), 'session')} {_span(known)}."
    if len(known) == 1:
        return f"{counted} Mean gain {last} percentage points."
    return f"{counted} Mean gain first {first}, last {last} percentage points."


@chart(
    "gain_over_time",
    title="Learning gain over time, with 95% CIs",
    columns={
        "period": PERIOD,
        "n": "sessions with both scores",
        "mean": "mean gain, percentage points",
        "low": "lower end of the 95% CI; missing below 2 sessions",
        "high": "upper end of the 95% CI",
    },
    tell=_gain_words,
    empty="No session has both scores.",
)
def gain_over_time(data: pd.DataFrame, look: Look) -> Drawn:
    rows, unit = periods(data.dropna(subset=["mean"]), gather=False)
    many = len(rows) > MAX_BARS
    title = "Mean gain (percentage points)"
    mean = alt.Y("mean:Q", title=title)
    placed = alt.Chart(_placed(rows))
    base = placed.encode(x=_x("middle", unit, rows, look))
    layers = [
        placed.mark_rule(color=look.line).encode(y=alt.datum(0)),
        base.transform_filter("isValid(datum.low)")
        .mark_rule(color=look.accent, strokeWidth=1 if many else 2, opacity=0.5 if many else 1)
        .encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
        base.mark_line(color=look.accent, strokeWidth=1.5, opacity=0.6).encode(y=mean),
        base.mark_point(color=look.accent, fill=look.accent, size=14 if many else 60, opacity=1).encode(
            y=mean
        ),
    ]
    return alt.layer(*layers).properties(width=look.width - 90, height=240)


# --- cost


def _cost_words(data: pd.DataFrame) -> str:
    total = float(data["cost_usd"].astype(float).sum())
    return f"{total:,.2f} US dollars for {encodings.plural(data['n'].sum(), 'question')} {_span(data)}."


@chart(
    "ai_cost",
    title="Cost of the tutor over time",
    columns={"period": PERIOD, "cost_usd": "cost, US dollars", "n": "questions generated"},
    tell=_cost_words,
    empty="No question was generated by a model.",
)
def ai_cost(data: pd.DataFrame, look: Look) -> Drawn:
    rows, unit = periods(data[data["n"].fillna(0) > 0])
    rows = rows.groupby(["start", "end"], as_index=False)[["cost_usd", "n"]].sum().assign(zero=0)
    return (
        alt.Chart(_placed(rows))
        .mark_rect(fill=look.pale, stroke=look.accent, strokeWidth=1)
        .encode(
            x=_x("from", unit, rows, look),
            x2="to:T",
            y=alt.Y("zero:Q", title="Cost, US dollars"),
            y2="cost_usd:Q",
        )
        .properties(width=look.width - 90, height=220)
    )
