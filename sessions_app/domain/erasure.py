"""A student's data are erased: profile, consent, sessions with all that hangs on them. A tombstone stays.

Erasing begins with withdrawing, so that no write can follow it. Then everything goes, the profile last: an
erasure that is broken off finds its way again and is harmless to repeat. Items are read raw, since what other
writers added must go too. Statistics follow by the stream, like any change of a session.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from pynamodb.expressions.update import Action

from . import audit, keys
from .audit import Actor
from .models import (
    AllocationEntry,
    AuditEntry,
    GradingTask,
    Item,
    OpenCall,
    Session,
    Student,
    Tombstone,
    connection,
)
from .models.audit import Unchangeable
from .models.transaction import Refused, Transaction
from .starting import StudentNotFound
from .withdrawal import withdraw

INDEX_PATIENCE_SECONDS = 30


class NotAllFound(Exception):
    """The index does not show every session of the student yet. Those it shows are gone; run it again."""


def erase(
    student_id: str,
    *,
    by: Actor,
    reason: str | None = None,
    now: datetime,
    wait: Callable[[float], None] = time.sleep,
) -> Tombstone:
    """Erase a student; erased before, it gives back the tombstone.

    `reason` is free text and may name somebody: it stands with the withdrawal until the data are gone.
    `wait` is for an index that lags. Raises StudentNotFound, NotAllFound, Busy.
    """
    student = _still_there(student_id)
    if student is None:
        tombstone = Tombstone.of_student(student_id)
        if tombstone is None:
            raise StudentNotFound(student_id)
        if tombstone.state == "erased" and not _sessions(student_id):
            return tombstone
    else:
        student = withdraw(student_id, keep=False, by=by, reason=reason, now=now)
    bury(student_id, by=by, now=now)
    _erase_sessions(student_id, int(student.metadata.total_sessions) if student else 0, wait)
    items = _erase_rest(student_id, student)
    return _ended(student_id, student, items, by, now)


def _still_there(student_id: str) -> Student | None:
    try:
        return Student.by_id(student_id)
    except keys.BadKey:
        raise StudentNotFound(student_id) from None
    except Student.DoesNotExist:
        return None


def bury(student_id: str, *, by: Actor, now: datetime) -> None:
    """The tombstone stands before anything goes, so that a broken-off erasure is known to be one."""
    transaction = Transaction()
    transaction.create("tombstone", Tombstone.new(student_id=student_id, by=by.name, asked_at=now))
    with suppress(Refused):  # begun before, or by somebody else at this moment
        transaction.commit()


# --- what goes


def _erase_sessions(student_id: str, started: int, wait: Callable[[float], None]) -> None:
    """Raises NotAllFound.

    The profile counts its sessions in the transaction that starts them (`started`), the tombstone in the one
    that erases them: so it is known when the index lags.
    """
    for second in range(INDEX_PATIENCE_SECONDS + 1):
        for session in _sessions(student_id):
            _erase_session(session)
        tombstone = Tombstone.of_student(student_id)
        gone = int(tombstone.sessions) if tombstone else 0
        if gone >= started:
            return
        if second < INDEX_PATIENCE_SECONDS:
            wait(1)
    raise NotAllFound(
        f"{started - gone} of {started} sessions are not in the index yet; the others are erased"
    )


def _sessions(student_id: str) -> list[Session]:
    return [item for item in Session.of_student(student_id) if isinstance(item, Session)]


def _erase_session(session: Session) -> None:
    """METADATA goes last, as it leads here again. The rest of the partition goes whatever it is."""
    _forget_allocation(session)
    for task in _tasks(session.session_id):
        _delete(task.PK, task.SK)
    partition = [key for key in keys_in(session.PK) if key != (session.PK, session.SK)]
    for pk, sk in partition:
        _delete(pk, sk)
    transaction = Transaction()
    transaction.delete("session", session)
    tombstone = Tombstone(PK=keys.TOMBSTONES, SK=session.student_id)
    transaction.update("tombstone", tombstone, _more(sessions=1, items=len(partition) + 1))
    with suppress(Refused):  # another eraser was faster, or the index still shows what is gone
        transaction.commit()


def _more(**counts: int) -> list[Action]:
    names: Any = Tombstone
    return [getattr(names, name).set(getattr(names, name) + count) for name, count in counts.items()]


def _forget_allocation(session: Session) -> None:
    """The log keeps its length, for the flow diagram: an entry without ids takes the old one's place."""
    location = session.experimental_condition.location
    sort_key = keys.allocation_entry(session.start, session.session_id)
    try:
        entry = AllocationEntry.get(keys.allocation(location), sort_key, consistent_read=True)
    except AllocationEntry.DoesNotExist:
        return  # forgotten before, or a session that other software wrote
    transaction = Transaction()
    transaction.delete("entry", entry)
    nameless = AllocationEntry.new(
        location=location,
        session_id=f"erased-{uuid.uuid4().hex}",
        at=entry.at,
        condition_code=entry.condition_code,
        method=entry.method,
        by=entry.by,
        candidates=entry.candidates,
    )
    transaction.create("nameless", nameless)
    with suppress(Refused):  # another eraser was faster
        transaction.commit()


