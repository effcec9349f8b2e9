"""Consent for the review board: the lists by state, one student's record, the review, certificate and file.

A record is shown only after the audit log has it that somebody looked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from .. import csv_safe, paging, study
from ..access import account_audit, sites
from ..access.roles import actor, allow
from ..domain.audit import log as audit_log
from ..domain.consent import decisions as consent_decisions
from ..domain.models import DirectoryEntry, ErasureTask, FormText, Student, Tombstone, readable
from ..domain.store import keys
from ..domain.store.items import count_up_to, shortened
from ..forms.staff import ConsentFilter, ReviewForm
from ..pages import render, seen
from ..presenters import consent_csv
from ..presenters.consent_record import ConsentRecord, NoSuchStudent
from .store_unavailable import while_away

COUNTED = 1000
"""Lists are counted no further: it bounds what the page costs."""
TABS = {
    "awaiting": "Awaiting review",
    "returned": "Returned",
    "needs_reconsent": "Re-consent needed",
    "complete": "Complete",
    "missing_permission": "Missing permission",
    "missing_assent": "Missing assent",
    "refused": "Refused",
    "withdrawn": "Withdrawn",
}
IN_REVIEW = ("awaiting", "returned")


def nothing_shown(request: HttpRequest) -> HttpResponse:
    return render(request, "consent/away.html", status=503)


def tell_of_view(request: HttpRequest, student_id: str, what: str) -> None:
    """To be called before anything of a record is shown. Raises PynamoDB's error: show nothing then.

    An id that no key can hold, as another client may store one, is told in words.
    """
    try:
        keys.student(student_id)
    except keys.BadKey:
        what, student_id = f"{what} of {shortened(student_id)}", ""
    known = {"student_id": student_id} if student_id else {}
    audit_log.record("consent.view", by=actor(request), now=study.now(), subject=what, **known)


# --- the lists


@allow("irb", "admin")
@never_cache
@require_GET
@while_away(nothing_shown)
def index(request: HttpRequest) -> HttpResponse:
    """One state's students, newest first, with how many there are in each."""
    tab = _tab(request.GET)
    form = ConsentFilter(request.GET, schools=sites.schools())
    context: dict[str, Any] = {"form": form, "tab": tab, "tabs": _counted()}
    if form.is_valid():
        sought = form.cleaned_data
        try:
            context["page"] = paging.page(_listing(tab, **sought), request.GET.get("cursor"))
        except paging.BadCursor:
            return render(request, "bad_link.html", status=400)
        context["query"] = _query(tab, sought)
        context["beyond_first"] = "cursor" in request.GET
        context["by_code"] = bool(sought["code"])
        account_audit.look(
            request, "consent.list", new={"list": "by code" if sought["code"] else tab, **sought}
        )
    return render(request, "consent/index.html", context)


def _tab(sent: QueryDict) -> str:
    named = str(sent.get("tab", ""))
    return named if named in TABS else "awaiting"


def _counted() -> list[dict[str, Any]]:
    """Every list with its count, as `1,000+` beyond what is counted."""
    rows = []
    for name, title in TABS.items():
        partition = keys.consent_review(name) if name in IN_REVIEW else keys.consent_state(name)
        count = count_up_to(COUNTED, partition, index=4 if name in IN_REVIEW else 3)
        rows.append(
            {"name": name, "title": title, "count": f"{COUNTED:,}+" if count > COUNTED else str(count)}
        )
    return rows


def _query(tab: str, sought: dict[str, str]) -> str:
    query = QueryDict(mutable=True)
    query.update({"tab": tab} | {name: value for name, value in sought.items() if value})
    return query.urlencode()


def _listing(tab: str, *, school: str, code: str) -> paging.Listing:
    index, part = _part(tab, school, code)
    return paging.Listing(name=f"consent/{tab}/{school}/{code}", index=index, parts=(part,))


def _part(tab: str, school: str, code: str) -> tuple[int | None, Callable[..., Any]]:
    """One query. A code is looked for in every state; of a school's students the state is picked out."""
    if code:
        # A school is known here by its digest, which its students' index keys hold.
        of_school = keys.school(school) == DirectoryEntry.GSI1PK if school else None
        return None, partial(DirectoryEntry.with_code, code, filter_condition=of_school)
    if school:
        return 1, partial(DirectoryEntry.of_school, school, filter_condition=_in_tab(tab))
    if tab in IN_REVIEW:
        return 4, partial(DirectoryEntry.in_review, tab)
    return 3, partial(DirectoryEntry.in_state, tab)


def _in_tab(tab: str) -> Any:
    if tab not in IN_REVIEW:
        return DirectoryEntry.consent_state == tab
    state: Any = DirectoryEntry.review_state
    reviewed = state == tab
    if tab == "awaiting":
        reviewed = reviewed | state.does_not_exist()
    return (DirectoryEntry.consent_state == "complete") & reviewed


