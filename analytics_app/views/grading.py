"""Scores by people: what there is to score, one answer at a time, and how graders agree.

Who scores sees neither condition nor whether an answer came before or after; a second grader sees no points.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import escape
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from sessions_app import paging, study
from sessions_app.access import account_audit
from sessions_app.access.roles import actor, allow
from sessions_app.domain.consent.agreement import ConsentNotInForce
from sessions_app.domain.content.package import Package
from sessions_app.domain.grading import human as human_scoring
from sessions_app.domain.grading.human import (
    Answer,
    ChangedMeanwhile,
    Criterion,
    NothingToScore,
    NotYours,
    Place,
)
from sessions_app.domain.models import InvalidField, Item, Review, ReviewedAnswer
from sessions_app.domain.store import keys
from sessions_app.domain.store.transactions import Busy
from sessions_app.forms.staff import DayFilter, StaffForm
from sessions_app.pages import asked_realm, render
from sessions_app.presenters.transcript import SCORE_WORDS

from ..inference import rater_pairs

KINDS = {"short": "Short answers", "dialogue": "Dialogue"}
LISTS = {"open": "Not yet graded", "second": "Needs second rater", "scored": "Graded"}
WANTED = "needs second rater"
REVIEWS_ON_A_PAGE = 8  # of up to three answers each
MAX_NOTE_LENGTH = 2000
QUALITIES = {
    "question_clarity": "One clear thing is asked, in words for the age.",
    "question_relevance": "Close to the key concepts of the segment.",
    "answer_depth": "Reasons and links rather than a bare word.",
    "answer_accuracy": "Agrees with the segment; empty or off the subject is 1.",
    "engagement_level": "Effort and curiosity in the answer.",
    "builds_on_previous": "Takes up what the student wrote before.",
    "synthesis_quality": "Joins the two earlier answers.",
    "location_integration": "Uses the student's location.",
}


# --- the lists


class ListFilter(DayFilter):
    kind = forms.ChoiceField(label="Kind", choices=list(KINDS.items()))
    list = forms.ChoiceField(label="State", choices=list(LISTS.items()))
    field_order = ("kind", "list", "day")

    def __init__(self, data: QueryDict | dict[str, str]) -> None:
        super().__init__({"kind": "short", "list": "open", **{name: data.get(name, "") for name in data}})
        self.fields["day"].required = False
        self.fields["day"].label = "Date"


@dataclass(frozen=True, slots=True)
class Line:
    """An answer in a list. Scores are means over what was scored, of a short answer its points."""

    url: str
    title: str
    ref: str
    at: datetime
    state: str
    tone: str
    hidden: bool
    model: float | None
    person: float | None
    second: float | None


@allow("researcher", "admin")
@never_cache
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """One page of a list: one query, and a batch that tells which sessions are void."""
    form = ListFilter(request.GET)
    context: dict[str, Any] = {"form": form, "beyond_first": "cursor" in request.GET}
    if form.is_valid():
        told = form.cleaned_data
        try:
            page = paging.page(_listing(**told), request.GET.get("cursor"), size=REVIEWS_ON_A_PAGE)
        except paging.BadCursor:
            return render(request, "bad_link.html", status=400)
        context |= {
            "page": page,
            "lines": list(_lines(page.items, told["list"], request.user.get_username())),
            "list": told["list"],
            "query": urlencode({name: value for name, value in told.items() if value}),
            "filtered": bool(told["day"]),
        }
    return render(request, "grading/index.html", context)


def _listing(*, kind: str, list: str, day: date | None) -> paging.Listing:
    start = datetime.combine(day, time(), study.zone()) if day else None
    end = datetime.combine(day + timedelta(days=1), time(), study.zone()) if day else None
    part = partial(Review.listed, kind, list, start=start, end=end)
    index = {"open": 1, "second": 3, "scored": 5}[list]
    return paging.Listing(name=f"grading/{kind}/{list}/{day}", index=index, parts=(part,))


def _lines(items: list[Item], list_name: str, by: str) -> Iterator[Line]:
    package = study.package()
    for item in human_scoring.counting(items):
        told = (each for each in item.answers if each.question and each.belongs_to(list_name))
        yield from (_line(item, each, list_name, by, package) for each in told)


def _line(item: Review, answer: ReviewedAnswer, list_name: str, by: str, package: Package) -> Line:
    mark = human_scoring.mark_of(item.session_id, item.what)
    place = Place(item.session_id, mark, answer.question)
    state, tone = _state(answer, by)
    return Line(
        url=_url(place, list_name),
        title=_title(item.what, answer.question, package),
        ref=mark[:6],
        at=item.scored_at,
        state=state,
        tone=tone,
        hidden=state == WANTED,  # whoever may still give the second score
        model=_mean(answer.model),
        person=_mean(answer.human),
        second=_mean(answer.second),
    )


def _state(answer: ReviewedAnswer, by: str) -> tuple[str, str]:
    if answer.belongs_to("open"):
        return ("no model could", "warn") if answer.model is None else ("AI score only", "info")
    if answer.belongs_to("second"):
        return ("awaiting second grader", "") if answer.human_by == by else (WANTED, "warn")
    return ("scored twice" if answer.in_sample else "scored"), "ok"


def _mean(given: Mapping[str, float] | None) -> float | None:
    return sum(given.values()) / len(given) if given else None


def _title(what: str, question: str, package: Package) -> str:
    if what.startswith("questions-"):
        return f"Dialogue after part {what.removeprefix('questions-')}, question {question}"
    try:
        return package.item(question).question_text
    except KeyError:
        return f"Item {question}"


def _url(place: Place, list_name: str) -> str:
    path = reverse("grading_answer", args=(place.session_id, place.mark, place.question))
    return f"{path}?{urlencode({'list': list_name})}"


# --- one answer


class ScoreForm(StaffForm):
    """A number for each criterion, and a note."""

    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, data: QueryDict | None, answer: Answer, by: str) -> None:
        given = answer.given_by(by)
        super().__init__(data, initial={"seen": answer.seen_by(by), "note": given.note if given else ""})
        for number, criterion in enumerate(answer.criteria):
            self.fields[criterion.name] = _number(criterion, first=number == 0 and data is None)
            if given:
                self.fields[criterion.name].initial = given.breakdown.get(criterion.name)
        self.fields["note"] = forms.CharField(
            label="Note",
            required=False,
            max_length=MAX_NOTE_LENGTH,
            help_text="For the other graders: explain your score.",
            widget=forms.Textarea(attrs={"rows": 2}),
        )
        self.criteria = answer.criteria

    @property
    def rows(self) -> list[tuple[forms.BoundField, Criterion]]:
        return [(self[criterion.name], criterion) for criterion in self.criteria]

    @property
    def breakdown(self) -> dict[str, float]:
        return {criterion.name: self.cleaned_data[criterion.name] for criterion in self.criteria}

    def with_state_of(self, answer: Answer, by: str) -> ScoreForm:
        """What was written, on top of what is stored by now."""
        told: Any = self.data
        told = told.copy()
        told["seen"] = answer.seen_by(by)
        return ScoreForm(told, answer, by)


def _number(criterion: Criterion, *, first: bool) -> forms.FloatField:
    ends = f"from {criterion.least:g} to {criterion.most:g} in steps of {human_scoring.STEP:g}"
    about = criterion.description or QUALITIES.get(criterion.name, "")
    return forms.FloatField(
        label=_words(criterion.name),
        min_value=criterion.least,
        max_value=criterion.most,
        step_size=human_scoring.STEP,
        help_text=f"{escape(about)} {criterion.least:g} to {criterion.most:g}.",
        error_messages=dict.fromkeys(
            ("required", "invalid", "min_value", "max_value", "step_size"), f"Give a number {ends}."
        ),
        widget=forms.NumberInput(attrs={"inputmode": "decimal", **({"autofocus": True} if first else {})}),
    )


def _words(name: str) -> str:
    return SCORE_WORDS.get(name) or name.replace("_", " ").capitalize()


@allow("researcher", "admin")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def answer(request: HttpRequest, session_id: str, mark: str, question: str) -> HttpResponse:
    """One answer with its rubric; sent, the score is stored."""
    package, by = study.package(), request.user.get_username()
    load = partial(human_scoring.load, session_id=session_id, mark=mark, question=question, package=package)
    try:
        found = load()
    except NothingToScore:
        raise Http404("no such answer") from None
    list_name = _list_of(request.GET, found, by)
    if request.method != "POST":
        return _page(request, found, list_name, ScoreForm(None, found, by))
    form = ScoreForm(request.POST, found, by)
    if not form.is_valid():
        return _page(request, found, list_name, form, status=422)
    try:
        stored = human_scoring.score(
            session_id=session_id,
            mark=mark,
            question=question,
            breakdown=form.breakdown,
            note=form.cleaned_data["note"],
            by=actor(request),
            seen=form.cleaned_data["seen"],
            package=package,
            now=study.now(),
        )
    except InvalidField as error:
        form.add_error(error.field if error.field in form.fields else None, f"{error.reason}.")
        return _page(request, found, list_name, form, status=422)
    except (ChangedMeanwhile, NotYours):
        fresh = load()
        return _page(request, fresh, list_name, form.with_state_of(fresh, by), status=409, changed=True)
    except (ConsentNotInForce, Busy) as error:
        messages.error(request, f"Not saved: {error}.")
        return _page(request, found, list_name, form, status=409)
    messages.success(request, _thanks(stored, by))
    return redirect(_url(Place(session_id, mark, question), list_name))


def _list_of(sent: QueryDict, found: Answer, by: str) -> str:
    if sent.get("list") in LISTS:
        return str(sent["list"])
    return "second" if found.part_of(by) == "second" else "open"


def _thanks(stored: Answer, by: str) -> str:
    if stored.second is not None and stored.second.by == by:
        return "Saved as the second score. The first one counts as before."
    kept = ", and the model's is kept beside it" if stored.has_model else ""
    return f"Saved. Your score counts now{kept}."


def _page(
    request: HttpRequest,
    found: Answer,
    list_name: str,
    form: ScoreForm,
    *,
    status: int = 200,
    changed: bool = False,
) -> HttpResponse:
    by = request.user.get_username()
    part = found.part_of(by)
    is_open = part == "second" or (part == "first" and found.human is None)
    ways = {
        name: _url(place, list_name)
        for name, newer in (("before", True), ("after", False))
        if (place := human_scoring.neighbour(found, list_name, by=by, newer=newer))
    }
    context = {
        "found": found,
        "part": part,
        "is_open": is_open,
        "form": form,
        "changed": changed,
        "ways": ways,
        "list": list_name,
        "list_title": LISTS[list_name],
        "list_url": f"{reverse('grading')}?{urlencode({'kind': found.kind, 'list': list_name})}",
        "rows": [(_words(criterion.name), criterion) for criterion in found.criteria],
        **(_talk(found) if found.kind == "dialogue" else {}),
        **({} if is_open else _revealed(found)),
    }
    account_audit.look(
        request,
        "grading.view",
        session_id=found.run.id,
        student_id=found.run.session.student_id,
        subject=f"{found.what}, {found.question}",
    )
    return render(request, "grading/answer.html", context, status=status)


def _talk(found: Answer) -> dict[str, Any]:
    """The exchanges up to this one, and what is needed to judge them."""
    record: Any = found.record
    asks = record.questions
    place = any(criterion.name == "location_integration" for criterion in found.criteria)
    return {
        "earlier": [each for each in asks if each.question_number < found.asked.question_number],
        "segment": record.intervention_metadata.segment_summary,
        "place": record.location_context.location_type if place else None,
    }


def _revealed(found: Answer) -> Mapping[str, Any]:
    """What is told only after the score."""
    phases = {"baseline": "Pre-test (baseline)", "final": "Post-test (final)"}
    phase = phases.get(found.what) or f"Questions after part {found.what.removeprefix('questions-')}"
    return {"phase": phase, "session": found.run.session}


# --- agreement


@allow("researcher", "admin")
@never_cache
@require_GET
def agreement(request: HttpRequest) -> HttpResponse:
    realm = asked_realm(request, keys.COUNTED_REALMS)
    parts = [(title, rater_pairs.compared(kind, realm)) for kind, title in KINDS.items()]
    context = {
        "parts": [(title, *_enough(compared)) for title, compared in parts],
        "newest": rater_pairs.NEWEST,
        "least": rater_pairs.MIN_PAIRS,
        "realm": realm,
        "realms": keys.COUNTED_REALMS,
        "real_query": "realm=real",
    }
    return render(request, "grading/agreement.html", context)


def _enough(compared: list[rater_pairs.Compared]) -> tuple[list[Any], list[Any]]:
    """(what, agreement) with figures, and those with too few answers."""
    lines = [(each.title, one) for each in compared for one in each.between]
    enough = [line for line in lines if line[1].n >= rater_pairs.MIN_PAIRS]
    return enough, [line for line in lines if line not in enough]
