"""A student stops taking part: one choice about earlier data, and a second tap before anything is erased."""

from __future__ import annotations

import time
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from .. import study
from ..access import sites
from ..access.erased import DataErased
from ..access.roles import actor, allow
from ..domain.participants import erasure, withdrawal
from ..forms.staff import WithdrawalForm
from ..pages import render
from ..presenters.consent_record import ConsentRecord, NoSuchStudent
from .consent import erased, nothing_shown, tell_of_view, tombstone
from .store_unavailable import while_away

PATIENCE = 0.2
"""Seconds between two looks at an index that lags; the eraser looks some thirty times."""


@allow("irb", "admin")
@never_cache
@require_safe
@while_away(nothing_shown)
def erasures(request: HttpRequest) -> HttpResponse:
    """Every erasure that is not proven yet, and what stands in its way."""
    return render(request, "consent/erasures.html", {"tasks": erasure.open_tasks()})


@allow("facilitator", "irb", "admin")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@while_away(nothing_shown)
def withdraw(request: HttpRequest, student_id: str) -> HttpResponse:
    try:
        record = ConsentRecord.load(student_id)
    except NoSuchStudent:
        buried = tombstone(student_id)
        if buried is None:
            raise Http404("no such student") from None
        if not sites.may_see_grave(request, buried.by):
            raise DataErased from None
        if request.method == "POST" and buried.state != "erased":
            return _erase(request, student_id, str(request.POST.get("reason", ""))[:500])
        return erased(request, student_id)
    sites.check_student(request, record.student)
    if request.method != "POST":
        return _ask(request, record, WithdrawalForm())
    form = WithdrawalForm(request.POST)
    if not form.is_valid():
        return _ask(request, record, form, 422)
    told = form.cleaned_data
    if told["choice"] == "keep":
        return _keep(request, student_id, told["reason"])
    if not told["confirmed"]:
        return _ask(request, record, form, certain=True)
    return _erase(request, student_id, told["reason"])


def _ask(
    request: HttpRequest, record: ConsentRecord, form: Any, status: int = 200, *, certain: bool = False
) -> HttpResponse:
    """`certain`: the second question, before an erasure."""
    tell_of_view(request, record.student.student_id, "withdrawal")
    context = {"student": record.student, "record": record, "form": form, "certain": certain}
    return render(request, "consent/withdraw.html", context, status=status)


def _keep(request: HttpRequest, student_id: str, reason: str) -> HttpResponse:
    withdrawal.withdraw(student_id, keep=True, by=actor(request), reason=reason or None, now=study.now())
    messages.success(request, "The student has left the study. Earlier data are kept.")
    return redirect("withdraw", student_id)


def _erase(request: HttpRequest, student_id: str, reason: str) -> HttpResponse:
    try:
        erasure.erase(
            student_id,
            by=actor(request),
            reason=reason or None,
            now=study.now(),
            wait=lambda seconds: time.sleep(min(seconds, PATIENCE)),
        )
    except erasure.NotAllFound as error:
        messages.warning(request, f"Not everything is erased yet: {error}. Press the button once more.")
    return redirect("withdraw", student_id)
