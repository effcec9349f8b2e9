"""Power of the primary contrast by simulation, before anybody takes part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special  # type: ignore[import-untyped]

from .confirmatory import CELLS, Floats

SIMULATIONS = 2_000


@dataclass(frozen=True, slots=True)
class Power:
    """`n` students enrolled, `analyzed` after attrition."""

    n: int
    analyzed: int
    value: float


@cache
def power(
    cells: tuple[float, ...],
    *,
    n: int,
    effect: float,
    correlation: float,
    attrition: float = 0,
    alpha: float = 0.05,
    seed: int = 1,
    simulations: int = SIMULATIONS,
) -> Power | None:
    """How often the contrast is significant where it is `effect` standard deviations of the final score.

    Normal scores in 24 even cells; losses are at random. None where fewer than 2 a cell would be left.
    """
    random = np.random.default_rng(seed)
    weights = np.array(cells)
    analyzed = round(n * (1 - attrition))
    if analyzed < 2 * len(CELLS):
        return None
    significant = 0
    for size in _batches(simulations, analyzed):
        significant += _significant(weights, analyzed, size, random, effect, correlation, alpha)
    return Power(n, analyzed, significant / simulations)


def _batches(simulations: int, analyzed: int) -> list[int]:
    """So that memory stays bounded: a million numbers at once."""
    size = max(1, min(simulations, 1_000_000 // analyzed))
    return [size] * (simulations // size) + ([simulations % size] if simulations % size else [])


def _significant(
    cells: Floats, n: int, size: int, random: np.random.Generator, effect: float, r: float, alpha: float
) -> int:
    cell = np.arange(n) % len(CELLS)
    indicator = (cell[:, None] == np.arange(len(CELLS))[None, :]).astype(float)
    counts = indicator.sum(axis=0)
    x = random.standard_normal((size, n))
    y = r * x + math.sqrt(1 - r * r) * random.standard_normal((size, n)) + _means(cells, effect)[cell]
    mean_x, mean_y = x @ indicator / counts, y @ indicator / counts
    dx, dy = x - mean_x[:, cell], y - mean_y[:, cell]
    sxx, sxy, syy = ((a * b).sum(axis=1) for a, b in ((dx, dx), (dx, dy), (dy, dy)))
    slope, df = sxy / sxx, n - len(CELLS) - 1
    variance = (syy - slope * sxy) / df * ((cells**2 / counts).sum() + (mean_x @ cells) ** 2 / sxx)
    t = (mean_y @ cells - slope * (mean_x @ cells)) / np.sqrt(variance)
    return int((np.abs(t) > special.stdtrit(df, 1 - alpha / 2)).sum())


def _means(cells: Floats, effect: float) -> Floats:
    """Means of the cells that give the contrast this value: as far as possible in its own direction."""
    found: Floats = effect * cells / float(cells @ cells)
    return found
