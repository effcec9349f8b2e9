"""The study's main analysis: final score on baseline with location, interval and type, and what follows.

Sessions come as a frame with one row each (see `dashboards.analysis`). Scores are in percent of the points,
so sums, differences and adjusted means are in percentage points. docs/statistics.md explains the choices.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from statsmodels.stats.multitest import multipletests  # type: ignore[import-untyped]

from sessions_app.domain.store import keys

from . import assumptions, factorial
from .results import LEVEL, Interval, TooFew

FACTORS = ("location", "interval", "type")
MIN_CELL_SIZE = 2
LABELS = {"baseline_score": "baseline score", "type": "intervention type"}
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Sessions left out for one reason; a session is counted under the first that applies."""

    reason: str
    session_ids: tuple[str, ...]

    @property
    def n(self) -> int:
        return len(self.session_ids)


@dataclass(frozen=True, slots=True, eq=False)
class Eligible:
    """The sessions that are analysed, and those that are not."""

    sessions: pd.DataFrame
    considered: int
    exclusions: tuple[Exclusion, ...]


@dataclass(frozen=True, slots=True)
class AdjustedMean:
    """A cell's final score for a student with the mean baseline."""

    condition: str
    n: int
    value: float
    se: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Contrast:
    """A planned difference of adjusted means, cells weighted equally. `p_holm` is adjusted over all of them.

    The interval is that of this contrast alone.
    """

    label: str
    value: float
    se: float
    t: float
    df: int
    p: float
    p_holm: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Ancova:
    n: int
    terms: tuple[factorial.Term, ...]
    residual_df: int
    residual_squares: float
    r_squared: float
    mean_baseline: float
    adjusted_means: tuple[AdjustedMean, ...]
    contrasts: tuple[Contrast, ...]
    checks: tuple[assumptions.Check, ...]
    enough: Literal[True] = field(default=True, init=False)


@dataclass(frozen=True, slots=True)
class Analysis:
    """The analysis with what it stands on: `cells` are analysed sessions by condition code, all 24."""

    considered: int
    n: int
    exclusions: tuple[Exclusion, ...]
    cells: dict[str, int]
    result: Ancova | TooFew


# --- who is analysed


def eligible(sessions: pd.DataFrame, *, with_flagged: bool = True) -> Eligible:
    """Completed sessions with both scores, one of each student.

    A student is analyzed as first allocated: the condition of the earliest session, whatever became of it.
    Of the attempts in this condition the furthest counts, which is the first that has both scores.
    """
    left = sessions.sort_values(["session_start", "session_id"], kind="stable")
    exclusions: list[Exclusion] = []

    def leave_out(reason: str, out: Any) -> None:
        nonlocal left
        out = out.fillna(False).astype(bool)
        if out.any():
            exclusions.append(Exclusion(reason, tuple(map(str, left.loc[out, "session_id"]))))
            left = left.loc[~out]

    allocated = left.groupby("student_id")["condition"].transform("first")
    leave_out("not in the student's first condition", left["condition"] != allocated)
    leave_out("withdrawn", left["state"] == "withdrawn")
    leave_out("not completed", ~left["completed"].fillna(False))
    leave_out("no baseline score", left["baseline_score"].isna())
    leave_out("no final score", left["final_score"].isna())
    if not with_flagged:
        leave_out("has a data-quality flag", left["flagged"])
    leave_out("a later attempt of the same student", left.duplicated("student_id"))
    return Eligible(left, len(sessions), tuple(exclusions))


# --- the analysis


def analyse(sessions: pd.DataFrame, *, with_flagged: bool = True, level: float = LEVEL) -> Analysis:
    """The 4 x 3 x 2 analysis of covariance over the eligible sessions."""
    chosen = eligible(sessions, with_flagged=with_flagged)
    counted = chosen.sessions["condition"].astype(str).value_counts().to_dict()
    cells = {cell.code: int(counted.get(cell.code, 0)) for cell in keys.CONDITIONS}
    why = shortage(cells) or _constant(chosen.sessions)
    return Analysis(
        considered=chosen.considered,
        n=len(chosen.sessions),
        exclusions=chosen.exclusions,
        cells=cells,
        result=TooFew(why) if why else _ancova(chosen.sessions, cells, level),
    )


def shortage(cells: dict[str, int]) -> str | None:
    """Why there are too few sessions for the analysis, or None."""
    few = {code: n for code, n in cells.items() if n < MIN_CELL_SIZE}
    if not few:
        return None
    need = f"needs at least {MIN_CELL_SIZE} sessions in each of the {len(cells)} cells; "
    if len(few) == len(cells) and not any(cells.values()):
        return need + "there are none"
    named = [f"{code} has {n}" for code, n in list(few.items())[:3]]
    more = [f"{len(few) - 3} more have too few"] if len(few) > 3 else []
    return need + ", ".join(named + more)


