"""The confirmatory analysis: contrasts of the plan by analysis of covariance, and its sensitivity analyses.

The final score on the baseline score, with a term of its own for each condition (cell). A contrast weighs
the differences dynamic - static at the locations, intervals equally. Everything is in the outcome's unit,
percentage points. Arrays in, numbers out: no table, no page, no data frame.

References: Pustejovsky & Tipton (2018) for CR2 and its degrees of freedom; Rubin (1987) and Barnard & Rubin
(1999) for pooling.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special  # type: ignore[import-untyped]

from sessions_app.domain.store import keys

from .results import LEVEL, Interval, TooFew

CELLS = tuple(keys.CONDITIONS)
INDEX = {cell.code: place for place, cell in enumerate(CELLS)}
MIN_CLUSTERS = 4

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A contrast with its t interval and two-sided p."""

    n: int
    value: float
    se: float
    df: float
    p: float
    interval: Interval
    enough: Literal[True] = field(default=True, init=False)


Result = Estimate | TooFew


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One participant a row: the cell as an index into CELLS, scores in percent (NaN where missing)."""

    cell: Ints
    baseline: Floats
    final: Floats

    @property
    def n(self) -> int:
        return len(self.cell)

    def only(self, chosen: NDArray[np.bool_]) -> Sample:
        return Sample(self.cell[chosen], self.baseline[chosen], self.final[chosen])

    @property
    def is_complete(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = ~(np.isnan(self.baseline) | np.isnan(self.final))
        return found


def weights(by_location: Mapping[str, Any]) -> Floats:
    """Weights of the cells from those of the locations' differences dynamic - static."""
    found = np.zeros(len(CELLS))
    for place, cell in enumerate(CELLS):
        weight = float(by_location.get(cell.location, 0)) / len(keys.INTERVALS)
        found[place] = weight if cell.type == "dynamic" else -weight
    return found


# --- analysis of covariance


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """One slope for all cells; `means` are NaN in empty cells."""

    counts: Floats
    mean_baseline: Floats
    mean_final: Floats
    within: float
    slope: float
    residual_squares: float
    df: int

    @property
    def variance(self) -> float:
        return self.residual_squares / self.df


def fit(data: Sample) -> Fit | TooFew:
    """Least squares in closed form: cell means, and the slope pooled within cells."""
    counts = np.bincount(data.cell, minlength=len(CELLS)).astype(float)
    with np.errstate(invalid="ignore"):
        x, y = (np.bincount(data.cell, v, len(CELLS)) / counts for v in (data.baseline, data.final))
    dx, dy = data.baseline - x[data.cell], data.final - y[data.cell]
    within = float(dx @ dx)
    df = data.n - int((counts > 0).sum()) - 1
    if df < 1:
        return TooFew(f"needs more participants than terms; there are {data.n}")
    if within <= 1e-9:
        return TooFew("needs baseline scores that vary within the cells")
    slope = float(dx @ dy) / within
    squares = float(dy @ dy) - slope * slope * within
    if squares <= 1e-9:
        return TooFew("the model fits every score exactly, so nothing is left to measure chance by")
    return Fit(counts, x, y, within, slope, squares, df)


def contrast(data: Sample, cells: Floats, *, level: float = LEVEL) -> Result:
    """The contrast of the cells' adjusted means, over participants with both scores."""
    data = data.only(data.is_complete)
    if why := shortage(data, cells):
        return TooFew(why)
    found = fit(data)
    if isinstance(found, TooFew):
        return found
    value, variance = _contrast(found, cells)
    return _estimate(data.n, value, math.sqrt(variance), found.df, level)


def _contrast(found: Fit, cells: Floats) -> tuple[float, float]:
    used = cells != 0
    weight, x = cells[used], found.mean_baseline[used]
    value = float(weight @ (found.mean_final[used] - found.slope * x))
    spread = float((weight**2 / found.counts[used]).sum() + (weight @ x) ** 2 / found.within)
    return value, found.variance * spread


def _estimate(n: int, value: float, se: float, df: float, level: float = LEVEL) -> Estimate:
    reach = float(special.stdtrit(df, (1 + level) / 2)) * se
    p = 2 * float(special.stdtr(df, -abs(value / se)))
    return Estimate(n, value, se, df, p, Interval(value - reach, value + reach, level))


