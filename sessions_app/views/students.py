"""Students: enrolled in steps, found again, and shown with their consent and sessions."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods
from pynamodb.exceptions import PynamoDBException

from .. import paging, study
from ..access import sites
from ..access.erased import DataErased
from ..access.roles import actor, allow
from ..domain.consent import decisions as consent_decisions
from ..domain.consent.agreement import FormChanged, forms_needed
from ..domain.models import DirectoryEntry, School, Session, Student
from ..domain.participants.enrolment import Erased, enrol
from ..domain.store import keys
from ..domain.store.transactions import Busy, Refused
from ..forms.staff import (
    AboutForm,
    AgreementForm,
    CodeFilter,
    IdentityForm,
    LearningForm,
    SchoolFilter,
    StateFilter,
)
from ..pages import render
from ..presenters.consent_record import ConsentRecord, NoSuchStudent
from .consent import erased, nothing_shown, tell_of_view, tombstone
from .store_unavailable import while_away

READ_PER_OWN = 4
"""How many students of all sites are read for each of an own site."""
FILTERS = {"code": "Code", "school": "School", "state": "Consent"}
FOREIGN_SCHOOL = (
    "This school is already in the study, and you are not assigned to it. Ask an administrator to add you. "
    "Nothing was saved."
)
DEMOGRAPHICS = ("age", "grade_level", "school", "richmond_resident")
TITLES = {
    "about": "The student",
    "learning": "Learning",
    "parental_permission": "Permission of a parent or guardian",
    "assent": "Student assent",
    "child_assent": "Student assent",
    "adult_consent": "Consent",
}


# --- the list


@allow("facilitator", "admin")
@never_cache
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """All students, or those of one code, school or state of consent; newest first but for codes.

    A facilitator's are those of the own sites, which without a filter come school by school.
    """
    by, limit = _filter(request.GET), sites.limit_of(request)
    form = _filter_form(by, request.GET, limit)
    sought = form is not None and form.is_bound
    context: dict[str, Any] = {"filters": FILTERS, "by": by, "form": form, "sought": sought}
    context["no_site"] = limit is not None and not limit.sites
    if form is None or form.is_valid():
        value = form.cleaned_data[by] if form else ""
        try:
            context["page"] = paging.page(_listing(by, value, limit), request.GET.get("cursor"))
        except paging.BadCursor:
            return render(request, "bad_link.html", status=400)
        context["query"] = QueryDict(f"{by}={value}").urlencode() if form else ""
        context["beyond_first"] = "cursor" in request.GET
    return render(request, "students/index.html", context)


def _filter(sent: QueryDict) -> str:
    """The one filter that decides; empty for the whole list."""
    named = [sent.get("by", ""), *(name for name in FILTERS if name in sent)]
    return next((name for name in named if name in FILTERS), "")


def _filter_form(by: str, sent: QueryDict, limit: sites.Limit | None) -> forms.Form | None:
    given = sent if by in sent else None
    match by:
        case "code":
            return CodeFilter(given)
        case "school":
            return SchoolFilter(given, schools=sites.schools(limit))
        case "state":
            return StateFilter(given)
    return None


def _listing(by: str, value: str, limit: sites.Limit | None) -> paging.Listing:
    name = f"students/{by}/{value}"
    if limit is None:
        index, part = _query(by, value)
        return paging.Listing(name=name, index=index, parts=(part,))
    if by in ("", "school"):
        parts = tuple(partial(DirectoryEntry.of_school, site) for site in sorted(limit.sites))
        return paging.Listing(
            name=name, index=1, parts=(partial(DirectoryEntry.of_school, value),) if value else parts
        )
    if not limit.sites:
        return paging.Listing(name=name, index=None, parts=())
    index, part = _query(by, value)
    own = partial(part, filter_condition=sites.only_students(limit))
    return paging.Listing(name=name, index=index, parts=(own,), read_per_item=READ_PER_OWN)


def _query(by: str, value: str) -> tuple[int | None, Callable[..., Any]]:
    match by:
        case "code":
            return None, partial(DirectoryEntry.with_code, value)
        case "school":
            return 1, partial(DirectoryEntry.of_school, value)
        case "state":
            return 3, partial(DirectoryEntry.in_state, value)
    return 5, DirectoryEntry.newest_first


# --- one student


@allow("facilitator", "admin", "researcher")
@never_cache
@require_GET
@while_away(nothing_shown)
def show(request: HttpRequest, student_id: str) -> HttpResponse:
    """Profile, consent and its history, and all sessions: two queries, and that somebody looked."""
    try:
        record = ConsentRecord.load(student_id)
    except NoSuchStudent:
        buried = tombstone(student_id)
        if buried is None:
            raise Http404("no such student") from None
        if not sites.may_see_grave(request, buried.by):
            raise DataErased from None
        return erased(request, student_id)
    sites.check_student(request, record.student)
    sessions = list(Session.of_student(student_id))  # those that cannot be read as well, by name
    context = {
        "student": record.student,
        "record": record,
        "obstacle": consent_decisions.obstacle(record.student),
        "sessions": sessions,
    }
    tell_of_view(request, student_id, "student page")
    return render(request, "students/show.html", context)


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
        if name == "about" and form.is_valid():
            _check_school(request, form)
        if not form.is_valid():
            return _ask_again(request, name, form, passed)
        passed.append(form)
        if name == "about":
            names += forms_needed(form.cleaned_data["age"])
        if sent.get("step") == name and name != names[-1]:
            following = names[names.index(name) + 1]
            return _ask(request, following, _reopened(following, sent), passed)
    return _enrol(request, passed)


def _check_school(request: HttpRequest, form: forms.Form) -> None:
    """A school that is in the study already lets in only who belongs to it."""
    if is_foreign(request, form.cleaned_data["school"]):
        form.add_error("school", FOREIGN_SCHOOL)


def is_foreign(request: HttpRequest, school: str) -> bool:
    """Whether the school is in the study, and not among the reader's."""
    limit = sites.limit_of(request)
    return limit is not None and not limit.lets_see_school(school) and _known(school) is not None


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
        "schools": sites.schools(sites.limit_of(request)) if name == "about" else [],
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
    facts = about.cleaned_data
    try:
        join_new(request, about.cleaned_data["school"])
        student = enrol(
            student_id=str(identity.cleaned_data["student_id"]),
            demographics={name: facts[name] for name in DEMOGRAPHICS} | {"school": spelling(facts["school"])},
            realm="practice" if facts["practice"] else "real",
            learning_profile=dict(learning.cleaned_data),
            agreements=[form.agreement() for form in told],
            data_sharing=told[0].cleaned_data["sharing"],
            forms=study.package().forms,
            ages=study.ages(),
            source=study.chance,
            by=actor(request),
            now=study.now(),
        )
    except FormChanged as error:
        messages.warning(request, str(error))
        return _ask(request, told[0].form.kind, _form(told[0].form.kind, None), [about, learning])
    except Erased as error:
        messages.error(request, f"{error} Nothing was stored. Start over if the student comes back.")
        return redirect("student_new")
    except (Busy, Refused, PynamoDBException):
        told[-1].add_error(
            None, "The database did not respond, so nothing was saved. Please send the form again."
        )
        return _ask(request, told[-1].form.kind, told[-1], passed[:-1])
    return redirect(f"{reverse('student_new')}?enrolled={student.student_id}")


def spelling(school: str) -> str:
    """A known school keeps the spelling it is known by."""
    known = _known(school)
    return str(known.name) if known else school


def _known(school: str) -> School | None:
    try:
        return School.get(keys.SCHOOL_DIRECTORY, keys.school_id(school))
    except School.DoesNotExist:
        return None


def join_new(request: HttpRequest, school: str) -> None:
    """Who brings in the first student of a school belongs to it, and before, so that none is out of reach."""
    limit = sites.limit_of(request)
    if limit is not None and not limit.lets_see_school(school):
        sites.join(User.objects.get(pk=request.user.pk), school, by=actor(request))


def _enrolled(request: HttpRequest) -> HttpResponse:
    try:
        student = Student.by_id(request.GET["enrolled"])
    except (Student.DoesNotExist, keys.BadKey):
        raise Http404("no such student") from None
    sites.check_student(request, student)
    return render(request, "students/enrolled.html", {"student": student})
