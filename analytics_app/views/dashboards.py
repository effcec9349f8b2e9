"""The dashboards. Figures come from the statistics; pages over single sessions are read page by page.

What needs pandas, scipy, statsmodels or Altair is imported when a page is opened, so that the pages of
running sessions never wait for it. `warming` has most of it ready before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from sessions_app import paging, study
from sessions_app.access import account_audit
from sessions_app.access.erased import missing_student
from sessions_app.access.roles import allow, roles_in_view
from sessions_app.domain.models import Session, Student, readable
from sessions_app.domain.store import keys
from sessions_app.domain.stream_worker import status as worker_status
from sessions_app.domain.tutor import budget
from sessions_app.pages import asked_realm, render, seen

from ..dashboards import selection, session_scores
from ..dashboards.filters import ChosenForm
from ..dashboards.selection import Chosen
from ..statistics import queries
from ..statistics.sums import Month, merge

if TYPE_CHECKING:
    from ..charts.sources import Rows
    from ..dashboards.chart_cards import Figure

READERS = ("researcher", "admin")
PAGES = {
    "dashboard": "Overview",
    "dashboard_conditions": "Conditions",
    "dashboard_locations": "Locations",
    "dashboard_interventions": "Interventions",
    "dashboard_time": "Time",
    "dashboard_ai": "Tutor",
    "dashboard_inference": "Inference",
}
LAST_SESSIONS = 5
PER_PAGE = 20
READ_PER_ITEM = 2  # some sessions of an index are of another realm


def _form(request: HttpRequest, *names: str) -> ChosenForm:
    return ChosenForm(request.GET, names=names, today=study.now().date())


def _show(
    request: HttpRequest, name: str, form: ChosenForm | None, *, empty: bool = False, **more: Any
) -> HttpResponse:
    """A page with its filters; of a form with faults only the filters, which say what is wrong.

    Where no session was found (`empty`), the page offers the simulated ones.
    """
    valid = form is None or form.is_valid()
    context = {
        "form": form,
        "valid": valid,
        "pages": PAGES,
        "shared": form.months_query if form and valid else "",
        "here": name,
        "realm": form.value("realm") if form and valid else "",
        "real_query": form.query_in("real") if form and valid else "",
        "simulated_query": form.query_in("simulated") if form and valid else "",
        "others": _simulated(form) if form and valid and empty else 0,
        "status": worker_status.recent(study.now()),
        **more,
    }
    return render(request, f"dashboards/{name.removeprefix('dashboard_')}.html", context)


def _figures(names: Iterable[str], read: list[Month], query: str) -> dict[str, Figure]:
    """Charts of the statistics by month."""
    from ..charts import sources
    from ..dashboards import chart_cards

    return {name: chart_cards.figure(name, sources.FROM_MONTHS[name](read), query) for name in names}


def _figure(name: str, rows: Rows, query: str) -> Figure:
    from ..dashboards import chart_cards

    return chart_cards.figure(name, rows, query)


def _simulated(form: ChosenForm) -> int:
    """How many simulated sessions there are in place of the real ones that were asked for."""
    asked = form.chosen()
    return asked.sessions_elsewhere() if asked.realm == "real" else 0


# --- overview


@allow(*READERS)
@never_cache
@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    """The page; to htmx its upper part alone, or nothing while that is what the page shows already."""
    form = _form(request, "location", "interval", "type")
    if not form.is_valid():
        return _show(request, "dashboard", form)
    asked = form.chosen()
    read = asked.read()
    live = render_to_string("dashboards/_live.html", seen(request, _live(asked, read, form)), request)
    digest = hashlib.sha256(live.encode()).hexdigest()[:20]
    context: dict[str, Any] = {"live": live, "seen": digest}
    if getattr(request, "htmx", False):
        response = _fragment(request, {**context, "form": form})
    else:
        names = ("gain_by_condition", "participant_flow", "allocation_balance")
        figures = _figures(names, read, form.whole_query)
        response = _show(request, "dashboard", form, empty=not read, **context, figures=figures)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _fragment(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    if request.GET.get("seen") == context["seen"]:
        return HttpResponse(status=204)
    return render(request, "dashboards/dashboard.html#live", context)


def _live(asked: Chosen, read: list[Month], form: ChosenForm) -> dict[str, Any]:
    """Two queries of a few items beside the statistics: the last days, and the sessions of the last one."""
    from ..dashboards import tables

    today = study.now().date()
    recent = [asked.only(day) for day in selection.newest_days(3, asked.realm)]
    of_today = next((day for day in recent if day.day == today), None)
    last = max((day.day for day in recent if day.started), default=None)
    return {
        "tiles": tables.tiles(read, recent, selection.day_before(today)),
        "today": today,
        "counts": tables.counts_of_day(of_today),
        "arms": tables.ARMS,
        "started_today": sum(of_today.started.values()) if of_today else 0,
        "last_day": last,
        "last": _last_sessions(last, asked.realm) if last else [],
        "query": form.query,
        "realm": asked.realm,
    }


def _last_sessions(day: date, realm: str) -> list[Session]:
    of_day = queries.sessions_on_day(day, newest_first=True, only=Session.in_realm(realm))
    return of_day.page(limit=LAST_SESSIONS).items


# --- conditions


@allow(*READERS)
@never_cache
@require_GET
def conditions(request: HttpRequest) -> HttpResponse:
    form = _form(request)
    if not form.is_valid():
        return _show(request, "dashboard_conditions", form)
    from ..dashboards import tables

    read = form.chosen().read()
    return _show(
        request,
        "dashboard_conditions",
        form,
        empty=not read,
        table=tables.heat_map(read),
        arms=tables.ARMS,
        small=tables.SMALL,
        figures=_figures(("condition_cells", "gain_by_condition"), read, form.whole_query),
    )


def _condition(code: str) -> keys.Condition:
    try:
        return keys.Condition.from_code(code)
    except keys.BadKey:
        raise Http404("no such condition") from None


@allow(*READERS)
@never_cache
@require_GET
def condition(request: HttpRequest, code: str) -> HttpResponse:
    """One cell with its histograms: one query of its months."""
    cell, form = _condition(code), _form(request)
    if not form.is_valid():
        return _show(request, "dashboard_condition", form, cell=cell, here="dashboard_conditions")
    from ..charts import sources
    from ..dashboards import tables
    from ..inference import effects

    asked = form.chosen()
    found = queries.condition_figures(keys.cell(code, asked.realm), asked.months)
    names = sources.FROM_CONDITION if cell.type == "dynamic" else ("score_distribution",)
    query = f"{form.whole_query}&{urlencode({'condition': cell.code})}"
    return _show(
        request,
        "dashboard_condition",
        form,
        empty=not found.sessions,
        here="dashboard_conditions",
        cell=cell,
        found=tables.Told(found),
        completion=tables.share(found.completed, found.sessions),
        scores=tables.spreads(found),
        dialogue=tables.dialogue(found),
        facts=tables.facts(found),
        survey=tables.survey(found),
        recommend=tables.share(found["recommended"], found["recommended_n"]),
        bins=tables.gain_bins(found),
        d_z=effects.paired_dz(found.gain),
        figures={name: _figure(name, sources.FROM_CONDITION[name](found), query) for name in names},
    )


def sessions_of_condition(cell: keys.Condition, realm: str) -> paging.Listing:
    name = f"dashboards/condition/{cell.code}/{realm}"
    part = partial(Session.of_condition, cell, filter_condition=Session.in_realm(realm))
    return paging.Listing(name=name, index=1, parts=(part,), read_per_item=READ_PER_ITEM)


@allow(*READERS)
@never_cache
@require_GET
def condition_sessions(request: HttpRequest, code: str) -> HttpResponse:
    """A condition's sessions one by one, newest first: a page of the index and a batch."""
    cell, cursor = _condition(code), request.GET.get("cursor")
    realm = asked_realm(request, keys.COUNTED_REALMS)
    try:
        page = paging.page(sessions_of_condition(cell, realm), cursor, size=PER_PAGE)
    except paging.BadCursor:
        return render(request, "bad_link.html", status=400)
    found = session_scores.scored(readable(page.items, Session), roles_in_view(request))
    query = urlencode({"condition": cell.code, "realm": realm, **({"cursor": cursor} if cursor else {})})
    return _show(
        request,
        "dashboard_condition_sessions",
        None,
        cell=cell,
        here="dashboard_conditions",
        page=page,
        found=found,
        beyond_first=bool(cursor),
        realm=realm,
        real_query="realm=real",
        figure=_figure("before_after", session_scores.before_after(found), query),
    )


