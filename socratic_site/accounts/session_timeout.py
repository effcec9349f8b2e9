"""A web session ends with its sign-out, after a time without anybody there, and after a day at the latest.

Every request counts as a sign of life but those that a page makes by itself to look for news. The player of a
running session reports every 15 seconds, and idle.js tells of typing.
"""

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import auth, messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.views.decorators.http import require_http_methods

from sessions_app.access.account_audit import tell_if_possible
from sessions_app.access.roles import actor_of, public, roles_of
from socratic_site.accounts import second_factor

ROUTE = "signed-in/"
SINCE, SEEN = "since", "seen"
STEP = 30  # seconds; a sign of life is written this often at most, and this much longer is waited


def begin(request: HttpRequest) -> None:
    request.session[SINCE] = request.session[SEEN] = int(time.time())


def leave(request: HttpRequest, *, reason: str) -> None:
    """Signs out, also when that cannot be told: nobody is kept signed in."""
    if request.user.is_authenticated:
        tell_if_possible("sign_out", by=actor_of(request.user), reason=reason or None)
    auth.logout(request)


def limit(user: Any) -> int:
    """Seconds without a sign of life; the shortest of the user's roles counts."""
    roles = roles_of(user)
    minutes = settings.IDLE_MINUTES_FACILITATOR if roles == {"facilitator"} else settings.IDLE_MINUTES
    return int(minutes * 60)


def left(request: HttpRequest) -> int:
    """Seconds until the session ends if nothing more happens; 0 for whoever is signed out."""
    if not request.user.is_authenticated:
        return 0
    return max(0, limit(request.user) - _age(request, SEEN))


def _age(request: HttpRequest, since: str) -> int:
    return int(time.time()) - int(request.session.get(since, time.time()))


class SessionLifeMiddleware:
    """Signs out before anything else is looked at; the page asked for then leads to the login page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.user.is_authenticated:
            if reason := ended(request):
                leave(request, reason=reason)
                messages.info(request, f"You were signed out, because {reason}. What was saved is safe.")
            elif is_sign_of_life(request) and (SEEN not in request.session or _age(request, SEEN) >= STEP):
                request.session.setdefault(SINCE, int(time.time()))
                request.session[SEEN] = int(time.time())
        return self.get_response(request)


def ended(request: HttpRequest) -> str:
    """Why the session may not go on, or an empty text."""
    if _age(request, SEEN) > limit(request.user) + STEP:
        return f"nothing happened here for {limit(request.user) // 60} minutes"
    if _age(request, SINCE) > settings.SESSION_COOKIE_AGE:
        return f"you signed in more than {settings.SESSION_COOKIE_AGE // 3600} hours ago"
    if second_factor.needed(request.user) and not request.user.is_verified():  # type: ignore[union-attr]
        return "your account needs a second factor"
    return ""


def is_sign_of_life(request: HttpRequest) -> bool:
    looks_for_news = bool(getattr(request, "htmx", False)) or request.path_info == f"/{ROUTE}"
    return not (looks_for_news and request.method == "GET")


@public
@require_http_methods(["GET", "POST"])
def signed_in(request: HttpRequest) -> HttpResponse:
    """How long the session lasts, and the token that forms need after signing in again; POST prolongs it."""
    user = request.user.pk if request.user.is_authenticated else None
    return JsonResponse({"left": left(request), "user": user, "token": get_token(request)})


def site(request: HttpRequest) -> dict[str, Any]:
    """For templates: `idle_seconds`, where somebody is signed in."""
    user = getattr(request, "user", None)
    return {"idle_seconds": limit(user) if user is not None and user.is_authenticated else None}
