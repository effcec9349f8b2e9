"""The study's analysis: who is in it, what it says, and that it says so when there are too few."""

import math
import random
from dataclasses import fields, is_dataclass
from typing import Any

import pandas as pd
import pytest

from analytics_app.inference import ancova
from sessions_app.domain.store import keys

EFFECT = 10.0  # dynamic over static, at the place itself only


def cohort(each: int = 6, *, seed: int = 3) -> pd.DataFrame:
    """A session a student, `each` in every cell."""
    chance = random.Random(seed)
    rows = []
    for place, cell in enumerate(keys.CONDITIONS):
        for number in range(each):
            baseline = chance.gauss(45, 12)
            lift = EFFECT if (cell.location, cell.type) == ("on-site", "dynamic") else 0
            rows.append(
                {
                    "session_id": f"s{place:02}-{number}",
                    "student_id": f"p{place:02}-{number}",
                    "session_start": pd.Timestamp("2026-03-03T15:00:00Z") + pd.Timedelta(hours=len(rows)),
                    "condition": cell.code,
                    "location": cell.location,
                    "interval": cell.interval,
                    "type": cell.type,
                    "state": "completed",
                    "completed": True,
                    "flagged": False,
                    "baseline_score": baseline,
                    "final_score": 20 + 0.8 * baseline + lift + chance.gauss(0, 4),
                }
            )
    kinds = {"completed": "boolean", "flagged": "boolean"}
    scores = {"baseline_score": "Float64", "final_score": "Float64"}
    return pd.DataFrame(rows).astype({**kinds, **scores, "condition": "category", "state": "category"})


def changed(frame: pd.DataFrame, at: int, **values: Any) -> pd.DataFrame:
    frame = frame.astype({"state": "object"})
    for name, value in values.items():
        frame.loc[frame.index[at], name] = value
    return frame


def numbers(thing: Any) -> list[float]:
    """Every float of a result, however deep."""
    if isinstance(thing, float):
        return [thing]
    if is_dataclass(thing):
        return [each for one in fields(thing) for each in numbers(getattr(thing, one.name))]
    if isinstance(thing, tuple | list):
        return [each for one in thing for each in numbers(one)]
    return []


@pytest.fixture(scope="module")
def analysis() -> ancova.Analysis:
    return ancova.analyse(cohort())


@pytest.fixture(scope="module")
def result(analysis: ancova.Analysis) -> ancova.Ancova:
    assert analysis.result.enough
    return analysis.result


def test_the_table_has_the_covariate_and_all_factors_and_interactions(result: ancova.Ancova) -> None:
    assert {term.name: term.df for term in result.terms} == {
        "location": 3,
        "interval": 2,
        "type": 1,
        "location x interval": 6,
        "location x type": 3,
        "interval x type": 2,
        "location x interval x type": 6,
        "baseline_score": 1,
    }
    assert (result.n, result.residual_df) == (144, 144 - 25)


def test_what_was_put_in_is_found(result: ancova.Ancova) -> None:
    p = {term.name: term.p for term in result.terms}
    assert p["baseline_score"] < 1e-6
    assert p["location x type"] < 0.001


def test_partial_eta_lies_in_its_interval(result: ancova.Ancova) -> None:
    for term in result.terms:
        assert term.eta.interval.low <= term.eta.value
        assert term.eta.value == pytest.approx(
            term.sum_of_squares / (term.sum_of_squares + result.residual_squares)
        )


def test_an_adjusted_mean_stands_for_each_of_the_24_cells(result: ancova.Ancova) -> None:
    assert [mean.condition for mean in result.adjusted_means] == sorted(c.code for c in keys.CONDITIONS)
    assert all(mean.value in mean.interval for mean in result.adjusted_means)
    assert {mean.n for mean in result.adjusted_means} == {6}


def test_the_planned_contrasts_are_those_of_the_adjusted_means(result: ancova.Ancova) -> None:
    means = {mean.condition: mean.value for mean in result.adjusted_means}
    found = {contrast.label: contrast.value for contrast in result.contrasts}

    def mean(wanted: str) -> float:
        values = [value for code, value in means.items() if wanted in code]
        return sum(values) / len(values)

    assert len(found) == 9
    assert found["dynamic - static"] == pytest.approx(mean("-D") - mean("-S"))
    on_site = {code[3:]: value for code, value in means.items() if code.startswith("L1")}
    dynamic, static = ([v for code, v in on_site.items() if code.endswith(kind)] for kind in "DS")
    assert found["dynamic - static, on-site"] == pytest.approx(sum(dynamic) / 3 - sum(static) / 3)
    others = [value for code, value in means.items() if not code.startswith("L1")]
    assert found["on-site - other locations"] == pytest.approx(mean("L1-") - sum(others) / 18)


def test_the_contrast_that_was_put_in_is_near_its_size(result: ancova.Ancova) -> None:
    found = {contrast.label: contrast for contrast in result.contrasts}
    assert EFFECT in found["dynamic - static, on-site"].interval
    assert found["dynamic - static, on-site"].p_holm < 0.001
    assert found["dynamic - static, home"].p_holm > 0.05


def test_holm_never_makes_a_p_smaller(result: ancova.Ancova) -> None:
    assert all(contrast.p_holm >= contrast.p for contrast in result.contrasts)


def test_holm_on_a_worked_example() -> None:
    """Holm (1979): the smallest p times m, the next times m - 1, and so on, never falling.

    By hand for 0.01, 0.04, 0.03, 0.005, the example of R's and Wikipedia's pages on the method.
    """
    assert ancova.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert ancova.holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert ancova.holm([]) == []


