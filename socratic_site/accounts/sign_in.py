"""Signing in and out. Who needs a second factor is signed in by it alone: until then nobody is signed in.

Between password and code the session holds `pending`: the account, a digest of its password, and when. So no
page, fragment or admin view needs to know of accounts that are half signed in.
"""

import time
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import auth, messages
from django.contrib.auth.forms import AuthenticationForm, UsernameField
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import NON_FIELD_ERRORS
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from sessions_app import qr
from sessions_app.access import session_lock
from sessions_app.access.account_audit import failure, tell
from sessions_app.access.roles import LIMITED, actor_of, is_limited, public
from socratic_site.accounts import second_factor, session_timeout

PENDING = "pending"
PENDING_SECONDS = 10 * 60
BACKEND = "django.contrib.auth.backends.ModelBackend"


class SignInForm(AuthenticationForm):
    username = UsernameField(max_length=150, widget=forms.TextInput(attrs={"autofocus": True}))
    password = forms.CharField(
        strip=False,
        max_length=500,  # hashing a megabyte would be work done for a stranger
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class SignIn(LoginView):
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.redirect_authenticated_user = not is_limited(request.user)
        return super().dispatch(request, *args, **kwargs)

    def get_redirect_url(self, request: HttpRequest | None = None) -> str:
        """Never back to the pages of signing in: whoever is signed in would go in circles."""
        url: str = super().get_redirect_url()
        return "" if url.startswith(reverse("login")) else url

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        tried = form.has_error(NON_FIELD_ERRORS)  # not where a field was left empty
        locked = getattr(self.request, "axes_locked_out", False) and not _begins_lock(self.request)
        if tried and not locked:
            name = form.cleaned_data["username"]
            known = User.objects.filter(username=name).exists()
            failure(self.request, "sign_in.failed", account=name if known else None, factor="password")
        return super().form_invalid(form)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user, following = cast(User, form.get_user()), self.get_success_url()
        if not second_factor.needed(user):
            enter(self.request, user)
            return redirect(following)
        self.request.session.flush()
        self.request.session[PENDING] = _pending(user)
        return redirect(f"{reverse('second_factor')}?{urlencode({'next': following})}")


def _begins_lock(request: HttpRequest) -> bool:
    """Whether this very try is the one that locks; later ones are refused unseen, and not written."""
    return getattr(request, "axes_failures_since_start", None) is not None


class SignOut(LogoutView):
    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        session_timeout.leave(request, reason="")
        return session_lock.forgotten_by_browser(request, super().post(request, *args, **kwargs))


def enter(request: HttpRequest, user: User, *, device: Any = None) -> None:
    """Signs in. Raises NotTold when that could not be written into the audit log."""
    tell("sign_in", by=actor_of(user), new={"second_factor": "yes" if device else None})
    request.session.pop(PENDING, None)
    request.session.pop(LIMITED, None)
    if device is not None:
        user.otp_device = device  # type: ignore[attr-defined]  # django-otp keeps it in the session
    auth.login(request, user, backend=BACKEND)
    session_timeout.begin(request)


# --- between password and code


def _pending(user: User) -> dict[str, Any]:
    digest = user.get_session_auth_hash()
    return {"user": user.pk, "digest": digest, "at": int(time.time()), "key": second_factor.new_key()}


def pending_user(request: HttpRequest) -> User | None:
    """Who gave a password a few minutes ago, while that password is still the account's."""
    pending = request.session.get(PENDING)
    if not pending or time.time() - pending["at"] > PENDING_SECONDS:
        return None
    user = User.objects.filter(pk=pending["user"], is_active=True).first()
    if user is None or not constant_time_compare(user.get_session_auth_hash(), pending["digest"]):
        return None
    return user


def following(request: HttpRequest) -> str:
    url = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())
    return url if safe and not url.startswith(reverse("login")) else settings.LOGIN_REDIRECT_URL


@public
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def second_step(request: HttpRequest) -> HttpResponse:
    """Asks for a code, or sets the second factor up where the account has none."""
    user = pending_user(request)
    if user is None:
        return redirect(f"{reverse('login')}?{urlencode({'next': following(request)})}")
    if second_factor.enrolled(user):
        return _ask_for_code(request, user)
    return _set_up(request, user)


def _ask_for_code(request: HttpRequest, user: User) -> HttpResponse:
    if request.method != "POST":
        return _show_code_page(request)
    code = request.POST.get("code", "")
    try:
        device = second_factor.accept(user, code)
    except second_factor.Wait as wait:
        return _show_code_page(request, status=429, until=wait.until)
    except second_factor.WrongCode:
        failure(request, "sign_in.failed", account=user.username, factor="code")
        return _show_code_page(request, status=422, wrong=True)
    enter(request, user, device=device)
    _say_how_many_are_left(request, user, code)
    return redirect(following(request))


def _show_code_page(request: HttpRequest, *, status: int = 200, **context: Any) -> HttpResponse:
    return render(request, "registration/code.html", context | {"next": following(request)}, status=status)


def _say_how_many_are_left(request: HttpRequest, user: User, code: str) -> None:
    if code.strip().isdigit():
        return
    left = second_factor.recovery_codes_left(user)
    messages.warning(
        request,
        f"You used a recovery code; {left} are left. If your device is lost, ask an administrator to reset "
        "your second factor, and set up a new one.",
    )


def _set_up(request: HttpRequest, user: User) -> HttpResponse:
    if request.method != "POST":
        return _show_set_up(request, user)
    key = request.session[PENDING]["key"]
    try:
        with transaction.atomic():
            device, codes = second_factor.enrol(user, key=key, code=request.POST.get("code", ""))
            tell("factor.enrol", by=actor_of(user), subject=user.username)
            enter(request, user, device=device)
    except second_factor.AlreadyEnrolled:
        return _show_code_page(request)
    except second_factor.WrongCode:
        failure(request, "sign_in.failed", account=user.username, factor="code of a new device")
        return _show_set_up(request, user, status=422, wrong=True)
    return render(request, "registration/recovery_codes.html", {"codes": codes, "next": following(request)})


def _show_set_up(request: HttpRequest, user: User, *, status: int = 200, **context: Any) -> HttpResponse:
    key = request.session[PENDING]["key"]
    drawn = {"svg": qr.svg(second_factor.address_of(user, key)), "secret": second_factor.spelled(key)}
    page = context | drawn | {"next": following(request), "username": user.username}
    return render(request, "registration/set_up_factor.html", page, status=status)
