"""A factorial analysis of (co)variance: ordinary least squares, sum contrasts, type III sums of squares."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from scipy import optimize, special, stats  # type: ignore[import-untyped]
from statsmodels.formula.api import ols  # type: ignore[import-untyped]
from statsmodels.stats.anova import anova_lm  # type: ignore[import-untyped]

from .results import Interval

ETA_LEVEL = 0.90  # of an F test at 5 %, which has one side: the interval holds 0 just when p > 0.05
_SPECIAL_LIMIT = 9_999.0  # scipy's inverse of the noncentral F ends at 10,000


@dataclass(frozen=True, slots=True)
class Eta:
    """Partial eta squared: the share of what the other terms leave that this term explains."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Term:
    """A row of the table. `factors` is empty for the covariate; squares are in squared outcome units."""

    name: str
    factors: tuple[str, ...]
    df: int
    sum_of_squares: float
    f: float
    p: float
    eta: Eta


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A fitted model. `covariate` is centred at `covariate_mean`; cells are tuples of factor levels."""

    outcome: str
    covariate: str | None
    covariate_mean: float | None
    factors: tuple[str, ...]
    levels: dict[str, tuple[str, ...]]
    model: Any

    @property
    def n(self) -> int:
        return int(self.model.nobs)

    @property
    def residual_df(self) -> int:
        return int(self.model.df_resid)

    @property
    def residual_squares(self) -> float:
        return float(self.model.ssr)

    @property
    def cells(self) -> list[tuple[str, ...]]:
        return list(itertools.product(*(self.levels[name] for name in self.factors)))

    def cell_row(self, cell: tuple[str, ...]) -> Any:
        """The design row of a cell at the mean of the covariate, taken from any of its sessions."""
        data = self.model.model.data.frame
        inside = np.logical_and.reduce(
            [data[name] == level for name, level in zip(_safe(self), cell, strict=True)]
        )
        row = self.model.model.exog[np.flatnonzero(inside)[0]].copy()
        if self.covariate is not None:
            row[self.model.model.exog_names.index("covariate")] = 0
        return row


def _safe(fit: Fit) -> list[str]:
    return [f"factor{place}" for place in range(len(fit.factors))]


def fit(frame: pd.DataFrame, *, outcome: str, factors: Sequence[str], covariate: str | None = None) -> Fit:
    """All factors with all their interactions. Every cell must hold a row, and no value may be missing."""
    names = {f"factor{place}": name for place, name in enumerate(factors)}
    data = pd.DataFrame({safe: frame[name].astype(str).to_numpy() for safe, name in names.items()})
    data["outcome"] = frame[outcome].to_numpy(dtype=float)
    middle = None
    if covariate is not None:
        values = frame[covariate].to_numpy(dtype=float)
        middle = float(values.mean())
        data["covariate"] = values - middle
    crossed = " * ".join(f"C({safe}, Sum)" for safe in names)
    model = ols(f"outcome ~ {'covariate + ' if covariate else ''}{crossed}", data=data).fit()
    levels = {name: tuple(sorted(data[safe].unique())) for safe, name in names.items()}
    return Fit(outcome, covariate, middle, tuple(factors), levels, model)


def terms(fit: Fit, *, level: float = ETA_LEVEL) -> list[Term]:
    """The covariate first, then factors and interactions as the formula has them. Type III."""
    table = anova_lm(fit.model, typ=3)
    names = dict(zip(_safe(fit), fit.factors, strict=True))
    return [
        _term(fit, row, names, str(label), level)
        for label, row in table.iterrows()
        if label not in ("Intercept", "Residual")
    ]


def _term(fit: Fit, row: Any, names: dict[str, str], label: str, level: float) -> Term:
    factors = tuple(name for safe, name in names.items() if f"C({safe}," in label)
    df, squares, f = round(row["df"]), float(row["sum_sq"]), float(row["F"])
    return Term(
        name=" x ".join(factors) or str(fit.covariate),
        factors=factors,
        df=df,
        sum_of_squares=squares,
        f=f,
        p=float(row["PR(>F)"]),
        eta=partial_eta(f, df, fit.residual_df, level=level),
    )


def partial_eta(f: float, df: int, residual_df: int, *, level: float = ETA_LEVEL) -> Eta:
    """F df / (F df + residual df); limits l / (l + df + residual df + 1) of the noncentrality l.

    Smithson (2003), eq. 5.17 to 5.19, after Steiger & Fouladi (1997).
    """
    limits = noncentral_f(f, df, residual_df, level=level)
    size = df + residual_df + 1
    interval = Interval(limits.low / (limits.low + size), limits.high / (limits.high + size), level)
    return Eta(f * df / (f * df + residual_df), interval)


def noncentral_f(f: float, df: int, residual_df: int, *, level: float = ETA_LEVEL) -> Interval:
    """The noncentralities under which an observed F lies at the upper and the lower end; 0 at least."""
    tail = (1 - level) / 2
    return Interval(
        _noncentrality(f, df, residual_df, 1 - tail), _noncentrality(f, df, residual_df, tail), level
    )


def _noncentrality(f: float, df: int, residual_df: int, share: float) -> float:
    """The noncentrality with `share` of the distribution below f."""
    if stats.f.cdf(f, df, residual_df) <= share:
        return 0.0
    found = float(special.ncfdtrinc(df, residual_df, share, f))
    if found < _SPECIAL_LIMIT:
        return found
    high = f * df * 4
    return float(
        optimize.brentq(lambda nc: stats.ncf.cdf(f, df, residual_df, nc) - share, _SPECIAL_LIMIT / 2, high)
    )
