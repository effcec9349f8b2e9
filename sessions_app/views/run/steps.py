"""A running session: one URL a step, and any wrong one leads to the right one.

A page reads the session with one query; sending it makes one more query and one transaction. A step that a
script sends is answered as `acknowledgement` says; without scripts the same view leads on to the next page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from pynamodb.exceptions import PynamoDBException

from ... import question_worker, study
from ...access import session_lock, sites
from ...access.erased import missing_session
from ...access.roles import allow
from ...domain import flow
from ...domain.consent.agreement import ConsentNotInForce
from ...domain.models import InvalidField
from ...domain.models.content_delivery import SKIP_REASONS
from ...domain.session import assessment, content_delivery, dialogue
from ...domain.session import messages as session_messages
from ...domain.session import survey as session_survey
from ...domain.session.record import (
    BadAnswer,
    DifferentAnswer,
    OutOfStep,
    Run,
    SessionClosed,
    SessionNotFound,
    seconds_between,
)
from ...domain.session.submissions import KeptForStaff
from ...domain.store.transactions import Busy
from ...forms.run import AnswerForm, ChoiceForm, FormatForm, ReportForm, StepForm, SurveyForm
from ..store_unavailable import NOT_SAVED, away, lead_to, while_away
from . import acknowledgement

ANSWERED_BEFORE = (
    "This question was already answered, perhaps in another tab. Both answers are kept; the first counts."
)
STOPPED = "There is no active consent anymore. This was not saved."
CLOSED = "The student has left the study, so this session has ended. This was not saved."
KEPT = (
    "The session was over before you sent this. It does not count, but it is not lost: "
    "the staff of the study can see it."
)
NOT_YET = "Another step comes first. This was not saved."
TOO_EARLY = "A step before this one has not arrived yet. Nothing is lost: wait a moment and send this again."
NO_SUCH_STEP = "This step does not exist. This was not saved."
NOT_READABLE = "A script has to send this form URL-encoded. Nothing was stored."
SENT_BEFORE = "You already sent a different answer. We kept both; the first one counts."
KEPT_BESIDE = (DifferentAnswer, KeptForStaff)
"""What is raised for words that are stored, though not as the answer."""
# On a page that was made before the student has chosen; the player then asks the device what was.
UNCHOSEN = {"format_chosen": "text", "playback_speed": 1.0, "captions_enabled": False}
SCRIPTED = "The questions are put together by a script today, not by an AI."


def load(request: HttpRequest, session_id: str) -> Run:
    """The session, for whom it may be shown to: a confined browser must still be bound to it."""
    try:
        run = Run.load(session_id)
    except SessionNotFound:
        session_lock.check(request, ())
        raise missing_session(session_id) from None
    session_lock.check(request, (*run.browsers, *run.links))
    sites.check_session(request, run.session)
    return run


def is_stored(session_id: str) -> bool:
    try:
        Run.load(session_id)
    except SessionNotFound:
        return False
    return True


def url_of(run: Run, step: flow.Step | None) -> str:
    if step is None:
        return reverse("run_done", args=[run.id])
    if step.stage.steps == 1:
        return reverse("run_stage", args=[run.id, step.stage.name])
    return reverse("run_step", args=[run.id, step.stage.name, step.number])


@allow("facilitator", "admin", confined=True)
@require_GET
@while_away(away)
def here(request: HttpRequest, session_id: str) -> HttpResponse:
    """Wherever the session stands."""
    run = load(request, session_id)
    return redirect(url_of(run, run.step))


@allow("facilitator", "admin", confined=True)
@never_cache
@while_away(away)
def step(request: HttpRequest, session_id: str, stage: str, number: int = 1) -> HttpResponse:
    script = acknowledgement.by_script(request)
    if script and not acknowledgement.is_readable(request):
        return acknowledgement.refused(request, status=415, error="unreadable", message=NOT_READABLE)
    try:
        run = load(request, session_id)
    except Http404:
        if not script:
            raise
        if is_stored(session_id):  # of another school: the answer waits for an account that may send it
            return JsonResponse({"saved": False, "error": "forbidden"}, status=403)
        return acknowledgement.refused(request, status=404, error="unknown", message=NO_SUCH_STEP)
    page = PAGES.get(stage.split("-")[0])
    asked = next((known for known in run.stages if known.name == stage), None)
    if page is None or asked is None or not 1 <= number <= asked.steps:
        if script:
            return acknowledgement.refused(request, status=404, error="unknown", message=NO_SUCH_STEP)
        return redirect(url_of(run, run.step))
    this = flow.Step(asked, number)
    if (
        request.method == "GET"
        and not getattr(request, "htmx", False)
        and session_messages.to_show(run.calls)
    ):
        return redirect("run_care", run.id)
    sent = request.method == "POST" and is_taken(request, run, this)
    return page(request, run, this) if run.step == this or sent else elsewhere(request, run, run.step)


def is_taken(request: HttpRequest, run: Run, this: flow.Step) -> bool:
    """Whether a step that was sent goes to its page. A session that is closed takes what was given before."""
    if not run.is_open:
        return run.takes_late_answers
    return not is_to_come(run, this) or was_given(request, run, this)


def is_to_come(run: Run, this: flow.Step) -> bool:
    return run.step != this and this.number > run.done.get(this.stage.name, 0)


def was_given(request: HttpRequest, run: Run, this: flow.Step) -> bool:
    """A device got ahead with the pages it keeps and then sends one plainly: it is to keep what was typed."""
    form = StepForm.fresh(request.POST, now=study.now(), page=page_of(run, this))
    return not acknowledgement.by_script(request) and form.is_valid()


def elsewhere(request: HttpRequest, run: Run, step: flow.Step | None) -> HttpResponse:
    """To where the session stands; what was sent for another step was not stored."""
    if not acknowledgement.by_script(request):
        return lead_to(request, url_of(run, step))
    if not run.takes_late_answers:
        return acknowledgement.refused(
            request, status=410, error="closed", message=CLOSED, next=url_of(run, None)
        )
    return acknowledgement.refused(
        request, status=409, error="out_of_step", message=NOT_YET, next=url_of(run, step)
    )


@allow("facilitator", "admin", confined=True)
@never_cache
@require_GET
@while_away(away)
def done(request: HttpRequest, session_id: str) -> HttpResponse:
    run = load(request, session_id)
    if session_messages.to_show(run.calls):
        return redirect("run_care", run.id)
    if run.step is not None:
        return redirect(url_of(run, run.step))
    return show_done(request, run)


def show_done(request: HttpRequest, run: Run, **context: Any) -> HttpResponse:
    package = study.package()
    context = {"debrief": package.debrief, "contacts": package.contacts, **context}
    page = render(request, "run/done.html", {"run": run, **frame(run, None), **context})
    page.headers["Run-Step"] = "done"
    return page


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
        "minutes_left": max(1, round(left(run, this))) if this else None,
        "saved_at": run.last_moment,
        "student_code": run.session.student_code,
        "next_url": next_of(run, this) if this else None,
        "pack": pack_version(run),
        "notes": session_messages.unread(run.calls),
        "help_asked": session_messages.open_call(run.calls, session_messages.HELP),
    }


def pack_version(run: Run) -> str:
    """The pages of a session change once on its way, when it is known how the content is followed."""
    return "chosen" if run.content else "new"


def left(run: Run, this: flow.Step) -> float:
    """Minutes from this step to the end."""
    return flow.minutes_left(run.stages, flow.done_before(run.stages, this))


def show(
    request: HttpRequest, run: Run, this: flow.Step, template: str, status: int = 200, **context: Any
) -> HttpResponse:
    """A step, marked as ours: a device keeps such pages, and takes no stranger's for one."""
    told = {"run": run, "step": this, "address": url_of(run, this), **frame(run, this), **context}
    page = render(request, template, told, status=status)
    page.headers["Run-Step"] = this.slug
    if status == 200 and "form" in context:
        page.headers["Run-Keep"] = "yes"
    return page


