"""Audit entries of what the table does not hold: changes of accounts, looks at data, failures, denied pages.

The entry comes first, and without it there is no change and no page: 503. What happens anyhow, as a failed
sign-in, is written where that is possible. What a stranger or a crawler could repeat without end is written
once in a while: `first_in_a_while` says how often.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.contrib.auth.models import User
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.crypto import salted_hmac
from pynamodb.exceptions import PynamoDBException

from .. import study
from ..domain.audit import log as audit_log
from ..domain.models import InvalidField
from ..domain.store.transactions import Busy
from .roles import ROLES, actor

log = logging.getLogger("audit")

REPEATS_WITHIN = 10 * 60
"""Seconds in which the same denial, or a failure of the same stranger, is written once by each process."""
NETWORK_LENGTH = 16


class NotTold(Exception):
    """The entry could not be stored, so what it tells must not happen: roll back, and answer 503."""


def tell(action: str, *, by: audit_log.Actor, **told: Any) -> None:
    """Takes what audit.entry takes."""
    try:
        audit_log.record(action, by=by, now=study.now(), **told)
    except (Busy, InvalidField, PynamoDBException) as error:
        log.error("%s could not be told: %s", action, type(error).__name__)
        raise NotTold(action) from error


def tell_if_possible(action: str, *, by: audit_log.Actor, **told: Any) -> None:
    """For what happens anyhow, as a sign-out must; the log says what is missing."""
    with suppress(NotTold):
        tell(action, by=by, **told)


def look(request: HttpRequest, action: str, **details: Any) -> None:
    """Somebody is about to see data of a person: call it before anything is shown. Raises NotTold."""
    tell(action, by=actor(request), **details)


def failure(request: HttpRequest, action: str, *, account: str | None, factor: str, **details: Any) -> None:
    """A wrong password, code or PIN, and from where: a keyed hash, which leads to no address.

    Tries at an account (None: an unknown one) are limited elsewhere; those at unknown names are not.
    """
    network = network_of(request)
    if account is None and not first_in_a_while(action, network):
        return
    new = {"factor": factor, "network": network}
    subject = account or "an unknown account"  # what was typed as an unknown name may well be a password
    tell_if_possible(action, by=audit_log.SYSTEM, subject=subject, new=new, **details)


def denied(request: HttpRequest) -> None:
    """A page that the account may not open: one entry an account and route in a while, so that no crawler
    fills the table. Whoever is signed out is told apart by the network."""
    who = actor(request) if request.user.is_authenticated else audit_log.Actor("visitor", "none")
    match = request.resolver_match
    route = (match.view_name or match.route) if match else "unknown"
    network = network_of(request)
    if first_in_a_while("access.denied", who.name if request.user.is_authenticated else network, route):
        new = {"method": request.method, "network": network}
        tell_if_possible("access.denied", by=who, subject=route[:200], new=new)


def first_in_a_while(*what: str) -> bool:
    """Whether this process has not seen the same within REPEATS_WITHIN seconds."""
    digest = salted_hmac("sessions_app.auditing.repeats", "\n".join(what), algorithm="sha256")
    return bool(cache.add(f"audit-{digest.hexdigest()}", 1, REPEATS_WITHIN))


def network_of(request: HttpRequest) -> str:
    """Tells one address from another, and cannot be turned back into one without SECRET_KEY."""
    address = request.META.get("REMOTE_ADDR", "")
    keyed = salted_hmac("sessions_app.auditing.network", address, algorithm="sha256")
    return keyed.hexdigest()[:NETWORK_LENGTH]


def facts(user: User) -> dict[str, Any]:
    """What an entry tells about an account: never a password, an address, or a person's name."""
    groups = set(user.groups.values_list("name", flat=True))
    roles = "+".join(role for role in ROLES if role in groups)
    return {"active": user.is_active, "roles": roles or "none", "is_staff": user.is_staff}


class NotToldMiddleware:
    """Renders a 503 page when an action was rolled back because its audit entry could not be written."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, NotTold):
            return render(request, "not_told.html", status=503)
        return None
