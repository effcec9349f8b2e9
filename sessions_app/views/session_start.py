"""Starting a session: who, where, is it really there, and then the draw."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from itertools import islice
from typing import Any

import ua_parser
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from pynamodb.exceptions import PynamoDBException

from .. import qr, study
from ..access import account_audit, sites
from ..access.roles import actor, allow, roles_of
from ..domain.consent import decisions as consent_decisions
from ..domain.consent.agreement import ConsentNotInForce
from ..domain.content.package import Location
from ..domain.models import DirectoryEntry, Session, Student
from ..domain.participants import codes
from ..domain.session import location_check, open_session
from ..domain.session import start as session_start
from ..domain.session.record import Run
from ..domain.store import keys
from ..domain.store.transactions import Busy
from ..forms.run import StepForm, set_choices
from ..forms.staff import StopForm
from ..pages import render, seen
from ..presenters import session_timeline
from .store_unavailable import NOT_FIELDS, while_away

CODES_OFFERED = 50
MAX_MEANT = 5
NO_POSITION = "There is no position yet. Allow this site to see where the tablet is, then check again."


class WhoForm(forms.Form):
    """Who and where: the first half of the page, sent with GET so that it can be reloaded."""

    code = forms.CharField(
        label="Student's code",
        max_length=60,
        widget=forms.TextInput(attrs={"list": "codes", "autocomplete": "off", "autocapitalize": "none"}),
        error_messages={"required": "Which student? Type the code from the paper list."},
    )
    place = forms.ChoiceField(
        label="Where are you now?",
        widget=forms.RadioSelect,
        error_messages={"required": "Choose a location: it determines how we verify it."},
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        places = study.package().locations
        set_choices(self, "place", [(place.key, f"{place.code}  {place.name}") for place in places])

    def clean_code(self) -> str:
        code = codes.as_stored(self.cleaned_data["code"])
        if not code:
            raise ValidationError("A code looks like river-oak-7.")
        return code


class StartForm(StepForm):
    """How the place was checked. `session_id` is made with the page, so that sending twice starts once."""

    session_id = forms.UUIDField(widget=forms.HiddenInput)
    latitude = forms.FloatField(required=False, widget=forms.HiddenInput)
    longitude = forms.FloatField(required=False, widget=forms.HiddenInput)
    accuracy = forms.FloatField(required=False, widget=forms.HiddenInput)
    place_code = forms.CharField(
        label="Code on the wall",
        required=False,
        max_length=200,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    at_home = forms.BooleanField(label="The student says: I am at home.", required=False)
    vouch = forms.BooleanField(label="I am here with the student and confirm the location.", required=False)
    vouch_reason = forms.CharField(label="Why the check does not work", required=False, max_length=500)
    condition = forms.ChoiceField(label="Condition", required=False)
    condition_reason = forms.CharField(label="Reason for setting it", required=False, max_length=500)

    def __init__(self, place: Location, is_admin: bool, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.place = place
        here = [cell.code for cell in keys.CONDITIONS if cell.location == place.key] if is_admin else []
        set_choices(
            self, "condition", [("", "Assigned at random, balanced"), *((code, code) for code in here)]
        )

    def clean(self) -> dict[str, Any]:
        told: dict[str, Any] = super().clean() or {}
        if told.get("vouch") and not told.get("vouch_reason", "").strip():
            self.add_error("vouch_reason", "Say why: the reason is kept with the session.")
        if told.get("condition") and not told.get("condition_reason", "").strip():
            self.add_error("condition_reason", "Say why: the session is flagged, and the reason is kept.")
        return told


def away(request: HttpRequest) -> HttpResponse:
    """What was filled in stays on the page, which sends it again."""
    sent = [(name, value) for name, values in request.POST.lists() for value in values]
    context = {"fields": [(name, value) for name, value in sent if name not in NOT_FIELDS]}
    return render(request, "run/away_staff.html", context, status=503)


@allow("facilitator", "admin")
@never_cache
@while_away(away)
def new(request: HttpRequest) -> HttpResponse:
    """First who and where, then the check of the place and the start."""
    if set(request.GET) == {"code"} and request.method == "GET" and "start_place" in request.session:
        query = {"code": request.GET["code"], "place": request.session["start_place"]}
        return redirect(f"{reverse('session_new')}?{urlencode(query)}")
    chosen = WhoForm(request.GET if "place" in request.GET else None, initial=_preset(request))
    if not chosen.is_bound or not chosen.is_valid():
        return _who(request, chosen, 422 if chosen.is_bound else 200)
    code = chosen.cleaned_data["code"]
    student = _student(request, code)
    if student is None:
        chosen.add_error("code", "No student has this code. Look at the paper list, or enroll the student.")
        return _who(request, chosen, 404, meant=_meant(request, code))
    request.session["start_place"] = chosen.cleaned_data["place"]
    place = study.package().location(chosen.cleaned_data["place"])
    if request.method == "POST":
        return _start(request, student, place)
    form = StartForm.fresh(
        place,
        "admin" in roles_of(request.user),
        now=study.now(),
        page=_page(student),
        initial={"session_id": uuid.uuid4()},
    )
    return _check(request, student, place, form)


def _page(student: Student) -> str:
    """What the form is bound to."""
    return f"start/{student.student_id}"


def _meant(request: HttpRequest, code: str) -> list[str]:
    """Codes of own students that begin so, or that this one may be a misspelling of."""
    begun = DirectoryEntry.with_code(code, limit=CODES_OFFERED, page_size=CODES_OFFERED) if code else ()
    found = [str(entry.student_code) for entry in begun if isinstance(entry, DirectoryEntry)]
    offered = (each for each in [*found, *codes.similar(code)] if _student(request, each))
    return list(islice(offered, MAX_MEANT))


def _preset(request: HttpRequest) -> dict[str, str]:
    """A card brings the code, a link from a student's page the student's id; the place is the last one."""
    place = {"place": request.session["start_place"]} if "start_place" in request.session else {}
    if "code" in request.GET:
        return place | {"code": codes.as_stored(request.GET["code"][:60])}
    return place | _preset_student(request)


def _preset_student(request: HttpRequest) -> dict[str, str]:
    student_id = request.GET.get("student", "")
    try:
        student = Student.by_id(student_id) if student_id else None
    except (Student.DoesNotExist, keys.BadKey):
        student = None
    return {"code": student.student_code} if student and sites.may_see_student(request, student) else {}


def _student(request: HttpRequest, code: str) -> Student | None:
    """None for a student of a foreign site, too."""
    try:
        entry = DirectoryEntry.get(keys.STUDENT_DIRECTORY, code)
        student = Student.by_id(entry.student_id)
    except (DirectoryEntry.DoesNotExist, Student.DoesNotExist):
        return None
    return student if sites.may_see_student(request, student) else None


def _codes(request: HttpRequest) -> list[str]:
    """Codes to choose from, of students who may start: the newest, or those of the own sites."""
    limit = sites.limit_of(request)
    few: dict[str, Any] = {"limit": CODES_OFFERED, "page_size": CODES_OFFERED}
    if limit is None:
        found = list(DirectoryEntry.in_state("complete", **few))
    else:
        complete = DirectoryEntry.consent_state == "complete"
        found = [
            entry
            for site in sorted(limit.sites)
            for entry in DirectoryEntry.of_school(site, filter_condition=complete, **few)
        ]
    return [entry.student_code for entry in found if isinstance(entry, DirectoryEntry)][:CODES_OFFERED]


def _who(
    request: HttpRequest, form: forms.Form, status: int = 200, *, meant: Sequence[str] = ()
) -> HttpResponse:
    context = {"form": form, "codes": _codes(request), "meant": meant}
    return render(request, "sessions/new.html", context, status=status)


def _check(
    request: HttpRequest, student: Student, place: Location, form: forms.Form, status: int = 200
) -> HttpResponse:
    context: dict[str, Any] = {"form": form, "student": student, "place": place}
    context["obstacle"] = consent_decisions.obstacle(student)
    if status != 503:  # the store is away: what was filled in stays, and nothing more is read
        sessions = [s for s in Session.of_student(student.student_id) if isinstance(s, Session)]
        context |= {"last": sessions[0] if sessions else None, "is_known": True}
        context |= _open_session(request, student, sessions)
    return render(request, "sessions/check.html", context, status=status)


def _open_session(request: HttpRequest, student: Student, sessions: list[Session]) -> dict[str, Any]:
    """The session that the student is in, which has to end before another can start."""
    session = open_session.find(student, sessions)
    if session is None:
        return {}
    run = Run.load(session.session_id)
    return {
        "open": run,
        "progress": session_timeline.exact_progress(seen(request, run)),
        "stop_form": StopForm(),
        "may_be_offline": run.may_be_offline(study.now()),
    }


def _start(request: HttpRequest, student: Student, place: Location) -> HttpResponse:
    form: Any = StartForm.fresh(
        place, "admin" in roles_of(request.user), request.POST, now=study.now(), page=_page(student)
    )
    if not form.is_valid():
        return _check(request, student, place, form, 422)
    try:
        verified = _verified(request, form, place)
    except location_check.BadPosition as error:
        form.add_error(None, f"The position cannot be used: {error}. Check again.")
        verified = None
    if verified is None:
        return _check(request, student, place, form, 422)
    try:
        run = _started(request, student, place, form.cleaned_data, verified)
    except ConsentNotInForce as error:
        form.add_error(None, f"The session was not started and nothing was stored. {error}")
        return _check(request, student, place, form, 403)
    except open_session.AlreadyOpen:
        form.add_error(None, "The session was not started and nothing was stored.")
        return _check(request, student, place, form, 409)
    except (Busy, PynamoDBException):
        form.add_error(
            None, "The session was not started: the database did not respond. Nothing is lost; try again."
        )
        return _check(request, student, place, form, 503)
    return redirect("session_hand_over", run.id)


def _started(
    request: HttpRequest,
    student: Student,
    place: Location,
    told: dict[str, Any],
    verified: session_start.Verified,
) -> Run:
    override = None
    if told["condition"]:
        override = session_start.Override(
            condition=keys.Condition.from_code(told["condition"]),
            reason=told["condition_reason"],
        )
    return session_start.start(
        session_id=str(told["session_id"]),
        student_id=student.student_id,
        location=place,
        verified=verified,
        package=study.package(),
        by=actor(request),
        now=study.now(),
        strata=settings.ALLOCATION_STRATA,
        override=override,
    )


def _verified(request: HttpRequest, form: Any, place: Location) -> session_start.Verified | None:
    """None when the place was not made sure of; the form then says why and what to do."""
    told = form.cleaned_data
    common: dict[str, Any] = {
        "device": device(request.headers.get("User-Agent", "")),
        "network": location_check.network(request.META.get("REMOTE_ADDR", "")),
        "token_sha256": location_check.token_hash(request.session.session_key or ""),
    }
    if told["vouch"]:
        fix = _fix(told, place)
        return session_start.Verified(
            method="manual",
            confidence="low",
            override_reason=told["vouch_reason"],
            attested_by=request.user.get_username(),
            gps=fix.gps_data if fix else None,
            **common,
        )
    if place.method == "GPS":
        return _by_position(form, place, common)
    if place.method == "QR_code":
        return _by_code(form, place, common)
    if not told["at_home"]:
        form.add_error("at_home", "Ask the student, and tick this when the answer is yes.")
        return None
    return session_start.Verified(method="honor_system", confidence="medium", **common)


def _fix(told: dict[str, Any], place: Location) -> location_check.Fix | None:
    """The position against the place's fence; None without a position. Raises BadPosition."""
    if place.latitude is None or place.longitude is None or place.radius_meters is None:
        return None
    if None in (told["latitude"], told["longitude"], told["accuracy"]):
        return None
    fence = location_check.Fence(place.latitude, place.longitude, place.radius_meters)
    return location_check.fix(
        latitude=told["latitude"], longitude=told["longitude"], accuracy=told["accuracy"], fence=fence
    )


