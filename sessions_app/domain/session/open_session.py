"""At most one open session a student, held on the student's profile.

`metadata.open_session` names the session. The transaction that opens a session takes the hold, the
transaction that closes it releases it. Both are conditional: two sessions never hold one student, and the
hold of another session is never released. A hold that outlived its session (another client closed or deleted
it) is taken over, so it strands nobody. Sessions of other clients, and those from before there were holds,
have none: a start treats an open one in the student's list as if it were held.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pynamodb.expressions.update import Action

from ..models import Item, Session, Student
from ..store import keys
from ..store.transactions import Transaction

hold: Any = Student.metadata.open_session


class AlreadyOpen(Exception):
    """The student has another open session, `session`; nothing was stored."""

    def __init__(self, session: Session) -> None:
        super().__init__(f"the student has an open session: {session.session_id}")
        self.session = session


def find(student: Student, listed: Iterable[Item] = ()) -> Session | None:
    """The open session that the profile names, or else the first open one of `listed`, read consistently.

    `listed` may come from an index; nothing is read for those that it shows closed.
    """
    named = _partition(student.metadata.open_session)
    shown = [item.PK for item in listed if isinstance(item, Session) and item.is_open]
    for partition in dict.fromkeys(([named] if named else []) + shown):
        try:
            session = Session.get(partition, keys.METADATA, consistent_read=True)
        except Session.DoesNotExist:
            continue
        if session.is_open:
            return session
    return None


def _partition(named: str | None) -> str | None:
    """Of the session that a profile names; None for no session and for a text that can name none."""
    try:
        return keys.session(named) if named else None
    except keys.BadKey:
        return None


def take(transaction: Transaction, student: Student, session_id: str) -> tuple[list[Action], Any]:
    """Actions and condition for the update of the profile by which `session_id` becomes the open session.

    Call it after `find` found none. Where the profile, as read, still names a closed session, `transaction`
    also checks that this one stays closed; that check is called "closed".
    """
    free = hold.does_not_exist() | (hold == session_id)
    named = student.metadata.open_session
    if named not in (None, session_id):
        free |= hold == named
        if partition := _partition(named):
            transaction.check("closed", Session, partition, keys.METADATA, ~Session.still_open())
    return [hold.set(session_id)], free


def release(session_id: str) -> tuple[list[Action], Any]:
    """Actions and condition for an update of the profile that ends the hold of `session_id`.

    The condition refuses the hold of another session, so ask `is_held` first. A hold released meanwhile
    is no obstacle.
    """
    return [hold.remove()], hold.does_not_exist() | (hold == session_id)


def is_held(session: Session) -> bool:
    """Whether the student's profile names this session: one consistent read."""
    try:
        student = Student.by_id(session.student_id)
    except (Student.DoesNotExist, keys.BadKey):
        return False
    return bool(student.metadata.open_session == session.session_id)


def close(transaction: Transaction, session: Session) -> None:
    """Release the student in the transaction that closes `session`, if this session holds the student."""
    if is_held(session):
        profile = Student(PK=keys.student(session.student_id), SK=keys.PROFILE)
        transaction.update("hold", profile, *release(session.session_id))
