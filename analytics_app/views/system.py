"""For administrators: what the worker passed over, and whether it runs."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from sessions_app import study
from sessions_app.access.roles import actor, allow
from sessions_app.domain.models import DeadLetter, InvalidField
from sessions_app.domain.stream_worker import dead_letters
from sessions_app.domain.stream_worker import status as worker_status
from sessions_app.pages import render

from ..streams import dispatch

PER_PAGE = 100


@allow("admin")
@never_cache
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    letters = list(dead_letters.letters())
    letters.sort(key=lambda letter: letter.last_at, reverse=True)
    context = {
        "status": worker_status.read(study.now()),
        "letters": [_row(letter) for letter in letters if letter.is_open][:PER_PAGE],
        "dismissed": [_row(letter) for letter in letters if not letter.is_open][:PER_PAGE],
    }
    return render(request, "system/dead_letters.html", context)


def _row(letter: DeadLetter) -> dict[str, object]:
    address = urlencode({"pk": letter.record_pk, "sk": letter.record_sk})
    return {"letter": letter, "address": address, "may_retry": letter.duty in dispatch.RETRIES}


@allow("admin")
@require_POST
def retry(request: HttpRequest) -> HttpResponse:
    letter = _letter(request)
    dead_letters.note_retry(letter, by=actor(request), now=study.now())
    if dispatch.retry(letter):
        messages.success(request, "The record was processed. Its dead letter is gone.")
    else:
        messages.error(request, "The record still cannot be processed. The reason is below.")
    return redirect("dead_letters")


@allow("admin")
@require_POST
def dismiss(request: HttpRequest) -> HttpResponse:
    letter = _letter(request)
    try:
        dead_letters.dismiss(
            letter, reason=request.POST.get("reason", "")[:500], by=actor(request), now=study.now()
        )
    except InvalidField:
        messages.error(request, "Give a reason: why may this record stay out of the figures?")
    except DeadLetter.DoesNotExist:
        messages.info(request, "This dead letter has changed in the meantime. Look at it again.")
    else:
        messages.success(request, "The dead letter was dismissed.")
    return redirect("dead_letters")


def _letter(request: HttpRequest) -> DeadLetter:
    try:
        return dead_letters.by_key(request.POST.get("key", "")[:200] or "-")
    except DeadLetter.DoesNotExist:
        raise Http404 from None
