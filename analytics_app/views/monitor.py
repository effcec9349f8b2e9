"""The live board: which sessions run, where each stands, and which need somebody."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from pynamodb.exceptions import PynamoDBException

from sessions_app import study
from sessions_app.access import sites
from sessions_app.access.roles import allow
from sessions_app.domain.tutor import budget
from sessions_app.pages import asked_realm, render, sees_open_arms

from ..dashboards import live_monitor as boards

SECONDS = 8  # between two looks


@allow("facilitator", "researcher", "admin")
@never_cache
@require_GET
def board(request: HttpRequest) -> HttpResponse:
    """The whole page, or its changing part for htmx, which keeps the old part when this fails."""
    only = sites.only_sessions(sites.limit_of(request))
    realm = asked_realm(request)
    is_part = bool(getattr(request, "htmx", None))
    try:
        shown, silent = boards.board(study.now(), only, realm), budget.health(study.now())
    except PynamoDBException:
        if is_part:
            return HttpResponse(status=503)
        raise
    if not sees_open_arms(request):
        shown = shown.without_arms()
    template = "monitor/board.html#board" if is_part else "monitor/board.html"
    context = {"board": shown, "silent": silent, "seconds": SECONDS}
    response = render(request, template, {**context, "realm": realm, "real_query": "realm=real"})
    patch_vary_headers(response, ["HX-Request"])
    return response
