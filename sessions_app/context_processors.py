"""What every template may know about the reader and the site."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from .access import roles


def site(request: HttpRequest) -> dict[str, Any]:
    """`roles`: names of the reader's roles; `limited`: whether these are fewer until signing in again;
    `tutor_offline`: dynamic questions come from the script; `csp_nonce`: what each script and stylesheet of
    this response carries."""
    return {
        "csp_nonce": getattr(request, "csp_nonce", ""),
        "confinement": getattr(request, "confinement", None),
        "roles": roles_of(request),
        "limited": roles.is_limited(getattr(request, "user", None) or AnonymousUser()),
        "tutor_offline": not getattr(settings, "ANTHROPIC_API_KEY", ""),
    }


def roles_of(request: HttpRequest) -> frozenset[str]:
    """The reader's roles, as the route policies see them."""
    # An error page may be drawn before the authentication middleware has run.
    user = getattr(request, "user", None)
    return roles.roles_of(user) if user is not None else frozenset()