def send(
    request: HttpRequest,
    run: Run,
    this: flow.Step,
    form: StepForm,
    store: Callable[[], Run],
    again: Callable[..., HttpResponse],
) -> HttpResponse:
    """Store, then lead on. `again` shows the step once more with what was typed and what went wrong."""
    script = acknowledgement.by_script(request)
    if not form.is_valid():
        return faulty(request, form, again)
    try:
        after = stored_and_checked(run, this, form, store)
    except OutOfStep as wrong:
        if not script and is_to_come(run, this):
            form.add_error(None, TOO_EARLY)
            return again(status=409, missing=url_of(run, wrong.step), title="This was not saved yet.")
        if not script:
            messages.info(request, "This step was already done. Here is where you are.")
        return elsewhere(request, run, wrong.step)
    except SessionClosed:
        return elsewhere(request, Run.load(run.id), None)
    except KeptForStaff:
        return kept_for_staff(request, run)
    except ConsentNotInForce:
        return stopped(request, run)
    except DifferentAnswer as conflict:
        return different(request, run, this, conflict)
    except (BadAnswer, assessment.BadChoice, InvalidField) as error:
        form.add_error("answer" if "answer" in form.fields else None, str(error))
        return faulty(request, form, again)
    except (Busy, PynamoDBException):
        if script:
            return away(request)
        form.add_error(None, NOT_SAVED)
        return again(status=503, save_failed=True)
    if script:
        return acknowledgement.stored(request, after, this, next_url=next_of(run, this))
    return redirect(url_of(after, after.step))


