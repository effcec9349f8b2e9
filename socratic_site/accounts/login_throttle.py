"""Who guesses passwords is made to wait: counted by name and address in SQL, so by all processes together.

An unknown name, a wrong password and a closed account get the same answer for the same work, and so does a
locked one until it is told to wait: the count does not ask whether there is such an account.
"""

from datetime import datetime
from typing import Any

from axes.backends import AxesStandaloneBackend
from axes.helpers import get_client_username
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode

from sessions_app.access.account_audit import network_of, tell_if_possible
from sessions_app.domain.audit.log import SYSTEM


class Throttle(AxesStandaloneBackend):  # type: ignore[misc]
    """Refuses a locked pair of name and address before the password is looked at."""

    def authenticate(
        self, request: HttpRequest, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> None:
        try:
            super().authenticate(request, username=username, password=password, **kwargs)
        except PermissionDenied:
            User().set_password(password)  # as much work as for a password that is looked at
            raise


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: Any) -> HttpResponse:
    """What axes answers in place of the login page. The lock is told once, when it begins."""
    username = get_client_username(request, credentials)
    if request.axes_failures_since_start is not None:  # type: ignore[attr-defined]
        known = User.objects.filter(username=username).exists()
        # What was typed as an unknown name may well be a password.
        subject = username if known else "an unknown account"
        tell_if_possible("lockout", by=SYSTEM, subject=subject, new={"network": network_of(request)})
    following = request.POST.get("next", "")
    back = f"{request.path}?{urlencode({'next': following})}" if following else request.path
    context = {"until": _until(request, username), "back": back}
    page = render(request, "registration/locked_out.html", context, status=429)
    page["Retry-After"] = str(int(settings.AXES_COOLOFF_TIME.total_seconds()))
    return page


def _until(request: HttpRequest, username: str | None) -> datetime:
    address = request.axes_ip_address  # type: ignore[attr-defined]
    tries = AccessAttempt.objects.filter(username=username, ip_address=address)
    last = tries.aggregate(last=Max("attempt_time"))["last"] or request.axes_attempt_time  # type: ignore[attr-defined]
    until: datetime = last + settings.AXES_COOLOFF_TIME
    return until
