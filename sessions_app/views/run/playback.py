"""What the player of a segment tells and asks for while it plays."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_POST

from ... import question_worker, study
from ...access.roles import allow
from ...domain.consent.agreement import ConsentNotInForce
from ...domain.session import content_delivery
from ...domain.session.record import OutOfStep, SessionClosed
from ...forms.run import ReportForm
from ..store_unavailable import away_from_script, while_away
from . import acknowledgement
from .steps import load


@allow("facilitator", "admin", confined=True)
@require_POST
@while_away(away_from_script)
def progress(request: HttpRequest, session_id: str, stage: str) -> HttpResponse:
    """Where the player stands, told now and then while a segment plays."""
    run, report = load(request, session_id), ReportForm(request.POST)
    asked = next((known for known in run.stages if known.name == stage and known.kind == "segment"), None)
    if asked is None or asked.segment is None:
        raise Http404("no such segment")
    now = study.now()
    if not report.is_valid():
        return JsonResponse({"saved": False, "errors": report.errors}, status=422)
    if run.done.get(stage):
        return JsonResponse({"saved": False, "moved_on": True}, status=409)
    try:
        content_delivery.record_progress(
            run,
            segment_id=asked.segment,
            report=report.report(otherwise=0),
            package=study.package(),
            now=now,
        )
    except SessionClosed as closed:
        if closed.state == "abandoned":  # the end of the segment opens the session again: play on
            return JsonResponse({"saved": False})
        return JsonResponse({"saved": False, "moved_on": True}, status=409)
    except OutOfStep:
        return JsonResponse({"saved": False, "moved_on": True}, status=409)
    except ConsentNotInForce:
        return JsonResponse({"saved": False, "stopped": True}, status=403)
    return JsonResponse({"saved": True, "at": acknowledgement.clock(now)})


@allow("facilitator", "admin", confined=True)
@require_POST
@while_away(away_from_script)
def prepare(request: HttpRequest, session_id: str, stage: str) -> HttpResponse:
    """Have the first question made while the segment plays; nobody waits for it."""
    run = load(request, session_id)
    asked = next((known for known in run.stages if known.name == stage and known.kind == "segment"), None)
    if asked is None or asked.segment is None:
        raise Http404("no such segment")
    try:
        question_worker.prepare(run, segment_id=asked.segment)
    except ConsentNotInForce:
        return HttpResponse(status=403)
    return HttpResponse(status=204)
