"""Words between the participant of a running session and staff: short notes, and calls for help.

They are no data of the study, and still wait for consent like everything that a session stores.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from . import keys
from .audit import Actor
from .models import Call
from .models.call import HELP as HELP
from .models.call import LONGEST_NOTE
from .models.call import NOTE as NOTE
from .models.call import OFFICE as OFFICE
from .models.transaction import Refused, Transaction
from .run import Run, SessionClosed, commit

MOST_NOTES = 50


class BadNote(ValueError):
    """A note that cannot be sent; the message is for the screen."""


class CallNotFound(LookupError):
    """The session has no such note or call."""


def send_note(run: Run, *, text: str, by: Actor, now: datetime) -> Call:
    """To the participant's page. Raises BadNote, SessionClosed, ConsentNotInForce, Busy."""
    text = " ".join(text.replace("\x00", "").split())
    if not text:
        raise BadNote("Write something first.")
    if len(text) > LONGEST_NOTE:
        raise BadNote(f"This is too long: at most {LONGEST_NOTE} characters fit.")
    if sum(call.kind == NOTE for call in run.calls) >= MOST_NOTES:
        raise BadNote(f"{MOST_NOTES} notes were sent already. Please speak with the participant.")
    return _stored(run, NOTE, text=text, by=by.name, now=now)


def ask_for_help(run: Run, *, now: datetime) -> Call:
    """The participant needs somebody; asking again while the call is open changes nothing.

    Raises SessionClosed, ConsentNotInForce, Busy.
    """
    return open_call(run.calls, HELP) or _stored(run, HELP, text=None, by=None, now=now)


def call_office(run: Run, *, by: Actor, now: datetime) -> Call:
    """Staff in the session need other staff. Raises as `ask_for_help`."""
    return open_call(run.calls, OFFICE) or _stored(run, OFFICE, text=None, by=by.name, now=now)


def open_call(calls: Iterable[Call], kind: str) -> Call | None:
    return next((call for call in calls if call.kind == kind and call.is_open), None)


def unread(calls: Iterable[Call]) -> list[Call]:
    """Notes that the participant has not put away, oldest first."""
    return [call for call in calls if call.kind == NOTE and call.is_open]


def _stored(run: Run, kind: str, *, text: str | None, by: str | None, now: datetime) -> Call:
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
        by=by,
    )
    transaction = run.writing()
    transaction.create("call", call)
    commit(transaction)
    run.calls.append(call)
    return call


def answer(calls: Iterable[Call], *, call_id: str, by: Actor | None, now: datetime) -> None:
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
    with suppress(Refused):  # somebody was faster
        transaction.commit()
