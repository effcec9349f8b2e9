"""A link by which a participant's own device does one session: made, shown, opened, revoked.

The token stands in the link alone. The table has its SHA-256, and pages that are opened with it tell no other
address where they were opened from.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import wraps

from django.conf import settings
from django.contrib import messages
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST
from pynamodb.exceptions import PynamoDBException

from ... import qr, study
from ...access import session_lock
from ...access.erased import DataErased
from ...access.roles import actor, allow, public, to_own_device
from ...domain.consent.agreement import ConsentNotInForce
from ...domain.models import ParticipantLink
from ...domain.participants import erasure
from ...domain.session import devices, location_check
from ...domain.session.record import Run, SessionClosed, SessionNotFound
from ...domain.store.transactions import Busy
from ..store_unavailable import while_away
from .steps import load

NO_LINK = "There is no such link, or someone else has just revoked it."
NOT_MADE = "No link was made: the database did not respond. Please try again."


class NoSuchLink(LookupError):
    """Forged, cut off, or of a session that is not there."""


def signer() -> Signer:
    return Signer(salt="join", sep=".")


def new_token(session_id: str) -> str:
    return signer().sign(f"{session_id}.{secrets.token_urlsafe(24)}")


def opened(token: str) -> tuple[Run, ParticipantLink]:
    """One query, and none for a token that was not made here. Raises NoSuchLink, or DataErased."""
    try:
        session_id = signer().unsign(token).rpartition(".")[0]
        run = Run.load(session_id)
    except BadSignature:
        raise NoSuchLink from None
    except SessionNotFound:
        if erasure.is_erased_session(session_id):
            raise DataErased from None
        raise NoSuchLink from None
    link = devices.link_of(run, location_check.token_hash(token))
    if link is None:
        raise NoSuchLink
    return run, link


# --- the participant


def away(request: HttpRequest) -> HttpResponse:
    return render(request, "join/ended.html", {"why": "away"}, status=503)


View = Callable[..., HttpResponse]


def tells_no_referrer(view: View) -> View:
    """The address holds the token. Browsers name the site alone, which Django's check of forms needs."""

    @wraps(view)
    def quiet(request: HttpRequest, *arguments: str, **options: str) -> HttpResponse:
        response = view(request, *arguments, **options)
        response.headers["Referrer-Policy"] = "strict-origin"
        return response

    return quiet


@to_own_device
@public
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@tells_no_referrer
@while_away(away)
def join(request: HttpRequest, token: str) -> HttpResponse:
    """Opening the link shows a page and changes nothing: mail programs open links, too. Its button begins."""
    try:
        run, link = opened(token)
    except NoSuchLink:
        return render(request, "join/ended.html", {"why": "unknown"}, status=404)
    if not run.is_open or not link.opens(study.now()):
        return _ended(request, run)
    if request.user.is_authenticated:
        return render(request, "join/staff.html", status=403 if request.method == "POST" else 200)
    bound = session_lock.of(request)
    if bound is not None and bound.session_id == run.id:
        return redirect("run", run.id)
    if request.method != "POST":
        return render(request, "join/start.html", {"minutes_left": max(1, round(run.minutes_left))})
    return _bound(request, run, link)


def _bound(request: HttpRequest, run: Run, link: ParticipantLink) -> HttpResponse:
    browser_id = uuid.uuid4().hex
    try:
        devices.join(run, link, browser_id=browser_id, now=study.now())
    except (devices.LinkEnded, devices.TooManyBrowsers):
        return _ended(request, run)
    except ConsentNotInForce:
        return render(request, "join/ended.html", {"why": "consent"}, status=403)
    session_lock.join(request, session_id=run.id, browser_id=browser_id, student_id=run.session.student_id)
    return redirect("run", run.id)


def _ended(request: HttpRequest, run: Run) -> HttpResponse:
    why = "ended" if run.is_open else "finished"
    return render(request, "join/ended.html", {"why": why}, status=410)


# --- staff


@allow("facilitator", "admin")
@never_cache
@require_POST
def make(request: HttpRequest, session_id: str) -> HttpResponse:
    """The link is shown once, for nothing keeps it."""
    run = load(request, session_id)
    token = new_token(run.id)
    try:
        link = devices.make_link(
            run,
            token_sha256=location_check.token_hash(token),
            lifetime=timedelta(hours=settings.JOIN_HOURS),
            by=actor(request),
            now=study.now(),
        )
    except (SessionClosed, ConsentNotInForce):
        messages.error(request, "No link was made: the session is closed, or consent is not active.")
        return redirect("session", run.id)
    except (Busy, PynamoDBException):
        messages.error(request, NOT_MADE)
        return redirect("session_words", run.id)
    url = request.build_absolute_uri(reverse("join", args=[token]))
    context = {"run": run, "link": link, "url": url, "svg": qr.svg(url)}
    return render(request, "sessions/link.html", context)


@allow("facilitator", "admin")
@require_POST
def revoke(request: HttpRequest, session_id: str) -> HttpResponse:
    run = load(request, session_id)
    link = devices.link_of(run, request.POST.get("link", ""))
    try:
        if link is None:
            raise devices.LinkEnded
        devices.revoke_link(run, token_sha256=link.token_sha256, by=actor(request), now=study.now())
    except devices.LinkEnded:
        messages.warning(request, NO_LINK)
    except (Busy, PynamoDBException):
        messages.error(request, "Not revoked: the database did not respond. Please try again.")
    else:
        messages.success(request, "The link is revoked. Devices that came by it are out at their next step.")
    return redirect("session_words", run.id)
