"""How well two gradings of the same answers agree: weighted kappa, intraclass correlation, bias."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy import stats  # type: ignore[import-untyped]
from statsmodels.stats.inter_rater import cohens_kappa  # type: ignore[import-untyped]

from .effects import mean_interval
from .results import LEVEL, Interval, TooFew, sample


@dataclass(frozen=True, slots=True)
class Kappa:
    """Quadratic weighted kappa (Cohen 1968): 1 is agreement, 0 what chance alone would give."""

    n: int
    value: float
    interval: Interval
    enough: Literal[True] = field(default=True, init=False)


@dataclass(frozen=True, slots=True)
class Icc:
    """Intraclass correlations of single gradings (Shrout & Fleiss 1979).

    `absolute` is ICC(2,1), which counts a constant difference between graders against them, with its
    interval; `consistency` is ICC(3,1), which does not.
    """

    n: int
    graders: int
    absolute: float
    interval: Interval
    consistency: float
    enough: Literal[True] = field(default=True, init=False)


@dataclass(frozen=True, slots=True)
class Bias:
    """Mean of second - first with its interval, and the limits within which 95 % of differences lie."""

    n: int
    value: float
    interval: Interval
    sd: float
    limits: Interval
    enough: Literal[True] = field(default=True, init=False)


@dataclass(frozen=True, slots=True)
class Agreement:
    """`same` is the share of answers with the same grade twice, None without any."""

    n: int
    same: float | None
    kappa: Kappa | TooFew
    icc: Icc | TooFew
    bias: Bias | TooFew


def agreement(
    first: Sequence[float | None], second: Sequence[float | None], *, level: float = LEVEL
) -> Agreement:
    """Grades of the same answers by two graders, in the same order; an answer with one grade is left out."""
    pairs = [
        (float(one), float(two))
        for one, two in zip(first, second, strict=True)
        if one is not None and two is not None
    ]
    ones, twos = [one for one, _ in pairs], [two for _, two in pairs]
    return Agreement(
        n=len(pairs),
        same=sum(1 for one, two in pairs if one == two) / len(pairs) if pairs else None,
        kappa=weighted_kappa(ones, twos, level=level),
        icc=icc(pairs, level=level),
        bias=bias(ones, twos, level=level),
    )


_FEW = "needs at least 2 answers that were graded twice; there are {}"


def weighted_kappa(
    first: Sequence[float], second: Sequence[float], *, level: float = LEVEL
) -> Kappa | TooFew:
    """Weights are squared distances of the grades themselves, so uneven steps are kept as they are.

    The interval is the large-sample one of Fleiss, Cohen & Everitt (1969).
    """
    if len(first) < 2:
        return TooFew(_FEW.format(len(first)))
    grades = sorted({*first, *second})
    if len(grades) < 2:
        return TooFew("every grade is the same, so agreement beyond chance is not defined")
    place = {grade: at for at, grade in enumerate(grades)}
    table = np.zeros((len(grades), len(grades)))
    for one, two in zip(first, second, strict=True):
        table[place[one], place[two]] += 1
    spread = grades[-1] - grades[0]
    scores = np.array([(grade - grades[0]) / spread for grade in grades])
    found = cohens_kappa(table, weights=scores, wt="quadratic")
    value, se = float(found.kappa), math.sqrt(max(float(found.var_kappa), 0))
    reach = float(stats.norm.ppf((1 + level) / 2)) * se
    return Kappa(len(first), value, Interval(max(value - reach, -1), min(value + reach, 1), level))


def icc(ratings: Sequence[Sequence[float]], *, level: float = LEVEL) -> Icc | TooFew:
    """One row an answer, one column a grader, from the mean squares of the two-way analysis of variance.

    The interval is that of Shrout & Fleiss (1979), p. 424, with Satterthwaite's degrees of freedom.
    """
    table = np.asarray(ratings, dtype=float)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 2:
        return TooFew(_FEW.format(len(ratings)))
    n, k = table.shape
    answers, graders, error = _mean_squares(table)
    if max(answers, graders, error) < 1e-12:
        return TooFew("every grade is the same, so a correlation is not defined")
    absolute = (answers - error) / (answers + (k - 1) * error + k * (graders - error) / n)
    consistency = (answers - error) / (answers + (k - 1) * error)
    if error < 1e-12:
        return (
            TooFew("the graders differ by the same amount everywhere; look at the bias alone")
            if (graders > 1e-12)
            else Icc(n, k, 1.0, Interval(1.0, 1.0, level), 1.0)
        )
    return Icc(n, k, absolute, _icc_interval(absolute, n, k, answers, graders, error, level), consistency)


def _mean_squares(table: Any) -> tuple[float, float, float]:
    """Between answers, between graders, residual."""
    n, k = table.shape
    rows, columns, all_ = table.mean(axis=1), table.mean(axis=0), table.mean()
    answers = k * float(((rows - all_) ** 2).sum()) / (n - 1)
    graders = n * float(((columns - all_) ** 2).sum()) / (k - 1)
    rest = table - rows[:, None] - columns[None, :] + all_
    return answers, graders, float((rest**2).sum()) / ((n - 1) * (k - 1))


def _icc_interval(
    value: float, n: int, k: int, answers: float, graders: float, error: float, level: float
) -> Interval:
    ratio = graders / error
    a = k * value * ratio
    b = n * (1 + (k - 1) * value) - k * value
    df = (k - 1) * (n - 1) * (a + b) ** 2 / ((n - 1) * (k * value * ratio) ** 2 + b**2)
    upper = float(stats.f.ppf((1 + level) / 2, n - 1, df))
    lower = float(stats.f.ppf((1 + level) / 2, df, n - 1))
    other = k * graders + (k * n - k - n) * error
    return Interval(
        n * (answers - upper * error) / (upper * other + n * answers),
        n * (lower * answers - error) / (other + n * lower * answers),
        level,
    )


def bias(first: Sequence[float], second: Sequence[float], *, level: float = LEVEL) -> Bias | TooFew:
    """Bland & Altman (1986): mean difference and limits of agreement, mean +- 1.96 standard deviations."""
    differences = sample(two - one for one, two in zip(first, second, strict=True))
    mean = mean_interval(differences, level=level, what="answers that were graded twice")
    if not mean.enough:
        return mean
    reach = float(stats.norm.ppf(0.975)) * mean.sd
    limits = Interval(mean.value - reach, mean.value + reach, 0.95)
    return Bias(mean.n, mean.value, mean.interval, mean.sd, limits)
