"""Dynamic questions are made beside the requests: a page that waits for one holds no thread of the server.

Each question has a daemon thread of this process, as many at once as `MAX_AT_ONCE`. Threads, and no pool: a
pool is joined at exit, and nobody needs to wait for a question that another process can take over.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from pynamodb.exceptions import PynamoDBException

from . import study
from .domain.consent.agreement import ConsentNotInForce
from .domain.session import dialogue, question_lease
from .domain.session.record import OutOfStep, Run, SessionClosed
from .domain.store.transactions import Busy

MAX_AT_ONCE = 100
HOST = socket.gethostname()[:100]

log = logging.getLogger("making")
_places = threading.BoundedSemaphore(MAX_AT_ONCE)
Question = tuple[str, int, int]
"""The session, the segment and the number."""
_hands: Counter[Question] = Counter()
"""How many of this process's threads have a question in hand: they ask for their turn, or make it."""
_hands_lock = threading.Lock()


def question(run: Run, *, segment_id: int, number: int) -> bool:
    """Whether the question is stored by now; otherwise somebody is making it: look again in a second.

    Raises OutOfStep, SessionClosed, ConsentNotInForce.
    """
    run.expect(f"questions-{segment_id}", number)
    make = partial(
        dialogue.question,
        run,
        segment_id=segment_id,
        number=number,
        package=study.package(),
        tutor=study.tutor(),
        clock=study.now,
    )
    if study.tutor().offline or question_lease.is_made(run, segment_id, number):
        make()
        return True
    turn = _turn(run, segment_id, number, awaited=True)
    if turn in ("another's", "made") or (turn == "mine" and _start(run, segment_id, number, make)):
        return False
    make(patience=0)
    return True


def prepare(run: Run, *, segment_id: int) -> None:
    """See to it that the first question is made while its segment plays. Raises ConsentNotInForce."""
    if not run.is_open or not dialogue.is_due(run, segment_id):
        return
    make = partial(
        dialogue.prepare,
        run,
        segment_id=segment_id,
        package=study.package(),
        tutor=study.tutor(),
        now=study.now(),
    )
    if study.tutor().offline:
        make()
    elif _turn(run, segment_id, 1, awaited=False) == "mine":
        _start(run, segment_id, 1, make)


def _turn(run: Run, segment_id: int, number: int, *, awaited: bool) -> question_lease.Turn:
    """Who has the turn `mine` keeps the question in hand until `_end`."""
    question = (run.id, segment_id, number)
    _take(question)
    turn = None
    try:
        turn = question_lease.turn(
            run,
            segment_id=segment_id,
            number=number,
            awaited=awaited,
            maker=f"{HOST}:{os.getpid()}",
            is_lost=lambda maker: _is_lost(maker, question),
            at=time.time(),
        )
    finally:
        if turn != "mine":
            _let_go(question)
    return turn


def _is_lost(maker: str, question: Question) -> bool:
    """Known to be gone. Of a maker on another machine nothing is known before its time is over."""
    host, _, pid = maker.rpartition(":")
    if host != HOST:
        return False
    if int(pid) == os.getpid():
        return _hands[question] == 1  # no hand but the one that asks
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _start(run: Run, segment_id: int, number: int, make: Callable[..., Run]) -> bool:
    """False when this process makes as many as it may, or can start no more threads."""
    seconds = question_lease.seconds_left(run, segment_id=segment_id, number=number, at=time.time())
    question = (run.id, segment_id, number)
    if not _places.acquire(blocking=False):
        _let_go(question)
        return False
    work = threading.Thread(
        target=_work, args=(question, partial(make, patience=seconds)), name="question", daemon=True
    )
    try:
        work.start()
    except RuntimeError:
        _end(question)
        return False
    return True


def _work(question: Question, make: Callable[[], Run]) -> None:
    try:
        make()
    except (ConsentNotInForce, OutOfStep, SessionClosed, Busy, PynamoDBException) as error:
        log.warning("a question was not stored: %s", type(error).__name__)
    except Exception as error:  # the type alone: a text may hold a student's words
        log.error("making a question raised %s", type(error).__name__)
    finally:
        _end(question)


def _end(question: Question) -> None:
    _let_go(question)
    _places.release()


def _take(question: Question) -> None:
    with _hands_lock:
        _hands[question] += 1


def _let_go(question: Question) -> None:
    with _hands_lock:
        _hands[question] -= 1
        if not _hands[question]:
            del _hands[question]