# --- locations, interventions


@allow(*READERS)
@never_cache
@require_GET
def locations(request: HttpRequest) -> HttpResponse:
    form = _form(request, "interval", "type")
    if not form.is_valid():
        return _show(request, "dashboard_locations", form)
    from ..dashboards import tables

    read = form.chosen().read()
    return _show(
        request,
        "dashboard_locations",
        form,
        empty=not read,
        table=tables.locations(read),
        figures=_figures(("gain_by_condition",), read, form.whole_query),
    )


@allow(*READERS)
@never_cache
@require_GET
def interventions(request: HttpRequest) -> HttpResponse:
    form = _form(request, "location", "interval")
    if not form.is_valid():
        return _show(request, "dashboard_interventions", form)
    from ..dashboards import tables

    read = form.chosen().read()
    by_type = queries.grouped(read, "type")
    return _show(
        request,
        "dashboard_interventions",
        form,
        empty=not read,
        by_type={kind: tables.Told(figures) for kind, figures in by_type.items()},
        table=tables.static_against_dynamic(by_type),
        figures=_figures(("question_quality",), read, form.whole_query),
    )


# --- over time


@allow(*READERS)
@never_cache
@require_GET
def time(request: HttpRequest) -> HttpResponse:
    """Months from the statistics; days and weeks from the counts of days, over four months at most."""
    form = _form(request, "unit", "location", "interval", "type")
    if not form.is_valid():
        return _show(request, "dashboard_time", form)
    asked, unit = form.chosen(), form.value("unit") or "month"
    figures = _over_time(asked, unit, form.whole_query)
    return _show(
        request,
        "dashboard_time",
        form,
        empty=all(figure.empty for figure in figures.values()),
        unit=unit,
        first_day=asked.first_day,
        last_day=asked.last_day,
        was_cut=asked.was_cut,
        most_days=selection.MAX_DAYS,
        figures=figures,
    )


