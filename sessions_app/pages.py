"""Staff pages: what a template is given holds no attribute that the reader's roles do not see."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from django import shortcuts
from django.http import HttpRequest, HttpResponse

from .access import field_policy
from .access.roles import is_confined, roles_in_view
from .domain.models import Session
from .domain.realms import REALMS

Thing = TypeVar("Thing")


def render(
    request: HttpRequest, template: str, context: Mapping[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    """As Django's, with the items of the context masked."""
    return shortcuts.render(request, template, seen(request, dict(context or {})), status=status)


def seen(request: HttpRequest, thing: Thing) -> Thing:
    """What the reader sees of items, wherever they are in lists, maps and dataclasses.

    A browser confined to one session has no role, and pages of that session only.
    """
    if is_confined(request):
        return thing
    return field_policy.masked(thing, _roles(request))


def hides_arm(request: HttpRequest, session: Session) -> bool:
    """Whether the reader must not see which arm this session is in."""
    return not is_confined(request) and field_policy.hides_arm(session, _roles(request))


def sees_open_arms(request: HttpRequest) -> bool:
    return bool(_roles(request) - {"facilitator"})


def _roles(request: HttpRequest) -> frozenset[str]:
    """A facilitator sees what belongs to the own sites; what another role opens is not of these."""
    roles = roles_in_view(request)
    return roles - {"facilitator"} or roles


def asked_realm(request: HttpRequest, realms: Collection[str] = REALMS) -> str:
    """Whose sessions a list shows: the real ones, unless its address names another realm."""
    realm = str(request.GET.get("realm", "real"))
    return realm if realm in realms else "real"
