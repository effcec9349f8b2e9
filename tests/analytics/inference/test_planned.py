"""What the plan asks for: who counts, each sensitivity analysis, flow, attrition, baseline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analytics_app.inference import attrition, confirmatory, planned, redraw
from analytics_app.inference.confirmatory import CELLS
from analytics_app.inference.planned import Participant
from sessions_app.domain.content.package import load

PLAN = load(Path(__file__).parents[3] / "content" / "tredegar-iron-works-v1").plan
QUICK = PLAN.model_copy(update={"sensitivity": PLAN.sensitivity.model_copy(update={"randomizations": 99})})
PRIMARY = confirmatory.weights(PLAN.primary.by_location)


def people(n: int = 192, seed: int = 1) -> list[Participant]:
    random = np.random.default_rng(seed)
    found = []
    for i in range(n):
        baseline = float(random.normal(45, 15))
        found.append(
            Participant(
                student_id=f"s{i}",
                session_id=f"x{i}",
                condition=CELLS[i % 24],
                state="completed",
                stage="survey",
                baseline=baseline,
                final=20 + 0.6 * baseline + float(random.normal(0, 12)),
                content_percent=100,
                flags=frozenset(),
                school=f"school-{i % 5}",
                facilitator=f"f{i % 6}",
                age=16,
                grade=10,
                resident=i % 2 == 0,
            )
        )
    return found


def changed(found: list[Participant], places: range, **values: Any) -> list[Participant]:
    return [replace(one, **values) if place in places else one for place, one in enumerate(found)]


def draws(found: list[Participant]) -> list[redraw.Draw]:
    return [redraw.Draw(one.student_id, one.condition, "") for one in found]


def results(found: list[Participant]) -> planned.Results:
    return planned.results(QUICK, found, draws(found))


def row(found: planned.Results, label: str) -> Any:
    (one,) = [each for each in found.sensitivity if each.label.startswith(label)]
    return one.result


def test_the_primary_estimate_is_the_contrast_of_the_plan() -> None:
    found = results(people())
    assert found.primary.result == confirmatory.contrast(planned.sample_of(people()), PRIMARY)
    assert [each.label for each in found.secondary] == [each.label for each in PLAN.secondary]
    assert [each.label for each in found.exploratory] == [each.label for each in PLAN.exploratory]
    cells = [[one.final for one in people() if one.condition == cell] for cell in CELLS]
    pooled = np.mean([np.var(scores, ddof=1) for scores in cells])  # cells of the same size
    assert found.in_sd == pytest.approx(found.primary.result.value / np.sqrt(pooled))  # type: ignore[union-attr]
    assert found.randomization.enough


def test_only_flags_of_the_plan_exclude() -> None:
    flagged = changed(people(), range(10), flags=frozenset({"location_override"}))
    flagged = changed(flagged, range(10, 30), flags=frozenset({"ai_fallback", "late_sync"}))
    found = results(flagged)
    assert found.primary.result.n == 182  # type: ignore[union-attr]
    assert row(found, "With sessions that a design flag excludes").n == 192
    assert row(found, "Without the process flag ai fallback").n == 162
    assert row(found, "Without the process flag late sync").n == 162
    assert row(found, "Per protocol").n == 162


def test_per_protocol_needs_the_content() -> None:
    found = results(changed(people(), range(24), content_percent=79.9))
    assert row(found, "Per protocol").n == 168
    assert found.primary.result.n == 192  # type: ignore[union-attr]


def test_withdrawn_participants_are_in_no_analysis() -> None:
    found = results(changed(people(), range(24), state="withdrawn"))
    assert found.primary.result.n == 168  # type: ignore[union-attr]
    assert row(found, "Everyone allocated").n == 168


def test_who_dropped_out_is_imputed() -> None:
    found = results(changed(people(), range(24), final=None, state="abandoned", stage="content"))
    assert found.primary.result.n == 168  # type: ignore[union-attr]
    assert row(found, "Everyone allocated").n == 192


def test_the_forest_plot_never_gives_the_name_of_the_plan_to_another_estimate() -> None:
    """A cell is empty but for an excluded session: the plan has no estimate, a sensitivity analysis has."""
    found = [one for place, one in enumerate(people()) if place % 24 or place == 0]
    found = changed(found, range(1), flags=frozenset({"location_override"}))
    forest = results(found).forest()
    assert (forest[0]["analysis"], forest[0]["n"], forest[0]["value"]) == ("As planned", 0, None)
    assert [row["analysis"] for row in forest if row["n"]] == ["With sessions that a design flag excludes"]


def test_each_school_is_left_out_once_and_many_are_cut_to_the_extremes() -> None:
    sites = [each for each in results(people()).sensitivity if each.label.startswith("Without school")]
    assert [each.result.n for each in sites] == [153, 153, 154, 154, 154]  # type: ignore[union-attr]
    many = [replace(one, school=f"school-{place % 40}") for place, one in enumerate(people())]
    sites = [each for each in results(many).sensitivity if each.label.startswith("Without school")]
    assert len(sites) == planned.MAX_SITES_SHOWN


def test_a_flag_of_a_whole_arm_says_why_there_is_no_estimate() -> None:
    flagged = [
        replace(one, flags=frozenset({"offline_tutor"})) if one.condition.type == "dynamic" else one
        for one in people()
    ]
    result = row(results(flagged), "Without the process flag offline tutor")
    assert not result.enough
    assert "none in" in result.why


def test_participants_without_a_logged_draw_are_counted() -> None:
    found = planned.results(QUICK, people(), draws(people())[:-3])
    assert not found.randomization.enough
    assert "3 of 192 have no entry" in found.randomization.why


def test_nobody_at_all_has_no_estimate_and_no_error() -> None:
    found = planned.results(QUICK, [], [])
    assert not found.primary.result.enough
    assert found.in_sd is None
    assert [each.analyzed for each in planned.flow(PLAN, [])] == [0, 0]
    assert all(each.attrition is None for each in planned.balance(PLAN, []))


def test_the_flow_adds_up_and_names_reasons() -> None:
    found = changed(people(), range(6), state="stopped", final=None, content_percent=0)
    found = changed(found, range(6, 12), state="withdrawn")
    found = changed(found, range(12, 24), flags=frozenset({"condition_override"}))
    static, dynamic = planned.flow(PLAN, found)
    assert (static.type, dynamic.type) == ("static", "dynamic")
    assert static.allocated + dynamic.allocated == 192
    for arm in (static, dynamic):
        assert arm.allocated == arm.excluded + sum(n for _, n in arm.lost) + arm.analyzed
    assert dict(static.lost) == {"stopped by staff": 3, "withdrew": 3}
    assert static.started_content == 93


def test_table_one_has_every_location_and_arm_and_the_whole() -> None:
    groups = planned.table_one(people())
    assert [group.n for group in groups] == [24] * 8 + [96] * 2
    assert groups[0].residents == pytest.approx(100)  # even numbers are static cells
    assert groups[0].baseline.n == 24


@pytest.mark.parametrize(
    ("overall", "differential", "verdict"),
    [
        (10, 6.3, "low, within the cautious boundary"),
        (10, 6.5, "low only by the optimistic boundary"),
        (10, 11, "high"),
        (30, 4.1, "low, within the cautious boundary"),
        (30, 8.2, "low only by the optimistic boundary"),
        (70, 1, "high"),
    ],
)
def test_attrition_is_judged_by_the_boundaries(overall: float, differential: float, verdict: str) -> None:
    n = 10_000
    lost = [round(n * (overall + sign * differential / 2) / 100) for sign in (1, -1)]
    found = attrition.attrition((n, n), (n - lost[0], n - lost[1]))
    assert found is not None
    assert found.overall == pytest.approx(overall)
    assert found.differential == pytest.approx(differential)
    assert found.verdict == verdict


def test_between_two_rows_the_stricter_boundary_counts() -> None:
    found = attrition.attrition((1000, 1000), (695, 695))
    assert found is not None
    assert (found.cautious, found.optimistic) == (4.0, 8.0)
    assert attrition.attrition((0, 10), (0, 10)) is None


@pytest.mark.parametrize(
    ("effect", "verdict"),
    [(0.05, "equivalent"), (-0.2, "equivalent when adjusted"), (0.26, "not equivalent")],
)
def test_baseline_equivalence(effect: float, verdict: str) -> None:
    assert attrition.equivalence(effect) == verdict
