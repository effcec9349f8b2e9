"""Intervals and effect sizes against published examples and against scipy on raw values."""

import math

import pytest
from scipy import stats

from analytics_app.inference import effects
from analytics_app.inference.results import Sample, sample
from analytics_app.statistics.sums import Sums, merge

# Student (1908), "The probable error of a mean", Biometrika 6: hours of sleep gained by ten patients with two
# drugs; R ships them as `sleep`, and its manual's t tests give the figures below.
DRUG_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
DRUG_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_mean_interval_of_students_sleep_differences() -> None:
    """R: t.test(extra ~ group, data = sleep, paired = TRUE): mean 1.58, 0.7001142 to 2.4598858."""
    found = effects.mean_interval(sample([b - a for a, b in zip(DRUG_1, DRUG_2, strict=True)]))
    assert found.enough
    assert found.value == pytest.approx(1.58)
    assert (found.interval.low, found.interval.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)


def test_noncentral_t_limits_of_mbess() -> None:
    """R package MBESS, conf.limits.nct(1.5, 98, .95): -0.474934 to 3.467371."""
    found = effects.noncentral_t(1.5, 98)
    assert (found.low, found.high) == pytest.approx((-0.474934, 3.467371), abs=1e-5)


def test_noncentral_t_limits_are_where_t_lies_at_the_tails() -> None:
    for t, df in ((0.0, 10), (-3.2, 20), (2.83, 126), (40.0, 50_000)):
        found = effects.noncentral_t(t, df)
        assert stats.nct.cdf(t, df, found.low) == pytest.approx(0.975, abs=1e-4)
        assert stats.nct.cdf(t, df, found.high) == pytest.approx(0.025, abs=1e-4)


def test_cohens_d_by_hand() -> None:
    """1,2,3 against 3,4,5: means 2 and 4, pooled standard deviation 1."""
    found = effects.cohens_d(sample([1, 2, 3]), sample([3, 4, 5]))
    assert found.enough
    assert found.value == pytest.approx(2.0)
    assert found.interval.low < 2.0 < found.interval.high


def test_cohens_d_interval_is_that_of_its_t() -> None:
    """t = 2.6 with 10 and 10, the example after Steiger & Fouladi (1997) in the manual of MBESS's ci.smd:
    d = t sqrt(1/10 + 1/10) = 1.16276, and so the limits of the noncentrality of t, 0.4360 to 4.7033."""
    found = effects.cohens_d(Sample(10, 0.0, 1.0), Sample(10, 2.6 * math.sqrt(0.2), 1.0))
    assert found.enough
    assert found.value == pytest.approx(1.16276, abs=1e-5)
    assert found.interval.low == pytest.approx(0.195, abs=5e-4)
    assert found.interval.high == pytest.approx(2.10, abs=5e-3)


def test_the_normal_interval_by_hand() -> None:
    """Hedges & Olkin (1985): d = 0.5 with 50 and 50: variance 0.04 + 0.25/200 = 0.04125."""
    found = effects.cohens_d(Sample(50, 0, 1.0), Sample(50, 0.5, 1.0))
    assert found.enough
    assert found.normal_interval
    reach = 1.959964 * math.sqrt(0.04125)
    assert found.normal_interval.low == pytest.approx(0.5 - reach, abs=1e-6)
    assert found.normal_interval.high == pytest.approx(0.5 + reach, abs=1e-6)


def test_hedges_correction_is_exact() -> None:
    """At 2 degrees of freedom gamma(1) / (1 x gamma(1/2)) = 1/sqrt(pi); then near 1 - 3/(4 df - 1)."""
    assert effects.correction(2) == pytest.approx(1 / math.sqrt(math.pi))
    assert effects.correction(18) == pytest.approx(1 - 3 / (4 * 18 - 1), abs=2e-4)
    assert effects.correction(100_000) == pytest.approx(1, abs=1e-4)


def test_hedges_g_is_smaller_than_d_by_the_correction() -> None:
    first, second = sample(DRUG_1), sample(DRUG_2)
    d, g = effects.cohens_d(first, second), effects.hedges_g(first, second)
    assert d.enough
    assert g.enough
    assert g.value == pytest.approx(d.value * effects.correction(18))
    assert g.interval.high == pytest.approx(d.interval.high * effects.correction(18))
    assert (d.name, g.name) == ("Cohen's d", "Hedges' g")


