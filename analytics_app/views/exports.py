"""Exports: asked for here, made by the worker, given out for a limited time."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.conf import settings
from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods
from pynamodb.exceptions import PynamoDBException

from sessions_app import study
from sessions_app.access.roles import actor, allow, roles_of
from sessions_app.domain import export_jobs
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.models import ExportJob
from sessions_app.domain.store import keys
from sessions_app.pages import render

from ..export import request as export_request
from ..export.forms import ExportForm
from ..export.profiles import REASONS

READERS = ("researcher", "admin")
SHOWN = 50
WORDS = {
    "waiting": ("waiting", "info"),
    "running": ("in progress", "info"),
    "done": ("ready", "ok"),
    "failed": ("failed", "bad"),
    "expired": ("expired", ""),
    "destroyed": ("to be deleted", "bad"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """An export as the list shows it."""

    job: ExportJob
    state: str
    is_for_reader: bool

    @property
    def word(self) -> str:
        return WORDS[self.state][0]

    @property
    def tone(self) -> str:
        return WORDS[self.state][1]

    @property
    def is_open(self) -> bool:
        return self.state in ("waiting", "running")

    @property
    def is_ready(self) -> bool:
        return self.state == "done" and self.is_for_reader

    @property
    def days(self) -> str:
        told = self.job.filters
        if not (told.start or told.end):
            return "whole study"
        return f"{told.start or 'start'} to {told.end or 'today'}"

    @property
    def number_of_rows(self) -> int:
        return sum((self.job.rows or {}).values())

    @property
    def excluded(self) -> list[tuple[int, str, str]]:
        """Number, word and meaning."""
        told = sorted((self.job.excluded or {}).items())
        return [(number, reason.replace("_", " "), REASONS.get(reason, "")) for reason, number in told]


@allow(*READERS)
@never_cache
@require_http_methods(["GET", "POST"])
def index(request: HttpRequest) -> HttpResponse:
    """The form and the list; for htmx the list alone, which keeps what it shows when this fails."""
    if request.method == "POST":
        return _ask(request)
    if not getattr(request, "htmx", None):
        return _show(request, _form(request))
    try:
        return _show(request, None)
    except PynamoDBException:
        return HttpResponse(status=503)


def _form(request: HttpRequest) -> ExportForm:
    fresh = keys.export_id(study.now(), uuid.uuid4().hex[:8])
    sent = request.POST if request.method == "POST" else None
    return ExportForm(sent, roles=roles_of(request.user), export_id=fresh)


def _ask(request: HttpRequest) -> HttpResponse:
    form = _form(request)
    if not form.is_valid():
        return _show(request, form, status=422)
    told = form.cleaned_data
    export_jobs.ask(
        export_id=told["export_id"],
        profile=told["profile"],
        filters=form.filters(),
        reason=told.get("reason"),
        by=actor(request),
        now=study.now(),
    )
    messages.success(request, "The export is in the queue. This page shows how far it is.")
    return redirect("exports")


def _show(request: HttpRequest, form: ExportForm | None, *, status: int = 200) -> HttpResponse:
    rows = _rows(actor(request), study.now())
    context = {
        "form": form,
        "rows": rows,
        "is_busy": any(row.is_open for row in rows),
        "hours": settings.EXPORT_HOURS,
    }
    template = "exports/index.html" if form else "exports/index.html#list"
    response = render(request, template, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _rows(reader: Actor, now: datetime) -> list[Row]:
    found: Iterable[ExportJob] = islice(export_jobs.jobs(), SHOWN)
    left = export_jobs.departures()
    return [
        Row(job, export_jobs.state_of(job, left=left, now=now), export_jobs.is_for(job, reader))
        for job in found
    ]


@allow(*READERS)
@never_cache
@require_GET
def download(request: HttpRequest, export_id: str) -> HttpResponseBase:
    """The file, once the audit log has told of it. Who may not have it, or comes too late, is told why."""
    try:
        job = ExportJob.by_id(export_id)
    except (ExportJob.DoesNotExist, keys.BadKey):
        raise Http404 from None
    try:
        export_jobs.may_hand_out(job, by=actor(request), now=study.now())
        file = export_request.path_of(job).open("rb")  # before the note: what is not there does not leave
    except export_jobs.NotAllowed as error:
        return _refused(request, str(error), 403)
    except export_jobs.NoLonger as error:
        return _refused(request, str(error), 410)
    except FileNotFoundError:
        return _refused(request, "The file is not on this machine. Ask for the export again.", 410)
    try:
        export_jobs.note_handed_out(job, by=actor(request), now=study.now())
    except BaseException:
        file.close()
        raise
    return FileResponse(file, as_attachment=True, filename=export_request.name_of(job))


def _refused(request: HttpRequest, why: str, status: int) -> HttpResponse:
    return render(request, "exports/refused.html", {"why": why}, status=status)
