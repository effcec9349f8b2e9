"""The charts as files, pictures and numbers, by name and filters: for pages, and for links to share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe
from pynamodb.exceptions import PynamoDBException

from sessions_app import paging, study
from sessions_app.access import account_audit
from sessions_app.access.roles import actor, allow, roles_in_view
from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.models import Session, readable
from sessions_app.domain.store import keys

from ..dashboards import session_scores
from ..dashboards.filters import ChosenForm
from ..statistics import queries
from . import dashboards, plan, results

if TYPE_CHECKING:
    from ..charts.sources import Rows

NOBODY: frozenset[str] = frozenset()
FORMS = ("svg", "png", "csv")
LOOKS = {"theme": ("light", "dark"), "size": ("wide", "narrow")}
NAMES = ("unit", "location", "interval", "type", "flagged")
FOR_EVER = "private, max-age=31536000, immutable"


class Refused(ValueError):
    """What was asked for cannot be; the message names the filter."""


@allow(*dashboards.READERS)
@require_safe
def chart(request: HttpRequest, name: str, form: str) -> HttpResponse:
    """With the right version of the data in the address nothing is read, and nothing changes any more."""
    from ..dashboards import chart_cards

    if name not in _sources(NOBODY) or form not in FORMS:
        return _told("There is no such chart.", 404)
    try:
        look = _look(request.GET)
        asked = str(request.GET.get("v", ""))
        rows = chart_cards.kept(name, asked) if asked else None
        if rows is None:
            rows = _rows(name, request.GET, roles_in_view(request))
    except Refused as error:
        return _told(str(error), 422)
    version = chart_cards.version_of(rows)
    etag = f'"{"-".join((name, version, form, *look.values()))}"'
    if name == "student_sessions" and asked != version:  # else it is part of a page, which was audited
        account_audit.look(request, "chart.view", student_id=str(request.GET["student"]))
    response = get_conditional_response(request, etag=etag)
    if response is None or response.status_code != 304:
        if form == "csv" and not _is_told(request, name):
            return _told(
                "Not exported: the database did not respond, so the export could not be logged.", 503
            )
        content, media_type = chart_cards.drawn(name, rows, version=version, form=form, **look)
        response = HttpResponse(content, content_type=media_type)
        response["Content-Disposition"] = (
            f'{"inline" if form == "svg" else "attachment"}; filename="{name}.{form}"'
        )
    response["ETag"] = etag
    response["Cache-Control"] = FOR_EVER if asked == version else "private, no-cache"
    return response


def _is_told(request: HttpRequest, name: str) -> bool:
    """Data that leave as a file are in the audit log before they do; a picture shows what its page shows."""
    asked = {
        key: str(value)
        for key, value in request.GET.items()
        if key in (*NAMES, "realm", "condition", "student")
    }
    try:
        audit_log.record(
            "export", by=actor(request), now=study.now(), subject=f"chart {name}, CSV", new=asked
        )
    except PynamoDBException:
        return False
    return True


def _told(text: str, status: int) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")


def _look(sent: QueryDict) -> dict[str, Any]:
    look = {}
    for name, allowed in LOOKS.items():
        look[name] = str(sent.get(name, allowed[0]))
        if look[name] not in allowed:
            raise Refused(f"{name}: one of {', '.join(allowed)}.")
    return look


# --- where the rows come from


def _rows(name: str, sent: QueryDict, roles: frozenset[str]) -> Rows:
    form = ChosenForm(sent, names=NAMES, today=study.now().date())
    if not form.is_valid():
        faults = (f"{field}: {' '.join(map(str, told))}" for field, told in form.errors.items())
        raise Refused(" ".join(faults))
    return _sources(roles)[name](name, form)


def _sources(roles: frozenset[str]) -> dict[str, Callable[[str, ChosenForm], Rows]]:
    """By chart name, of what these roles see; reading is theirs, making rows is that of `dashboards.rows`."""
    from ..charts import sources

    return {
        **dict.fromkeys(sources.FROM_MONTHS, _from_months),
        **dict.fromkeys(sources.FROM_DAYS, _over_time),
        **dict.fromkeys(sources.FROM_CONDITION, _from_condition),
        "before_after": partial(_before_after, roles=roles),
        "student_sessions": partial(_student_sessions, roles=roles),
        "primary_forest": _primary_forest,
        "power_curve": lambda name, form: plan.power_rows(),
    }


def _from_months(name: str, form: ChosenForm) -> Rows:
    from ..charts import sources

    return sources.FROM_MONTHS[name](form.chosen().read())


def _over_time(name: str, form: ChosenForm) -> Rows:
    from ..charts import sources

    unit: Any = form.value("unit")
    return sources.FROM_DAYS[name](form.chosen().days(), unit) if unit else _from_months(name, form)


def _condition(form: ChosenForm) -> keys.Condition:
    try:
        return keys.Condition.from_code(str(form.sent.get("condition", "")))
    except keys.BadKey:
        raise Refused("condition: a code like L1-I1-D.") from None


def _from_condition(name: str, form: ChosenForm) -> Rows:
    from ..charts import sources

    asked = form.chosen()
    found = queries.condition_figures(keys.cell(_condition(form).code, asked.realm), asked.months)
    return sources.FROM_CONDITION[name](found)


def _before_after(name: str, form: ChosenForm, *, roles: frozenset[str]) -> Rows:
    """Of a page of a condition's sessions, or of all that are analysed."""
    if "condition" in form.sent:
        listing = dashboards.sessions_of_condition(_condition(form), form.chosen().realm)
        return session_scores.before_after(_scored(listing, form, roles))
    from ..dashboards import analysis

    try:
        return analysis.of(form.chosen(), **dashboards.who_is_analysed(form)).before_after()
    except analysis.TooMany as error:
        raise Refused(f"from: {error}") from None


def _primary_forest(name: str, form: ChosenForm) -> Rows:
    rows = results.forest_rows(str(form.sent.get("realm") or "real"))
    if rows is None:
        raise Refused("realm: the results of this realm are not unlocked.")
    return rows


def _student_sessions(name: str, form: ChosenForm, *, roles: frozenset[str]) -> Rows:
    try:
        listing = dashboards.sessions_of_student(str(form.sent.get("student", "")))
        return session_scores.over_sessions(_scored(listing, form, roles))
    except keys.BadKey:
        raise Refused("student: the id of a student.") from None


def _scored(listing: paging.Listing, form: ChosenForm, roles: frozenset[str]) -> list[session_scores.Scored]:
    try:
        page = paging.page(listing, form.sent.get("cursor"), size=dashboards.PER_PAGE)
    except paging.BadCursor as error:
        raise Refused(f"cursor: {error}.") from None
    return session_scores.scored(readable(page.items, Session), roles)
