"""Where a student takes a break, stops, or sees whom to turn to, without staff."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from pynamodb.exceptions import PynamoDBException

from ... import study
from ...access.roles import allow
from ...domain.audit import log as audit_log
from ...domain.models import Call
from ...domain.session import messages as session_messages
from ...domain.session import survey as session_survey
from ...domain.session.record import Run, SessionClosed
from ...domain.store.transactions import Busy
from ..store_unavailable import while_away
from .steps import frame, load

STOPPED_BY_STUDENT = "The student stopped"
NOT_STOPPED = "That did not work just now. Please try again, or just put the tablet down: nobody will mind."


class StopForm(forms.Form):
    """A reason is the student's to give, or not."""

    reason = forms.ChoiceField(
        label="You can say why, or leave this empty.",
        required=False,
        widget=forms.RadioSelect,
        choices=[
            ("", "I would rather not say"),
            ("tired", "I am tired"),
            ("upset", "It upsets me"),
            ("no_time", "I have no time"),
            ("other", "Something else"),
        ],
    )

    def words(self) -> str:
        chosen = self.cleaned_data["reason"]
        said = dict(self.fields["reason"].choices)[chosen]  # type: ignore[attr-defined]
        return f"{STOPPED_BY_STUDENT}: {said}" if chosen else STOPPED_BY_STUDENT


def away_from_pause(request: HttpRequest) -> HttpResponse:
    """Not even the session is known: whom to turn to is."""
    context = {"contacts": study.package().contacts, "failed": NOT_STOPPED, "form": StopForm()}
    return render(request, "run/pause.html", context, status=503)


@allow("facilitator", "admin", confined=True)
@never_cache
@require_GET
@while_away(away_from_pause)
def pause(request: HttpRequest, session_id: str) -> HttpResponse:
    return show(request, load(request, session_id))


@allow("facilitator", "admin", confined=True)
@never_cache
@require_GET
@while_away(away_from_pause)
def care(request: HttpRequest, session_id: str) -> HttpResponse:
    """The page after an answer with a sign of danger, or of the wish to stop. It is led to once."""
    run = load(request, session_id)
    found = [call for call in run.calls if call.kind == session_messages.SAFEGUARDING]
    for call in found:
        with suppress(Busy, PynamoDBException):  # then it is led to once more
            session_messages.shown(call, now=study.now())
    return show(request, run, call=_gravest(found))


def _gravest(found: list[Call]) -> Call | None:
    return next((call for call in found if call.is_alarm), found[0] if found else None)


def show(
    request: HttpRequest, run: Run, *, call: Call | None = None, status: int = 200, **context: Any
) -> HttpResponse:
    """`packed`: the copy that a device keeps, which cannot send anything."""
    told: dict[str, Any] = {
        "run": run,
        "call": call,
        "contacts": study.package().contacts,
        "form": StopForm(),
        **frame(run, run.step),
        "next_url": reverse("run", args=[run.id])
        if run.is_open
        else None,  # without it a device forgets drafts
        "minutes_left": None,
        "pausing": True,
        **context,
    }
    page = render(request, "run/pause.html", told, status=status)
    page.headers["Run-Step"] = "pause"
    return page


@allow("facilitator", "admin", confined=True)
@require_POST
@while_away(away_from_pause)
def stop(request: HttpRequest, session_id: str) -> HttpResponse:
    """The student ends the session, with a reason or without."""
    run = load(request, session_id)
    form = StopForm(request.POST)
    reason = form.words() if form.is_valid() else STOPPED_BY_STUDENT
    try:
        session_survey.stop(run, by=audit_log.PARTICIPANT, now=study.now(), reason=reason)
    except SessionClosed:
        pass  # it is over, which is what was wanted
    except Busy:
        return show(request, run, failed=NOT_STOPPED, status=503)
    return redirect("run_done", run.id)
