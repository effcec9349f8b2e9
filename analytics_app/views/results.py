"""The confirmatory results: what the locked plan asks for, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from sessions_app import study
from sessions_app.access import account_audit
from sessions_app.access.roles import allow
from sessions_app.domain import analysis_plan
from sessions_app.domain.content.package import AnalysisPlan
from sessions_app.domain.realms import REALMS
from sessions_app.pages import render

if TYPE_CHECKING:
    from ..charts.sources import Rows

READERS = ("researcher", "admin")
OPEN_ARMS = {"static": "Static", "dynamic": "Dynamic"}


@allow(*READERS)
@never_cache
@require_GET
def confirmatory(request: HttpRequest) -> HttpResponse:
    """Until two roles unlock the results, arms are A and B, no outcome is shown, and each look is audited.

    Realms other than the real one hold nothing to protect.
    """
    realm = request.GET.get("realm") or "real"
    if realm not in REALMS:
        return render(request, "bad_link.html", status=400)
    from ..dashboards import confirmatory as reading
    from ..dashboards.analysis import TooMany

    standing = analysis_plan.standing(study.package().plan)
    unlocked = standing.is_unlocked or realm != "real"
    context: dict[str, Any] = {
        "standing": standing,
        "plan": standing.plan,
        "realm": realm,
        "unlocked": unlocked,
        "arms": OPEN_ARMS if unlocked else masked_arms(standing.plan),
    }
    if not unlocked:
        version = standing.signed.version if standing.signed else "not signed"
        details = {"sha256": standing.plan.sha256}
        account_audit.look(request, "results.look", subject=f"plan {version}", new=details)
    try:
        context |= _participants(standing.plan, reading.read(realm), masked=not unlocked)
    except TooMany as error:
        context["too_many"] = str(error)
        return render(request, "results/confirmatory.html", context)
    if unlocked:
        context |= _outcome(standing.plan, reading.read(realm), realm)
    return render(request, "results/confirmatory.html", context)


def masked_arms(plan: AnalysisPlan) -> dict[str, str]:
    """Which arm is A is the same for everybody, and known to nobody who does not know SECRET_KEY."""
    digest = salted_hmac("analytics_app.results.arms", plan.sha256, algorithm="sha256")
    first, second = sorted(OPEN_ARMS, reverse=bool(digest.digest()[0] & 1))
    return {first: "A", second: "B"}


def _participants(plan: AnalysisPlan, people: Any, *, masked: bool) -> dict[str, Any]:
    """By arm; while arms are masked A comes before B, and of differences only the size is shown."""
    from ..inference import planned

    arms = masked_arms(plan) if masked else OPEN_ARMS
    flow = sorted(planned.flow(plan, people.people), key=lambda one: arms[one.type])
    balance = planned.balance(plan, people.people)
    places = [row.location for row in balance]
    groups = sorted(
        planned.table_one(people.people), key=lambda row: (places.index(row.location), arms[row.type])
    )
    return {"study": people, "flow": flow, "groups": groups, "balance": balance}


def _outcome(plan: AnalysisPlan, people: Any, realm: str) -> dict[str, Any]:
    from ..dashboards import chart_cards
    from ..dashboards import confirmatory as reading

    found = reading.results(plan, people)
    return {
        "results": found,
        "figure": chart_cards.figure("primary_forest", found.forest(), f"realm={realm}"),
    }


def forest_rows(realm: str) -> Rows | None:
    """For the chart's file: None where the results are not unlocked, or the realm is unknown."""
    from ..dashboards import confirmatory as reading

    plan = study.package().plan
    if realm not in REALMS or (realm == "real" and not analysis_plan.standing(plan).is_unlocked):
        return None
    return reading.results(plan, reading.read(realm)).forest()
