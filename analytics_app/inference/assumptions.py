"""What the analysis takes for granted, looked at, and told in a sentence each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats  # type: ignore[import-untyped]
from statsmodels.formula.api import ols  # type: ignore[import-untyped]
from statsmodels.stats.anova import anova_lm  # type: ignore[import-untyped]

from . import factorial
from .results import p_text

ALPHA = 0.05
SHAPIRO_MOST = 5_000  # above that Shapiro-Wilk has no exact p
MIN_FOR_VARIANCE = 3  # two values lie equally far from their median, whatever they are


@dataclass(frozen=True, slots=True)
class Check:
    """`holds` is None where the check cannot be made. `session_ids` are those to look at, if any."""

    name: str
    holds: bool | None
    sentence: str
    statistic: float | None = None
    p: float | None = None
    session_ids: tuple[str, ...] = ()


def all_of(fit: factorial.Fit, session_ids: Sequence[str]) -> list[Check]:
    """`session_ids` are in the order of the fitted rows."""
    return [normality(fit), equal_variances(fit), equal_slopes(fit), influence(fit, session_ids)]


def normality(fit: factorial.Fit) -> Check:
    """Shapiro-Wilk on the residuals; above 5,000 sessions D'Agostino and Pearson's test."""
    name = "Normal residuals"
    if fit.n > SHAPIRO_MOST:
        test, letter, title = stats.normaltest(fit.model.resid), "K2", "D'Agostino-Pearson"
    else:
        test, letter, title = stats.shapiro(fit.model.resid), "W", "Shapiro-Wilk"
    statistic, p = float(test.statistic), float(test.pvalue)
    told = f"{title} {letter} = {statistic:.3f}, {p_text(p)}, {fit.n:,} residuals."
    if p >= ALPHA:
        return Check(name, True, f"The residuals look normal. {told}", statistic, p)
    means = "F tests stand this where cells are of like size, but p-values near 0.05 should not be leaned on."
    return Check(name, False, f"The residuals are not normal. {told} {means}", statistic, p)


def _cells(fit: factorial.Fit) -> Any:
    """A number for each row, the same within a cell."""
    data = fit.model.model.data.frame
    return data.groupby([f"factor{place}" for place in range(len(fit.factors))]).ngroup().to_numpy()


def equal_variances(fit: factorial.Fit) -> Check:
    """Brown and Forsythe (1974): Levene's test around the medians, on residuals by cell."""
    name = "Equal variances"
    cells, residuals = _cells(fit), fit.model.resid.to_numpy()
    groups = [residuals[cells == cell] for cell in np.unique(cells)]
    least = min(len(group) for group in groups)
    if least < MIN_FOR_VARIANCE:
        need = f"needs at least {MIN_FOR_VARIANCE} sessions in each cell; the smallest has {least}"
        return Check(name, None, f"Equal variances are not testable: the test {need}.")
    with np.errstate(divide="ignore", invalid="ignore"):
        test = stats.levene(*groups, center="median")
    statistic, p = float(test.statistic), float(test.pvalue)
    if not np.isfinite(statistic):
        return Check(
            name,
            None,
            "Equal variances are not testable: all scores in a cell are equally far from its mean.",
        )
    told = f"Brown-Forsythe F = {statistic:.2f}, {p_text(p)}, {len(groups)} cells."
    if p >= ALPHA:
        return Check(name, True, f"The cells vary alike around their adjusted means. {told}", statistic, p)
    spread = sorted(float(np.std(group, ddof=1)) for group in groups)
    means = (
        f"Standard deviations go from {spread[0]:.1f} to {spread[-1]:.1f}; where small cells vary most, "
        "p-values come out too small."
    )
    return Check(name, False, f"The cells do not vary alike. {told} {means}", statistic, p)


def equal_slopes(fit: factorial.Fit) -> Check:
    """An F test of the covariate's interactions with each of the factors, added to the model together."""
    name = "Equal regression slopes"
    model = fit.model.model
    slopes = " + ".join(f"covariate:C(factor{place}, Sum)" for place in range(len(fit.factors)))
    wider = ols(f"{model.formula} + {slopes}", data=model.data.frame).fit()
    if wider.df_resid < 1 or wider.ssr <= 1e-9 * wider.centered_tss:
        return Check(name, None, "Equal slopes are not testable: too few sessions.")
    row = anova_lm(fit.model, wider).iloc[1]
    statistic, p = float(row["F"]), float(row["Pr(>F)"])
    told = f"F({round(row['df_diff'])}, {round(wider.df_resid)}) = {statistic:.2f}, {p_text(p)}."
    if p >= ALPHA:
        found = "The final score rises with the baseline alike in all conditions."
        return Check(name, True, f"{found} {told}", statistic, p)
    means = (
        "Differences between conditions then depend on the baseline; the adjusted means hold for a student "
        "with the mean baseline only."
    )
    found = "The final score does not rise with the baseline alike in all conditions."
    return Check(name, False, f"{found} {told} {means}", statistic, p)


def influence(fit: factorial.Fit, session_ids: Sequence[str]) -> Check:
    """Cook's (1977) distance: above 1 a session bends the results, above 4/n it is worth a look."""
    name = "No session outweighs the others"
    distances = np.nan_to_num(fit.model.get_influence().cooks_distance[0], nan=0.0, posinf=np.inf)
    largest = float(distances.max())
    look = np.argsort(-distances)[: int((distances > 4 / fit.n).sum())]
    ids = tuple(session_ids[place] for place in look)
    told = f"The largest Cook's distance is {largest:.2f}; {len(ids)} of {fit.n:,} are above 4/n."
    if largest <= 1:
        return Check(name, True, f"No single session carries the results. {told}", largest, None, ids)
    strong = int((distances > 1).sum())
    found = f"{strong} session{' weighs' if strong == 1 else 's weigh'} so much that results change without."
    return Check(name, False, f"{found} {told} Look at them before reporting.", largest, None, ids)