def shortage(data: Sample, cells: Floats) -> str | None:
    """Why the contrast has no estimate: a cell that it weighs is empty."""
    counts = np.bincount(data.cell, minlength=len(CELLS))
    empty = [CELLS[place].code for place in np.flatnonzero((cells != 0) & (counts == 0))]
    if not empty:
        return None
    if not data.n:
        return "needs participants with both scores; there are none"
    more = f" and {len(empty) - 3} more" if len(empty) > 3 else ""
    return f"needs both scores in every cell; none in {', '.join(empty[:3])}{more}"


# --- cluster-robust


def cluster_robust(data: Sample, cells: Floats, clusters: NDArray[Any], *, level: float = LEVEL) -> Result:
    """CR2 variance by cluster with Satterthwaite's degrees of freedom; the estimate stays the same.

    The working model is of independent errors, so that the adjustment of cluster j is the root of the
    (pseudo-)inverse of its block of I - H.
    """
    keep = data.is_complete
    data, clusters = data.only(keep), clusters[keep]
    names = np.unique(clusters)
    if len(names) < MIN_CLUSTERS:
        return TooFew(f"needs at least {MIN_CLUSTERS} clusters; there {_are(len(names))}")
    plain = contrast(data, cells, level=level)
    if isinstance(plain, TooFew):
        return plain
    design, row = _design(data, cells)
    bread = np.linalg.inv(design.T @ design)
    direction = bread @ row
    residuals = data.final - design @ (bread @ (design.T @ data.final))
    sums, own, crossed = [], [], []
    for name in names:
        inside = clusters == name
        block = design[inside]
        adjusted = _inverse_root(np.eye(len(block)) - block @ bread @ block.T) @ (block @ direction)
        sums.append(float(adjusted @ residuals[inside]))
        own.append(float(adjusted @ adjusted))
        crossed.append(block.T @ adjusted)
    stacked = np.array(crossed)
    products = np.diag(own) - stacked @ bread @ stacked.T
    df = float(np.trace(products) ** 2 / (products**2).sum())
    se = math.sqrt(sum(each * each for each in sums))
    if se <= 1e-9 or not math.isfinite(df):
        return TooFew("the clusters leave nothing to measure chance by")
    return _estimate(data.n, plain.value, se, df, level)


def _are(n: int) -> str:
    return "is 1" if n == 1 else f"are {n}"


def _design(data: Sample, cells: Floats) -> tuple[Floats, Floats]:
    """Indicators of the cells that are there, and the baseline; and the contrast's row."""
    there = np.unique(data.cell)
    indicators = (data.cell[:, None] == there[None, :]).astype(float)
    middle = data.baseline.mean()
    return np.column_stack([indicators, data.baseline - middle]), np.append(cells[there], 0.0)


