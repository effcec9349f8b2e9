"""Handing the tablet to the student, and taking it back: in between it does this one session only."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.validators import RegexValidator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from pynamodb.exceptions import PynamoDBException

from ... import study
from ...access import account_audit, session_lock
from ...access.roles import actor, actor_of, allow
from ...access.session_lock import Confinement
from ...domain.session import devices
from ...domain.session.record import Run, SessionClosed
from ...domain.store.transactions import Busy
from .steps import load

STORE_AWAY = "The database did not respond, so nothing has changed. Please try again in a moment."
WRONG = "This is not right. Nothing has changed."
PIN_SPENT = "The PIN was wrong too often. Only the password takes the tablet back now."
TOO_SOON = "The password was wrong too often. Please wait a minute, then try again."
LIMITED_RIGHTS = "You have a facilitator's access. Sign in again for the rest of your pages."
SECRET = {"autocomplete": "off", "spellcheck": "false"}


def pin_field(label: str, **options: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        validators=[RegexValidator(r"^[0-9]{4,8}\Z", "A PIN is 4 to 8 digits.")],
        widget=forms.PasswordInput(attrs=SECRET | {"inputmode": "numeric", "maxlength": 8}),
        error_messages={"required": "Choose a PIN of 4 to 8 digits."},
        **options,
    )


class AccountClosed(Exception):
    """The account that handed the tablet over is closed by now."""


class HandOverForm(forms.Form):
    pin = pin_field(
        "PIN for taking it back",
        help_text="4 to 8 digits, for this hand-over only. Your password works as well.",
    )


class TakeBackForm(forms.Form):
    """One of the two."""

    pin = pin_field("PIN", required=False)
    password = forms.CharField(
        label="Password",
        required=False,
        strip=False,
        max_length=500,
        widget=forms.PasswordInput(attrs=SECRET),
    )

    def clean(self) -> dict[str, Any]:
        told: dict[str, Any] = super().clean() or {}
        if not self.errors and not told.get("pin") and not told.get("password"):
            self.add_error("pin", "Type the PIN, or the password.")
        return told


# --- handing over


@allow("facilitator", "admin")
@never_cache
@sensitive_post_parameters("pin")
def hand_over(request: HttpRequest, session_id: str) -> HttpResponse:
    run = load(request, session_id)
    if not run.is_open:
        messages.info(request, "There is nothing to hand over: the session is closed.")
        return redirect("session", run.id)
    form = HandOverForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return _hand_over_page(request, run, form, 422 if form.is_bound else 200)
    try:
        return _handed_over(request, run, form.cleaned_data["pin"])
    except SessionClosed:
        return redirect("session", run.id)
    except (Busy, PynamoDBException):
        form.add_error(None, STORE_AWAY)
        return _hand_over_page(request, run, form, 503)


def _hand_over_page(request: HttpRequest, run: Run, form: forms.Form, status: int) -> HttpResponse:
    return render(request, "sessions/hand_over.html", {"run": run, "form": form}, status=status)


def _handed_over(request: HttpRequest, run: Run, pin: str) -> HttpResponse:
    browser_id = uuid.uuid4().hex
    devices.hand_over(run, browser_id=browser_id, by=actor(request), now=study.now())
    session_lock.hand_over(
        request,
        session_id=run.id,
        browser_id=browser_id,
        student_id=run.session.student_id,
        school=run.session.site or "",
        pin=pin,
    )
    return redirect("run", run.id)


# --- taking back


@allow("facilitator", "admin", confined=True)
@never_cache
@sensitive_post_parameters("pin", "password")
def take_back(request: HttpRequest, session_id: str) -> HttpResponse:
    bound = session_lock.of(request)
    if bound is None:
        return redirect("session", session_id)
    if not bound.can_be_taken_back:
        return redirect("run", session_id)
    form = TakeBackForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return _take_back_page(request, form, 422 if form.is_bound else 200)
    try:
        return _taken_back(request, bound, form)
    except (devices.BrowserGone, AccountClosed):
        session_lock.end(request)  # nothing is left that could be given back
        return redirect("login")
    except (Busy, PynamoDBException):
        form.add_error(None, STORE_AWAY)
        return _take_back_page(request, form, 503)


def _take_back_page(request: HttpRequest, form: forms.Form, status: int) -> HttpResponse:
    return render(request, "run/take_back.html", {"form": form}, status=status)


def _taken_back(request: HttpRequest, bound: Confinement, form: forms.Form) -> HttpResponse:
    staff = session_lock.account(bound)
    if staff is None:
        raise AccountClosed
    if not _is_given(request, bound, staff, form):
        return _take_back_page(request, form, 422)
    devices.take_back(
        session_id=bound.session_id,
        browser_id=bound.browser_id,
        student_id=bound.student_id,
        by=actor_of(staff),
        now=study.now(),
    )
    by_pin = not form.cleaned_data["password"]
    has_all = session_lock.give_back(request, bound, staff, by_pin=by_pin)
    messages.success(request, "Tablet unlocked." if has_all else f"Tablet unlocked. {LIMITED_RIGHTS}")
    response = redirect(f"{reverse('session', args=[bound.session_id])}?taken-back=yes")
    return session_lock.forgotten_by_browser(request, response)


def _is_given(request: HttpRequest, bound: Confinement, staff: User, form: forms.Form) -> bool:
    """Whether the PIN or the password is right; each try is counted before it is judged.

    The throttle of the sign-in does not count along: a student at play would lock its account out.
    """
    told = form.cleaned_data
    field = "password" if told["password"] else "pin"
    try:
        if field == "password":
            devices.spend_password_try(
                session_id=bound.session_id, browser_id=bound.browser_id, now=study.now()
            )
            right = staff.check_password(told["password"])
        else:
            devices.spend_pin_try(session_id=bound.session_id, browser_id=bound.browser_id)
            right = bound.has_pin(told["pin"]) and session_lock.is_unchanged(bound, staff)
    except devices.PinSpent:
        form.add_error(field, PIN_SPENT)
    except devices.TooSoon:
        form.add_error(field, TOO_SOON)
    else:
        if not right:
            about = {"session_id": bound.session_id, "student_id": bound.student_id}
            account_audit.failure(
                request, "take_back.failed", account=staff.get_username(), factor=field, **about
            )
            form.add_error(field, WRONG)
        return right
    return False