def test_each_assumption_has_a_sentence(result: ancova.Ancova) -> None:
    assert [check.name for check in result.checks] == [
        "Normal residuals",
        "Equal variances",
        "Equal regression slopes",
        "No session outweighs the others",
    ]
    assert all(check.sentence.endswith(".") for check in result.checks)
    assert all(check.holds for check in result.checks)


# --- who is in it


def test_all_are_in_when_nothing_speaks_against_it(analysis: ancova.Analysis) -> None:
    assert (analysis.considered, analysis.n, analysis.exclusions) == (144, 144, ())
    assert set(analysis.cells.values()) == {6}


def test_each_exclusion_is_stated_with_its_sessions() -> None:
    sessions = cohort()
    sessions = changed(sessions, 0, state="withdrawn")
    sessions = changed(sessions, 1, completed=False, state="running")
    sessions = changed(sessions, 2, baseline_score=pd.NA)
    sessions = changed(sessions, 8, final_score=pd.NA)
    found = ancova.eligible(sessions)
    assert {one.reason: one.session_ids for one in found.exclusions} == {
        "withdrawn": ("s00-0",),
        "not completed": ("s00-1",),
        "no baseline score": ("s00-2",),
        "no final score": ("s01-2",),
    }
    assert len(found.sessions) + sum(one.n for one in found.exclusions) == found.considered == 144


def test_a_student_counts_once_in_the_first_condition() -> None:
    sessions = changed(cohort(), 7, student_id="p00-0")
    found = ancova.eligible(sessions.iloc[::-1])
    assert [(one.reason, one.session_ids) for one in found.exclusions] == [
        ("not in the student's first condition", ("s01-1",))
    ]
    assert "s00-0" in set(found.sessions["session_id"])


@pytest.mark.parametrize("lost", [{"completed": False, "state": "stopped"}, {"final_score": pd.NA}])
def test_the_furthest_attempt_in_the_first_condition_counts(lost: dict[str, Any]) -> None:
    sessions = changed(changed(cohort(), 1, student_id="p00-0"), 0, **lost)
    assert {"s00-1"} == attempts_of_the_first_student(sessions)


def test_of_two_whole_attempts_the_first_counts() -> None:
    sessions = changed(cohort(), 1, student_id="p00-0")
    assert {"s00-0"} == attempts_of_the_first_student(sessions)
    assert [one.reason for one in ancova.eligible(sessions).exclusions] == [
        "a later attempt of the same student"
    ]


@pytest.mark.parametrize("lost", [{"completed": False, "state": "stopped"}, {"final_score": pd.NA}])
def test_a_session_in_another_condition_never_stands_in_for_the_first_allocation(
    lost: dict[str, Any],
) -> None:
    """Otherwise whoever stops sessions of one arm would choose who is analyzed in the other."""
    sessions = changed(changed(cohort(), 7, student_id="p00-0"), 0, **lost)
    assert attempts_of_the_first_student(sessions) == set()


def attempts_of_the_first_student(sessions: pd.DataFrame) -> set[str]:
    analyzed = ancova.eligible(sessions).sessions
    return set(analyzed.loc[analyzed["student_id"] == "p00-0", "session_id"])


def test_flagged_sessions_stay_unless_asked_otherwise() -> None:
    sessions = changed(cohort(), 0, flagged=True)
    assert len(ancova.eligible(sessions).sessions) == 144
    without = ancova.eligible(sessions, with_flagged=False)
    assert [(one.reason, one.n) for one in without.exclusions] == [("has a data-quality flag", 1)]


# --- too few


def test_a_cell_with_one_session_is_named() -> None:
    sessions = cohort(2)
    sessions = sessions[~((sessions["condition"] == "L4-I3-S") & (sessions["session_id"].str.endswith("-1")))]
    found = ancova.analyse(sessions)
    assert not found.result.enough
    assert found.result.why == "needs at least 2 sessions in each of the 24 cells; L4-I3-S has 1"
    assert found.n == 47


def test_many_short_cells_are_counted() -> None:
    found = ancova.analyse(cohort(1))
    assert not found.result.enough
    assert found.result.why.endswith("L1-I1-S has 1, L1-I1-D has 1, L1-I2-S has 1, 21 more have too few")


def test_no_sessions_is_too_few() -> None:
    found = ancova.analyse(cohort().iloc[:0])
    assert not found.result.enough
    assert found.result.why == "needs at least 2 sessions in each of the 24 cells; there are none"


@pytest.mark.parametrize("column", ["baseline_score", "final_score"])
def test_scores_that_do_not_vary_are_too_few(column: str) -> None:
    found = ancova.analyse(cohort(2).assign(**{column: 50.0}))
    assert not found.result.enough
    assert "the same" in found.result.why


@pytest.mark.parametrize("column", ["baseline_score", "final_score"])
def test_scores_that_vary_between_the_cells_alone_are_too_few(column: str) -> None:
    sessions = cohort(3)
    by_cell = sessions.groupby("condition", observed=True)[column].transform("first")
    found = ancova.analyse(sessions.assign(**{column: by_cell}))
    assert not found.result.enough
    assert f"every {column.split('_')[0]} score is the same" in found.result.why


def test_a_model_without_any_error_gives_no_number() -> None:
    sessions = cohort(3)
    found = ancova.analyse(sessions.assign(final_score=sessions["baseline_score"] + 10))
    assert not found.result.enough
    assert "exactly" in found.result.why


def test_two_a_cell_are_enough_and_no_number_is_nan() -> None:
    found = ancova.analyse(cohort(2))
    assert found.result.enough
    assert found.result.n == 48
    told = numbers(found.result)
    assert len(told) > 200
    assert all(math.isfinite(number) for number in told)
