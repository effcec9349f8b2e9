"""Students: enrolled in steps, found again, and shown with their consent and sessions."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods
from pynamodb.exceptions import PynamoDBException

from .. import paging, study
from ..access import allow
from ..domain import keys
from ..domain.models import ConsentEvent, DirectoryEntry, Item, School, Session, Student
from ..domain.models.consent import KINDS
from ..domain.models.transaction import Busy, Refused
from ..domain.onboarding import FormChanged, enrol, forms_needed
from ..forms import (
    AboutForm,
    AgreementForm,
    CodeFilter,
    IdentityForm,
    LearningForm,
    SchoolFilter,
    StateFilter,
)

FILTERS = {"code": "Code", "school": "School", "state": "Consent"}
TITLES = {
    "about": "The student",
    "learning": "Learning",
    "parental_permission": "Permission of a parent or guardian",
    "assent": "The student's own yes",
    "child_assent": "The student's own yes",
    "adult_consent": "Consent",
}


# --- the list


@allow("facilitator", "admin")
@never_cache
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """All students, or those of one code, school or state of consent; newest first but for codes."""
    by = _filter(request.GET)
    form = _filter_form(by, request.GET)
    sought = form is not None and form.is_bound
    context: dict[str, Any] = {"filters": FILTERS, "by": by, "form": form, "sought": sought}
    if form is None or form.is_valid():
        value = form.cleaned_data[by] if form else ""
        try:
            context["page"] = paging.page(_listing(by, value), request.GET.get("cursor"))
        except paging.BadCursor:
            return render(request, "bad_link.html", status=400)
        context["query"] = QueryDict(f"{by}={value}").urlencode() if form else ""
        context["beyond_first"] = "cursor" in request.GET
    return render(request, "students/index.html", context)


def _filter(sent: QueryDict) -> str:
    """The one filter that decides; empty for the whole list."""
    named = [sent.get("by", ""), *(name for name in FILTERS if name in sent)]
    return next((name for name in named if name in FILTERS), "")


def _filter_form(by: str, sent: QueryDict) -> forms.Form | None:
    given = sent if by in sent else None
    match by:
        case "code":
            return CodeFilter(given)
        case "school":
            return SchoolFilter(given, schools=_schools())
        case "state":
            return StateFilter(given)
    return None


def _listing(by: str, value: str) -> paging.Listing:
    index, part = _query(by, value)
    return paging.Listing(name=f"students/{by}/{value}", index=index, parts=(part,))


def _query(by: str, value: str) -> tuple[int | None, Callable[..., Any]]:
    match by:
        case "code":
            return None, partial(DirectoryEntry.with_code, value)
        case "school":
            return 1, partial(DirectoryEntry.of_school, value)
        case "state":
            return 3, partial(DirectoryEntry.in_state, value)
    return 5, DirectoryEntry.newest_first


def _schools() -> list[School]:
    return [item for item in School.all() if isinstance(item, School)]


# --- one student


@allow("facilitator", "admin", "researcher")
@never_cache
@require_GET
def show(request: HttpRequest, student_id: str) -> HttpResponse:
    """Profile, consent and its history, and all sessions: two queries."""
    student, events = _profile_and_consent(student_id)
    sessions = [item for item in Session.of_student(student_id) if isinstance(item, Session)]
    context = {"student": student, "events": events, "sessions": sessions}
    return render(request, "students/show.html", context)


def _profile_and_consent(student_id: str) -> tuple[Student, list[ConsentEvent]]:
    try:
        items: list[Item] = list(Item.query(keys.student(student_id), consistent_read=True))
    except keys.BadKey:
        raise Http404("no such student") from None
    student = next((item for item in items if isinstance(item, Student)), None)
    if student is None:
        raise Http404("no such student")
    events = [item for item in items if isinstance(item, ConsentEvent)]
    # Forms given in the same second stand in the order in which they were asked for.
    return student, sorted(events, key=lambda event: (event.at, KINDS.index(event.kind)))


# --- enrolment: nothing is stored before the last yes, so what was filled in travels from page to page


@allow("facilitator", "admin")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The steps of an enrolment on one address; every sending is checked from the first step on."""
    if "enrolled" in request.GET:
        return _enrolled(request)
    if request.method != "POST":
        return _ask(request, "about", _form("about", None), [])
    sent = request.POST
    names, passed = ["about", "learning"], list[forms.Form]()
    for name in names:  # it grows when the age is known
        form = _form(name, sent)
        if sent.get("back") == name:
            return _ask(request, name, _reopened(name, sent), passed)
        if isinstance(form, AgreementForm) and form.refused:
            return render(request, "students/refused.html", {"kind": name})
        if not form.is_valid():
            return _ask_again(request, name, form, passed)
        passed.append(form)
        if name == "about":
            names += forms_needed(form.cleaned_data["age"])
        if sent.get("step") == name and name != names[-1]:
            following = names[names.index(name) + 1]
            return _ask(request, following, _reopened(following, sent), passed)
    return _enrol(request, passed)


