"""What a device is told when a script sends a step: a reply that nothing else can be mistaken for.

A device forgets an answer only when a reply names its submission and the SHA-256 of the very bytes sent, so
that a login page, a captive portal, a cut-off body or a proxy's cache is never taken for the store. A refusal
names both too: what is in the way for good is told apart from what passes.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from django.http import HttpRequest, JsonResponse

from ... import study
from ...domain import flow
from ...domain.session import offline_timing
from ...domain.session.record import Run, seconds_between
from ...domain.store import keys

JSON = "application/json"
URLENCODED = "application/x-www-form-urlencoded"
MAX_DIGITS = 12  # a device whose clock began in 1970 still says something: that its answer waited
MAX_ECHO_LENGTH = 64  # characters of a submission id that is none


def by_script(request: HttpRequest) -> bool:
    return request.method == "POST" and request.get_preferred_type(["text/html", JSON]) == JSON


def is_readable(request: HttpRequest) -> bool:
    """Whether the very bytes of the body are at hand; those of a multipart form are gone once it is read."""
    return request.content_type == URLENCODED


def held(request: HttpRequest, run: Run, now: datetime) -> offline_timing.Held | None:
    """How long the answer waited on the device, as its script measured."""
    return offline_timing.held(
        seconds=_whole(request.headers.get("Held-Seconds")),
        answering=_whole(request.headers.get("Took-Seconds")),
        session_age=seconds_between(run.session.start, now),
    )


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else None


def stored(request: HttpRequest, run: Run, step: flow.Step, *, next_url: str) -> JsonResponse:
    """The same for every sending of the same answer, whenever it comes."""
    at = run.stored_at(step)
    if at is None:
        raise LookupError(f"{step.slug} was not stored")
    told = {"saved": True, "stored_at": keys.stamp(at), "at": clock(at), "next": next_url}
    return JsonResponse(told | _named(request))


def clock(at: Any) -> str:
    """The time of day as staff and students see it."""
    return f"{at.astimezone(study.zone()):%H:%M:%S}"


def refused(request: HttpRequest, *, status: int, error: str, message: str, **more: Any) -> JsonResponse:
    """Nothing was stored, or as `kept` tells, beside what counts. `error` is one word for the script."""
    told = {"saved": False, "error": error, "message": message, **more}
    return JsonResponse(told | _named(request), status=status)


def _named(request: HttpRequest) -> dict[str, str]:
    if not is_readable(request):
        return {}
    return {
        "submission_id": request.POST.get("submission_id", "")[:MAX_ECHO_LENGTH],
        "sha256": hashlib.sha256(request.body).hexdigest(),
    }