def _tasks(session_id: str) -> list[GradingTask | OpenCall]:
    mine: Any = GradingTask.session_id == session_id
    queues = (keys.GRADING_QUEUE, keys.SAFEGUARDING_QUEUE)
    found = [
        item for queue in queues for item in Item.query(queue, filter_condition=mine, consistent_read=True)
    ]
    return [item for item in found if isinstance(item, GradingTask | OpenCall)]


def _erase_rest(student_id: str, student: Student | None) -> int:
    """Everything about the student but the profile, which the last transaction takes."""
    rest = [(pk, sk) for pk, sk in keys_in(keys.student(student_id)) if sk != keys.PROFILE]
    if student is not None and student.student_code:
        rest.append((keys.STUDENT_DIRECTORY, student.student_code))
    for pk, sk in rest:
        _delete(pk, sk)
    return len(rest)


def _ended(student_id: str, student: Student | None, items: int, by: Actor, now: datetime) -> Tombstone:
    transaction = Transaction()
    if student is not None:
        transaction.delete("profile", student)
        items += 1
    actions: list[Action] = [Tombstone.state.set("erased"), Tombstone.erased_at.set(now), *_more(items=items)]
    if student is not None:
        actions.append(Tombstone.exports.set(_exports_since(student.metadata.created_at)))
    transaction.update("tombstone", Tombstone(PK=keys.TOMBSTONES, SK=student_id), actions)
    audit.note(transaction, "student.erase", by=by, now=now, student_id=student_id)
    with suppress(Refused):  # the same erasure, done by somebody else at this moment
        transaction.commit()
    tombstone = Tombstone.of_student(student_id)
    assert tombstone is not None  # noqa: S101  for the type checker: nothing deletes a tombstone
    return tombstone


def _exports_since(start: datetime) -> list[str]:
    """Every export since the student came: copies outside the table, to be destroyed by hand."""
    made = (entry for entry in AuditEntry.exports(start) if isinstance(entry, AuditEntry))
    return [f"{keys.stamp(entry.at)} {entry.subject} by {entry.by}" for entry in made]


# --- raw, as what is unknown must be found too


def _raw_keys(client: Any, table: str, pk: str) -> Iterator[tuple[str, str]]:
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="PK = :pk",
        ExpressionAttributeValues={":pk": {"S": pk}},
        ProjectionExpression="PK, SK",
        ConsistentRead=True,
    )
    for page in pages:
        yield from ((item["PK"]["S"], item["SK"]["S"]) for item in page["Items"])


def keys_in(pk: str) -> Iterator[tuple[str, str]]:
    """The keys of every item of a partition, of known kind or not."""
    return _raw_keys(connection().client, str(Item.Meta.table_name), pk)


def _delete(pk: str, sk: str) -> None:
    if pk.startswith(keys.AUDIT_PREFIX):
        raise Unchangeable("what the audit log tells of a student stays: it holds an id that leads nowhere")
    client: Any = connection().client
    client.delete_item(TableName=Item.Meta.table_name, Key={"PK": {"S": pk}, "SK": {"S": sk}})


# --- after a restore


def replay(student_id: str, *, by: Actor, now: datetime) -> Tombstone:
    """Erase again whom a restored table has brought back, as a later tombstone tells. Raises as `erase`."""
    bury(student_id, by=by, now=now)
    return erase(student_id, by=by, reason="replayed after a restore", now=now)


def buried_in(client: Any, table: str) -> list[str]:
    """The ids of the tombstones of another table, read with a plain client. Raises botocore's ClientError."""
    return [student_id for _, student_id in _raw_keys(client, table, keys.TOMBSTONES)]
