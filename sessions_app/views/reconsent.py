"""Consent given again: the facilitator goes through the forms that are due, at the age of today."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from .. import study
from ..access import sites
from ..access.erased import missing_student
from ..access.roles import actor, allow
from ..domain.consent import decisions as consent_decisions
from ..domain.consent.agreement import FormChanged
from ..forms.staff import AgeForm, AgreementForm
from ..pages import render
from ..presenters.consent_record import ConsentRecord, NoSuchStudent
from .consent import nothing_shown, tell_of_view
from .store_unavailable import while_away
from .students import TITLES

CHANGED = "The form has changed since it was shown. Please read it again."


@allow("facilitator", "admin")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@while_away(nothing_shown)
def renew(request: HttpRequest, student_id: str) -> HttpResponse:
    """First the age, then each form that is due; every sending is checked from the first step on."""
    try:
        record = ConsentRecord.load(student_id)
    except NoSuchStudent:
        raise missing_student(student_id) from None
    sites.check_student(request, record.student)
    if record.student.has_withdrawn:
        messages.warning(
            request, "Consent was withdrawn. A student who wants to come back is enrolled again."
        )
        return redirect("student", student_id)
    if request.method != "POST":
        tell_of_view(request, student_id, "renewal of consent")
        return _ask(request, record, _age(request, record), [], [])
    return _sent(request, record)


def _age(request: HttpRequest, record: ConsentRecord, bound: bool = False) -> AgeForm:
    offered = (form.kind for form in study.package().forms)
    seen = record.student.consent_data.version
    return AgeForm(request.POST if bound else None, ages=study.ages(), offered=offered, seen=seen)


def _sent(request: HttpRequest, record: ConsentRecord) -> HttpResponse:
    age = _age(request, record, bound=True)
    if not age.is_valid():
        return _ask(request, record, age, [], [])
    due = consent_decisions.forms_to_renew(record.student, age.cleaned_data["age"], study.package().forms)
    passed: list[Any] = [age]
    for kind in due:
        form = _agreement(request, kind)
        if form.refused:
            return _refuse(request, record, age, kind)
        if not form.is_bound or not form.is_valid():
            if form.changed:
                messages.warning(request, CHANGED)
                form = AgreementForm(None, form=form.form)
            return _ask(request, record, form, passed, due)
        passed.append(form)
    return _renew(request, record, passed, due)


def _agreement(request: HttpRequest, kind: str) -> AgreementForm:
    """Bound only when it was on the screen that was sent, or passed before: silence is no answer."""
    form = study.package().form(kind)
    was_shown = f"{kind}-sha256" in request.POST
    return AgreementForm(request.POST if was_shown else None, form=form)


def _ask(
    request: HttpRequest, record: ConsentRecord, form: Any, passed: list[Any], due: list[str]
) -> HttpResponse:
    kind = form.form.kind if isinstance(form, AgreementForm) else ""
    context = {
        "student": record.student,
        "record": record,
        "form": form,
        "carried": passed,
        "step": kind or "age",
        "title": TITLES[kind] if kind else "Consent again",
        "number": due.index(kind) + 2 if kind else 1,
        "count": len(due) + 1,
        "last": bool(kind) and kind == due[-1],
    }
    return render(request, "students/renew.html", context, status=422 if form.errors else 200)


def _refuse(request: HttpRequest, record: ConsentRecord, age: AgeForm, kind: str) -> HttpResponse:
    student_id = record.student.student_id
    try:
        consent_decisions.refuse(
            student_id=student_id,
            form=study.package().form(kind),
            seen=age.cleaned_data["seen"],
            by=actor(request),
            now=study.now(),
        )
    except (consent_decisions.ChangedMeanwhile, consent_decisions.ConsentWithdrawn):
        return _changed(request, student_id)
    return render(request, "students/renewal_refused.html", {"student": record.student, "kind": kind})


def _renew(request: HttpRequest, record: ConsentRecord, passed: list[Any], due: list[str]) -> HttpResponse:
    age, *agreements = passed
    student_id = record.student.student_id
    sharing = next((form.cleaned_data["sharing"] for form in agreements if "sharing" in form.fields), None)
    try:
        consent_decisions.renew(
            student_id=student_id,
            age=age.cleaned_data["age"],
            agreements=[form.agreement() for form in agreements],
            data_sharing=sharing,
            forms=study.package().forms,
            ages=study.ages(),
            seen=age.cleaned_data["seen"],
            by=actor(request),
            now=study.now(),
        )
    except FormChanged:
        messages.warning(request, CHANGED)
        return _ask(request, record, AgreementForm(None, form=agreements[0].form), passed[:1], due)
    except (consent_decisions.ChangedMeanwhile, consent_decisions.ConsentWithdrawn):
        return _changed(request, student_id)
    messages.success(request, "Consent is complete again. The review board reviews it next.")
    return redirect("student", student_id)


def _changed(request: HttpRequest, student_id: str) -> HttpResponse:
    messages.warning(
        request,
        "Consent was changed in the meantime, perhaps because this form was sent twice. Nothing was saved; "
        "this is its current state.",
    )
    return redirect("student", student_id)
