"""Access control: every view declares its roles, and a view without a declared role is denied.

A role is a Django group. `allow` and `public` write the policy onto the view; the two middlewares enforce it;
a system check finds routes without one. Django's admin site has its own checks (is_staff), so it is let by.
A browser that is confined to one session has no role: `confinement.py` lets it open what says `confined`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

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

from ..domain.audit.log import Actor

ROLES = ("facilitator", "researcher", "irb", "admin")
PUBLIC = frozenset({"public"})
ADMIN_SITE = "admin"
SITE_PREFIX = "site:"
"""Begins the name of a group whose members belong to a school; the school's id follows."""
LIMITED = "limited"
"""In a web session: until it signs in again the account has a facilitator's rights only, at this school."""

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


def allow(*roles: str, confined: bool = False) -> Callable[[View], View]:
    """Opens a view to these roles and no other; `admin` is not implied.

    `confined`: also to a browser that is confined to the very session that the address names.
    """
    unknown = set(roles) - set(ROLES)
    if unknown or not roles:
        raise ValueError(
            f"a view is opened to some of {', '.join(ROLES)}, not to {', '.join(unknown) or 'nobody'}"
        )

    def decorate(view: View) -> View:
        view.allowed_roles = frozenset(roles)  # type: ignore[attr-defined]
        view.for_confined = confined  # type: ignore[attr-defined]
        return view

    return decorate


def public(view: View) -> View:
    """Opens a view to everybody, signed in or not; what it shows is then its own responsibility.

    Everybody but a confined browser: the login is not for it, and `to_confined` names what is.
    """
    view.allowed_roles = PUBLIC  # type: ignore[attr-defined]
    return login_not_required(view)


def to_confined(view: View) -> View:
    """Opens a public view, which belongs to no session, to confined browsers too."""
    view.for_confined = True  # type: ignore[attr-defined]
    return view


def to_own_device(view: View) -> View:
    """Opens a public view to a participant's own browser, whatever session it was bound to before."""
    view.for_own_device = True  # type: ignore[attr-defined]
    return view


def is_for_confined(view: Callable[..., Any], arguments: Mapping[str, Any], session_id: str) -> bool:
    """Whether a browser confined to this session may open the view at an address with these parts."""
    is_its_own = arguments.get("session_id", session_id) == session_id
    return is_its_own and bool(getattr(view, "for_confined", False))


def policy_of(view: Callable[..., Any]) -> frozenset[str]:
    policy: frozenset[str] = getattr(view, "allowed_roles", frozenset())
    return policy


def roles_of(user: AbstractBaseUser | AnonymousUser) -> frozenset[str]:
    """The user's roles. A superuser is an admin, in whatever group."""
    roles = _groups_of(user) & frozenset(ROLES)
    return roles | {"admin"} if getattr(user, "is_superuser", False) else roles


def roles_in_view(request: HttpRequest) -> frozenset[str]:
    """Those of the reader's roles that open the view."""
    match = request.resolver_match
    return roles_of(request.user) & (policy_of(match.func) if match else frozenset())


def sites_of(user: AbstractBaseUser | AnonymousUser) -> frozenset[str]:
    """The ids of the schools that the user belongs to."""
    names = (name for name in _groups_of(user) if name.startswith(SITE_PREFIX))
    return frozenset(name.removeprefix(SITE_PREFIX) for name in names)


def _groups_of(user: AbstractBaseUser | AnonymousUser) -> frozenset[str]:
    """Asked of the database once a request."""
    if not user.is_authenticated:
        return frozenset()
    kept: frozenset[str] | None = getattr(user, "_groups", None)
    if kept is None:
        kept = frozenset(Group.objects.filter(user=user.pk).values_list("name", flat=True))
        user._groups = kept  # type: ignore[attr-defined]
    if not is_limited(user):
        return kept
    schools = {name for name in kept if name.startswith(SITE_PREFIX)}
    return frozenset({"facilitator", f"{SITE_PREFIX}{user.limited_to}", *schools})  # type: ignore[attr-defined]


def is_limited(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether LimitedRightsMiddleware found that the account has to sign in again for all of its rights."""
    return getattr(user, "limited_to", None) is not None


class LimitedRightsMiddleware:
    """A tablet that was taken back by its PIN is a facilitator's, whoever handed it over: students see PINs.

    Nothing of the account changes but the object of this request, which is never saved.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        school = request.session.get(LIMITED)
        if school is not None and request.user.is_authenticated:
            user: Any = request.user
            user.is_staff = user.is_superuser = False
            user.limited_to = school
        return self.get_response(request)


def forget_groups(user: AbstractBaseUser) -> None:
    """After they were changed."""
    user.__dict__.pop("_groups", None)


def actor(request: HttpRequest) -> Actor:
    """Who is signed in, as the audit log names it."""
    return actor_of(request.user)


def actor_of(user: AbstractBaseUser | AnonymousUser) -> Actor:
    return Actor(str(user.get_username()), "+".join(sorted(roles_of(user))) or "none")


def is_confined(request: HttpRequest) -> bool:
    """Whether ConfinementMiddleware, which runs before, has judged this request and let it pass."""
    return getattr(request, "confinement", None) is not None


class StaffLoginMiddleware(LoginRequiredMiddleware):
    """Leads whoever is signed out to the login page, also out of a fragment, and then back to the page."""

    def process_view(self, request: HttpRequest, view_func: Callable[..., Any], *told: Any) -> Any:
        return None if is_confined(request) else super().process_view(request, view_func, *told)

    def handle_no_permission(  # type: ignore[override]
        self, request: HttpRequest, view_func: Callable[..., Any]
    ) -> HttpResponseRedirectBase:
        htmx = getattr(request, "htmx", None)
        if not htmx and request.method in ("GET", "HEAD"):
            response: HttpResponseRedirectBase = super().handle_no_permission(request, view_func)
        else:
            page = (htmx.current_url_abs_path if htmx else _page_of_form(request)) or "/"
            response = redirect_to_login(page, resolve_url(self.get_login_url(view_func)))
            if htmx:
                response = HttpResponseClientRedirect(response.url)
        patch_vary_headers(response, ["HX-Request"])
        return response


def _page_of_form(request: HttpRequest) -> str | None:
    """Where a form was sent from: where it was sent to may not be a page at all."""
    asked = urlsplit(request.headers.get("Referer", ""))
    if asked.netloc != request.get_host():
        return None
    return asked.path + (f"?{asked.query}" if asked.query else "")


class RolePolicyMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Callable[..., Any], *arguments: Any) -> None:
        """Raises PermissionDenied (the 403 page) unless the view's policy names one of the user's roles."""
        policy = policy_of(view)
        if policy == PUBLIC or is_confined(request) or _of_admin_site(request):
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