def _by_position(form: Any, place: Location, common: dict[str, Any]) -> session_start.Verified | None:
    fix = _fix(form.cleaned_data, place)
    if fix is None:
        form.add_error(None, NO_POSITION)
    elif not fix.inside:
        form.add_error(None, _outside(fix, place))
    else:
        return session_start.Verified(method="GPS", confidence=fix.confidence, gps=fix.gps_data, **common)
    return None


def _outside(fix: location_check.Fix, place: Location) -> str:
    if fix.accuracy_meters > location_check.POOR_ACCURACY_METERS:
        return (
            f"The position is only known to {fix.accuracy_meters:.0f} m. Step into the open, wait a moment, "
            "and check again."
        )
    return (
        f"You are {fix.distance_meters:.0f} m from the center of the location; the limit is "
        f"{place.radius_meters:.0f} m. Move closer and check again, or confirm the location with a reason."
    )


def _by_code(form: Any, place: Location, common: dict[str, Any]) -> session_start.Verified | None:
    try:
        location_check.check_place_code(
            form.cleaned_data["place_code"], location=place.key, secret=settings.SECRET_KEY, now=study.now()
        )
    except location_check.BadCode as error:
        form.add_error("place_code", str(error))
        return None
    return session_start.Verified(method="QR_code", confidence="high", **common)


