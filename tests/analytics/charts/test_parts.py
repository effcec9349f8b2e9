"""The arithmetic of charts: bins, quantiles, signs, periods."""

import pandas as pd
import pytest

from analytics_app.charts import encodings, time


def series(*values: float) -> pd.Series:
    return pd.Series(values, dtype="float")


@pytest.mark.parametrize(("value", "text"), [(12.34, "+12.3"), (-4.26, "−4.3"), (0, "0"), (-0.04, "0")])
def test_signs_are_told(value: float, text: str) -> None:
    assert encodings.signed(value) == text


def test_one_is_not_many() -> None:
    assert (encodings.plural(1, "session"), encodings.plural(1200, "session")) == (
        "1 session",
        "1,200 sessions",
    )


def test_a_value_lies_in_the_bin_that_it_opens_and_the_last_takes_the_end() -> None:
    totals = encodings.binned(series(0, 9.9, 10, 100), series(1, 1, 5, 2), encodings.edges_of(0, 100, 10))
    assert totals == [2, 5, 0, 0, 0, 0, 0, 0, 0, 2]


def test_binning_loses_nobody() -> None:
    edges = encodings.edges_of(0, 5, 0.1)
    values = series(*[place / 10 for place in range(80)])
    assert sum(encodings.binned(values, series(*[1] * 80), edges)) == 80
    assert encodings.binned(series(0.3), series(1), edges).index(1) == 3


def test_an_outline_begins_and_ends_at_zero() -> None:
    told = encodings.outline([2, 3], [0, 10, 20])
    assert list(told["x"]) == [0, 0, 10, 20]
    assert list(told["y"]) == [0, 2, 3, 0]


@pytest.mark.parametrize(
    ("span", "bins", "width"), [(100, 24, 5), (163, 24, 10), (4.6, 30, 0.2), (24, 24, 1)]
)
def test_bins_have_round_widths(span: float, bins: int, width: float) -> None:
    assert encodings.nice_width(span, bins) == pytest.approx(width)


def test_quantiles_count_every_value() -> None:
    values, counts = series(1, 2, 10), series(5, 4, 1)
    assert encodings.quantile(values, counts, 0.5) == 1
    assert encodings.quantile(values, counts, 0.9) == 2
    assert encodings.quantile(values, counts, 0.95) == 10


def test_means_are_weighted() -> None:
    assert encodings.weighted(series(10, 20), series(3, 1)) == 12.5


def test_every_condition_has_a_row() -> None:
    told = encodings.all_conditions(pd.DataFrame({"condition": ["L4-I3-D"], "n": [2]}))
    assert (len(told), told["n"].sum()) == (24, 2)
    assert told["condition"].iloc[-1] == "L4-I3-D"


@pytest.mark.parametrize(
    ("days", "unit"),
    [
        (["2026-01-05"], "day"),
        (["2026-01-05", "2026-01-19"], "week"),
        (["2026-01-01", "2026-03-01"], "month"),
    ],
)
def test_the_unit_follows_from_the_periods(days: list[str], unit: str) -> None:
    assert time.unit_of(pd.to_datetime(pd.Series(days))) == unit


def test_too_many_days_become_weeks_from_monday_and_then_months() -> None:
    def told(days: int) -> tuple[str, int, pd.Timestamp]:
        dates = pd.date_range("2026-01-07", periods=days).strftime("%Y-%m-%d")
        rows, unit = time.periods(pd.DataFrame({"period": dates, "n": 1}))
        return unit, rows["start"].nunique(), rows["start"].min()

    assert told(100)[:2] == ("day", 100)
    assert told(101) == ("week", 15, pd.Timestamp("2026-01-05"))
    assert told(800) == ("month", 27, pd.Timestamp("2026-01-01"))


def test_gathering_keeps_every_session() -> None:
    dates = pd.date_range("2026-01-07", periods=300).strftime("%Y-%m-%d")
    rows, _ = time.periods(pd.DataFrame({"period": dates, "state": "completed", "n": 2}))
    stacked = time._stacked(rows)
    assert stacked["n"].sum() == (stacked["top"] - stacked["bottom"]).sum() == 600