def _inverse_root(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    roots = np.array([value**-0.5 if value > 1e-10 else 0.0 for value in values])
    found: Floats = (vectors * roots) @ vectors.T
    return found


# --- multiple imputation


def imputed(data: Sample, cells: Floats, *, times: int, seed: int, level: float = LEVEL) -> Result:
    """Everybody allocated: missing scores are drawn from the model, results pooled by Rubin's rules.

    A missing baseline is drawn from those of the location, a missing final score from the regression on cell
    and baseline; parameters are drawn as well, so that imputation is proper. It assumes that scores are
    missing at random given these.
    """
    random = np.random.default_rng(seed)
    found: list[Estimate] = []
    for _ in range(times):
        one = _one_imputation(data, random)
        result = one if isinstance(one, TooFew) else contrast(one, cells, level=level)
        if isinstance(result, TooFew):
            return result
        found.append(result)
    return pooled(found, level=level)


def pooled(found: list[Estimate], *, level: float = LEVEL) -> Estimate:
    """Rubin's rules; degrees of freedom for small samples by Barnard & Rubin."""
    times, complete = len(found), found[0].df
    value = float(np.mean([each.value for each in found]))
    within = float(np.mean([each.se**2 for each in found]))
    between = float(np.var([each.value for each in found], ddof=1)) * (1 + 1 / times)
    total = within + between
    share = between / total
    observed = (complete + 1) / (complete + 3) * complete * (1 - share)
    df = observed if share < 1e-12 else 1 / (share**2 / (times - 1) + 1 / observed)
    return _estimate(found[0].n, value, math.sqrt(total), df, level)


def _one_imputation(data: Sample, random: np.random.Generator) -> Sample | TooFew:
    baseline = data.baseline.copy()
    location = np.array([list(keys.LOCATIONS.values()).index(cell.location) for cell in CELLS])[data.cell]
    missing = np.isnan(baseline)
    if missing.any():
        groups = (location[:, None] == np.arange(len(keys.LOCATIONS))[None, :]).astype(float)
        drawn = _draw(groups, baseline, missing, random)
        if isinstance(drawn, TooFew):
            return drawn
        baseline[missing] = drawn
    final = data.final.copy()
    missing = np.isnan(final)
    if missing.any():
        there = np.unique(data.cell)
        indicators = (data.cell[:, None] == there[None, :]).astype(float)
        drawn = _draw(np.column_stack([indicators, baseline]), final, missing, random)
        if isinstance(drawn, TooFew):
            return drawn
        final[missing] = drawn
    return replace(data, baseline=baseline, final=final)


def _draw(
    design: Floats, values: Floats, missing: NDArray[np.bool_], random: np.random.Generator
) -> Floats | TooFew:
    """Values of the missing rows from the posterior predictive distribution of the regression."""
    known = design[~missing]
    used = np.abs(known).sum(axis=0) > 0
    if (np.abs(design[missing][:, ~used]) > 0).any():
        return TooFew("a cell has no score at all to impute from")
    known, unknown = known[:, used], design[missing][:, used]
    df = len(known) - int(np.linalg.matrix_rank(known))
    if df < 1:
        return TooFew("too few scores to impute from")
    bread = np.linalg.pinv(known.T @ known)
    centre = bread @ (known.T @ values[~missing])
    residuals = values[~missing] - known @ centre
    variance = float(residuals @ residuals) / random.chisquare(df)
    slopes = random.multivariate_normal(centre, variance * bread, method="eigh")
    drawn: Floats = unknown @ slopes + random.normal(0, math.sqrt(variance), len(unknown))
    return drawn


# --- randomization test


@dataclass(frozen=True, slots=True)
class Randomization:
    """The share of re-randomized allocations whose |t| is at least the observed one."""

    p: float
    draws: int
    enough: Literal[True] = field(default=True, init=False)


def randomization_test(
    data: Sample, cells: Floats, redraw: Callable[[np.random.Generator], Ints], *, times: int, seed: int
) -> Randomization | TooFew:
    """`redraw` gives the cells of the same participants as the design could have drawn them.

    The null: question type and interval do the same at every location. So what arms do on average over the
    locations is taken out of the scores first; a contrast whose weights do not cancel out tests that they do
    nothing. The observed allocation is one of the draws, so that p is never 0.
    """
    random = np.random.default_rng(seed)
    keep = data.is_complete
    whole = data.only(keep)
    observed = contrast(whole, cells)
    if isinstance(observed, TooFew):
        return observed
    if abs(cells[[cell.type == "dynamic" for cell in CELLS]].sum()) < 1e-12:
        whole = replace(whole, final=whole.final - _common_arm_effects(whole))
    reference = _statistic(whole, cells)
    if reference is None:
        return TooFew("nothing is left to measure chance by")
    count, done = 1, 1
    for _ in range(times):
        found = _statistic(replace(whole, cell=redraw(random)[keep]), cells)
        if found is not None:
            done += 1
            count += found >= reference - 1e-12
    return Randomization(count / done, done - 1)


def _statistic(data: Sample, cells: Floats) -> float | None:
    if shortage(data, cells):
        return None
    found = fit(data)
    if isinstance(found, TooFew):
        return None
    value, variance = _contrast(found, cells)
    return abs(value) / math.sqrt(variance)


def _common_arm_effects(data: Sample) -> Floats:
    """What each participant's arm adds, estimated over all locations together."""
    locations, arms = list(keys.LOCATIONS.values()), sorted({cell.arm for cell in CELLS})
    location = np.array([locations.index(cell.location) for cell in CELLS])[data.cell]
    arm = np.array([arms.index(cell.arm) for cell in CELLS])[data.cell]
    of_arm = (arm[:, None] == np.arange(1, len(arms))[None, :]).astype(float)
    of_location = (location[:, None] == np.arange(len(locations))[None, :]).astype(float)
    design = np.column_stack([of_arm, of_location, data.baseline])
    slopes = np.linalg.lstsq(design, data.final, rcond=None)[0]
    found: Floats = of_arm @ slopes[: len(arms) - 1]
    return found
