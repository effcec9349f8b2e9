"""The factorial model against worked examples of the SAS manual, noncentral F against published limits."""

import pandas as pd
import pytest
from scipy import stats

from analytics_app.inference import assumptions, factorial

# Snedecor & Cochran (1967), Statistical Methods, p. 422: leprosy bacilli before and after treatment with
# drugs A, D and placebo F; the analysis is example "Analysis of Covariance" of the SAS/STAT GLM procedure.
LEPROSY = {
    "A": [(11, 6), (8, 0), (5, 2), (14, 8), (19, 11), (6, 4), (10, 13), (6, 1), (11, 8), (3, 0)],
    "D": [(6, 0), (6, 2), (7, 3), (8, 1), (18, 18), (8, 4), (19, 14), (8, 9), (5, 1), (15, 9)],
    "F": [(16, 13), (13, 10), (11, 18), (9, 5), (21, 23), (16, 12), (12, 5), (12, 16), (7, 1), (12, 20)],
}
# Afifi & Azen (1972), Statistical Analysis, p. 166: change of blood pressure by drug and disease, unbalanced;
# example "Unbalanced ANOVA for Two-Way Design with Interaction" of the SAS/STAT GLM procedure.
BLOOD_PRESSURE = {
    ("1", "1"): [42, 44, 36, 13, 19, 22],
    ("1", "2"): [33, 26, 33, 21],
    ("1", "3"): [31, -3, 25, 25, 24],
    ("2", "1"): [28, 23, 34, 42, 13],
    ("2", "2"): [34, 33, 31, 36],
    ("2", "3"): [3, 26, 28, 32, 4, 16],
    ("3", "1"): [1, 29, 19],
    ("3", "2"): [11, 9, 7, 1, -6],
    ("3", "3"): [21, 1, 9, 3],
    ("4", "1"): [24, 9, 22, -2, 15],
    ("4", "2"): [27, 12, 12, -5, 16, 15],
    ("4", "3"): [22, 7, 25, 5, 12],
}


@pytest.fixture(scope="module")
def leprosy() -> factorial.Fit:
    rows = [(drug, before, after) for drug, pairs in LEPROSY.items() for before, after in pairs]
    frame = pd.DataFrame(rows, columns=["drug", "before", "after"])
    return factorial.fit(frame, outcome="after", covariate="before", factors=["drug"])


@pytest.fixture(scope="module")
def blood_pressure() -> factorial.Fit:
    rows = [(*cell, change) for cell, changes in BLOOD_PRESSURE.items() for change in changes]
    frame = pd.DataFrame(rows, columns=["drug", "disease", "change"])
    return factorial.fit(frame, outcome="change", factors=["drug", "disease"])


def test_ancova_of_snedecor_and_cochran(leprosy: factorial.Fit) -> None:
    """SAS, type III: drug 68.5537106, F 2.14, p 0.1384; covariate 577.8974030, F 36.01; error 417.2026."""
    found = {term.name: term for term in factorial.terms(leprosy)}
    assert (leprosy.residual_df, leprosy.residual_squares) == (26, pytest.approx(417.2026, abs=1e-4))
    drug, before = found["drug"], found["before"]
    assert (drug.df, before.df) == (2, 1)
    assert (drug.sum_of_squares, drug.f, drug.p) == pytest.approx((68.5537106, 2.14, 0.1384), abs=4e-3)
    assert drug.sum_of_squares == pytest.approx(68.5537106, abs=1e-6)
    assert (before.sum_of_squares, before.f) == pytest.approx((577.8974030, 36.01), abs=5e-3)


def test_adjusted_means_of_snedecor_and_cochran(leprosy: factorial.Fit) -> None:
    """SAS, LSMEANS drug: A 6.7149635, D 6.8239348, F 10.1611017, standard errors 1.288, 1.272, 1.316."""
    found = leprosy.model.t_test([leprosy.cell_row((drug,)) for drug in "ADF"])
    assert list(found.effect) == pytest.approx([6.7149635, 6.8239348, 10.1611017], abs=1e-6)
    assert list(found.sd.ravel()) == pytest.approx([1.2884943, 1.2724690, 1.3159234], abs=1e-6)


def test_unbalanced_two_way_anova_of_afifi_and_azen(blood_pressure: factorial.Fit) -> None:
    """SAS, type III: drug 2997.471860, disease 415.873046, both 707.266259; F 9.05, 1.88, 1.07."""
    found = {term.name: term for term in factorial.terms(blood_pressure)}
    assert list(found) == ["drug", "disease", "drug x disease"]
    assert [term.df for term in found.values()] == [3, 2, 6]
    squares = [term.sum_of_squares for term in found.values()]
    assert squares == pytest.approx([2997.471860, 415.873046, 707.266259], abs=1e-5)
    assert [term.f for term in found.values()] == pytest.approx([9.05, 1.88, 1.07], abs=5e-3)
    assert (blood_pressure.residual_df, blood_pressure.residual_squares) == (46, pytest.approx(5080.816667))


def test_noncentral_f_limits_of_steiger() -> None:
    """Steiger (2004), Psychological Methods 9, p. 169, example 3: F(3, 76) = 5, 1.8666 to 32.563."""
    found = factorial.noncentral_f(5, 3, 76, level=0.95)
    assert (found.low, found.high) == pytest.approx((1.8666, 32.563), abs=1e-3)


def test_partial_eta_from_the_limits_of_steiger() -> None:
    """The same example has one factor, so df + residual df + 1 = 80 = N, and both conventions agree."""
    found = factorial.partial_eta(5, 3, 76, level=0.95)
    assert found.value == pytest.approx(15 / 91)
    assert found.interval.low == pytest.approx(1.8666 / 81.8666, abs=1e-5)
    assert found.interval.high == pytest.approx(32.563 / 112.563, abs=1e-5)


