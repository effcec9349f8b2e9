"""Getting one usable question within the deadline, whatever the tutor does."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sessions_app.domain.tutor.gate import advice, faults
from sessions_app.domain.tutor.protocol import AskedQuestion, Draft, QuestionRequest, Tutor, TutorFailed

log = logging.getLogger(__name__)

MAX_TRIES = 2
MIN_SHARE = 0.1
"""A try is not begun with less than this share of the deadline left: it would cost and come too late."""
MAX_PAUSE_SECONDS = 2.0
"""A student waits no longer than this for a busy server; past it the static question is the kinder answer."""
MAX_CONCURRENT_CALLS = 256

# Calls given up on go on in their threads until the server lets go of them. The bound keeps a server that
# drips for ever from piling up threads: when all places are taken, students get static questions at once.
_places = threading.BoundedSemaphore(MAX_CONCURRENT_CALLS)


@dataclass(slots=True)
class _Tally:
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    attempts: int = 0
    rejected: list[str] = field(default_factory=list)

    def add(self, used: Draft | TutorFailed) -> None:
        self.attempts += 1
        self.prompt_tokens += used.prompt_tokens
        self.completion_tokens += used.completion_tokens
        self.cost_usd += used.cost_usd


def ask_question(
    tutor: Tutor,
    request: QuestionRequest,
    *,
    static_question: str,
    clock: Callable[[], float] = time.monotonic,
    deadline_seconds: float = 9.0,
    sleep: Callable[[float], None] = time.sleep,
) -> AskedQuestion:
    """At most two tries, each through the gate; then `static_question`. Never raises for a tutor's sake."""
    started = clock()
    tally = _Tally()
    passed: Draft | None = None
    feedback: str | None = None
    for _ in range(MAX_TRIES):
        remaining = deadline_seconds - (clock() - started)
        if remaining <= deadline_seconds * MIN_SHARE:
            break
        try:
            draft = _draft_within(remaining, tutor, request, feedback)
        except TutorFailed as failed:
            tally.add(failed)
            tally.rejected.append(failed.reason)
            if not _worth_another_try(failed, deadline_seconds - (clock() - started), sleep):
                break
            continue
        tally.add(draft)
        found = _judged(draft, request)
        if not found:
            passed = draft
            break
        tally.rejected.append("gate:" + "+".join(found))
        feedback = advice(found)
    if passed is None and not tally.rejected:
        tally.rejected.append("timeout")  # no time was left for even one try
    waited_ms = round((clock() - started) * 1000)
    return _asked(tutor, passed, static_question=static_question, tally=tally, waited_ms=waited_ms)


def _asked(
    tutor: Tutor, passed: Draft | None, *, static_question: str, tally: _Tally, waited_ms: int
) -> AskedQuestion:
    flags = (() if passed else ("ai_fallback",)) + (("offline_tutor",) if tutor.offline else ())
    return AskedQuestion(
        text=passed.text if passed else static_question,
        source="generated" if passed else "static_fallback",
        model=passed.model if passed else None,
        prompt_tokens=tally.prompt_tokens,
        completion_tokens=tally.completion_tokens,
        generation_time_ms=waited_ms,
        cost_usd=round(tally.cost_usd, 6),
        attempts=tally.attempts,
        rejected=tuple(tally.rejected),
        flags=flags,
    )


def _draft_within(seconds: float, tutor: Tutor, request: QuestionRequest, feedback: str | None) -> Draft:
    """Run the call in a thread of its own and leave it behind at the deadline.

    The socket timeouts of an HTTP client are per read, so a server that drips bytes outlives any of them;
    only a clock outside the call bounds it. A daemon thread and no pool: a pool would be joined at exit, and
    calls left behind would hold its few workers.
    """
    answers: queue.SimpleQueue[Draft | Exception] = queue.SimpleQueue()

    def call() -> None:
        try:
            answers.put(tutor.ask(request, timeout_seconds=seconds, feedback=feedback))
        except Exception as error:  # whatever a tutor raises, the student gets a question
            answers.put(error)
        finally:
            _places.release()

    _start(call)
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise TutorFailed("timeout", retryable=True) from None
    return _draft_or_failure(answer)


def _start(call: Callable[[], None]) -> None:
    if not _places.acquire(blocking=False):
        raise TutorFailed("overloaded", retryable=False)
    try:
        threading.Thread(target=call, name="tutor-call", daemon=True).start()
    except RuntimeError:  # the process may start no more threads
        _places.release()
        raise TutorFailed("overloaded", retryable=False) from None


def _draft_or_failure(answer: Draft | Exception) -> Draft:
    if isinstance(answer, Draft):
        return answer
    if isinstance(answer, TutorFailed):
        log.warning("tutor failed: %s", answer.reason)
        raise answer
    # The type alone: an exception's text may hold a student's words.
    log.error("tutor raised or returned %s", type(answer).__name__)
    raise TutorFailed("error", retryable=True)


def _worth_another_try(failed: TutorFailed, remaining: float, sleep: Callable[[float], None]) -> bool:
    if not failed.retryable:
        return False
    pause = failed.retry_after_seconds or 0.0
    if pause > min(MAX_PAUSE_SECONDS, remaining / 2):
        return False
    if pause > 0:
        sleep(pause)
    return True


def _judged(draft: Draft, request: QuestionRequest) -> tuple[str, ...]:
    try:
        return faults(draft.text, request)
    except Exception as error:  # a text that breaks the gate is not shown, and strands nobody
        log.error("gate raised %s", type(error).__name__)
        return ("gate_error",)