def test_paired_effects_are_named_and_by_hand() -> None:
    """Before 1,2,3,4, after 2,4,5,5: gains 1,2,2,1, mean 1.5, standard deviation 0.57735.

    Variances 5/3 and 2, so d_av = 1.5 / sqrt((5/3 + 2) / 2) = 1.10782.
    """
    before, after = sample([1, 2, 3, 4]), sample([2, 4, 5, 5])
    gain = sample([1, 2, 2, 1])
    dz, dav = effects.paired_dz(gain), effects.paired_dav(before, after, gain)
    assert dz.enough
    assert dav.enough
    assert (dz.name, dav.name) == ("d_z", "d_av")
    assert dz.value == pytest.approx(1.5 / 0.5773503)
    assert dav.value == pytest.approx(1.5 / math.sqrt((5 / 3 + 2) / 2))
    assert dav.interval.low == pytest.approx(dz.interval.low * dav.value / dz.value)


def test_paired_dz_interval_turns_t_of_the_sleep_data() -> None:
    """R: paired t = 4.0621, df = 9; limits of its noncentrality over the root of 10."""
    found = effects.paired_dz(sample([b - a for a, b in zip(DRUG_1, DRUG_2, strict=True)]))
    assert found.enough
    assert found.value * math.sqrt(10) == pytest.approx(4.0621, abs=5e-5)
    t = found.value * math.sqrt(10)
    assert stats.nct.cdf(t, 9, found.interval.low * math.sqrt(10)) == pytest.approx(0.975, abs=1e-6)


def test_the_schemas_d_is_d_av_of_the_same_sessions() -> None:
    """Two groups of the same size: the pooled variance is the mean of both."""
    pairs = [(400, 600), (533, 667), (467, 867)]
    counts = {
        f"{name}_{part}": sum(value**power for value in values)
        for name, values in (
            ("baseline", [b for b, _ in pairs]),
            ("final", [f for _, f in pairs]),
            ("gain", [f - b for b, f in pairs]),
        )
        for part, power in (("n", 0), ("sum", 1), ("squares", 2))
    }
    figures = merge([]).__class__(Sums(counts, {}), 0, {}, with_histograms=False)
    found = effects.paired_dav(figures.baseline, figures.final, figures.gain)
    assert found.enough
    assert figures.cohens_d == pytest.approx(found.value)


def test_wilsons_interval() -> None:
    """Newcombe (1998), Statistics in Medicine 17, table I, method 3: 81 of 263, .2553 to .3662."""
    found = effects.share_interval(81, 263)
    assert found.enough
    assert (found.interval.low, found.interval.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize(
    ("count", "n"), [(0, 1), (1, 1), (0, 20), (1, 20), (20, 20), (333, 1000), (9, 50_000)]
)
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_wilsons_interval_is_that_of_scipy(count: int, n: int, level: float) -> None:
    found = effects.share_interval(count, n, level=level)
    told = stats.binomtest(count, n).proportion_ci(confidence_level=level, method="wilson")
    assert found.enough
    assert (found.interval.low, found.interval.high) == pytest.approx((told.low, told.high), rel=1e-12)


def test_a_share_of_all_has_an_interval_below_one() -> None:
    found = effects.share_interval(5, 5)
    assert found.enough
    assert (found.value, found.interval.high) == (1.0, 1.0)
    assert 0.5 < found.interval.low < 0.6


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_values_give_no_number(n: int) -> None:
    few, fine = sample([1.0] * n), sample(DRUG_1)
    for found in (
        effects.mean_interval(few),
        effects.cohens_d(few, fine),
        effects.hedges_g(fine, few),
        effects.paired_dz(few),
        effects.paired_dav(few, few, few),
    ):
        assert not found.enough
        assert "at least 2" in found.why


def test_values_that_do_not_vary_give_no_effect() -> None:
    flat, other = sample([3, 3, 3]), sample([4, 4, 4])
    for found in (
        effects.cohens_d(flat, other),
        effects.paired_dz(flat),
    ):
        assert not found.enough
        assert "same" in found.why


def test_a_mean_of_equal_values_has_an_interval_of_no_width() -> None:
    found = effects.mean_interval(sample([3, 3, 3]))
    assert found.enough
    assert (found.interval.low, found.interval.high) == (3, 3)


def test_one_group_that_varies_is_enough_for_d() -> None:
    found = effects.cohens_d(sample([3, 3]), sample([1, 5]))
    assert found.enough
    assert found.value == 0


def test_a_share_of_nothing_is_not_a_number() -> None:
    assert not effects.share_interval(0, 0).enough


def test_both_scores_must_be_of_the_same_sessions() -> None:
    found = effects.paired_dav(sample([1, 2, 3]), sample([1, 2]), sample([1, 2]))
    assert not found.enough
    assert "same sessions" in found.why
