"""Browsers that may do one session and nothing else.

The binding stands in the browser's web session, which then holds no signed-in account: whatever the guard
below let pass by mistake would meet a visitor. What makes the account signed in again is set aside in the
same place, and put back when the tablet is taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import rotate_token
from django.shortcuts import redirect, render
from django.urls import Resolver404, resolve, reverse
from django.utils.crypto import constant_time_compare
from django_htmx.http import HttpResponseClientRedirect

from ..domain.models import Item
from ..domain.session import devices
from .erased import DataErased
from .roles import LIMITED, is_for_confined, roles_of

KEY = "confined"
RUN_PAGES = "/run/"
GONE = (404, 410)
"""A device that gets one of these for a page of a session drops what it keeps of that session."""
# The second factor's key is django-otp's: a tablet that comes back need not ask for it anew. The moment since
# which the account is signed in stays, too: a lock prolongs no web session.
SECOND_FACTOR = "otp_device_id"
SET_ASIDE = (SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY, SECOND_FACTOR, "since", LIMITED)


class Ended(Exception):
    """The browser is confined to a session that it may not do any more: revoked, taken back, or erased."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What a confined browser's web session holds.

    `staff` are the keys of the account that handed it over; without them there is no way back.
    """

    session_id: str
    browser_id: str
    student_id: str
    school: str = ""
    pin: str = ""
    staff: dict[str, Any] = field(default_factory=dict)

    @property
    def can_be_taken_back(self) -> bool:
        return bool(self.staff)

    def has_pin(self, pin: str) -> bool:
        return bool(self.pin) and check_password(pin, self.pin)


def of(request: HttpRequest) -> Confinement | None:
    """The request's confinement, as its web session has it."""
    held = request.session.get(KEY)
    return Confinement(**held) if held else None


def hand_over(
    request: HttpRequest, *, session_id: str, browser_id: str, student_id: str, school: str, pin: str
) -> None:
    """From now on this browser has no account. Its web session is a new one, with a new key."""
    staff = {name: request.session[name] for name in SET_ASIDE if name in request.session}
    list(messages.get_messages(request))  # what waits to be told is for staff
    _begin_anew(request)
    request.session[KEY] = {
        "session_id": session_id,
        "browser_id": browser_id,
        "student_id": student_id,
        "school": school,
        "pin": make_password(pin),
        "staff": staff,
    }


def join(request: HttpRequest, *, session_id: str, browser_id: str, student_id: str) -> None:
    """This browser is the participant's own: nobody takes it back."""
    _begin_anew(request)
    request.session[KEY] = {"session_id": session_id, "browser_id": browser_id, "student_id": student_id}


def check(request: HttpRequest, items: Iterable[Item]) -> None:
    """Raises Ended unless the binding still holds, by what the session's partition says."""
    confinement = of(request)
    if confinement is not None and not devices.is_bound(items, confinement.browser_id):
        raise Ended


def give_back(request: HttpRequest, confinement: Confinement, user: User, *, by_pin: bool) -> bool:
    """The account is signed in again, in a new web session; whether with all of its rights.

    By the PIN with those of a facilitator only, and without its second factor: students stand beside whoever
    types the PIN. At the session's school, so that a session of any school can be finished.
    """
    kept = {**confinement.staff, HASH_SESSION_KEY: user.get_session_auth_hash()}
    if by_pin and roles_of(user) != {"facilitator"}:
        kept.pop(SECOND_FACTOR, None)
        kept.setdefault(LIMITED, confinement.school)
    _begin_anew(request)
    request.session.update(kept)
    request.user = user
    return LIMITED not in kept


def end(request: HttpRequest) -> None:
    """Nothing is left of the confinement, nor of what was set aside: the browser is a visitor's."""
    _begin_anew(request)


def _begin_anew(request: HttpRequest) -> None:
    request.session.flush()
    request.user = AnonymousUser()
    request.confinement = None  # type: ignore[attr-defined]
    rotate_token(request)


def forgotten_by_browser(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Has the browser clear all it keeps of this site, where its script says that no answer waits there.

    Whoever says so wrongly loses answers, so silence means that something may wait. The page that follows
    drops kept pages and drafts by itself (forget.js).
    """
    if request.POST.get("nothing_waits") == "yes":
        response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def account(confinement: Confinement) -> User | None:
    """Who handed the tablet over; None when the account is closed by now."""
    return User.objects.filter(pk=confinement.staff[SESSION_KEY], is_active=True).first()


def is_unchanged(confinement: Confinement, user: User) -> bool:
    """Whether the account has still the password with which it was signed in."""
    return constant_time_compare(confinement.staff[HASH_SESSION_KEY], user.get_session_auth_hash())


class ConfinementMiddleware:
    """Leads a confined browser back to its session from every other address, page or no page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        confinement = of(request)
        request.confinement = confinement  # type: ignore[attr-defined]
        if confinement is not None and not may_open(confinement, request.path_info):
            return led_back(request, reverse("run", args=[confinement.session_id]))
        response = self.get_response(request)
        if response.status_code in GONE and request.path_info.startswith(RUN_PAGES):
            response.headers["Run-Gone"] = "yes"  # our own word for it: a proxy in between may say 404 too
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, DataErased):
            return _erased(request)
        if not isinstance(error, Ended):
            return None
        end(request)
        if _asks_for_a_page(request):
            return render(request, "join/ended.html", {"why": "ended"}, status=410)
        return JsonResponse({"saved": False, "error": "ended", "next": reverse("login")}, status=410)


def may_open(confinement: Confinement, path: str) -> bool:
    try:
        match = resolve(path)
    except Resolver404:
        return False
    if getattr(match.func, "for_own_device", False) and not confinement.can_be_taken_back:
        return True
    return is_for_confined(match.func, match.kwargs, confinement.session_id)


def led_back(request: HttpRequest, url: str) -> HttpResponse:
    if getattr(request, "htmx", None):
        return HttpResponseClientRedirect(url)
    if _asks_for_a_page(request):
        return redirect(url)
    return JsonResponse({"saved": False, "error": "confined", "next": url}, status=403)


def _erased(request: HttpRequest) -> HttpResponse:
    if _asks_for_a_page(request):
        return render(request, "410.html", status=410)
    message = "This student's data were erased. Nothing was stored."
    return JsonResponse({"saved": False, "error": "erased", "message": message}, status=410)


def _asks_for_a_page(request: HttpRequest) -> bool:
    """Browsers say where the reply goes: to a page or a script. What a service worker fetches for a page has
    lost that, and still asks for HTML by name, as no script of ours does. Other clients say what they accept.
    """
    if getattr(request, "htmx", None):
        return False
    is_page = request.headers.get("Sec-Fetch-Dest", "document") in ("document", "iframe")
    return "text/html" in request.headers.get("Accept", "") or (is_page and request.accepts("text/html"))
