"""Sessions: found by day, student, place, condition or type, each by its index, and shown whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from pynamodb.exceptions import PynamoDBException

from .. import paging, study
from ..access import account_audit, sites
from ..access.erased import missing_session
from ..access.roles import actor, allow
from ..domain.consent.agreement import ConsentNotInForce
from ..domain.models import DirectoryEntry, Item, Session
from ..domain.realms import REALMS
from ..domain.session import open_session, voiding
from ..domain.session import survey as session_survey
from ..domain.session.record import Run, SessionClosed, SessionNotFound, SessionUnreadable
from ..domain.store import keys
from ..domain.store.transactions import Busy
from ..forms.staff import (
    CodeFilter,
    ConditionFilter,
    DayFilter,
    PlaceFilter,
    ReopenForm,
    StopForm,
    TypeFilter,
)
from ..pages import asked_realm, hides_arm, render, seen, sees_open_arms
from ..presenters import session_timeline, transcript

FILTERS = {"day": "Day", "code": "Student", "place": "Location", "condition": "Condition", "type": "Type"}
FILTERS_WITHOUT_ARM = {name: label for name, label in FILTERS.items() if name not in ("condition", "type")}
"""For facilitators: what a filter finds would give the arm of a running session away."""
FORMS: dict[str, type[forms.Form]] = {
    "day": DayFilter,
    "code": CodeFilter,
    "place": PlaceFilter,
    "condition": ConditionFilter,
    "type": TypeFilter,
}
DEFAULTS = {"place": "on-site", "condition": "L1-I1-D", "type": "dynamic"}
# A session with interventions every 2.5 minutes leaves four of them in the index of types beside itself.
READ_PER_SESSION = 4
REOPENED = {
    "running": "The session is open again. The student can continue where it was stopped.",
    "completed": "Every step of the session is stored, so it is complete now.",
}
OTHER_OPEN = (
    "Not reopened: the student has another open session, started {}. "
    "Continue that one, or stop it before you reopen this one."
)
READ_PER_OWN = 4
"""How many sessions of all sites are read for each of an own site."""


class Unreadable(Http404):
    """The session is there, and not enough of it can be read. Its own page says why; others are not there."""


@dataclass(frozen=True, slots=True)
class Sought:
    """What is looked for: one filter and its value; `listing` is None while there is nothing to look for."""

    by: str
    value: Any = None
    form: forms.Form | None = None
    listing: paging.Listing | None = None
    realm: str = ""

    def within(self, limit: sites.Limit | None, realm: str) -> Sought:
        """The same, of the reader's own sites and of one realm; all sessions of a student are of one."""
        if self.listing is None:
            return self
        realm = "" if self.by in ("code", "student") else realm
        conditions = [sites.only_sessions(limit), Session.in_realm(realm) if realm else None]
        only = [condition for condition in conditions if condition is not None]
        if not only:
            return self
        together = only[0] & only[1] if len(only) > 1 else only[0]
        parts = tuple(partial(part, filter_condition=together) for part in self.listing.parts)
        read = self.listing.read_per_item * (READ_PER_OWN if limit else 1)
        name = f"{self.listing.name}/{realm}"
        listing = replace(self.listing, name=name, parts=parts, read_per_item=read)
        return replace(self, listing=listing, realm=realm)

    @property
    def query(self) -> str:
        """The filter as it stands in an address."""
        query = QueryDict(mutable=True)
        query[self.by] = str(self.value)
        if self.realm not in ("", "real"):
            query["realm"] = self.realm
        return query.urlencode()


@allow("facilitator", "researcher", "admin")
@never_cache
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """One page of sessions, newest first; without a filter those of today."""
    filters = FILTERS if sees_open_arms(request) else FILTERS_WITHOUT_ARM
    sought = _sought(request.GET, filters).within(sites.limit_of(request), asked_realm(request))
    context: dict[str, Any] = {"filters": filters, "sought": sought, "realm": sought.realm, "realms": REALMS}
    context["real_query"] = replace(sought, realm="real").query
    if sought.listing is not None:
        try:
            context["page"] = paging.page(sought.listing, request.GET.get("cursor"))
        except paging.BadCursor:
            return render(request, "bad_link.html", status=400)
        context["beyond_first"] = "cursor" in request.GET
    if sought.by == "day" and sought.value:
        context |= _days_around(sought.value)
    return render(request, "sessions/index.html", context)


