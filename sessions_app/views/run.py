"""A running session: one URL a step, and any wrong one leads to the right one.

A page reads the session with one query; sending it makes one more query and one transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from pynamodb.exceptions import PynamoDBException

from .. import study
from ..access import allow
from ..domain import dialogue, flow, playing, running
from ..domain.models import InvalidField
from ..domain.models.transaction import Busy
from ..domain.run import (
    BadAnswer,
    ConsentNotInForce,
    DifferentAnswer,
    OutOfStep,
    Run,
    SessionClosed,
    SessionNotFound,
    seconds_between,
)
from ..run_forms import AnswerForm, ChoiceForm, FormatForm, ReportForm, StepForm, SurveyForm

NOT_SAVED = "This was not saved: the store did not answer. Your words are still here. Please send them again."
ANSWERED_BEFORE = (
    "This question was already answered, perhaps in another tab. Both answers are kept; the first counts."
)
NOT_FIELDS = ("csrfmiddlewaretoken",)
SCRIPTED = "The questions are put together by a script today, not by an AI."


log = logging.getLogger("run")
View = Callable[..., HttpResponse]


def while_away(answer: Callable[[HttpRequest], HttpResponse]) -> Callable[[View], View]:
    """What a view answers when the store cannot be reached, so that not even the session is known."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *arguments: Any, **options: Any) -> HttpResponse:
            try:
                return view(request, *arguments, **options)
            except (Busy, PynamoDBException) as fault:
                log.warning("the store did not answer: %s", type(fault).__name__)
                return answer(request)

        return guarded

    return decorate


def away(request: HttpRequest) -> HttpResponse:
    """Nothing that was typed is lost: the page holds it, and sends it again."""
    if getattr(request, "htmx", False):
        return lead_to(request, f"{request.path}?wait=1")
    sent = [(name, value) for name, values in request.POST.lists() for value in values]
    fields = [(name, value) for name, value in sent if name not in NOT_FIELDS]
    context = {"fields": fields, "answer": request.POST.get("answer", ""), "save_failed": True}
    return render(request, "run/away.html", context, status=503)


def away_from_script(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"saved": False}, status=503)


def lead_to(request: HttpRequest, url: str) -> HttpResponse:
    """A redirect that htmx follows too, with the whole page."""
    if getattr(request, "htmx", False):
        return HttpResponse(status=204, headers={"HX-Redirect": url, "Vary": "HX-Request"})
    return redirect(url)


def load(session_id: str) -> Run:
    try:
        return Run.load(session_id)
    except SessionNotFound:
        raise Http404("no such session") from None


def url_of(run: Run, step: flow.Step | None) -> str:
    if step is None:
        return reverse("run_done", args=[run.id])
    if step.stage.steps == 1:
        return reverse("run_stage", args=[run.id, step.stage.name])
    return reverse("run_step", args=[run.id, step.stage.name, step.number])


@allow("facilitator", "admin")
@require_GET
@while_away(away)
def here(request: HttpRequest, session_id: str) -> HttpResponse:
    """Wherever the session stands."""
    run = load(session_id)
    return redirect(url_of(run, run.step))


@allow("facilitator", "admin")
@never_cache
@while_away(away)
def step(request: HttpRequest, session_id: str, stage: str, number: int = 1) -> HttpResponse:
    run = load(session_id)
    page = PAGES.get(stage.split("-")[0])
    asked = next((known for known in run.stages if known.name == stage), None)
    if page is None or asked is None or not 1 <= number <= asked.steps:
        return redirect(url_of(run, run.step))
    this = flow.Step(asked, number)
    was_shown = number <= run.done.get(stage, 0)  # an old page may be sent again, one to come may not
    if run.step != this and (request.method != "POST" or not was_shown):
        return redirect(url_of(run, run.step))
    return page(request, run, this)


@allow("facilitator", "admin")
@never_cache
@require_GET
@while_away(away)
def done(request: HttpRequest, session_id: str) -> HttpResponse:
    run = load(session_id)
    if run.step is not None:
        return redirect(url_of(run, run.step))
    return render(request, "run/done.html", {"run": run, **frame(run, None)})


def frame(run: Run, this: flow.Step | None) -> dict[str, Any]:
    """What run_base.html shows around every step."""
    names = [stage.name for stage in run.stages]
    now_at = names.index(this.stage.name) if this else len(names)
    states = ["done" if i < now_at else "now" if i == now_at else "todo" for i in range(len(names))]
    return {
        "rail": [
            {"label": stage.label, "state": state} for stage, state in zip(run.stages, states, strict=True)
        ],
        "step_number": min(now_at + 1, len(names)),
        "step_count": len(names),
        "minutes_left": max(1, round(run.minutes_left)) if this else None,
        "saved_at": run.last_moment,
        "student_code": run.session.student_code,
    }