def device(user_agent: str) -> dict[str, str]:
    """The schema's `device_info`. What is not known is called unknown."""
    known = ua_parser.parse(user_agent[:400]).with_defaults()
    mobile = "Mobi" in user_agent
    tablet = "iPad" in user_agent or "Tablet" in user_agent or ("Android" in user_agent and not mobile)
    return {
        "device_type": "tablet" if tablet else "mobile" if mobile else "desktop",
        "os": " ".join(part for part in (known.os.family, known.os.major) if part),
        "browser": " ".join(part for part in (known.user_agent.family, known.user_agent.major) if part),
        "user_agent": user_agent[:400] or "unknown",
    }


@allow("facilitator", "admin")
@never_cache
@require_GET
def place_code(request: HttpRequest) -> HttpResponse:
    """A sheet for the wall: a code that proves the place for 24 hours, as a picture and as text."""
    key = request.GET.get("place", "classroom")
    place = next((p for p in study.package().locations if p.key == key and p.method == "QR_code"), None)
    if place is None:
        raise Http404("this location is not checked by a code")
    now = study.now()
    account_audit.look(request, "place_code.show", subject=place.key)
    code = location_check.place_code(place.key, secret=settings.SECRET_KEY, now=now)
    # Behind the #, so that the code never reaches a server's log.
    url = request.build_absolute_uri(reverse("session_new")) + f"#place-code={code}"
    context = {"place": place, "code": code, "svg": qr.svg(url), "until": now + location_check.QR_LIFETIME}
    return render(request, "sessions/place_code.html", context)
