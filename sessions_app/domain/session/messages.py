"""Words between the participant of a session and staff: short notes, calls for help, and safeguarding calls.

They are no data of the study. Notes and calls for help wait for consent like everything that a session
stores; a safeguarding call does not: it keeps none of the student's words.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from pynamodb.exceptions import PynamoDBException

from ..audit import log as audit_log
from ..audit.log import PARTICIPANT, Actor
from ..models import Call, OpenCall, Session
from ..models.message import HELP as HELP
from ..models.message import MAX_NOTE_LENGTH
from ..models.message import NOTE as NOTE
from ..models.message import OFFICE as OFFICE
from ..models.message import SAFEGUARDING as SAFEGUARDING
from ..store import keys
from ..store.items import same_version
from ..store.transactions import Busy, Refused, Transaction
from . import safeguarding
from .record import Run, SessionClosed, commit

MAX_NOTES = 50
TRIES = 3

log = logging.getLogger(__name__)


class BadNote(ValueError):
    """A note that cannot be sent; the message is for the screen."""


class CallNotFound(LookupError):
    """The session has no such note or call."""


def send_note(run: Run, *, text: str, by: Actor, now: datetime) -> Call:
    """To the participant's page. Raises BadNote, SessionClosed, ConsentNotInForce, Busy."""
    text = " ".join(text.replace("\x00", "").split())
    if not text:
        raise BadNote("Write something first.")
    if len(text) > MAX_NOTE_LENGTH:
        raise BadNote(f"This is too long: at most {MAX_NOTE_LENGTH} characters fit.")
    if sum(call.kind == NOTE for call in run.calls) >= MAX_NOTES:
        raise BadNote(f"{MAX_NOTES} notes were sent already. Please speak with the participant.")
    return _stored(run, NOTE, text=text, by=by, now=now)


def ask_for_help(run: Run, *, now: datetime) -> Call:
    """The participant needs somebody; asking again while the call is open changes nothing.

    Raises SessionClosed, ConsentNotInForce, Busy.
    """
    return open_call(run.calls, HELP) or _stored(run, HELP, text=None, by=None, now=now)


def call_office(run: Run, *, by: Actor, now: datetime) -> Call:
    """Staff in the session need other staff. Raises as `ask_for_help`."""
    return open_call(run.calls, OFFICE) or _stored(run, OFFICE, text=None, by=by, now=now)


def check_answer(run: Run, texts: Iterable[str], *, step: str, now: datetime) -> Call | None:
    """Call staff where a stored answer shows a sign of danger, or of the wish to stop.

    Never raises where the store fails: the answer is safe already. One call a step, however often its answer
    arrives; a device that was not told sends it again, which makes up for a call that could not be stored.
    """
    found = safeguarding.signs_in(texts)
    if not found or run.session.state == "withdrawn":
        return None
    for _ in range(TRIES):
        try:
            return _alarm_of(run, step) or _raise_alarm(run, found[0], step, now)
        except Refused:  # the session moved on, or the same answer came twice at once
            run = Run.load(run.id)
        except (Busy, PynamoDBException) as error:
            log.error("a safeguarding call was not stored: %s", type(error).__name__)
    return None


def _alarm_of(run: Run, step: str) -> Call | None:
    return next((call for call in run.calls if call.kind == SAFEGUARDING and call.step == step), None)


def _raise_alarm(run: Run, sign: safeguarding.Kind, step: str, now: datetime) -> Call:
    """Call, pointer, flag and audit entry: all or nothing."""
    call_id = hashlib.sha256(f"{run.id}/{step}".encode()).hexdigest()[:32]
    call = Call(
        PK=keys.session(run.id),
        SK=keys.call(now, call_id),
        call_id=call_id,
        session_id=run.id,
        kind=SAFEGUARDING,
        at=now,
        sign=sign,
        step=step,
    )
    transaction = Transaction()
    transaction.create("call", call)
    pointer = OpenCall(
        PK=keys.SAFEGUARDING_QUEUE,
        SK=keys.open_call(run.id, call_id),
        call_id=call_id,
        session_id=run.id,
        at=now,
    )
    transaction.create("open", pointer)
    _flag(transaction, run, call, now)
    audit_log.note(
        transaction,
        "safeguarding.call",
        by=audit_log.SYSTEM,
        now=now,
        student_id=run.session.student_id,
        session_id=run.id,
        new={"step": step},
    )
    transaction.commit()
    run.calls.append(call)
    return call


