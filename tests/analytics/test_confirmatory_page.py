"""The confirmatory page: masked and audited until two roles unlock it, then the estimate of the plan."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest

from analytics_app.dashboards import confirmatory
from analytics_app.views import results
from sessions_app import study
from sessions_app.domain import analysis_plan
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.models import AllocationEntry, AuditEntry, Session
from support.cast import signed_in
from tests.analytics import cohort

pytestmark = pytest.mark.django_db

PAGE = "/results/confirmatory/"


def text(response: Any) -> str:
    return " ".join(unescape(response.content.decode()).split())


def unlock() -> None:
    plan, now = study.package().plan, study.now()
    for act in (analysis_plan.sign, analysis_plan.unlock):
        act(plan, "researcher", by=Actor("r", "researcher"), now=now)
        act(plan, "review", by=Actor("i", "irb"), now=now)


def looks() -> int:
    return sum(entry.action == "results.look" for entry in AuditEntry.on_day(study.now().date()))


def study_of(n: int, *, simulated: bool = False) -> None:
    """n students in the 24 cells in turn, with scores."""
    chance = random.Random(3)
    for i in range(n):
        code = f"L{i % 4 + 1}-I{i // 4 % 3 + 1}-{'SD'[i // 12 % 2]}"
        session = cohort.session(code, state="completed", simulated=simulated)
        session.save()
        cohort.assessment(session, "baseline", round(chance.uniform(20, 60), 1)).save()
        cohort.assessment(session, "final", round(chance.uniform(50, 90), 1)).save()


def test_until_it_is_unlocked_arms_are_masked_no_outcome_is_shown_and_looks_are_audited(table: str) -> None:
    study_of(48)
    page = text(signed_in("researcher").get(PAGE))
    assert "Results are not unlocked." in page
    assert "95% CI" not in page
    assert "Static" not in page
    assert "Dynamic" not in page
    assert "Participant flow (CONSORT 2010)" in page
    assert looks() == 1


def test_unlocked_it_shows_the_estimate_of_the_plan(table: str) -> None:
    study_of(72)
    unlock()
    page = text(signed_in("researcher").get(PAGE))
    found = confirmatory.results(study.package().plan, confirmatory.read("real"))
    assert found.primary.result.enough
    assert f"n = {found.primary.result.n}, t({found.primary.result.df})" in page
    assert "Location is not assigned at random" in page
    assert "Secondary" in page
    assert "Exploratory" in page
    assert looks() == 0


def test_it_shows_real_sessions_unless_another_realm_is_asked_for(table: str) -> None:
    study_of(48, simulated=True)
    client = signed_in("researcher")
    assert len(confirmatory.read("real").people) == 0
    assert len(confirmatory.read("simulated").people) == 48
    page = text(client.get(f"{PAGE}?realm=simulated"))
    assert "Simulated sessions only." in page
    assert "95% CI" in page
    assert looks() == 0
    assert client.get(f"{PAGE}?realm=other").status_code == 400


def test_an_empty_study_has_a_page(table: str) -> None:
    unlock()
    assert "No estimate." in text(signed_in("admin").get(PAGE))


def test_the_chart_is_withheld_as_the_page_is(table: str) -> None:
    client = signed_in("researcher")
    response = client.get("/dashboards/charts/primary_forest.csv")
    assert response.status_code == 422
    assert "not unlocked" in response.content.decode()
    unlock()
    assert client.get("/dashboards/charts/primary_forest.csv").status_code == 200


def test_the_first_allocation_counts_and_of_it_the_furthest_attempt(table: str) -> None:
    student = cohort.new_id()
    days = [datetime(2026, 3, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
    cohort.session("L1-I1-S", student_id=student, start=days[0], state="stopped").save()
    second = cohort.session("L1-I1-S", student_id=student, start=days[1], state="completed")
    second.save()
    cohort.session("L4-I1-D", student_id=student, start=days[2], state="completed").save()
    (person,) = confirmatory.read("real").people
    assert person.session_id == second.session_id
    assert (person.condition.code, person.state) == ("L1-I1-S", "completed")


def test_a_void_session_is_no_allocation(table: str) -> None:
    session = cohort.session("L1-I1-S", state="completed")
    session.metadata.void = {"at": study.now(), "by": "x", "kind": "spoiled", "reason": "rain"}
    session.save()
    found = confirmatory.read("real")
    assert (len(found.people), found.void) == (0, 1)


def test_a_new_score_is_read_again(table: str) -> None:
    session = cohort.session("L1-I1-S", state="completed")
    session.save()
    assert confirmatory.read("real").people[0].final is None
    cohort.assessment(session, "final", 60.0).save()
    session.update(actions=[Session.metadata.version.set(2)])
    assert confirmatory.read("real").people[0].final == pytest.approx(60)


def test_the_mask_is_the_same_for_all_and_names_both_arms(table: str) -> None:
    arms = results.masked_arms(study.package().plan)
    assert sorted(arms) == ["dynamic", "static"]
    assert sorted(arms.values()) == ["A", "B"]
    assert arms == results.masked_arms(study.package().plan)


def test_an_entry_of_the_log_without_a_condition_is_no_draw(table: str) -> None:
    for number, code in enumerate(("L1-I1-S", "L9-I1-S", "")):
        AllocationEntry.new(
            location="on-site",
            session_id=f"x{number}",
            at=study.now(),
            student_id=f"s{number}",
            condition_code=code,
            method="balanced",
            by="x",
            candidates=[],
        ).save()
    assert [draw.student_id for draw in confirmatory.read("real").draws] == ["s0"]
