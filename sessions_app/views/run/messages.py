"""Notes to a participant, and calls for help, on the pages of the session and on those of staff."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from pynamodb.exceptions import PynamoDBException

from ... import study
from ...access import session_lock, sites
from ...access.roles import actor, allow
from ...domain.consent.agreement import ConsentNotInForce
from ...domain.models import Call, Item, readable
from ...domain.models.message import MAX_NOTE_LENGTH
from ...domain.session import devices
from ...domain.session import messages as session_messages
from ...domain.session.record import Run, SessionClosed
from ...domain.store import keys
from ...domain.store.transactions import Busy
from ...pages import render
from ..store_unavailable import while_away
from .steps import load, stopped

NOT_SENT = "Not sent: the database did not respond. Please try again."
CLOSED = "Not sent: the session is closed, or consent is not active."


def silence(request: HttpRequest) -> HttpResponse:
    """While the store is away: a page's script asks again by itself."""
    if getattr(request, "htmx", None) or request.method == "GET":
        return HttpResponse(status=503)
    messages.error(request, NOT_SENT)
    return redirect("run", request.resolver_match.kwargs["session_id"])  # type: ignore[union-attr]


def heard(items: Iterable[Call]) -> dict[str, Any]:
    """What run pages show of them."""
    items = list(items)
    return {
        "notes": session_messages.unread(items),
        "help_asked": session_messages.open_call(items, session_messages.HELP),
    }


# --- on the pages of the session


@allow("facilitator", "admin", confined=True)
@never_cache
@require_GET
@while_away(silence)
def notes(request: HttpRequest, session_id: str) -> HttpResponse:
    """The changing part of a run page, which asks for it now and then: one small query."""
    if sites.limit_of(request) is None:
        items = _beside(session_id)
        session_lock.check(request, items)
        found = heard(readable(items, Call))
    else:
        found = heard(load(request, session_id).calls)  # only the session itself tells its site
    return render(request, "run/_notes.html", {"session_id": session_id, **found})


def _beside(session_id: str) -> list[Item]:
    try:
        return devices.beside(session_id)
    except keys.BadKey:
        raise Http404("no such session") from None


@allow("facilitator", "admin", confined=True)
@require_POST
@while_away(silence)
def read(request: HttpRequest, session_id: str) -> HttpResponse:
    """The participant puts a note away."""
    run = load(request, session_id)
    try:
        of_participant = session_messages.unread(run.calls)
        session_messages.answer(
            of_participant,
            call_id=request.POST.get("call", ""),
            by=None,
            now=study.now(),
            student_id=run.session.student_id,
        )
    except session_messages.CallNotFound:
        pass  # put away before
    return _back(request, run)


@allow("facilitator", "admin", confined=True)
@require_POST
@while_away(silence)
def ask(request: HttpRequest, session_id: str) -> HttpResponse:
    run = load(request, session_id)
    try:
        session_messages.ask_for_help(run, now=study.now())
    except SessionClosed:
        return redirect("run_done", run.id)
    except ConsentNotInForce:
        return stopped(request, run)
    return _back(request, run)


def _back(request: HttpRequest, run: Run) -> HttpResponse:
    return HttpResponse(status=204) if getattr(request, "htmx", None) else redirect("run", run.id)


# --- on the pages of staff


class NoteForm(forms.Form):
    text = forms.CharField(
        label="Note to the participant",
        max_length=MAX_NOTE_LENGTH,
        help_text=f"At most {MAX_NOTE_LENGTH} characters. It appears on the page within seconds.",
        widget=forms.Textarea(attrs={"rows": 2, "autocomplete": "off"}),
        error_messages={
            "required": "Write something first.",
            "max_length": f"This is too long: at most {MAX_NOTE_LENGTH} characters fit.",
        },
    )


@allow("facilitator", "admin")
@never_cache
def words(request: HttpRequest, session_id: str) -> HttpResponse:
    """The participant's device, the links to it, and what was said between it and staff."""
    run = load(request, session_id)
    form = NoteForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return _words_page(request, run, form, 422 if form.is_bound else 200)
    try:
        session_messages.send_note(run, text=form.cleaned_data["text"], by=actor(request), now=study.now())
    except session_messages.BadNote as error:
        form.add_error("text", str(error))
    except (SessionClosed, ConsentNotInForce):
        form.add_error(None, CLOSED)
    except (Busy, PynamoDBException):
        form.add_error(None, NOT_SENT)
        return _words_page(request, run, form, 503)
    if form.errors:
        return _words_page(request, run, form, 422)
    return redirect("session_words", run.id)


def _words_page(request: HttpRequest, run: Run, form: forms.Form, status: int) -> HttpResponse:
    context = {
        "run": run,
        "form": form,
        "device": devices.newest((*run.browsers, *run.links)),
        "links": sorted(run.links, key=lambda link: link.created_at, reverse=True),
        "calls": sorted(run.calls, key=lambda call: call.at, reverse=True),
        "now": study.now(),
    }
    return render(request, "sessions/words.html", context, status=status)


@allow("facilitator", "admin")
@require_POST
def office(request: HttpRequest, session_id: str) -> HttpResponse:
    """Who leads the session calls for other staff."""
    run = load(request, session_id)
    try:
        session_messages.call_office(run, by=actor(request), now=study.now())
    except (SessionClosed, ConsentNotInForce):
        messages.error(request, CLOSED)
    except (Busy, PynamoDBException):
        messages.error(request, NOT_SENT)
    else:
        messages.success(request, "The call stays on top of the live board until someone handles it.")
    return redirect("session_words", run.id)


@allow("facilitator", "researcher", "admin")
@require_POST
def answer(request: HttpRequest, session_id: str) -> HttpResponse:
    """Somebody of staff sees to a call."""
    run = load(request, session_id)
    waiting = [call for call in run.calls if call.kind != session_messages.NOTE]
    try:
        session_messages.answer(
            waiting,
            call_id=request.POST.get("call", ""),
            by=actor(request),
            now=study.now(),
            student_id=run.session.student_id,
        )
    except session_messages.CallNotFound:
        raise Http404("no such call") from None
    except (Busy, PynamoDBException):
        messages.error(request, "Not noted: the database did not respond. Please try again.")
    back = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return redirect(back) if is_ours else redirect("session_words", run.id)
