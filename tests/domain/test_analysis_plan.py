"""The analysis plan: two accounts lock it, an amendment needs a reason, two more unlock the results."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sessions_app.domain import analysis_plan
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.content.package import AnalysisPlan
from sessions_app.domain.models import InvalidField, PlanVersion

from .cast import ADMIN, FACILITATOR, IRB, NOON, PACKAGE, at_once, enrol, start

PLAN = PACKAGE.plan
RESEARCHER, BOTH = Actor("researcher", "researcher"), Actor("pi", "admin+researcher")
LATER = NOON + timedelta(hours=1)
Everything = Callable[[], list[dict[str, Any]]]


def amended(text: str = "\n# A remark.\n") -> AnalysisPlan:
    return PLAN.model_copy(update={"text": PLAN.text + text, "plan_version": "1.1"})


def lock(plan: AnalysisPlan = PLAN, reason: str = "") -> None:
    analysis_plan.sign(plan, "researcher", reason=reason, by=RESEARCHER, now=NOON)
    analysis_plan.sign(plan, "review", by=IRB, now=LATER)


def actions(everything: Everything, prefix: str) -> list[str]:
    return [item["action"] for item in everything() if str(item.get("action", "")).startswith(prefix)]


def test_one_signature_locks_nothing_and_the_second_locks(table: str, everything: Everything) -> None:
    analysis_plan.sign(PLAN, "researcher", by=RESEARCHER, now=NOON)
    there = analysis_plan.standing(PLAN)
    assert not there.is_locked
    assert there.open_slots("lock") == ["review"]
    analysis_plan.sign(PLAN, "review", by=IRB, now=LATER)
    there = analysis_plan.standing(PLAN)
    assert there.is_locked
    assert not there.is_unlocked
    (version,) = PlanVersion.all()
    assert (version.sha256, version.text) == (PLAN.sha256, PLAN.text)
    assert (version.locked_at, version.first_real_session) == (LATER, None)
    assert (version.lock.researcher, version.lock.review, version.lock.review_role) == (
        "researcher",
        "irb",
        "irb",
    )
    assert actions(everything, "plan.") == ["plan.sign", "plan.sign"]


def test_signed_again_nothing_changes(table: str, everything: Everything) -> None:
    lock()
    before = everything()
    lock()
    assert everything() == before


def test_one_account_cannot_give_both_signatures(table: str) -> None:
    analysis_plan.sign(PLAN, "researcher", by=BOTH, now=NOON)
    with pytest.raises(analysis_plan.NotAllowed, match="another account"):
        analysis_plan.sign(PLAN, "review", by=BOTH, now=NOON)
    assert not analysis_plan.standing(PLAN).is_locked


@pytest.mark.parametrize(
    ("slot", "by"),
    [("researcher", IRB), ("researcher", ADMIN), ("review", RESEARCHER), ("review", FACILITATOR)],
)
def test_a_signature_needs_its_role(table: str, slot: analysis_plan.Slot, by: Actor) -> None:
    with pytest.raises(analysis_plan.NotAllowed):
        analysis_plan.sign(PLAN, slot, by=by, now=NOON)
    assert PlanVersion.all() == []


def test_an_amendment_needs_a_reason_and_both_signatures_again(table: str) -> None:
    lock()
    with pytest.raises(InvalidField, match="reason"):
        analysis_plan.sign(amended(), "researcher", by=RESEARCHER, now=LATER)
    assert not analysis_plan.standing(amended()).is_locked
    lock(amended(), "The school year ends earlier.")
    first, second = PlanVersion.all()
    assert (first.reason, second.reason) == (None, "The school year ends earlier.")
    assert (first.sha256, second.sha256) == (PLAN.sha256, amended().sha256)
    assert analysis_plan.standing(amended()).is_locked


def test_a_draft_changed_before_it_was_locked_is_no_amendment(table: str) -> None:
    analysis_plan.sign(PLAN, "researcher", by=RESEARCHER, now=NOON)
    assert not analysis_plan.standing(amended()).is_amendment
    lock(amended())
    assert [bool(version.locked_at) for version in PlanVersion.all()] == [False, True]


def test_a_lock_after_the_first_real_session_says_so(table: str) -> None:
    session = start(enrol()).session
    lock()
    assert PlanVersion.all()[0].first_real_session == session.start


def test_results_are_unlocked_by_two_accounts_after_the_lock(table: str, everything: Everything) -> None:
    with pytest.raises(analysis_plan.NotAllowed, match="not locked"):
        analysis_plan.unlock(PLAN, "researcher", by=RESEARCHER, now=NOON)
    lock()
    analysis_plan.unlock(PLAN, "researcher", by=BOTH, now=LATER)
    with pytest.raises(analysis_plan.NotAllowed, match="another account"):
        analysis_plan.unlock(PLAN, "review", by=BOTH, now=LATER)
    assert not analysis_plan.standing(PLAN).is_unlocked
    analysis_plan.unlock(PLAN, "review", by=ADMIN, now=LATER)
    assert analysis_plan.standing(PLAN).is_unlocked
    assert not analysis_plan.standing(amended()).is_unlocked
    assert actions(everything, "plan.unlock") == ["plan.unlock", "plan.unlock"]


def test_two_first_signatures_at_once_are_one_version(table: str) -> None:
    given: list[tuple[Actor, analysis_plan.Slot]] = [(RESEARCHER, "researcher"), (IRB, "review")]

    def sign(number: int) -> None:
        by, slot = given[number]
        analysis_plan.sign(PLAN, slot, by=by, now=NOON)

    at_once(2, sign)
    (version,) = PlanVersion.all()
    assert version.lock.researcher or version.lock.review
