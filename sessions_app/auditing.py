"""Audit entries about accounts, whose changes lie in SQL: the entry first, and no change without it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from pynamodb.exceptions import PynamoDBException

from . import study
from .access import ROLES
from .domain import audit
from .domain.models import InvalidField
from .domain.models.transaction import Busy

log = logging.getLogger("audit")


class NotTold(Exception):
    """The entry could not be stored, so what it tells must not happen: roll back, and answer 503."""


def tell(action: str, *, by: audit.Actor, **told: Any) -> None:
    """Takes what audit.entry takes."""
    try:
        audit.record(action, by=by, now=study.now(), **told)
    except (Busy, InvalidField, PynamoDBException) as fault:
        log.error("%s could not be told: %s", action, type(fault).__name__)
        raise NotTold(action) from fault


def tell_if_possible(action: str, *, by: audit.Actor, **told: Any) -> None:
    """For what happens anyhow, as a sign-out must; the log says what is missing."""
    with suppress(NotTold):
        tell(action, by=by, **told)


def facts(user: User) -> dict[str, Any]:
    """What an entry tells about an account: never a password, an address, or a person's name."""
    groups = set(user.groups.values_list("name", flat=True))
    roles = "+".join(role for role in ROLES if role in groups)
    return {"active": user.is_active, "roles": roles or "none", "is_staff": user.is_staff}


class NotToldMiddleware:
    """Answers for what was given up because it could not be told; its transaction is rolled back by then."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, NotTold):
            return render(request, "not_told.html", status=503)
        return None
