"""The audit log, and its export, which is in the log itself before it begins."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from pynamodb.exceptions import PynamoDBException

from .. import csv_safe, paging, study
from ..access import account_audit
from ..access.roles import actor, allow, roles_of
from ..domain.audit import log as audit_log
from ..domain.audit import seals
from ..pages import render
from ..presenters import audit_log as audit_words

READERS = ("irb", "admin")


@allow(*READERS)
@never_cache
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """One page of entries, newest first, and how their seals stand."""
    now = study.now()
    sought = audit_words.LogFilter.of(request.GET)
    context = {"form": sought, "standing": audit_words.told(seals.standing(now=now), now=now)}
    if not sought.is_valid():
        return render(request, "audit/index.html", context, status=422)
    try:
        page = paging.page(audit_words.listing(sought), request.GET.get("cursor"))
    except paging.BadCursor:
        return render(request, "bad_link.html", status=400)
    rows = audit_words.rows(page.items, roles_of(request.user))
    account_audit.look(
        request, "audit.view", new=sought.told
    )  # after the page is read, which so does not hold it
    more = {"page": page, "rows": rows, "query": urlencode(sought.told), "sought": sought.told}
    return render(request, "audit/index.html", {**context, **more, "beyond_first": "cursor" in request.GET})


@allow(*READERS)
@never_cache
@require_POST
def export(request: HttpRequest) -> HttpResponseBase:
    sought = audit_words.LogFilter.of(request.POST)
    if not sought.is_valid():
        return redirect("audit")
    try:
        told = sought.told
        audit_log.record("export", by=actor(request), now=study.now(), subject="audit log, CSV", new=told)
    except PynamoDBException:
        messages.error(
            request, "Not exported: the database did not respond, so the export could not be logged."
        )
        return redirect(f"{reverse('audit')}?{urlencode(told)}")
    lines = csv_safe.lines(audit_words.table(sought, roles_of(request.user)))
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    name = f"audit-{told['first']}-to-{told['last']}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