def _sought(sent: QueryDict, filters: Mapping[str, str]) -> Sought:
    """The first filter that is named decides; the others are not looked at."""
    if "student" in sent:
        student_id = str(sent["student"])
        return _of_student("student", student_id, student_id, None)
    named = [sent.get("by", ""), *(name for name in filters if name in sent)]
    by = next((name for name in named if name in filters), "day")
    default = {by: DEFAULTS.get(by) or (_today().isoformat() if by == "day" else None)}
    form = FORMS[by](sent if by in sent else default if default[by] else None)
    if not form.is_valid():
        return Sought(by, form=form)
    value = form.cleaned_data[by]
    if by == "code":
        return _of_code(form, value)
    return Sought(by, value, form, _listing(by, value))


def _today() -> date:
    return study.now().astimezone(study.zone()).date()


def _of_code(form: forms.Form, code: str) -> Sought:
    try:
        entry = DirectoryEntry.get(keys.STUDENT_DIRECTORY, code)
    except DirectoryEntry.DoesNotExist:
        form.add_error("code", "No student has this code.")
        return Sought("code", form=form)
    return _of_student("code", code, entry.student_id, form)


def _of_student(by: str, value: str, student_id: str, form: forms.Form | None) -> Sought:
    try:
        keys.student(student_id)
    except keys.BadKey:
        raise Http404("no such student") from None
    part = partial(Session.of_student, student_id)
    return Sought(
        by, value, form, paging.Listing(name=f"sessions/student/{student_id}", index=2, parts=(part,))
    )


def _listing(by: str, value: Any) -> paging.Listing:
    name = f"sessions/{by}/{value}"
    match by:
        case "place":
            return paging.Listing(name=name, index=3, parts=(partial(Session.at_location, value),))
        case "condition":
            condition = keys.Condition.from_code(value)
            return paging.Listing(name=name, index=1, parts=(partial(Session.of_condition, condition),))
        case "type":
            part = partial(Session.of_type, value)
            return paging.Listing(name=name, index=4, parts=(part,), read_per_item=READ_PER_SESSION)
    return paging.Listing(name=name, index=5, parts=_parts_of_day(value))


def _parts_of_day(day: date) -> tuple[Callable[..., Any], ...]:
    """A day of the study's time zone lies in one or two UTC days of the index; the later one comes first."""
    start, end = (
        keys.moment(keys.stamp(datetime.combine(when, time(), study.zone())))
        for when in (day, day + timedelta(days=1))
    )
    last = end - timedelta(seconds=1)
    within = Item.GSI5SK.between(keys.stamp(start), keys.stamp(last))
    days = dict.fromkeys((last.date(), start.date()))
    return tuple(partial(Session.on_day, utc_day, range_key_condition=within) for utc_day in days)


def _days_around(day: date) -> dict[str, Any]:
    one = timedelta(days=1)
    return {"previous_day": day - one, "next_day": day + one if day < _today() else None, "today": _today()}


# --- one session


@allow("facilitator", "researcher", "admin")
@never_cache
@require_GET
def show(request: HttpRequest, session_id: str) -> HttpResponse:
    """Everything of a session, read with one query."""
    try:
        return _page(request, _load(request, session_id))
    except Unreadable:
        return _unreadable(request, session_id)


