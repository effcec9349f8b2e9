"""What a view answers while the store cannot be reached: nothing that was typed is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from pynamodb.exceptions import PynamoDBException

from ..domain.store.transactions import Busy
from .run import acknowledgement

NOT_SAVED = (
    "This was not saved: the database did not respond. Your words are still here. Please send them again."
)
NOT_FIELDS = ("csrfmiddlewaretoken",)

log = logging.getLogger("run")
View = Callable[..., HttpResponse]


def while_away(answer: Callable[[HttpRequest], HttpResponse]) -> Callable[[View], View]:
    """What a view answers when the store cannot be reached, so that not even the session is known."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *arguments: Any, **options: Any) -> HttpResponse:
            try:
                return view(request, *arguments, **options)
            except (Busy, PynamoDBException) as error:
                log.warning("the database did not respond: %s", type(error).__name__)
                return answer(request)

        return guarded

    return decorate


def away(request: HttpRequest) -> HttpResponse:
    """Nothing that was typed is lost: the page holds it, and sends it again."""
    if acknowledgement.by_script(request):
        return acknowledgement.refused(request, status=503, error="away", message=NOT_SAVED)
    if getattr(request, "htmx", False):
        return lead_to(request, f"{request.path}?wait=1")
    sent = [(name, value) for name, values in request.POST.lists() for value in values]
    fields = [(name, value) for name, value in sent if name not in NOT_FIELDS]
    context = {"fields": fields, "answer": request.POST.get("answer", ""), "save_failed": True}
    return render(request, "run/away.html", context, status=503)


def away_from_script(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"saved": False}, status=503)


def lead_to(request: HttpRequest, url: str) -> HttpResponse:
    """A redirect that htmx follows too, with the whole page."""
    if getattr(request, "htmx", False):
        return HttpResponse(status=204, headers={"HX-Redirect": url, "Vary": "HX-Request"})
    return redirect(url)