@allow("irb", "admin")
@never_cache
@require_GET
@while_away(nothing_shown)
def export(request: HttpRequest) -> HttpResponse:
    """The current list as a file; the audit log has its filter and number of rows before the first leaves."""
    tab = _tab(request.GET)
    form = ConsentFilter(request.GET, schools=sites.schools())
    if not form.is_valid():
        return redirect("consent_list")
    sought, now = form.cleaned_data, study.now()
    _, part = _part(tab, sought["school"], sought["code"])
    entries = list(readable(part(), DirectoryEntry))
    told = {"rows": len(entries), "list": "by code" if sought["code"] else tab}
    told |= {name: value for name, value in sought.items() if value}
    name = f"consent-{tab}-{now:%Y%m%dT%H%M%SZ}.csv"
    audit_log.record("export", by=actor(request), now=now, subject=name, new=told)
    rows = chain([consent_csv.HEADER], _rows(request, entries))
    answer: Any = StreamingHttpResponse(
        csv_safe.lines(rows),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
    return answer  # type: ignore[no-any-return]  # Django has no common type but HttpResponseBase


def _rows(request: HttpRequest, entries: Iterable[DirectoryEntry]) -> Iterator[list[Any]]:
    """Profiles are read by the hundred while the file is on its way."""
    waiting = iter(entries)
    texts = {text.fingerprint: text.sha256_of_key for text in FormText.all()}
    while batch := list(islice(waiting, 100)):
        wanted = [(keys.student(entry.student_id), keys.PROFILE) for entry in batch]
        profiles = {p.student_id: p for p in Student.batch_get(wanted, consistent_read=True)}
        for entry in batch:
            if student := profiles.get(entry.student_id):
                yield consent_csv.row(seen(request, student), texts)


# --- one student


@allow("irb", "admin")
@never_cache
@require_GET
@while_away(nothing_shown)
def show(request: HttpRequest, student_id: str) -> HttpResponse:
    record = _load(student_id)
    if record is None:
        return erased(request, student_id)
    return _show(request, record, _review_form(record))


def _load(student_id: str) -> ConsentRecord | None:
    """None for a student whose data were erased."""
    try:
        return ConsentRecord.load(student_id).with_texts()
    except NoSuchStudent:
        if tombstone(student_id) is None:
            raise Http404("no such student") from None
        return None


def tombstone(student_id: str) -> Tombstone | None:
    try:
        keys.student(student_id)
    except keys.BadKey:
        return None
    return Tombstone.of_student(student_id)


def erased(request: HttpRequest, student_id: str) -> HttpResponse:
    """What stays after an erasure."""
    context = {"tombstone": tombstone(student_id), "task": ErasureTask.of_student(student_id)}
    return render(request, "consent/erased.html", context, status=410)


def _review_form(record: ConsentRecord, sent: QueryDict | None = None) -> ReviewForm | None:
    """None where there is nothing to review."""
    student = record.student
    if not student.has_consent() or student.consent_data.state not in (None, "complete"):
        return None
    return ReviewForm(sent, initial={"seen": student.consent_data.version})


def _show(
    request: HttpRequest, record: ConsentRecord, form: ReviewForm | None, status: int = 200
) -> HttpResponse:
    context = {"record": record, "student": record.student, "form": form, "entries": record.told()}
    tell_of_view(request, record.student.student_id, "consent record")
    return render(request, "consent/show.html", context, status=status)


@allow("irb", "admin")
@never_cache
@require_POST
@while_away(nothing_shown)
def review(request: HttpRequest, student_id: str) -> HttpResponse:
    record = _load(student_id)
    if record is None:
        return erased(request, student_id)
    form = ReviewForm(request.POST)
    if not form.is_valid():
        return _show(request, record, form, 422)
    told = form.cleaned_data
    try:
        consent_decisions.review(student_id=student_id, **told, by=actor(request), now=study.now())
    except consent_decisions.ChangedMeanwhile:
        messages.warning(
            request,
            "Someone changed this consent while you were viewing it, so your review was not saved. "
            "This is its current state.",
        )
    except (consent_decisions.ConsentWithdrawn, consent_decisions.NothingToReview):
        messages.warning(request, "Not saved: this consent is no longer complete.")
    else:
        messages.success(request, f"The consent is {told['outcome']}.")
    return redirect("consent", student_id)


@allow("irb", "admin")
@never_cache
@require_GET
@while_away(nothing_shown)
def certificate(request: HttpRequest, student_id: str) -> HttpResponse:
    """One page to print: what was agreed to, by the code and never by a name."""
    record = _load(student_id)
    if record is None:
        return erased(request, student_id)
    tell_of_view(request, student_id, "certificate")
    context = {"record": record, "student": record.student, "now": study.now(), "by": actor(request)}
    return render(request, "consent/certificate.html", context)