def show(
    request: HttpRequest, run: Run, this: flow.Step, template: str, status: int = 200, **context: Any
) -> HttpResponse:
    return render(request, template, {"run": run, "step": this, **frame(run, this), **context}, status=status)


def send(
    request: HttpRequest,
    run: Run,
    form: StepForm,
    store: Callable[[], Run],
    again: Callable[..., HttpResponse],
) -> HttpResponse:
    """Store, then lead on. `again` shows the step once more with what was typed and what went wrong."""
    try:
        after = store()
    except OutOfStep as wrong:
        messages.info(request, "This step was already done. Here is where you are.")
        return redirect(url_of(run, wrong.step))
    except SessionClosed:
        return redirect("run_done", run.id)
    except ConsentNotInForce:
        return stopped(request, run)
    except DifferentAnswer as conflict:
        return different(request, run, conflict)
    except (BadAnswer, running.BadChoice, InvalidField) as fault:
        form.add_error("answer" if "answer" in form.fields else None, str(fault))
        return again(status=422)
    except (Busy, PynamoDBException):
        form.add_error(None, NOT_SAVED)
        return again(status=503, save_failed=True)
    return redirect(url_of(after, after.step))


def stopped(request: HttpRequest, run: Run) -> HttpResponse:
    return render(request, "run/no_consent.html", {"run": run}, status=403)


def different(request: HttpRequest, run: Run, conflict: DifferentAnswer) -> HttpResponse:
    """Both texts are kept. A second tab goes on; a reused submission id is told 409."""
    if conflict.same_submission:
        return render(request, "run/conflict.html", {"run": run}, status=409)
    messages.warning(request, ANSWERED_BEFORE)
    return redirect("run", run.id)


def item(request: HttpRequest, run: Run, this: flow.Step) -> HttpResponse:
    """One item of the baseline or the final assessment."""
    question = study.package().assessment[this.number - 1]
    data = (request.POST,) if request.method == "POST" else ()
    now = study.now()
    if question.question_type == "multiple_choice":
        form: Any = ChoiceForm.fresh(question, *data, now=now)
    else:
        form = AnswerForm.fresh(*data, now=now)

    def again(status: int = 200, **context: Any) -> HttpResponse:
        clock = seconds_between(run.stage_start(this.stage.name), now)
        return show(
            request, run, this, "run/item.html", status, form=form, item=question, clock=clock, **context
        )

    def store() -> Run:
        return running.answer_item(
            run,
            kind=this.stage.name,
            number=this.number,
            answer=form.cleaned_data["answer"],
            submission_id=str(form.cleaned_data["submission_id"]),
            package=study.package(),
            now=now,
            shown_at=form.shown_at(),
        )

    if not data:
        return again()
    return send(request, run, form, store, again) if form.is_valid() else again(422)


def format_choice(request: HttpRequest, run: Run, this: flow.Step) -> HttpResponse:
    package, now = study.package(), study.now()
    data = (request.POST,) if request.method == "POST" else ()
    form: Any = FormatForm.fresh(package, *data, now=now, initial={"speed": "1.0"})

    def again(status: int = 200, **context: Any) -> HttpResponse:
        return show(request, run, this, "run/format.html", status, form=form, package=package, **context)

    def store() -> Run:
        told = form.cleaned_data
        return playing.choose_format(
            run,
            format_chosen=told["format_chosen"],
            speed=told["speed"],
            captions=told["captions"],
            package=package,
            now=now,
        )

    if not data:
        return again()
    return send(request, run, form, store, again) if form.is_valid() else again(422)


def segment(request: HttpRequest, run: Run, this: flow.Step) -> HttpResponse:
    """A segment in the player; sending it ends the segment."""
    segment_id = int(this.stage.segment or 0)
    package, now = study.package(), study.now()
    content = package.segment(segment_id)
    data = (request.POST,) if request.method == "POST" else ()
    form: Any = StepForm.fresh(*data, now=now)

    def again(status: int = 200, **context: Any) -> HttpResponse:
        return show(
            request,
            run,
            this,
            "run/segment.html",
            status,
            form=form,
            segment=content,
            tracking=playing.tracking_of(run, segment_id),
            question_due=dialogue.is_due(run, segment_id),
            **context,
        )

    def store() -> Run:
        report = ReportForm(request.POST)
        report.is_valid()  # a count that makes no sense is as good as none, and holds nobody up
        elapsed = seconds_between(run.last_moment, now)
        return playing.finish_segment(
            run, segment_id=segment_id, report=report.report(otherwise=elapsed), package=package, now=now
        )

    if not data:
        return again()
    return send(request, run, form, store, again) if form.is_valid() else again(422)


