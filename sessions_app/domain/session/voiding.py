"""Void sessions: they took place, but their data cannot be used.

`metadata.void` records who marked the session, when, why, and the kind of reason. The data stay stored and
shown; no statistic, analysis or export counts them, and the place in the allocation is given back. A mark can
be removed again, with a reason.

An open session is stopped by the same transaction that marks it: whoever notices the wrong student needs one
step, and the right one can start at once.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from pynamodb.expressions.update import Action

from ..audit import log as audit_log
from ..audit.log import Actor
from ..models import AllocationTally, InvalidField, Session, Student, StudentAllocation
from ..models.session import Void
from ..store import keys
from ..store.transactions import Busy, Refused, Transaction
from . import survey as session_survey
from .record import Run

FLAG = "void"


class NotAllowed(Exception):
    """The account may not do this; nothing was changed. The message says who may."""


def obstacle(session: Session, *, by: Actor, now: datetime, zone: tzinfo) -> str | None:
    """Why this account may neither mark the session nor remove its mark; None where it may.

    Facilitators may for sessions that they started, on the day of the session in the study's time zone, and
    remove only their own mark. Researchers may for sessions that have ended, administrators always.
    """
    roles = set(by.role.split("+"))
    if "admin" in roles or ("researcher" in roles and not session.is_open):
        return None
    if "facilitator" not in roles:
        return "The session is still open. Its facilitator or an administrator can mark it void."
    same_day = session.start.astimezone(zone).date() == now.astimezone(zone).date()
    if session.facilitator != by.name or not same_day:
        return (
            "Facilitators can do this for their own sessions, on the day of the session. "
            "Ask a researcher or an administrator."
        )
    if session.is_void and session.metadata.void.by != by.name:
        return f"{session.metadata.void.by} marked this session void. Ask a researcher or an administrator."
    return None


def void(run: Run, *, kind: str, reason: str, by: Actor, now: datetime, zone: tzinfo) -> Run:
    """Mark a session void; one that is open is stopped. One that is void stays as it is.

    Raises NotAllowed, InvalidField, Busy.
    """
    session = run.session
    if session.is_void:
        return run
    _check(session, reason, by, now, zone)
    mark = Void(at=now, by=by.name, kind=kind, reason=reason.strip())
    mark.serialize(mark)  # bad input is named before anything of the session is touched
    if run.is_open:
        session.metadata.void = mark  # stopping writes metadata whole
        session.metadata.data_quality_flags = [*_other_flags(session), FLAG]
        transaction = session_survey.closing(
            run, state="stopped", end=now, by=by, now=now, reason=mark.reason
        )
    else:
        transaction = Transaction()
        actions, unchanged = _marking(session, mark, now)
        if session.state == "abandoned":  # so that a late answer does not open it again
            session.state = "stopped"
            actions.append(Session.state.set("stopped"))
        transaction.update("session", session, actions, unchanged)
        _forget_completion(transaction, session, now)
    _change_places(transaction, session, -1)
    _note(transaction, "session.void", session, by=by, now=now, new={"kind": kind}, reason=mark.reason)
    _commit(transaction)
    return run


def unvoid(run: Run, *, reason: str, by: Actor, now: datetime, zone: tzinfo) -> Run:
    """Remove the mark: the session counts again, as it ended. One that is not void stays as it is.

    Raises NotAllowed, InvalidField, Busy.
    """
    session = run.session
    if not session.is_void:
        return run
    _check(session, reason, by, now, zone)
    old = {"kind": session.metadata.void.kind}
    transaction = Transaction()
    transaction.update("session", session, *_marking(session, None, now))
    _remember_completion(transaction, session, now)
    _change_places(transaction, session, +1)
    _note(transaction, "session.unvoid", session, by=by, now=now, old=old, reason=reason.strip())
    _commit(transaction)
    return run


def _check(session: Session, reason: str, by: Actor, now: datetime, zone: tzinfo) -> None:
    if why := obstacle(session, by=by, now=now, zone=zone):
        raise NotAllowed(why)
    if not reason.strip():
        raise InvalidField("reason", "is missing: say why")


def _commit(transaction: Transaction) -> None:
    try:
        transaction.commit()
    except Refused:
        raise Busy("the session changed in the meantime; nothing was changed, check it again") from None


def _note(transaction: Transaction, action: str, session: Session, **details: Any) -> None:
    audit_log.note(
        transaction, action, student_id=session.student_id, session_id=session.session_id, **details
    )


# --- the session


def _other_flags(session: Session) -> list[str]:
    return [flag for flag in session.metadata.data_quality_flags or () if flag != FLAG]


def _marking(session: Session, mark: Void | None, now: datetime) -> tuple[list[Action], Any]:
    """Actions and condition for METADATA; the local copy is changed alike."""
    stored = session.metadata
    attribute: Any = Session.metadata
    version = attribute.version
    condition = version.does_not_exist() if stored.version is None else version == stored.version
    stored.void, stored.updated_at, stored.version = mark, now, int(stored.version or 0) + 1
    stored.data_quality_flags = _other_flags(session) + ([FLAG] if mark else [])
    actions: list[Action] = [
        attribute.void.set(mark) if mark else attribute.void.remove(),
        attribute.data_quality_flags.set(stored.data_quality_flags),
        attribute.updated_at.set(now),
        version.set(stored.version),
    ]
    return actions, condition


# --- what hangs on it


def _change_places(transaction: Transaction, session: Session, change: int) -> None:
    """One session more or fewer that counts for the student at the location.

    With the last one the student's place in the balance is given back, with the first it is taken again. The
    arm stays the student's. Sessions of other clients never had a place.
    """
    allocation: Any = session.allocation
    if allocation is None:
        return
    location = session.condition.location
    held = StudentAllocation.of(session.student_id, location)
    if held is None:  # started before the student's allocation was stored: each session had a place
        _change_tally(transaction, location, None, session.condition.arm, change)
        return
    places = max(0, int(held.places) + change)
    transaction.update("places", held, [StudentAllocation.places.set(places)], held.unchanged())
    if places == max(0, change):
        _change_tally(transaction, location, held.stratum, held.condition.arm, change)


def _change_tally(
    transaction: Transaction, location: str, stratum: str | None, arm: str, change: int
) -> None:
    tally = AllocationTally.at(location, stratum)
    count: Any = AllocationTally.counts[arm]
    if change > 0 and tally.counts:
        transaction.update("tally", tally, [count.set((count | 0) + change)])
    elif tally.counts.get(arm):
        transaction.update("tally", tally, [count.set(count - 1)], count >= 1)


def _profile(session: Session) -> Student | None:
    try:
        return Student.by_id(session.student_id)
    except (Student.DoesNotExist, keys.BadKey):
        return None


def _forget_completion(transaction: Transaction, session: Session, now: datetime) -> None:
    """The condition is not among those that the student completed any more."""
    student, code = _profile(session), session.condition.code
    if student is None or not session.completion_status.completed:
        return
    completed = list(student.metadata.conditions_completed)
    if code in completed:
        metadata: Any = Student.metadata
        entry = metadata.conditions_completed[completed.index(code)]
        transaction.update("student", student, [entry.remove(), metadata.updated_at.set(now)], entry == code)


def _remember_completion(transaction: Transaction, session: Session, now: datetime) -> None:
    student, code = _profile(session), session.condition.code
    if student is None or not session.completion_status.completed:
        return
    metadata: Any = Student.metadata
    completed = metadata.conditions_completed
    growing = [completed.set(completed.append([code])), metadata.updated_at.set(now)]
    transaction.update("student", student, growing)