def test_partial_eta_value_of_the_r_package_effectsize() -> None:
    """R package effectsize, F_to_eta2(45.8, 3, 35): 0.796983758700696, 0.685670 to 0.855981.

    It divides by l + residual df, where Smithson (2003) divides by l + df + residual df + 1.
    """
    found = factorial.partial_eta(45.8, 3, 35)
    assert found.value == pytest.approx(0.796983758700696)
    limits = factorial.noncentral_f(45.8, 3, 35)
    theirs = [limit / (limit + 35) for limit in (limits.low, limits.high)]
    assert theirs == pytest.approx([0.685670133284926, 0.855981325777856], rel=2e-4)


@pytest.mark.parametrize("f", [0.0, 0.3, 1.0, 5.0, 3_000.0, 30_000.0])
def test_noncentral_f_limits_hold_for_any_f(f: float) -> None:
    """The distribution itself is only worked out to about 0.002 at such sizes."""
    found = factorial.noncentral_f(f, 1, 49_000)
    assert 0 <= found.low <= found.high
    if found.low:
        assert stats.ncf.cdf(f, 1, 49_000, found.low) == pytest.approx(0.95, abs=3e-3)
    if found.high:
        assert stats.ncf.cdf(f, 1, 49_000, found.high) == pytest.approx(0.05, abs=3e-3)


def test_an_effect_that_is_not_significant_has_an_interval_from_zero(leprosy: factorial.Fit) -> None:
    drug = next(term for term in factorial.terms(leprosy) if term.name == "drug")
    assert drug.p > 0.05
    assert drug.eta.interval.low == 0


def test_a_design_row_is_that_of_its_cell_at_the_mean_covariate(leprosy: factorial.Fit) -> None:
    assert leprosy.covariate_mean == pytest.approx(10.7333333)
    assert list(leprosy.cell_row(("A",))) == [1, 1, 0, 0]
    assert list(leprosy.cell_row(("F",))) == [1, -1, -1, 0]


# --- the checks on the same examples


def test_the_slopes_of_the_leprosy_data_are_equal(leprosy: factorial.Fit) -> None:
    """The same analysis with a slope for each drug: F(2, 24) = 0.59, p = 0.561."""
    found = assumptions.equal_slopes(leprosy)
    assert found.holds
    assert (found.statistic, found.p) == pytest.approx((0.59, 0.561), abs=3e-3)
    assert "F(2, 24) = 0.59" in found.sentence


def test_slopes_that_differ_are_told() -> None:
    rows = [("a", x, 2 * x + (x % 3) * 0.1) for x in range(10)] + [
        ("b", x, 20 - 2 * x + (x % 2) * 0.1) for x in range(10)
    ]
    frame = pd.DataFrame(rows, columns=["group", "before", "after"])
    found = assumptions.equal_slopes(
        factorial.fit(frame, outcome="after", covariate="before", factors=["group"])
    )
    assert found.holds is False
    assert "does not rise" in found.sentence
    assert "mean baseline only" in found.sentence


def test_residuals_far_from_normal_are_told() -> None:
    frame = pd.DataFrame({"group": ["a", "b"] * 30, "y": [0.0] * 58 + [90.0, 95.0]})
    found = assumptions.normality(factorial.fit(frame, outcome="y", factors=["group"]))
    assert found.holds is False
    assert "not normal" in found.sentence


def test_many_residuals_are_tested_otherwise() -> None:
    values = stats.norm.ppf([(place + 0.5) / 6000 for place in range(6000)])
    frame = pd.DataFrame({"group": ["a", "b"] * 3000, "y": values})
    found = assumptions.normality(factorial.fit(frame, outcome="y", factors=["group"]))
    assert found.holds
    assert "D'Agostino" in found.sentence


def test_cells_that_vary_unlike_are_told() -> None:
    frame = pd.DataFrame({"group": ["a"] * 20 + ["b"] * 20, "y": [1, 2, 3, 4] * 5 + [-80, 90, 40, -60] * 5})
    found = assumptions.equal_variances(factorial.fit(frame, outcome="y", factors=["group"]))
    assert found.holds is False
    assert "do not vary alike" in found.sentence


def test_variances_of_two_values_a_cell_cannot_be_compared() -> None:
    frame = pd.DataFrame({"group": ["a", "a", "b", "b"], "y": [1, 2, 5, 9]})
    found = assumptions.equal_variances(factorial.fit(frame, outcome="y", factors=["group"]))
    assert found.holds is None
    assert "the smallest has 2" in found.sentence


def test_cells_whose_values_all_lie_alike_cannot_be_compared() -> None:
    frame = pd.DataFrame({"group": ["a"] * 4 + ["b"] * 4, "y": [1, 2, 1, 2, 5, 9, 5, 9]})
    found = assumptions.equal_variances(factorial.fit(frame, outcome="y", factors=["group"]))
    assert (found.holds, found.statistic) == (None, None)


def test_a_session_that_bends_the_line_is_named() -> None:
    rows = [("a", x, x) for x in range(10)] + [("b", x, x + (x % 2)) for x in range(10)] + [("b", 100, -300)]
    frame = pd.DataFrame(rows, columns=["group", "before", "after"])
    fit = factorial.fit(frame, outcome="after", covariate="before", factors=["group"])
    found = assumptions.influence(fit, [f"s{place}" for place in range(21)])
    assert found.holds is False
    assert found.session_ids[0] == "s20"
    assert found.sentence.startswith("1 session weighs")


def test_even_data_have_no_influential_session(leprosy: factorial.Fit) -> None:
    found = assumptions.influence(leprosy, [str(place) for place in range(30)])
    assert found.holds
    assert found.statistic is not None
    assert found.statistic < 1