def _constant(sessions: pd.DataFrame) -> str | None:
    for name in ("baseline_score", "final_score"):
        if sessions[name].nunique() < 2:
            return f"needs scores that vary; every {name.split('_')[0]} score is the same"
    for name in ("baseline_score", "final_score"):
        scores = sessions[name].astype(float)
        within = scores - scores.groupby(sessions["condition"], observed=True).transform("mean")
        if np.allclose(within, 0):
            told = name.split("_")[0]
            return f"needs scores that vary within the cells; in each cell every {told} score is the same"
    return None


def _ancova(sessions: pd.DataFrame, cells: dict[str, int], level: float) -> Ancova | TooFew:
    fit = factorial.fit(sessions, outcome="final_score", covariate="baseline_score", factors=FACTORS)
    if fit.residual_squares <= 1e-9 * fit.model.centered_tss:
        return TooFew("the model fits every score exactly, so nothing is left to measure chance by")
    return Ancova(
        n=fit.n,
        terms=tuple(factorial.terms(fit)),
        residual_df=fit.residual_df,
        residual_squares=fit.residual_squares,
        r_squared=float(fit.model.rsquared),
        mean_baseline=float(fit.covariate_mean or 0),
        adjusted_means=tuple(_adjusted_means(fit, cells, level)),
        contrasts=tuple(contrasts(fit, planned(), level=level)),
        checks=tuple(assumptions.all_of(fit, [str(one) for one in sessions["session_id"]])),
    )


def _adjusted_means(fit: factorial.Fit, cells: dict[str, int], level: float) -> Iterable[AdjustedMean]:
    order = sorted(fit.cells, key=lambda cell: keys.Condition(*cell).code)
    found = fit.model.t_test(np.array([fit.cell_row(cell) for cell in order]))
    limits = found.conf_int(1 - level)
    for place, cell in enumerate(order):
        code = keys.Condition(*cell).code
        interval = Interval(float(limits[place][0]), float(limits[place][1]), level)
        yield AdjustedMean(
            code, cells[code], float(found.effect[place]), float(np.ravel(found.sd)[place]), interval
        )


# --- contrasts

Weights = dict[tuple[str, ...], float]


def planned() -> dict[str, Weights]:
    """The nine contrasts of the study: dynamic against static, over all and at each location, and each
    location against the mean of the other three."""
    plan = {"dynamic - static": _dynamic_minus_static(keys.LOCATIONS.values())}
    for place in keys.LOCATIONS.values():
        plan[f"dynamic - static, {place}"] = _dynamic_minus_static([place])
    for place in keys.LOCATIONS.values():
        others = [other for other in keys.LOCATIONS.values() if other != place]
        plan[f"{place} - other locations"] = _mean_of([place], 1) | _mean_of(others, -1)
    return plan


def _dynamic_minus_static(places: Iterable[str]) -> Weights:
    cells = [(place, interval) for place in places for interval in keys.INTERVALS.values()]
    signs = {"dynamic": 1 / len(cells), "static": -1 / len(cells)}
    return {(*cell, kind): weight for cell in cells for kind, weight in signs.items()}


def _mean_of(places: list[str], sign: int) -> Weights:
    cells = [
        (place, interval, kind)
        for place in places
        for interval in keys.INTERVALS.values()
        for kind in keys.TYPES.values()
    ]
    return dict.fromkeys(cells, sign / len(cells))


def contrasts(fit: factorial.Fit, plan: dict[str, Weights], *, level: float = LEVEL) -> list[Contrast]:
    """Contrasts of adjusted means by t tests on the model; p also adjusted over all by Holm (1979)."""
    rows = np.array(
        [sum(weight * fit.cell_row(cell) for cell, weight in weights.items()) for weights in plan.values()]
    )
    found = fit.model.t_test(rows)
    limits, raw = found.conf_int(1 - level), np.ravel(found.pvalue)
    adjusted = holm([float(p) for p in raw])
    return [
        Contrast(
            label=label,
            value=float(np.ravel(found.effect)[place]),
            se=float(np.ravel(found.sd)[place]),
            t=float(np.ravel(found.tvalue)[place]),
            df=fit.residual_df,
            p=float(raw[place]),
            p_holm=adjusted[place],
            interval=Interval(float(limits[place][0]), float(limits[place][1]), level),
        )
        for place, label in enumerate(plan)
    ]


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down adjustment, in the order given."""
    return [float(p) for p in multipletests(p_values, method="holm")[1]] if p_values else []
