"""Samples are told by three numbers, and what is missing is left out."""

import pandas as pd
import pytest

from analytics_app.inference.results import Interval, TooFew, p_text, sample


def test_missing_values_are_left_out_never_zero() -> None:
    told = sample([2.0, None, pd.NA, float("nan"), 4.0])
    assert (told.n, told.mean) == (2, 3.0)
    assert told.sd == pytest.approx(2**0.5)


def test_one_value_has_no_standard_deviation() -> None:
    assert (sample([5]).mean, sample([5]).sd) == (5.0, None)


def test_nothing_has_no_mean() -> None:
    assert (sample([]).n, sample([]).mean, sample([]).sd) == (0, None, None)


def test_too_few_says_so() -> None:
    assert not TooFew("needs more").enough
    assert TooFew("needs more").why == "needs more"


def test_an_interval_knows_what_it_holds() -> None:
    assert 0 in Interval(-1, 1)
    assert 2 not in Interval(-1, 1)


@pytest.mark.parametrize(("p", "text"), [(0.0412, "p = 0.041"), (0.0004, "p < 0.001"), (1, "p = 1.000")])
def test_p_values_are_written_as_usual(p: float, text: str) -> None:
    assert p_text(p) == text