def stored_and_checked(run: Run, this: flow.Step, form: StepForm, store: Callable[[], Run]) -> Run:
    """Store, then look for signs of danger in the words, also where they are kept beside what counts."""
    try:
        after = store()
    except KEPT_BESIDE:
        session_messages.check_answer(run, form.texts(), step=this.slug, now=study.now())
        raise
    session_messages.check_answer(after, form.texts(), step=this.slug, now=study.now())
    return after


def next_of(run: Run, this: flow.Step) -> str:
    """The address that follows in the plan, whatever is done by now."""
    return url_of(run, flow.following(run.stages, this))


def faulty(request: HttpRequest, form: StepForm, again: Callable[..., HttpResponse]) -> HttpResponse:
    """What is wrong with which field; nothing was stored."""
    if not acknowledgement.by_script(request):
        return again(status=422)
    faults = form.faults()
    message = " ".join(f"{fault['label']} {fault['text']}".strip() for fault in faults)
    return acknowledgement.refused(request, status=422, error="invalid", message=message, faults=faults)


def stopped(request: HttpRequest, run: Run) -> HttpResponse:
    if acknowledgement.by_script(request):
        return acknowledgement.refused(
            request, status=410, error="consent", message=STOPPED, next=url_of(run, run.step)
        )
    return render(request, "run/no_consent.html", {"run": run}, status=403)


def kept_for_staff(request: HttpRequest, run: Run) -> HttpResponse:
    """Given after the end: a device may forget it, for it is kept beside the session."""
    end = url_of(run, None)
    if acknowledgement.by_script(request):
        return acknowledgement.refused(
            request, status=409, error="after_end", message=KEPT, kept=True, next=end
        )
    messages.warning(request, KEPT)
    return redirect(end)


def different(request: HttpRequest, run: Run, this: flow.Step, conflict: DifferentAnswer) -> HttpResponse:
    """Both texts are kept. A second tab goes on; a reused submission id is told 409."""
    if acknowledgement.by_script(request):
        return acknowledgement.refused(
            request,
            status=409,
            error="conflict",
            message=SENT_BEFORE if conflict.same_submission else ANSWERED_BEFORE,
            kept=True,
            next=next_of(run, this),
        )
    if conflict.same_submission:
        return render(request, "run/conflict.html", {"run": run}, status=409)
    messages.warning(request, ANSWERED_BEFORE)
    return redirect("run", run.id)


def page_of(run: Run, this: flow.Step) -> str:
    """What a form is bound to: its session and its step."""
    return f"{run.id}/{this.slug}"


def item(request: HttpRequest, run: Run, this: flow.Step, **more: Any) -> HttpResponse:
    """One item of the baseline or the final assessment."""
    question = study.package().assessment[this.number - 1]
    data = (request.POST,) if request.method == "POST" else ()
    now, page = study.now(), page_of(run, this)
    if question.question_type == "multiple_choice":
        form: Any = ChoiceForm.fresh(question, *data, now=now, page=page)
    else:
        form = AnswerForm.fresh(*data, now=now, page=page)

    def again(status: int = 200, **context: Any) -> HttpResponse:
        clock = seconds_between(run.stage_start(this.stage.name), now)
        return show(
            request,
            run,
            this,
            "run/item.html",
            status,
            form=form,
            item=question,
            clock=clock,
            **context,
            **more,
        )

    def store() -> Run:
        return assessment.answer_item(
            run,
            kind=this.stage.name,
            number=this.number,
            answer=form.cleaned_data["answer"],
            submission_id=str(form.cleaned_data["submission_id"]),
            package=study.package(),
            now=now,
            shown_at=form.shown_at(),
            held=acknowledgement.held(request, run, now),
        )

    return send(request, run, this, form, store, again) if data else again()


def format_choice(request: HttpRequest, run: Run, this: flow.Step, **more: Any) -> HttpResponse:
    package, now = study.package(), study.now()
    data = (request.POST,) if request.method == "POST" else ()
    form: Any = FormatForm.fresh(package, *data, now=now, page=page_of(run, this), initial={"speed": "1.0"})

    def again(status: int = 200, **context: Any) -> HttpResponse:
        context |= {"form": form, "package": package, **more}
        return show(request, run, this, "run/format.html", status, **context)

    def store() -> Run:
        told = form.cleaned_data
        return content_delivery.choose_format(
            run,
            format_chosen=told["format_chosen"],
            speed=told["speed"],
            captions=told["captions"],
            package=package,
            now=now,
            submission_id=str(told["submission_id"]),
            held=acknowledgement.held(request, run, now),
        )

    return send(request, run, this, form, store, again) if data else again()