def _flag(transaction: Transaction, run: Run, call: Call, now: datetime) -> None:
    """The session must still be there; an alarm is a flag on it, a wish to stop is none.

    Metadata that another client left out has no place for the flag; the alarm is raised all the same.
    """
    metadata: Any = Session.metadata
    known = list(run.session.metadata.data_quality_flags)
    unchanged = same_version(metadata.version, run.session.metadata.version)
    if not call.is_alarm or SAFEGUARDING in known or "metadata" in run.session.lacking:
        transaction.check("session", Session, run.session.PK, run.session.SK, Session.PK.exists())
        return
    actions = [
        metadata.data_quality_flags.set([*known, SAFEGUARDING]),
        metadata.version.set((run.session.metadata.version or 0) + 1),
        metadata.updated_at.set(now),
    ]
    transaction.update("session", Session(PK=run.session.PK, SK=run.session.SK), actions, unchanged)


def to_show(calls: Iterable[Call]) -> Call | None:
    """The safeguarding call whose page the student has not seen yet."""
    return next((call for call in calls if call.kind == SAFEGUARDING and not call.shown_at), None)


def shown(call: Call, *, now: datetime) -> None:
    """The student sees the page of this call. Raises Busy."""
    transaction = Transaction()
    seen = [Call.shown_at.set(now)]
    transaction.update("call", Call.key(call.session_id, call.SK), seen, Call.shown_at.does_not_exist())
    with suppress(Refused):  # seen before
        transaction.commit()


def open_call(calls: Iterable[Call], kind: str) -> Call | None:
    return next((call for call in calls if call.kind == kind and call.is_open), None)


def unread(calls: Iterable[Call]) -> list[Call]:
    """Notes that the participant has not put away, oldest first."""
    return [call for call in calls if call.kind == NOTE and call.is_open]


def _stored(run: Run, kind: str, *, text: str | None, by: Actor | None, now: datetime) -> Call:
    if not run.is_open:
        raise SessionClosed(str(run.session.state))
    call_id = uuid.uuid4().hex
    call = Call(
        PK=keys.session(run.id),
        SK=keys.call(now, call_id),
        call_id=call_id,
        session_id=run.id,
        kind=kind,
        text=text,
        at=now,
        by=by.name if by else None,
    )
    transaction = run.writing()
    transaction.create("call", call)
    _audit(transaction, "note.send" if kind == NOTE else "call.make", call, run.session.student_id, by, now)
    commit(transaction)
    run.calls.append(call)
    return call


def answer(
    calls: Iterable[Call], *, call_id: str, by: Actor | None, now: datetime, student_id: str | None = None
) -> None:
    """A note was read (`by` nobody of staff), or somebody sees to a call. Answering twice changes nothing.

    Raises CallNotFound, Busy.
    """
    call = next((call for call in calls if call.call_id == call_id), None)
    if call is None:
        raise CallNotFound(call_id)
    name: Any = by.name if by else None
    actions = [Call.answered_at.set(now), *([Call.answered_by.set(name)] if name else [])]
    transaction = Transaction()
    transaction.update("call", Call.key(call.session_id, call.SK), actions, Call.answered_at.does_not_exist())
    if call.kind == SAFEGUARDING:
        pointer = keys.open_call(call.session_id, call.call_id)
        transaction.delete("open", OpenCall(PK=keys.SAFEGUARDING_QUEUE, SK=pointer))
    action = "note.read" if call.kind == NOTE else "call.answer"
    _audit(transaction, action, call, student_id, by, now)
    with suppress(Refused):  # somebody was faster
        transaction.commit()


def _audit(
    transaction: Transaction,
    action: str,
    call: Call,
    student_id: str | None,
    by: Actor | None,
    now: datetime,
) -> None:
    """That it happened, without its words."""
    audit_log.note(
        transaction,
        action,
        by=by or PARTICIPANT,
        now=now,
        session_id=call.session_id,
        student_id=student_id,
        new={"kind": call.kind},
    )
