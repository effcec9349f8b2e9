"""The confirmatory analysis against R, against closed forms, and by simulation."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import special, stats

from analytics_app.inference import confirmatory, power, redraw
from analytics_app.inference.confirmatory import CELLS, INDEX, Estimate, Sample
from analytics_app.inference.results import TooFew
from sessions_app.domain import allocation
from sessions_app.domain.store import keys

HERE = Path(__file__).parent
ROWS = list(csv.DictReader((HERE / "confirmatory_sample.csv").read_text().splitlines()))
REFERENCE = json.loads((HERE / "confirmatory_reference.json").read_text())
LOCATIONS = list(keys.LOCATIONS.values())
OTHERS = dict.fromkeys(LOCATIONS[1:], Fraction(-1, 3))
PRIMARY = confirmatory.weights({"on-site": Fraction(1), **OTHERS})
TYPE = confirmatory.weights(dict.fromkeys(LOCATIONS, Fraction(1, 4)))
SIMPLE = confirmatory.weights({"on-site": Fraction(1)})


def numbers(name: str) -> Any:
    return np.array([float(row[name]) for row in ROWS])


SHIPPED = Sample(np.array([INDEX[row["cell"]] for row in ROWS]), numbers("baseline"), numbers("final"))


def known(found: Any) -> Estimate:
    assert found.enough, found
    return found


def draws(n: int) -> list[redraw.Draw]:
    """Students come to the four locations in turn."""
    return [redraw.Draw(str(i), CELLS[6 * (i % 4)], "") for i in range(n)]


def cohort(random: np.random.Generator, *, n: int = 240, effect: float = 0) -> Sample:
    """Drawn as the study draws. Locations differ, dynamic adds 6 points everywhere, baseline and final score
    correlate at .6 within conditions with a standard deviation of 15; `effect` is the contrast in SD."""
    cell = np.array(redraw.replay(draws(n), random))
    baseline = random.normal(45, 15, n)
    final = 45 + 0.6 * (baseline - 45) + random.normal(0, 12, n)
    final += np.array([5, 2, 0, -3])[np.arange(n) % 4] + 6 * np.array(
        [CELLS[k].type == "dynamic" for k in cell]
    )
    return Sample(cell, baseline, final + 15 * effect * PRIMARY[cell] / (PRIMARY @ PRIMARY))


# --- against R (confirmatory.R: lm, and clubSandwich's CR2 with Satterthwaite's degrees of freedom)


@pytest.mark.parametrize(("name", "cells"), [("primary", PRIMARY), ("type", TYPE)])
def test_a_contrast_is_that_of_r(name: str, cells: Any) -> None:
    found = known(confirmatory.contrast(SHIPPED, cells))
    assert [found.value, found.se, found.df, found.p] == pytest.approx(REFERENCE[name], abs=1e-8)


@pytest.mark.parametrize("cluster", ["school", "facilitator"])
def test_cluster_robust_errors_are_those_of_r(cluster: str) -> None:
    clusters = np.array([row[cluster] for row in ROWS])
    found = known(confirmatory.cluster_robust(SHIPPED, PRIMARY, clusters))
    assert [found.value, found.se, found.df, found.p] == pytest.approx(
        REFERENCE[f"primary_{cluster}"], abs=1e-8
    )


def test_an_interval_is_the_one_of_the_t_distribution() -> None:
    found = known(confirmatory.contrast(SHIPPED, PRIMARY))
    low, high = stats.t.interval(0.95, found.df, found.value, found.se)
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))


def test_the_closed_form_is_that_of_least_squares() -> None:
    rows = np.eye(24)[SHIPPED.cell]
    model = sm.OLS(SHIPPED.final, np.column_stack([rows, SHIPPED.baseline])).fit()
    for cells in (PRIMARY, TYPE, SIMPLE):
        test = model.t_test(np.append(cells, 0))
        found = known(confirmatory.contrast(SHIPPED, cells))
        assert (found.value, found.se) == pytest.approx((test.effect.item(), test.sd.item()))


# --- the contrast


def test_the_primary_contrast_is_a_difference_of_differences() -> None:
    """Cell means of the final score that differ by 10 on site and by 4 elsewhere, baselines alike."""
    cell = np.repeat(np.arange(24), 4)
    baseline = np.tile([40.0, 50, 60, 50], 24)
    noise = np.tile([1.0, 0, 1, -2], 24)
    gap = [10 if CELLS[k].location == "on-site" else 4 for k in cell]
    dynamic = [CELLS[k].type == "dynamic" for k in cell]
    final = baseline * 0.5 + np.array(gap) * np.array(dynamic) + noise
    sample = Sample(cell, baseline, final)
    assert known(confirmatory.contrast(sample, PRIMARY)).value == pytest.approx(6)
    assert known(confirmatory.contrast(sample, SIMPLE)).value == pytest.approx(10)
    assert known(confirmatory.contrast(sample, TYPE)).value == pytest.approx(5.5)


def test_who_lacks_a_score_is_left_out_of_the_complete_cases() -> None:
    final = SHIPPED.final.copy()
    final[:7] = math.nan
    found = known(confirmatory.contrast(replace(SHIPPED, final=final), PRIMARY))
    cut = Sample(SHIPPED.cell[7:], SHIPPED.baseline[7:], SHIPPED.final[7:])
    assert found == confirmatory.contrast(cut, PRIMARY)
    assert found.n == 143


def test_an_empty_cell_is_named_where_the_contrast_weighs_it() -> None:
    found = confirmatory.contrast(SHIPPED.only(SHIPPED.cell != INDEX["L2-I1-S"]), PRIMARY)
    assert isinstance(found, TooFew)
    assert "L2-I1-S" in found.why
    assert known(confirmatory.contrast(SHIPPED.only(SHIPPED.cell != INDEX["L2-I1-S"]), SIMPLE)).n < 150


@pytest.mark.parametrize("n", [0, 1, 24])
def test_too_few_participants_have_no_estimate_and_no_error(n: int) -> None:
    few = SHIPPED.only(np.arange(150) < n)
    for found in (
        confirmatory.contrast(few, PRIMARY),
        confirmatory.cluster_robust(few, PRIMARY, np.arange(n)),
        confirmatory.imputed(few, PRIMARY, times=3, seed=1),
        confirmatory.randomization_test(few, PRIMARY, lambda random: few.cell, times=9, seed=1),
    ):
        assert isinstance(found, TooFew)


def test_scores_without_spread_have_no_estimate() -> None:
    same = np.full(150, 50.0)
    assert isinstance(confirmatory.contrast(replace(SHIPPED, baseline=same), PRIMARY), TooFew)
    assert isinstance(confirmatory.contrast(replace(SHIPPED, final=same), PRIMARY), TooFew)


def test_few_clusters_have_no_robust_error() -> None:
    found = confirmatory.cluster_robust(SHIPPED, PRIMARY, np.arange(150) % 3)
    assert isinstance(found, TooFew)
    assert "at least 4 clusters; there are 3" in found.why


# --- missing scores


def test_with_nothing_missing_imputation_changes_nothing() -> None:
    found = known(confirmatory.imputed(SHIPPED, PRIMARY, times=5, seed=1))
    plain = known(confirmatory.contrast(SHIPPED, PRIMARY))
    assert (found.value, found.se) == pytest.approx((plain.value, plain.se))


def test_rubins_rules() -> None:
    """Three estimates: within 4, between 1, total 4 + 4/3."""
    base = known(confirmatory.contrast(SHIPPED, PRIMARY))
    found = confirmatory.pooled([replace(base, value=value, se=2.0) for value in (1.0, 2.0, 3.0)])
    assert found.value == pytest.approx(2)
    assert found.se == pytest.approx(math.sqrt(4 + 4 / 3))
    share = (4 / 3) / (16 / 3)
    observed = 126 / 128 * 125 * (1 - share)
    assert found.df == pytest.approx(1 / (share**2 / 2 + 1 / observed))


def test_imputation_keeps_everybody_and_undoes_a_loss_that_the_baseline_explains() -> None:
    """Dynamic students with low baselines are lost; imputed, everybody counts and the mean estimate stays."""
    values = []
    for seed in range(30):
        whole = cohort(np.random.default_rng(seed), effect=0.5)
        lost = (whole.baseline < 35) & (np.array([CELLS[k].type == "dynamic" for k in whole.cell]))
        cut = replace(whole, final=np.where(lost, math.nan, whole.final))
        found = known(confirmatory.imputed(cut, PRIMARY, times=10, seed=seed))
        assert found.n == 240
        values.append(found.value - known(confirmatory.contrast(whole, PRIMARY)).value)
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(30)


def test_missing_baselines_are_imputed_as_well() -> None:
    baseline = SHIPPED.baseline.copy()
    baseline[::10] = math.nan
    found = known(confirmatory.imputed(replace(SHIPPED, baseline=baseline), PRIMARY, times=5, seed=1))
    assert found.n == 150
    assert math.isfinite(found.se)


# --- the randomization test


def test_a_replay_keeps_locations_overrides_and_the_tolerance() -> None:
    log = [replace(draw, is_drawn=int(draw.student_id) % 10 > 0) for draw in draws(240)]
    for seed in range(20):
        cells = [CELLS[k] for k in redraw.replay(log, np.random.default_rng(seed))]
        assert [cell.location for cell in cells] == [draw.condition.location for draw in log]
        kept = [(cell, draw.condition) for cell, draw in zip(cells, log, strict=True) if not draw.is_drawn]
        assert all(cell == condition for cell, condition in kept)
    tally = np.bincount(redraw.replay(draws(240), np.random.default_rng(1)), minlength=24).reshape(4, 6)
    assert (tally.max(axis=1) - tally.min(axis=1)).max() <= allocation.TOLERANCE


def test_arms_that_a_student_had_are_avoided_again() -> None:
    log = [replace(draw, avoided=frozenset({"I1-S"})) for draw in draws(8)]
    for seed in range(20):
        assert {CELLS[k].arm for k in redraw.replay(log, np.random.default_rng(seed))}.isdisjoint({"I1-S"})


def test_the_test_by_randomization_agrees_with_the_t_test() -> None:
    """Normal scores without an interaction but with an effect of the type: both p are close."""
    log = draws(240)
    names = [(draw.student_id, draw.condition.location) for draw in log]
    for seed in range(3):
        sample = cohort(np.random.default_rng(seed))
        found: Any = confirmatory.randomization_test(
            sample, PRIMARY, redraw.of_students(log, names), times=400, seed=seed
        )
        assert found.draws == 400
        assert found.p == pytest.approx(known(confirmatory.contrast(sample, PRIMARY)).p, abs=0.08)


def test_a_strong_interaction_has_the_smallest_p_there_is() -> None:
    sample = cohort(np.random.default_rng(1), effect=4)
    log = draws(240)
    redrawn = redraw.of_students(log, [(draw.student_id, draw.condition.location) for draw in log])
    found: Any = confirmatory.randomization_test(sample, PRIMARY, redrawn, times=99, seed=7)
    assert found.p == pytest.approx(1 / 100)


# --- error rate and power


def noncentral_power(
    cells: Any, *, analyzed: int, effect: float, correlation: float, alpha: float = 0.05
) -> float:
    """By the noncentral t distribution, for even cells and baselines: what the simulation comes to."""
    df = analyzed - len(CELLS) - 1
    se = math.sqrt((1 - correlation**2) * float(cells @ cells) * len(CELLS) / analyzed)
    limit = float(special.stdtrit(df, 1 - alpha / 2))
    above = 1 - float(special.nctdtr(df, effect / se, limit))
    return above + float(special.nctdtr(df, effect / se, -limit))


def test_without_an_interaction_the_primary_contrast_rejects_in_3_to_7_percent() -> None:
    random = np.random.default_rng(0)
    p = [known(confirmatory.contrast(cohort(random), PRIMARY)).p for _ in range(200)]
    assert 0.03 <= np.mean(np.array(p) < 0.05) <= 0.07


def test_with_an_interaction_of_half_a_standard_deviation_it_rejects_as_the_planner_says() -> None:
    random = np.random.default_rng(2)
    p = [known(confirmatory.contrast(cohort(random, effect=0.5), PRIMARY)).p for _ in range(500)]
    planned: Any = power.power(tuple(PRIMARY), n=240, effect=0.5, correlation=0.6)
    error = math.sqrt(planned.value * (1 - planned.value) * (1 / 500 + 1 / power.SIMULATIONS))
    assert abs(np.mean(np.array(p) < 0.05) - planned.value) < 3 * error


@pytest.mark.parametrize("n", [120, 240, 480])
def test_simulated_power_is_that_of_the_noncentral_t(n: int) -> None:
    found: Any = power.power(tuple(PRIMARY), n=n, effect=0.5, correlation=0.6, attrition=0.1)
    expected = noncentral_power(PRIMARY, analyzed=found.analyzed, effect=0.5, correlation=0.6)
    assert found.value == pytest.approx(expected, abs=0.03)


def test_power_without_an_effect_is_the_error_rate_and_needs_two_a_cell() -> None:
    found: Any = power.power(tuple(PRIMARY), n=240, effect=1e-9, correlation=0.6)
    assert found.value == pytest.approx(0.05, abs=0.02)
    assert power.power(tuple(PRIMARY), n=50, effect=0.5, correlation=0.6, attrition=0.1) is None
