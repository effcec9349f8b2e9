"""The analysis plan: what it says, its hash, who signed it, and its amendments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from sessions_app import study
from sessions_app.access.roles import actor, allow
from sessions_app.domain import analysis_plan
from sessions_app.domain.models import InvalidField, Session, readable
from sessions_app.domain.store import keys
from sessions_app.domain.store.transactions import Busy
from sessions_app.pages import render

if TYPE_CHECKING:
    from ..charts.sources import Rows
    from ..dashboards.chart_cards import Figure

READERS = ("researcher", "irb", "admin")
SLOTS: tuple[analysis_plan.Slot, ...] = ("researcher", "review")


@allow(*READERS)
@never_cache
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    standing = analysis_plan.standing(study.package().plan)
    mine = analysis_plan.slots_of(actor(request))
    context: dict[str, Any] = {
        "standing": standing,
        "plan": standing.plan,
        "to_lock": [slot for slot in mine if slot in standing.open_slots("lock")],
        "to_unlock": [slot for slot in mine if slot in standing.open_slots("unlock")],
        "first_session": None if standing.is_locked else analysis_plan.first_real_session(),
    }
    context["power"] = power_rows()
    context["figure"] = _power_figure(context["power"])
    return render(request, "results/plan.html", context)


def _power_figure(rows: Rows) -> Figure:
    from ..dashboards import chart_cards

    return chart_cards.figure("power_curve", rows, "")


def power_rows() -> Rows:
    """The planner's curve, with the present n and the planned one on it."""
    from ..inference import confirmatory, power

    plan, present = study.package().plan, _present_n()
    sample = plan.sample
    points = {present: "present", sample.planned_n: "planned"}
    rows: Rows = []
    for n in sorted({*range(60, 2 * sample.planned_n + 1, 60), *points}):
        found = power.power(
            tuple(confirmatory.weights(plan.primary.by_location)),
            n=n,
            effect=sample.effect,
            correlation=sample.correlation,
            attrition=sample.attrition,
            alpha=sample.alpha,
            seed=plan.sensitivity.seed,
        )
        if found is not None:
            rows.append({"n": n, "power": round(found.value, 3), "point": points.get(n, "")})
    return rows


def _present_n() -> int:
    """Real students that were allocated so far."""
    sessions = (
        session
        for condition in keys.CONDITIONS
        for session in readable(Session.of_condition(condition), Session)
    )
    return len({one.student_id for one in sessions if one.realm == "real" and not one.is_void})


@allow(*READERS)
@require_POST
def sign(request: HttpRequest) -> HttpResponse:
    """One signature, to lock the plan or to unlock the results, under the plan that the form showed."""
    plan, slot = study.package().plan, _slot(request)
    if request.POST.get("sha256") != plan.sha256:
        messages.warning(
            request, "The plan has changed since this page was shown. Read it again before you sign."
        )
        return redirect("study_plan")
    try:
        if request.POST.get("purpose") == "unlock":
            analysis_plan.unlock(plan, slot, by=actor(request), now=study.now())
        else:
            reason = request.POST.get("reason", "")[:500]
            analysis_plan.sign(plan, slot, reason=reason, by=actor(request), now=study.now())
    except InvalidField:
        messages.error(request, "Give a reason: why was the locked plan changed?")
    except (analysis_plan.NotAllowed, Busy) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Your signature is recorded.")
    return redirect("study_plan")


def _slot(request: HttpRequest) -> analysis_plan.Slot:
    for slot in SLOTS:
        if request.POST.get("slot") == slot:
            return slot
    raise Http404("no such signature")
