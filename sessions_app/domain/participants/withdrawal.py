"""A student leaves the study: from the next request on nothing is collected or scored."""

from __future__ import annotations

import uuid
from contextlib import suppress
from datetime import datetime
from typing import Any

from pynamodb.expressions.update import Action

from ..audit import log as audit_log
from ..audit.log import Actor
from ..models import ConsentEvent, DirectoryEntry, ExportRecall, Session, Student
from ..session import open_session
from ..session.record import Run, SessionNotFound
from ..session.start import StudentNotFound
from ..store import keys
from ..store.transactions import Busy, Refused, Transaction

TRIES = 10


def withdraw(student_id: str, *, keep: bool, by: Actor, reason: str | None = None, now: datetime) -> Student:
    """End consent. `keep` is the family's choice about what was collected before; erasing is `erasure.erase`.

    The profile refuses every write of the student's data from here on, whoever is under way. Running
    sessions are then closed as withdrawn; those that are complete stay as they are. Withdrawing twice
    changes nothing but what is still open. Raises StudentNotFound, Busy.
    """
    student = _profile(student_id)
    for _ in range(TRIES):
        if student.consent_data.withdrawn_at:
            break
        with suppress(Refused):  # consent changed in between, perhaps to just this: look again
            _withdrawing(student, keep, by, reason, now).commit()
        student = _profile(student_id)
    else:
        raise Busy("the student's record kept changing; nothing was withdrawn, try again")
    for session in Session.of_student(student_id):
        if isinstance(session, Session):
            close(session.session_id, now=now)
    return student


def _profile(student_id: str) -> Student:
    try:
        return Student.by_id(student_id)
    except (Student.DoesNotExist, keys.BadKey):
        raise StudentNotFound(student_id) from None


def _withdrawing(student: Student, keep: bool, by: Actor, reason: str | None, now: datetime) -> Transaction:
    consent: Any = Student.consent_data
    metadata: Any = Student.metadata
    transaction = Transaction()
    before = student.consent_data.state
    actions: list[Action] = [
        consent.withdrawn_at.set(now),
        consent.state.set("withdrawn"),
        metadata.updated_at.set(now),
    ]
    transaction.update("profile", student, actions, consent.withdrawn_at.does_not_exist())
    if student.student_code:  # a profile that other software wrote has none, and is in no list
        _leave_lists(transaction, student)
    event = ConsentEvent.new(
        student_id=student.student_id,
        event_id=f"withdrawal-{uuid.uuid4().hex[:12]}",
        at=now,
        kind="participation",
        action="withdrawn",
        data_kept=keep,
        attested_by=by.name,
        reason=reason or None,
    )
    transaction.create("event", event)
    recall = ExportRecall(PK=keys.EXPORTS, SK=keys.RECALL)
    recalling = [ExportRecall.withdrawn_at.set(now), ExportRecall.entity_type.set(ExportRecall)]
    transaction.upsert("recall", recall, recalling)
    audit_log.note(
        transaction,
        "consent.withdraw",
        by=by,
        events=[event],
        now=now,
        student_id=student.student_id,
        old={"state": before},
        new={"state": "withdrawn", "earlier data": "kept" if keep else "to be erased"},
        reason=reason,
    )
    return transaction


def _leave_lists(transaction: Transaction, student: Student) -> None:
    """Out of the lists of states and reviews, into that of those who withdrew."""
    entry = DirectoryEntry(PK=keys.STUDENT_DIRECTORY, SK=student.student_code)
    moved: list[Action] = [
        DirectoryEntry.consent_state.set("withdrawn"),
        DirectoryEntry.GSI3PK.set(keys.consent_state("withdrawn")),
        DirectoryEntry.GSI4PK.remove(),
        DirectoryEntry.GSI4SK.remove(),
    ]
    transaction.update("directory", entry, moved)


def close(session_id: str, *, now: datetime) -> None:
    """Close a session of a student who withdrew, so that its next page says so. Harmless to repeat.

    Raises Busy.
    """
    for _ in range(TRIES):
        try:
            run = Run.load(session_id)
        except SessionNotFound:
            return
        if not run.is_open:
            return
        unchanged = run.unchanged_session()
        transaction = Transaction()
        actions = run.stage_done(now=now, state="withdrawn", **run.ending(now))
        transaction.update("session", run.session, actions, unchanged)
        open_session.close(transaction, run.session)
        try:
            transaction.commit()
        except Refused:
            continue  # a last answer was stored just before consent ended
        return
    raise Busy("the session kept moving; it takes no more answers, but is not closed yet: try again")
