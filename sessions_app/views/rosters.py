"""Class lists: imported after a preview, shown, and printed as a sheet and cards."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from pynamodb.exceptions import PynamoDBException

from .. import paging, qr, study
from ..access import account_audit, sites
from ..access.roles import actor, allow
from ..domain.models import Roster
from ..domain.participants import roster_csv, rosters
from ..domain.store import keys
from ..domain.store.transactions import Busy
from ..forms.roster import ImportForm, near_school
from ..pages import render
from .consent import nothing_shown
from .store_unavailable import while_away
from .students import FOREIGN_SCHOOL, is_foreign, join_new, spelling

STORE_AWAY = "The database did not respond, so nothing was imported. Please try again."


@allow("facilitator", "admin")
@never_cache
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """Newest first; a facilitator's are those of the own sites."""
    limit = sites.limit_of(request)
    if limit is None:
        listing = paging.Listing(name="rosters", index=5, parts=(Roster.newest_first,))
    else:
        parts = tuple(partial(Roster.of_site, site) for site in sorted(limit.sites))
        listing = paging.Listing(name="rosters", index=1, parts=parts)
    try:
        page = paging.page(listing, request.GET.get("cursor"))
    except paging.BadCursor:
        return render(request, "bad_link.html", status=400)
    return render(request, "rosters/index.html", {"page": page, "beyond_first": "cursor" in request.GET})


def load(request: HttpRequest, roster_id: str) -> Roster:
    """Raises Http404, for a list of another site as well."""
    try:
        roster = Roster.by_id(roster_id)
    except (Roster.DoesNotExist, keys.BadKey):
        raise Http404("no such list") from None
    limit = sites.limit_of(request)
    if limit is not None and roster.site not in limit.sites:
        account_audit.denied(request)
        raise Http404("no such list")
    return roster


@allow("facilitator", "admin")
@never_cache
@require_GET
def show(request: HttpRequest, roster_id: str) -> HttpResponse:
    roster = load(request, roster_id)
    entries = roster.entries()
    waiting = sum(entry.enrolled_at is None for entry in entries)
    context = {"roster": roster, "entries": entries, "waiting": waiting}
    return render(request, "rosters/show.html", context)


@allow("facilitator", "admin")
@never_cache
@require_GET
def printout(request: HttpRequest, roster_id: str) -> HttpResponse:
    """The sheet with an empty column for names, and a card for each student."""
    roster = load(request, roster_id)
    start = request.build_absolute_uri(reverse("session_new"))
    cards = [(entry, qr.svg(f"{start}?code={entry.student_code}")) for entry in roster.entries()]
    return render(request, "rosters/print.html", {"roster": roster, "cards": cards})


@allow("facilitator", "admin")
@require_POST
@while_away(nothing_shown)
def remove(request: HttpRequest, roster_id: str) -> HttpResponse:
    """The facts of students who did not enroll are no longer needed."""
    roster = load(request, roster_id)
    try:
        count = rosters.remove_unenrolled(roster, by=actor(request), now=study.now())
    except Busy:
        messages.error(request, "Others are changing this list right now, so nothing was removed. Try again.")
        return redirect("roster", roster_id)
    messages.success(request, f"{count} student{'s' * (count != 1)} removed from {roster.name}.")
    return redirect("roster_list")


@allow("facilitator", "admin")
@require_GET
def template(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(roster_csv.TEMPLATE, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="class-list.csv"'
    return response


# --- import


@allow("facilitator", "admin")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@while_away(nothing_shown)
def new(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        own = sites.schools(sites.limit_of(request))
        known = {"school": own[0].name} if len(own) == 1 else {}
        return _page(request, ImportForm(initial=known))
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, form, status=422)
    if is_foreign(request, form.cleaned_data["school"]):
        form.add_error("school", FOREIGN_SCHOOL)
        return _page(request, form, status=422)
    try:
        sheet = roster_csv.read(form.cleaned_data["text"], ages=study.ages())
    except roster_csv.NotAList as error:
        form.add_error("file" if form.cleaned_data["file"] else "pasted", str(error))
        return _page(request, form, status=422)
    doubts = _doubts(request, form, sheet)
    wants = request.POST.get("step") == "import" and sheet.is_clean
    if not wants or (doubts and not form.cleaned_data["confirmed"]):
        return _page(request, form, sheet=sheet, doubts=doubts)
    return _import(request, form, sheet)


def _page(request: HttpRequest, form: ImportForm, *, status: int = 200, **context: Any) -> HttpResponse:
    text = form.cleaned_data.get("text", "") if form.is_bound else ""
    context |= {
        "form": form,
        "text": text,
        "columns": roster_csv.COLUMNS,
        "required": roster_csv.REQUIRED,
        "max_rows": roster_csv.MAX_ROWS,
        "schools": sites.schools(sites.limit_of(request)),
    }
    return render(request, "rosters/new.html", context, status=status)


def _doubts(request: HttpRequest, form: ImportForm, sheet: roster_csv.Sheet) -> list[str]:
    """What is asked about before the list is stored."""
    name, school = form.cleaned_data["name"], spelling(form.cleaned_data["school"])
    doubts = [
        f"{one} and {other} are almost the same code. Are they two students?"
        for one, other in roster_csv.near_duplicates(sheet.rows)
    ]
    same = rosters.same_rows(school, sheet)
    if same is not None and same.roster_id != keys.roster_id(school, name):
        doubts.append(f"The list “{same.name}” has exactly the same rows. Is this another class?")
    near = near_school(school, (str(each.name) for each in sites.schools(sites.limit_of(request))))
    if near:
        doubts.append(f"Did you mean {near}? “{school}” would be a new school.")
    return doubts


def _import(request: HttpRequest, form: ImportForm, sheet: roster_csv.Sheet) -> HttpResponse:
    school = spelling(form.cleaned_data["school"])
    try:
        join_new(request, school)
        roster = rosters.store(
            sheet,
            name=form.cleaned_data["name"],
            school=school,
            source=study.chance,
            by=actor(request),
            now=study.now(),
        )
    except rosters.NameTaken as error:
        form.add_error("name", str(error))
        return _page(request, form, status=409)
    except rosters.CodesTaken as error:
        form.add_error(None, f"{error} Nothing was imported.")
        return _page(request, form, status=409)
    except (Busy, PynamoDBException):
        form.add_error(None, STORE_AWAY)
        return _page(request, form, sheet=sheet, status=503)
    return redirect("roster", roster.roster_id)
