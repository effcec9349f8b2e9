"""The page of the analysis plan: what it says, who signs, and what it shows afterwards."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest
from django.test import Client

from sessions_app import study
from support.cast import signed_in

pytestmark = pytest.mark.django_db


def text(response: Any) -> str:
    return " ".join(unescape(response.content.decode()).split())


def sign(client: Client, slot: str, purpose: str = "lock", **fields: str) -> str:
    values = {"slot": slot, "purpose": purpose, "sha256": study.package().plan.sha256, **fields}
    return text(client.post("/study/plan/sign/", values, follow=True))


def test_it_shows_the_plan_and_its_hash_to_every_reader(table: str) -> None:
    for role in ("researcher", "irb", "admin"):
        page = text(signed_in(role).get("/study/plan/"))
        assert study.package().plan.sha256 in page
        assert "(dynamic − static) on site, minus its mean at the other locations" in page
        assert "Not locked." in page


def test_two_roles_lock_it_and_two_unlock_the_results(table: str) -> None:
    researcher, board = signed_in("researcher"), signed_in("irb")
    assert "Not locked." in sign(researcher, "researcher")
    assert "Sign as researcher" not in text(researcher.get("/study/plan/"))
    locked = sign(board, "review")
    assert "No real session had started by then." in locked
    assert "Sign to unlock as reviewer" in locked
    assert "Unlocked" not in sign(board, "review", "unlock")
    assert "Unlocked" in sign(researcher, "researcher", "unlock")


def test_a_signature_under_another_plan_is_refused(table: str) -> None:
    page = sign(signed_in("researcher"), "researcher", sha256="0" * 64)
    assert "The plan has changed since this page was shown." in page
    assert "Nobody has signed the plan yet." in page


def test_a_signature_of_another_role_is_refused(table: str) -> None:
    assert "This signature is that of a researcher." in sign(signed_in("irb"), "researcher")
    response = signed_in("irb").post(
        "/study/plan/sign/", {"slot": "x", "sha256": study.package().plan.sha256}
    )
    assert response.status_code == 404


def test_an_amendment_asks_for_its_reason(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sign(signed_in("researcher"), "researcher")
    sign(signed_in("irb"), "review")
    package = study.package()
    plan = package.plan.model_copy(update={"text": f"{package.plan.text}\n# Changed."})
    amended = package.model_copy(update={"plan": plan})
    monkeypatch.setattr(study, "package", lambda: amended)
    client = signed_in("researcher")
    assert "Amended, not locked." in text(client.get("/study/plan/"))
    assert "Give a reason" in sign(client, "researcher", reason=" ")
    assert "Reason: The school year ends earlier." in sign(
        client, "researcher", reason="The school year ends earlier."
    ).replace("<q>", "").replace("</q>", "")