def _page(request: HttpRequest, run: Run, status: int = 200, **bound: forms.Form) -> HttpResponse:
    """`bound` replaces the empty forms of the page by what was sent."""
    is_hidden, package = hides_arm(request, run.session), study.package()
    run = seen(request, run)
    conflicts = transcript.conflicts(run)
    if is_hidden:  # what was asked and answered in the lesson would give the arm away
        run = replace(run, interventions={}, content=None, conflicts=[], duplicates=[], unreadable=[])
    costs = transcript.costs(run)
    context = {
        "run": run,
        "session": run.session,
        "state": session_timeline.state_of(run.session),
        "missing": session_timeline.why_missing(run),
        "timeline": session_timeline.timeline(run, package),
        "is_arm_hidden": is_hidden,
        "transcript": [] if is_hidden else transcript.dialogue(run, package),
        "items": transcript.compared(run, package),
        "gain": transcript.gain(run),
        "survey": transcript.survey(run, package),
        "flags": session_timeline.flags(run.session),
        "conflicts": [] if is_hidden else conflicts,
        "conflicts_hidden": is_hidden and bool(conflicts),
        "after_end": transcript.after_end(run),
        "may_void": not voiding.obstacle(run.session, by=actor(request), now=study.now(), zone=study.zone()),
        "extras": session_timeline.extras(run),
        "left_out": session_timeline.left_out(run),
        "costs": costs,
        "total": transcript.total(costs),
        "may_be_offline": run.may_be_offline(study.now()),
        "stop_form": StopForm(),
        "reopen_form": ReopenForm(),
        **bound,
    }
    account_audit.look(request, "transcript.view", session_id=run.id, student_id=run.session.student_id)
    return render(request, "sessions/show.html", context, status=status)


def _load(request: HttpRequest, session_id: str) -> Run:
    try:
        run = Run.load(session_id)
    except SessionUnreadable as error:
        raise Unreadable(str(error)) from None
    except SessionNotFound:
        raise missing_session(session_id) from None
    sites.check_session(request, run.session)
    return run


def _unreadable(request: HttpRequest, session_id: str) -> HttpResponse:
    """What is there of a session that cannot be shown: why, and the raw records."""
    items = Session.whole(session_id)
    session = next(item for item in items if isinstance(item, Session))
    sites.check_session(request, session)
    return render(request, "sessions/unreadable.html", {"unreadable": [session], "session_id": session_id})


@allow("facilitator", "admin")
@never_cache
@require_POST
def stop(request: HttpRequest, session_id: str) -> HttpResponse:
    run, form = _load(request, session_id), StopForm(request.POST)
    if not form.is_valid():
        return _page(request, run, 422, stop_form=form)
    try:
        session_survey.stop(run, by=actor(request), now=study.now(), reason=form.cleaned_data["reason"])
    except SessionClosed as closed:
        messages.warning(
            request, f"There was nothing to stop: the session is {session_timeline.words(closed.state)}."
        )
    except Busy as error:
        messages.error(request, f"Not stopped: {error}.")
    except PynamoDBException:
        messages.error(request, "Not stopped: the database did not respond. Please try again.")
    else:
        messages.success(request, "The session is stopped. What was answered before is kept.")
    return redirect("session", run.id)


@allow("facilitator", "admin")
@never_cache
@require_POST
def reopen(request: HttpRequest, session_id: str) -> HttpResponse:
    run, form = _load(request, session_id), ReopenForm(request.POST)
    if not form.is_valid():
        return _page(request, run, 422, reopen_form=form)
    try:
        session_survey.reopen(run, by=actor(request), now=study.now(), reason=form.cleaned_data["reason"])
    except SessionClosed as closed:
        messages.warning(request, f"Not reopened: the session is {session_timeline.words(closed.state)}.")
    except open_session.AlreadyOpen as other:
        began = other.session.start.astimezone(study.zone())
        messages.error(request, OTHER_OPEN.format(f"{began:%b %-d, %H:%M}"))
    except ConsentNotInForce:
        messages.error(request, "Not reopened: the student's consent is not active.")
    except Busy as error:
        messages.error(request, f"Not reopened: {error}.")
    except PynamoDBException:
        messages.error(request, "Not reopened: the database did not respond. Please try again.")
    else:
        messages.success(request, REOPENED[session_timeline.state_of(run.session)])
    return redirect("session", run.id)
