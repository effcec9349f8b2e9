"""What a device needs to go on without a network: the pages to come, and the worker that keeps them.

The pages are those that the server would send; nothing is in them that a page would not show. Questions of a
dynamic session are not made yet: in their place stands a page that waits, and for the explicit choice of
whoever leads the session the fixed questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_safe

from ... import study
from ...access.roles import allow, public, to_confined
from ...domain import flow
from ...domain.session import devices
from ...domain.session.record import Run
from ...forms.run import AnswerForm
from ..store_unavailable import away_from_script, while_away
from . import pause
from . import steps as pages

WORKER = Path(settings.BASE_DIR) / "static" / "js" / "service_worker.js"
FALLBACK = "?fallback=1"
# The worker and what its pages import by themselves; the rest stands in their markup.
SCRIPTS = ("device.js", "outbox.js", "savestate.js", "refused_answers.js", "offline_pages.js")


@to_confined
@public
@require_safe
@never_cache
def worker(request: HttpRequest) -> HttpResponse:
    """At the root of the site, since a service worker reaches no further up than its own address."""
    return HttpResponse(WORKER.read_bytes(), content_type="text/javascript; charset=utf-8")


@allow("facilitator", "admin", confined=True)
@never_cache
@require_GET
@while_away(away_from_script)
def pack(request: HttpRequest, session_id: str) -> HttpResponse:
    """The pages from where the session stands to its end, each under its own address."""
    run = pages.load(request, session_id)
    kept = {} if run.step is None else {url: page.content.decode() for url, page in _pages(request, run)}
    if kept:
        devices.note_cached_pages(run, now=study.now())
    scripts = [f"{settings.STATIC_URL}js/{name}" for name in SCRIPTS]
    return JsonResponse(
        {"session": run.id, "version": pages.pack_version(run), "pages": kept, "scripts": scripts}
    )


def _pages(request: HttpRequest, run: Run) -> Iterator[tuple[str, HttpResponse]]:
    step = run.step
    while step is not None:
        for suffix, page in _variants(request, run, step):
            yield pages.url_of(run, step) + suffix, page
        step = flow.following(run.stages, step)
    if run.is_open:
        still: dict[str, Any] = {"packed": "pause", "messages": ()}
        yield reverse("run_pause", args=[run.id]), pause.show(request, run, **still)
    extra = {"packed": "done", "next_url": None, "messages": ()}
    yield reverse("run_done", args=[run.id]), pages.show_done(request, run, **extra)


def _variants(request: HttpRequest, run: Run, step: flow.Step) -> Iterator[tuple[str, HttpResponse]]:
    packed: dict[str, Any] = {"messages": (), "packed": "page"}
    if step.stage.kind != "questions":
        yield "", pages.PAGES[step.stage.kind](request, run, step, **packed)
    elif run.session.condition.type == "static":
        yield "", _fixed_question(request, run, step, **packed)
    else:
        waiting = {**packed, "packed": "waiting", "fallback_url": FALLBACK}
        yield "", pages.show(request, run, step, "run/waiting.html", **waiting)
        following = flow.following(run.stages, step)
        goes_on = FALLBACK if following and following.stage == step.stage else ""
        after = f"{pages.next_of(run, step)}{goes_on}"
        yield FALLBACK, _fixed_question(request, run, step, **packed, fallback=True, next_url=after)


def _fixed_question(request: HttpRequest, run: Run, step: flow.Step, **context: Any) -> HttpResponse:
    segment = study.package().segment(int(step.stage.segment or 0))
    form = AnswerForm.fresh(now=study.now(), page=pages.page_of(run, step))
    asked = {"question": segment.static_questions[step.number - 1]}
    return pages.show(request, run, step, "run/question.html", form=form, asked=asked, **context)
