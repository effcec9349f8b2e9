"""Marking a session void, and removing the mark: a form with a reason each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from .. import study
from ..access import sites
from ..access.erased import missing_session
from ..access.roles import actor, allow
from ..domain.session import voiding
from ..domain.session.record import Run, SessionNotFound
from ..domain.store.transactions import Busy
from ..pages import render
from .session_start import away
from .store_unavailable import while_away

KINDS = (
    ("wrong_student", "Wrong student: someone else took this session"),
    ("spoiled", "Unusable data: something went wrong in the session"),
    ("other", "Another reason"),
)


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label="Reason",
        max_length=500,
        help_text="It is kept with the session and in the audit log. Write no names.",
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": "Say why."},
    )


class VoidForm(ReasonForm):
    kind = forms.ChoiceField(
        label="What happened?",
        choices=KINDS,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose what happened."},
    )
    field_order = ("kind", "reason")


@allow("facilitator", "researcher", "admin")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@while_away(away)
def void(request: HttpRequest, session_id: str) -> HttpResponse:
    return _page(request, session_id, VoidForm, voiding.void, "The session is marked void.")


@allow("facilitator", "researcher", "admin")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@while_away(away)
def unvoid(request: HttpRequest, session_id: str) -> HttpResponse:
    return _page(request, session_id, ReasonForm, voiding.unvoid, "The mark is removed: the session counts.")


def _page(
    request: HttpRequest,
    session_id: str,
    form_class: type[forms.Form],
    change: Callable[..., Run],
    done: str,
) -> HttpResponse:
    """The form, or its outcome. Where there is nothing to change it leads to the session."""
    try:
        run = Run.load(session_id)
    except SessionNotFound:
        raise missing_session(session_id) from None
    sites.check_session(request, run.session)
    is_marking = change is voiding.void
    if run.session.is_void == is_marking:
        return redirect("session", run.id)
    rule: dict[str, Any] = {"by": actor(request), "now": study.now(), "zone": study.zone()}
    obstacle = voiding.obstacle(run.session, **rule)
    form = form_class(request.POST if request.method == "POST" else None)
    status = 403 if obstacle and form.is_bound else 200
    if not obstacle and form.is_bound and not form.is_valid():
        status = 422
    elif not obstacle and form.is_bound:
        try:
            change(run, **form.cleaned_data, **rule)
        except (voiding.NotAllowed, Busy) as error:  # it changed since it was read
            form.add_error(None, f"{error}.".replace("..", "."))
            status = 409
        else:
            messages.success(request, done)
            return redirect("session", run.id)
    context = {"run": run, "form": form, "obstacle": obstacle, "is_marking": is_marking}
    return render(request, "sessions/void.html", context, status=status)