def _over_time(asked: Chosen, unit: Any, query: str) -> dict[str, Figure]:
    from ..charts import sources

    if unit == "month":
        return _figures(sources.FROM_DAYS, asked.read(), query)
    found = asked.days()
    return {name: _figure(name, make(found, unit), query) for name, make in sources.FROM_DAYS.items()}


# --- a student over sessions


def sessions_of_student(student_id: str) -> paging.Listing:
    part = partial(Session.of_student, student_id)
    return paging.Listing(name=f"dashboards/student/{student_id}", index=2, parts=(part,))


@allow(*READERS)
@never_cache
@require_GET
def student(request: HttpRequest, student_id: str) -> HttpResponse:
    """A query and a batch; the profile is asked for only where there is no session."""
    cursor = request.GET.get("cursor")
    try:
        page = paging.page(sessions_of_student(student_id), cursor, size=PER_PAGE)
    except keys.BadKey:
        raise Http404("no such student") from None
    except paging.BadCursor:
        return render(request, "bad_link.html", status=400)
    found = session_scores.scored(readable(page.items, Session), roles_in_view(request))
    query = urlencode({"student": student_id, **({"cursor": cursor} if cursor else {})})
    code = found[0].session.student_code if found else _code(student_id)
    account_audit.look(request, "chart.view", student_id=student_id)
    return _show(
        request,
        "dashboard_student",
        None,
        student_id=student_id,
        code=code,
        page=page,
        found=found,
        realm=found[0].session.realm if found else "",
        has_scores=any(one.baseline is not None for one in found),
        beyond_first=bool(cursor),
        figure=_figure("student_sessions", session_scores.over_sessions(found), query),
    )


def _code(student_id: str) -> str:
    try:
        profile: Any = Student.by_id(student_id)
    except Student.DoesNotExist:
        raise missing_student(student_id) from None
    return str(profile.student_code)


# --- the tutor


@allow(*READERS)
@never_cache
@require_GET
def ai(request: HttpRequest) -> HttpResponse:
    form = _form(request, "location", "interval")
    if not form.is_valid():
        return _show(request, "dashboard_ai", form)
    from ..charts import sources
    from ..dashboards import tables

    read = form.chosen().read()
    dynamic = [part for part in read if keys.Condition.from_code(part.code).type == "dynamic"]
    return _show(
        request,
        "dashboard_ai",
        form,
        empty=not read,
        silent=budget.health(study.now()),
        tutor=tables.tutor(merge(read)),
        by_month=tables.tutor_by(sources.by_month(dynamic)),
        by_location=tables.tutor_by(queries.grouped(dynamic, "location")),
        figures=_figures(("ai_cost",), read, form.whole_query),
    )


# --- inference


@allow(*READERS)
@never_cache
@require_GET
def inference(request: HttpRequest) -> HttpResponse:
    """The analysis of covariance, over sessions read one by one once and kept while the statistics stay."""
    form = _form(request, "flagged")
    if not form.is_valid():
        return _show(request, "dashboard_inference", form)
    from ..dashboards import analysis

    try:
        outcome = analysis.of(form.chosen(), **who_is_analysed(form))
    except analysis.TooMany as error:
        return _show(request, "dashboard_inference", form, too_many=str(error))
    return _show(
        request,
        "dashboard_inference",
        form,
        empty=not outcome.analysis.considered,
        outcome=outcome,
        told=outcome.analysis,
        result=outcome.analysis.result,
        terms=sorted(getattr(outcome.analysis.result, "terms", ()), key=lambda term: bool(term.factors)),
        figure=_figure("before_after", outcome.before_after(), f"{form.whole_query}&analysed=1"),
    )


def who_is_analysed(form: ChosenForm) -> dict[str, bool]:
    return {
        "with_flagged": form.value("flagged") != "clean",
    }