@allow("facilitator", "admin")
@require_POST
@while_away(away_from_script)
def progress(request: HttpRequest, session_id: str, stage: str) -> HttpResponse:
    """Where the player stands, told now and then while a segment plays."""
    run, report = load(session_id), ReportForm(request.POST)
    asked = next((known for known in run.stages if known.name == stage and known.kind == "segment"), None)
    if asked is None or asked.segment is None:
        raise Http404("no such segment")
    now = study.now()
    if not report.is_valid():
        return JsonResponse({"saved": False, "errors": report.errors}, status=422)
    if run.done.get(stage):
        return JsonResponse({"saved": False, "moved_on": True}, status=409)
    try:
        playing.record_progress(
            run,
            segment_id=asked.segment,
            report=report.report(otherwise=0),
            package=study.package(),
            now=now,
        )
    except (OutOfStep, SessionClosed):
        return JsonResponse({"saved": False, "moved_on": True}, status=409)
    except ConsentNotInForce:
        return JsonResponse({"saved": False, "stopped": True}, status=403)
    return JsonResponse({"saved": True, "at": f"{now.astimezone(study.zone()):%H:%M:%S}"})


@allow("facilitator", "admin")
@require_POST
@while_away(away_from_script)
def prepare(request: HttpRequest, session_id: str, stage: str) -> HttpResponse:
    """Make the first question while the segment plays; the page does not wait for it."""
    run = load(session_id)
    asked = next((known for known in run.stages if known.name == stage and known.kind == "segment"), None)
    if asked is None or asked.segment is None:
        raise Http404("no such segment")
    try:
        dialogue.prepare(
            run, segment_id=asked.segment, package=study.package(), tutor=study.tutor(), now=study.now()
        )
    except ConsentNotInForce:
        return HttpResponse(status=403)
    return HttpResponse(status=204)


def question(request: HttpRequest, run: Run, this: flow.Step) -> HttpResponse:
    """One of the three questions. A dynamic one is made first, behind a page that says so."""
    segment_id = int(this.stage.segment or 0)
    package, now = study.package(), study.now()
    data = (request.POST,) if request.method == "POST" else ()
    record = run.interventions.get(segment_id)
    if not data and record is not None and len(record.questions) < this.number:
        return question_in_the_making(request, run, this)
    form: Any = AnswerForm.fresh(*data, now=now)

    def again(status: int = 200, **context: Any) -> HttpResponse:
        asked = record.questions if record else []
        return show(
            request,
            run,
            this,
            "run/question.html",
            status,
            form=form,
            asked=asked[this.number - 1] if len(asked) >= this.number else None,
            earlier=asked[: this.number - 1],
            tutor_notice=notice(run),
            **context,
        )

    def store() -> Run:
        return dialogue.answer_question(
            run,
            segment_id=segment_id,
            number=this.number,
            answer=form.cleaned_data["answer"],
            submission_id=str(form.cleaned_data["submission_id"]),
            package=package,
            now=now,
        )

    if not data:
        return again()
    return send(request, run, form, store, again) if form.is_valid() else again(422)


def notice(run: Run) -> str | None:
    scripted = run.session.condition.type == "dynamic" and study.tutor().offline
    return SCRIPTED if scripted else None


def question_in_the_making(request: HttpRequest, run: Run, this: flow.Step) -> HttpResponse:
    """First a page that waits; its own request (or the browser's next one, without scripts) makes it."""
    url = url_of(run, this)
    htmx = getattr(request, "htmx", False)
    if not htmx and "wait" not in request.GET and not study.tutor().offline:
        return show(request, run, this, "run/making.html", url=url, tutor_notice=notice(run))
    try:
        dialogue.question(
            run,
            segment_id=int(this.stage.segment or 0),
            number=this.number,
            package=study.package(),
            tutor=study.tutor(),
            clock=study.now,
        )
    except ConsentNotInForce:
        return lead_to(request, f"{url}?wait=1") if htmx else stopped(request, run)
    except (OutOfStep, SessionClosed):
        url = reverse("run", args=[run.id])
    return lead_to(request, url)


def survey(request: HttpRequest, run: Run, this: flow.Step) -> HttpResponse:
    package, now = study.package(), study.now()
    data = (request.POST,) if request.method == "POST" else ()
    form: Any = SurveyForm.fresh(package, *data, now=now)

    def again(status: int = 200, **context: Any) -> HttpResponse:
        return show(request, run, this, "run/survey.html", status, form=form, **context)

    def store() -> Run:
        return running.submit_survey(
            run,
            answers=form.answers(),
            submission_id=str(form.cleaned_data["submission_id"]),
            package=package,
            now=now,
            shown_at=form.shown_at(),
        )

    if not data:
        return again()
    return send(request, run, form, store, again) if form.is_valid() else again(422)


PAGES = {
    "baseline": item,
    "final": item,
    "format": format_choice,
    "segment": segment,
    "questions": question,
    "survey": survey,
}