def segment(request: HttpRequest, run: Run, this: flow.Step, **more: Any) -> HttpResponse:
    """A segment in the player; sending it ends the segment."""
    segment_id = int(this.stage.segment or 0)
    package, now = study.package(), study.now()
    content = package.segment(segment_id)
    data = (request.POST,) if request.method == "POST" else ()
    form: Any = StepForm.fresh(*data, now=now, page=page_of(run, this))
    report = ReportForm(*data)
    report.is_valid()  # a count that makes no sense is as good as none, and holds nobody up

    def again(status: int = 200, **context: Any) -> HttpResponse:
        return show(
            request,
            run,
            this,
            "run/segment.html",
            status,
            form=form,
            segment=content,
            tracking=content_delivery.tracking_of(run, segment_id),
            counted=report.cleaned_data if data else {},
            question_due=dialogue.is_due(run, segment_id),
            skip_reasons=SKIP_REASONS.items(),
            content_version=package.content_version,
            prefs=run.content.delivery_preferences
            if run.content
            else UNCHOSEN | {"language": package.language},
            **context,
            **more,
        )

    def store() -> Run:
        elapsed = seconds_between(run.last_moment, now)
        return content_delivery.finish_segment(
            run,
            segment_id=segment_id,
            report=report.report(otherwise=elapsed),
            package=package,
            now=now,
            submission_id=str(form.cleaned_data["submission_id"]),
            held=acknowledgement.held(request, run, now),
        )

    return send(request, run, this, form, store, again) if data else again()


def question(request: HttpRequest, run: Run, this: flow.Step) -> HttpResponse:
    """One of the three questions. A dynamic one is made first, behind a page that says so."""
    segment_id = int(this.stage.segment or 0)
    package, now = study.package(), study.now()
    data = (request.POST,) if request.method == "POST" else ()
    record = run.interventions.get(segment_id)
    looks_again = getattr(request, "htmx", False)  # the page that waits; nothing else asks for a part
    if not data and record is not None and (looks_again or len(record.questions) < this.number):
        return question_in_the_making(request, run, this)
    form: Any = AnswerForm.fresh(*data, now=now, page=page_of(run, this))
    fallback = "fallback" in request.POST

    def again(status: int = 200, **context: Any) -> HttpResponse:
        known = record.questions if record else []
        fixed = {"question": package.segment(segment_id).static_questions[this.number - 1]}
        return show(
            request,
            run,
            this,
            "run/question.html",
            status,
            form=form,
            asked=fixed if fallback or len(known) < this.number else known[this.number - 1],
            earlier=known[: this.number - 1],
            tutor_notice=notice(run),
            fallback=fallback,
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
            held=acknowledgement.held(request, run, now),
            fallback=fallback,
        )

    return send(request, run, this, form, store, again) if data else again()


def notice(run: Run) -> str | None:
    scripted = run.session.condition.type == "dynamic" and study.tutor().offline
    return SCRIPTED if scripted else None


def question_in_the_making(request: HttpRequest, run: Run, this: flow.Step) -> HttpResponse:
    """A page that looks again every second until the question is there; the first look has it made."""
    url, htmx = url_of(run, this), getattr(request, "htmx", False)
    try:
        if question_worker.question(run, segment_id=int(this.stage.segment or 0), number=this.number):
            return lead_to(request, url)
    except ConsentNotInForce:
        return lead_to(request, f"{url}?wait=1") if htmx else stopped(request, run)
    except (OutOfStep, SessionClosed):
        return lead_to(request, reverse("run", args=[run.id]))
    if htmx:
        return HttpResponse(status=204, headers={"Vary": "HX-Request"})
    return show(request, run, this, "run/making.html", url=url, tutor_notice=notice(run))


def survey(request: HttpRequest, run: Run, this: flow.Step, **more: Any) -> HttpResponse:
    package, now = study.package(), study.now()
    data = (request.POST,) if request.method == "POST" else ()
    form: Any = SurveyForm.fresh(package, *data, now=now, page=page_of(run, this))

    def again(status: int = 200, **context: Any) -> HttpResponse:
        return show(request, run, this, "run/survey.html", status, form=form, **context, **more)

    def store() -> Run:
        return session_survey.submit_survey(
            run,
            answers=form.answers(),
            submission_id=str(form.cleaned_data["submission_id"]),
            package=package,
            now=now,
            shown_at=form.shown_at(),
            held=acknowledgement.held(request, run, now),
        )

    return send(request, run, this, form, store, again) if data else again()


PAGES: dict[str, Callable[..., HttpResponse]] = {
    "baseline": item,
    "final": item,
    "format": format_choice,
    "segment": segment,
    "questions": question,
    "survey": survey,
}
