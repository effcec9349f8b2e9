"""Consent on paper for a whole class: each student is one enrollment, and one failure stops no other."""

from __future__ import annotations

from datetime import date
from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from pynamodb.exceptions import PynamoDBException

from .. import study
from ..access.roles import actor, allow
from ..domain.consent import form_texts
from ..domain.consent.agreement import AgeOutsideStudy, Agreement, forms_needed
from ..domain.models import Roster, RosterEntry
from ..domain.participants import rosters
from ..domain.participants.enrolment import Erased, enrol
from ..domain.store.transactions import Busy, Refused
from ..forms.roster import PapersForm, RowForm
from ..pages import render
from .consent import nothing_shown
from .rosters import load
from .store_unavailable import while_away

Chosen = list[tuple[RowForm, RosterEntry]]


@allow("facilitator", "admin")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@while_away(nothing_shown)
def consent(request: HttpRequest, roster_id: str) -> HttpResponse:
    roster = load(request, roster_id)
    waiting = [entry for entry in roster.entries() if entry.enrolled_at is None]
    sent = request.POST if request.method == "POST" else None
    today = timezone.localdate(study.now())
    kinds = sorted({kind for entry in waiting for kind in forms_needed(int(entry.age))}, reverse=True)
    versions = {kind: form_texts.versions(study.package().form(kind)) for kind in kinds}
    papers = PapersForm(sent, versions=versions, today=today)
    rows = [(RowForm(sent, entry=entry, today=today), entry) for entry in waiting]
    context = {"roster": roster, "papers": papers, "rows": rows}
    if sent is None:
        return render(request, "rosters/consent.html", context)
    valid = [row.is_valid() for row, _ in rows]
    chosen = [(row, entry) for row, entry in rows if row.is_valid() and row.cleaned_data["signer"]]
    signed = [row for row, _ in chosen if row.cleaned_data["signer"] != "no"]
    if not all(valid) or (signed and not papers.is_valid()):
        return render(request, "rosters/consent.html", context, status=422)
    _store_each(request, roster, chosen, papers)
    return redirect("roster", roster.roster_id)


def _store_each(request: HttpRequest, roster: Roster, chosen: Chosen, papers: PapersForm) -> None:
    enrolled = refused = 0
    for row, entry in chosen:
        if row.cleaned_data["signer"] == "no":
            try:
                refused += rosters.count_refusal(roster, entry, by=actor(request), now=study.now())
            except (Busy, PynamoDBException):
                messages.warning(request, "A refusal was not counted: the database did not respond.")
            continue
        problem = _enrolled(request, roster, entry, row, papers)
        if problem:
            messages.warning(request, f"{entry.student_code} was not enrolled: {problem}")
        else:
            enrolled += 1
    messages.success(request, f"{enrolled} enrolled, {refused} refused.")


def _enrolled(
    request: HttpRequest, roster: Roster, entry: RosterEntry, row: RowForm, papers: PapersForm
) -> str:
    """Why the student was not enrolled; empty when all is stored."""
    needed, profile = forms_needed(int(entry.age)), cast(Any, entry.learning_profile)
    forms = [form for form in papers.forms_chosen() if form.kind in needed]
    signed_on: date = row.cleaned_data["signed_on"] or papers.cleaned_data["signed_on"]
    agreements = [
        Agreement(
            kind=form.kind,
            sha256=form.sha256,
            relation=row.cleaned_data["signer"] if form.kind == "parental_permission" else "self",
            method="paper_seen",
            agrees=True,
            signed_on=signed_on.isoformat(),
        )
        for form in forms
    ]
    try:
        enrol(
            student_id=str(entry.student_id),
            demographics={
                "age": entry.age,
                "grade_level": entry.grade_level,
                "school": roster.school,
                "richmond_resident": entry.richmond_resident,
            },
            learning_profile=profile or {},
            agreements=agreements,
            data_sharing=row.cleaned_data["sharing"] == "yes",
            forms=forms,
            ages=study.ages(),
            source=study.chance,
            by=actor(request),
            now=study.now(),
            entry=entry,
        )
    except (Erased, AgeOutsideStudy) as error:
        return str(error)
    except Refused:
        return "the list has changed. Please look at it again."
    except (Busy, PynamoDBException):
        return "the database did not respond. Please try again."
    return ""
