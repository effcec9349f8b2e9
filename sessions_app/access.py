"""Who may open what: every view names the roles it is for, and a view that names none is for nobody.

A role is a Django group. `allow` and `public` write the policy onto the view; the two middlewares enforce it;
a system check finds routes without one. Django's admin site has its own checks (is_staff), so it is let by.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group
from django.contrib.auth.views import redirect_to_login
from django.core import checks
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase, HttpResponseRedirectBase
from django.shortcuts import resolve_url
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.cache import patch_vary_headers
from django_htmx.http import HttpResponseClientRedirect

ROLES = ("facilitator", "researcher", "irb", "admin")
PUBLIC = frozenset({"public"})
ADMIN_SITE = "admin"

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


def allow(*roles: str) -> Callable[[View], View]:
    """Opens a view to these roles and no other; `admin` is not implied."""
    unknown = set(roles) - set(ROLES)
    if unknown or not roles:
        raise ValueError(
            f"a view is opened to some of {', '.join(ROLES)}, not to {', '.join(unknown) or 'nobody'}"
        )

    def decorate(view: View) -> View:
        view.allowed_roles = frozenset(roles)  # type: ignore[attr-defined]
        return view

    return decorate


def public(view: View) -> View:
    """Opens a view to everybody, signed in or not; what it shows is then its own responsibility."""
    view.allowed_roles = PUBLIC  # type: ignore[attr-defined]
    return login_not_required(view)


def policy_of(view: Callable[..., Any]) -> frozenset[str]:
    policy: frozenset[str] = getattr(view, "allowed_roles", frozenset())
    return policy


def roles_of(user: AbstractBaseUser | AnonymousUser) -> frozenset[str]:
    """The user's roles, asked of the database once a request. A superuser is an admin, in whatever group."""
    if not user.is_authenticated:
        return frozenset()
    kept: frozenset[str] | None = getattr(user, "_roles", None)
    if kept is None:
        groups = Group.objects.filter(user=user.pk).values_list("name", flat=True)
        kept = frozenset(groups) & frozenset(ROLES)
        if getattr(user, "is_superuser", False):
            kept |= {"admin"}
        user._roles = kept  # type: ignore[attr-defined]
    return kept


class StaffLoginMiddleware(LoginRequiredMiddleware):
    """Leads whoever is signed out to the login page, also out of a fragment, and then back to the page."""

    def handle_no_permission(  # type: ignore[override]
        self, request: HttpRequest, view_func: Callable[..., Any]
    ) -> HttpResponseRedirectBase:
        htmx = getattr(request, "htmx", None)
        if not htmx:
            response: HttpResponseRedirectBase = super().handle_no_permission(request, view_func)
        else:
            page = htmx.current_url_abs_path or "/"
            login = redirect_to_login(page, resolve_url(self.get_login_url(view_func)))
            response = HttpResponseClientRedirect(login.url)
        patch_vary_headers(response, ["HX-Request"])
        return response


class RolePolicyMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Callable[..., Any], *arguments: Any) -> None:
        """Raises PermissionDenied (the 403 page) unless the view's policy names one of the user's roles."""
        policy = policy_of(view)
        if policy is PUBLIC or policy == PUBLIC or _of_admin_site(request):
            return
        if not policy & roles_of(request.user):
            raise PermissionDenied


def _of_admin_site(request: HttpRequest) -> bool:
    return request.resolver_match is not None and request.resolver_match.app_names[:1] == [ADMIN_SITE]


def check_every_route_has_a_policy(*, app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    return [
        checks.Error(
            f"Nobody may open /{route}",
            hint="Decorate its view with @allow(...) or @public",
            id="sessions_app.E001",
        )
        for route in routes_without_policy(get_resolver().url_patterns)
    ]


def routes_without_policy(patterns: Iterable[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            if pattern.app_name != ADMIN_SITE:
                yield from routes_without_policy(pattern.url_patterns, route)
        elif not policy_of(pattern.callback):
            yield route