def _form(name: str, sent: QueryDict | None) -> forms.Form:
    package = study.package()
    if name == "about":
        return AboutForm(sent, ages=study.ages(), forms_offered=package.forms)
    if name == "learning":
        return LearningForm(sent)
    return AgreementForm(sent, form=package.form(name))


def _reopened(name: str, sent: QueryDict) -> forms.Form:
    """A step as it was left; an agreement is always asked anew, with nothing chosen."""
    form = _form(name, sent)
    left = any(form.add_prefix(field) in sent for field in form.fields)
    return form if left and not isinstance(form, AgreementForm) else _form(name, None)


def _ask_again(request: HttpRequest, name: str, form: forms.Form, passed: list[forms.Form]) -> HttpResponse:
    if isinstance(form, AgreementForm) and form.changed:
        messages.warning(request, "The form has changed since it was shown. Please read it again.")
        form = _form(name, None)
    return _ask(request, name, form, passed)


def _ask(request: HttpRequest, name: str, form: forms.Form, passed: list[forms.Form]) -> HttpResponse:
    names = _steps(passed)
    place = names.index(name)
    later = _reopened("learning", request.POST)
    carried = [*passed, later] if name == "about" and later.is_bound else passed
    identity = IdentityForm(request.POST)
    student_id = identity.cleaned_data["student_id"] if identity.is_valid() else uuid.uuid4()
    context = {
        "form": form,
        "step": name,
        "title": TITLES[name],
        "number": place + 1,
        "count": len(names),
        "back": names[place - 1] if place else "",
        "last": place + 1 == len(names),
        "carried": carried,
        "student_id": student_id,
        "schools": _schools() if name == "about" else [],
    }
    return render(request, "students/new.html", context)


def _steps(passed: list[forms.Form]) -> list[str]:
    """The steps as far as they are known: the forms that are needed depend on the age."""
    age = passed[0].cleaned_data["age"] if passed else study.ages().least
    return ["about", "learning", *forms_needed(age)]


def _enrol(request: HttpRequest, passed: list[forms.Form]) -> HttpResponse:
    identity = IdentityForm(request.POST)
    if not identity.is_valid():
        return _ask(request, "about", _form("about", request.POST), [])
    about, learning, *agreements = passed
    told = [form for form in agreements if isinstance(form, AgreementForm)]
    try:
        student = enrol(
            student_id=str(identity.cleaned_data["student_id"]),
            demographics={**about.cleaned_data, "school": _spelling(about.cleaned_data["school"])},
            learning_profile=dict(learning.cleaned_data),
            agreements=[form.agreement() for form in told],
            data_sharing=told[0].cleaned_data["sharing"],
            forms=study.package().forms,
            ages=study.ages(),
            source=study.chance,
            by=request.user.get_username(),
            now=study.now(),
        )
    except FormChanged as fault:
        messages.warning(request, str(fault))
        return _ask(request, told[0].form.kind, _form(told[0].form.kind, None), [about, learning])
    except (Busy, Refused, PynamoDBException):
        told[-1].add_error(None, "The store did not answer, so nothing was saved. Please send it again.")
        return _ask(request, told[-1].form.kind, told[-1], passed[:-1])
    return redirect(f"{reverse('student_new')}?enrolled={student.student_id}")


def _spelling(school: str) -> str:
    """A known school keeps the spelling it is known by."""
    try:
        return str(School.get(keys.SCHOOL_DIRECTORY, keys.school_id(school)).name)
    except School.DoesNotExist:
        return school


def _enrolled(request: HttpRequest) -> HttpResponse:
    try:
        student = Student.by_id(request.GET["enrolled"])
    except (Student.DoesNotExist, keys.BadKey):
        raise Http404("no such student") from None
    return render(request, "students/enrolled.html", {"student": student})
