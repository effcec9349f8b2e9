"""A student's data are erased: profile, consent, sessions with all that hangs on them. A tombstone stays.

Erasing begins with withdrawing, so that no write can follow it. Then everything goes, the profile last: an
erasure that is broken off finds its way again and is harmless to repeat. Items are read raw, since what other
writers added must go too.

Done is what was looked for and not found. `erase` looks every place of the table up again before it says so.
What cannot be erased in a request (statistics, lake, files, web sessions) stands in an `ErasureTask`, which
the worker repeats until each of them holds nothing any more.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pynamodb.expressions.update import Action

from ..audit import log as audit_log
from ..audit.log import Actor
from ..models import AllocationEntry, AuditEntry, ErasureTask, Item, Session, Student, Tombstone, connection
from ..models.audit import Unchangeable
from ..session.start import StudentNotFound
from ..store import keys
from ..store.transactions import Refused, Transaction
from .withdrawal import withdraw

Key = tuple[str, str]

INDEX_PATIENCE_SECONDS = 30
SWEEPS = 3
"""How often what a late writer put back is deleted before the rest is left to the worker."""
SETTLES_AFTER = timedelta(minutes=1)
"""No absence is final before: an index, or a writer that was under way, may be this late."""
FIRST_WAIT, MAX_WAIT = timedelta(seconds=15), timedelta(hours=1)
QUEUES = (keys.GRADING_QUEUE, keys.SAFEGUARDING_QUEUE, keys.DEAD_LETTERS)
"""Short partitions in which any item may name a session or a student."""


class NotAllFound(Exception):
    """Something of the student is there still, or may be. The rest is gone; run it again."""


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
    task = _remember(student_id, student)
    _erase_sessions(task, int(student.metadata.total_sessions) if student else 0, wait)
    items = _sweep(task)
    return _ended(task, student, items, by, now)


def _still_there(student_id: str) -> Student | None:
    try:
        return Student.by_id(student_id)
    except keys.BadKey:
        raise StudentNotFound(student_id) from None
    except Student.DoesNotExist:
        return None


def bury(student_id: str, *, by: Actor, now: datetime) -> None:
    """Tombstone and task stand before anything goes, so that a broken-off erasure is known and repeated."""
    transaction = Transaction()
    transaction.create("tombstone", Tombstone.new(student_id=student_id, by=by.name, asked_at=now))
    transaction.create("task", ErasureTask.new(student_id=student_id, by=by.name, now=now))
    with suppress(Refused):  # begun before, or by somebody else at this moment
        transaction.commit()


def _remember(student_id: str, student: Student | None) -> ErasureTask:
    """The task, with what leads to the student's items: known now, and no more once those are gone."""
    task = ErasureTask.of_student(student_id)
    if task is None:  # begun before there were tasks, or brought back after it was proven
        tombstone = Tombstone.of_student(student_id)
        assert tombstone is not None  # noqa: S101  for the type checker: it was written just now
        task = _new_task(tombstone, now=tombstone.asked_at)
    _note_sessions(task, _started(student_id))
    code = student.student_code if student else None
    if code and code != task.student_code:  # a profile that other software wrote has none, and is in no list
        task.update(actions=[ErasureTask.student_code.set(code)], condition=Item.PK.exists())
    return task


def _new_task(tombstone: Tombstone, *, now: datetime) -> ErasureTask:
    """For a tombstone that has none. Where somebody else was faster, the other task stands."""
    task = ErasureTask.new(student_id=tombstone.student_id, by=str(tombstone.by), now=now)
    task.sessions = sorted(_started(tombstone.student_id))
    transaction = Transaction()
    transaction.create("task", task)
    with suppress(Refused):
        transaction.commit()
    return task


def _note_sessions(task: ErasureTask, session_ids: Iterable[str]) -> None:
    """A session stands in the task before its first item goes."""
    known = list(task.sessions or ())
    fresh = [each for each in dict.fromkeys(session_ids) if each not in known]
    if fresh:
        task.update(actions=[ErasureTask.sessions.set(known + fresh)], condition=Item.PK.exists())


def _started(student_id: str) -> dict[str, datetime]:
    """Every session that the audit log names, by id, with the time of its start, or of an entry about it.

    The log outlives the items, so this leads to what is left of a session whose METADATA is gone.
    """
    found: dict[str, datetime] = {}
    for entry in AuditEntry.about_student(student_id):
        if not isinstance(entry, AuditEntry) or not entry.session_id:
            continue
        if entry.action == "session.start" or entry.session_id not in found:
            found[str(entry.session_id)] = entry.at
    return found


# --- sessions


def _erase_sessions(task: ErasureTask, started: int, wait: Callable[[float], None]) -> None:
    """Raises NotAllFound.

    The profile counts its sessions in the transaction that starts them (`started`), the tombstone in the one
    that erases them: so it is known when the index lags.
    """
    for second in range(INDEX_PATIENCE_SECONDS + 1):
        for session_id in _sessions(task.student_id):
            _erase_session(task, session_id)
        tombstone = Tombstone.of_student(task.student_id)
        gone = int(tombstone.sessions) if tombstone else 0
        if gone >= started:
            return
        if second < INDEX_PATIENCE_SECONDS:
            wait(1)
    raise NotAllFound(
        f"{started - gone} of {started} sessions are not in the index yet; the others are erased"
    )


def _sessions(student_id: str) -> list[str]:
    """The ids of the student's sessions, read raw: one that no model can read must go too."""
    pages = (
        connection()
        .client.get_paginator("query")
        .paginate(
            TableName=Item.Meta.table_name,
            IndexName="GSI2",
            KeyConditionExpression="GSI2PK = :student AND begins_with(GSI2SK, :sessions)",
            FilterExpression="SK = :metadata",
            ExpressionAttributeValues={
                ":student": {"S": keys.student(student_id)},
                ":sessions": {"S": keys.SESSION_PREFIX},
                ":metadata": {"S": keys.METADATA},
            },
        )
    )
    found = (item["PK"]["S"] for page in pages for item in page["Items"])
    return [pk.removeprefix(keys.SESSION_PREFIX) for pk in found if pk.startswith(keys.SESSION_PREFIX)]


def _partition(session_id: str) -> str:
    """Of a session that is stored already, perhaps under an id that we would not take."""
    return f"{keys.SESSION_PREFIX}{session_id}"


def _erase_session(task: ErasureTask, session_id: str) -> None:
    """METADATA goes last, as it leads here again. The rest of the partition goes whatever it is.

    All but the contribution: the statistics are moved by what it says before it goes.
    """
    _note_sessions(task, [session_id])
    pk = _partition(session_id)
    partition = [key for key in keys_in(pk) if key[1] not in (keys.METADATA, keys.CONTRIBUTION)]
    for key in partition:
        _delete(*key)
    transaction = Transaction()
    transaction.delete("session", Session(PK=pk, SK=keys.METADATA))
    tombstone = Tombstone(PK=keys.TOMBSTONES, SK=task.student_id)
    transaction.update("tombstone", tombstone, _more(sessions=1, items=len(partition) + 1))
    with suppress(Refused):  # another eraser was faster, or the index still shows what is gone
        transaction.commit()


def _more(**counts: int) -> list[Action]:
    names: Any = Tombstone
    return [getattr(names, name).set(getattr(names, name) + count) for name, count in counts.items()]


# --- every other place


def places(task: ErasureTask) -> Iterator[Key]:
    """The key of every item of the table that still tells of the student, wherever such an item can lie.

    Left out are tombstone and task, which say that the data are gone, the audit log, which keeps random ids
    and no words, and the profile, which goes with the last transaction. A new kind of item that holds an id
    outside of the partitions of student and session has to be added here; a test looks for it.
    """
    for pk, sk in keys_in(keys.student(task.student_id)):
        if sk != keys.PROFILE:
            yield pk, sk
    sessions = list(task.sessions or ())
    for session_id in sessions:
        yield from keys_in(_partition(session_id))
    yield from _present(_known_keys(task))
    needles = [task.student_id, *sessions]
    for queue in QUEUES:
        yield from _naming(queue, needles)


def _known_keys(task: ErasureTask) -> Iterator[Key]:
    """Where an item about the student lies if there is one."""
    if task.student_code:
        yield keys.STUDENT_DIRECTORY, str(task.student_code)
        yield keys.ROSTER_DIRECTORY, str(task.student_code)
    yield keys.spending("student", task.student_id), keys.TOTAL
    for session_id in task.sessions or ():
        yield keys.spending("session", session_id), keys.TOTAL
    for cell in keys.CELLS:
        yield keys.counted(cell), keys.student(task.student_id)
    yield from _allocation_keys(task)


def _allocation_keys(task: ErasureTask) -> Iterator[Key]:
    for session_id, at in _started(task.student_id).items():
        for location in keys.LOCATIONS.values():
            yield keys.allocation(location), keys.allocation_entry(at, session_id)


def _present(wanted: Iterable[Key]) -> Iterator[Key]:
    return ((item.PK, item.SK) for item in Item.batch_get(list(wanted), consistent_read=True))


def _naming(pk: str, needles: list[str]) -> Iterator[Key]:
    wanted = set(needles)
    for item in _raw_items(pk):
        if wanted.intersection(_words(item)):
            yield item["PK"]["S"], item["SK"]["S"]


def _words(value: Any) -> Iterator[str]:
    """Every text of a raw item, and every part of a key in one."""
    if isinstance(value, str):
        yield from value.split("#")
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _words(inner)


def is_statistical(key: Key) -> bool:
    """What the statistics are moved by: it goes with them, in one transaction, and not before."""
    return key[1] == keys.CONTRIBUTION or key[0].startswith(keys.COUNTED_PREFIX)


def _sweep(task: ErasureTask) -> int:
    """Delete what `places` finds until it finds nothing; how much that was. Raises NotAllFound."""
    gone = 0
    for _ in range(SWEEPS):
        found = [key for key in places(task) if not is_statistical(key)]
        if not found:
            return gone
        for pk, sk in found:
            if pk.startswith(keys.ALLOCATION_PREFIX):
                _make_nameless(pk, sk)
            else:
                _delete(pk, sk)
        gone += len(found)
    raise NotAllFound("some items keep coming back; the others are erased")


def _make_nameless(pk: str, sk: str) -> None:
    """The log keeps its length, for the flow diagram: an entry without ids takes the old one's place."""
    try:
        entry = AllocationEntry.get(pk, sk, consistent_read=True)
    except AllocationEntry.DoesNotExist:
        return
    transaction = Transaction()
    transaction.delete("entry", entry)
    nameless = AllocationEntry.new(
        location=pk.removeprefix(keys.ALLOCATION_PREFIX),
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


def _ended(task: ErasureTask, student: Student | None, items: int, by: Actor, now: datetime) -> Tombstone:
    transaction = Transaction()
    if student is not None:
        transaction.delete("profile", student)
        items += 1
    actions: list[Action] = [Tombstone.state.set("erased"), Tombstone.erased_at.set(now), *_more(items=items)]
    actions += [Tombstone.proved_at.remove(), Tombstone.session_ids.set(sorted(task.sessions or ()))]
    if student is not None:
        actions.append(Tombstone.exports.set(_exports_since(student.metadata.created_at)))
        actions.append(Tombstone.sealed_reasons.set(_sealed_reasons(task.student_id)))
    transaction.update("tombstone", Tombstone(PK=keys.TOMBSTONES, SK=task.student_id), actions)
    audit_log.note(transaction, "student.erase", by=by, now=now, student_id=task.student_id)
    with suppress(Refused):  # the same erasure, done by somebody else at this moment
        transaction.commit()
    tombstone = Tombstone.of_student(task.student_id)
    assert tombstone is not None  # noqa: S101  for the type checker: nothing deletes a tombstone
    return tombstone


def _exports_since(start: datetime) -> list[str]:
    """Every export since the student came: copies outside the table, to be destroyed by hand."""
    made = (entry for entry in AuditEntry.exports(start) if isinstance(entry, AuditEntry))
    return [f"{keys.stamp(entry.at)} {entry.subject} by {entry.by}" for entry in made]


def _sealed_reasons(student_id: str) -> int:
    """Entries from before reasons had items of their own, whose text the seal holds for good."""
    entries = (entry for entry in AuditEntry.about_student(student_id) if isinstance(entry, AuditEntry))
    return sum(1 for entry in entries if entry.reason)


def is_erased_session(session_id: str) -> bool:
    """Whether a session that is not there was erased: two queries, of partitions that stay small."""
    return any(session_id in (grave.session_ids or ()) for grave in Tombstone.all()) or any(
        session_id in (task.sessions or ()) for task in open_tasks()
    )


# --- what follows, step by step


def open_tasks() -> list[ErasureTask]:
    """Every erasure that is not proven yet, the oldest first."""
    tasks = (item for item in ErasureTask.all() if isinstance(item, ErasureTask))
    return sorted(tasks, key=lambda task: task.asked_at)


def adopt_unproven(*, now: datetime) -> int:
    """A task for each tombstone that has neither task nor proof; how many those were."""
    known = {task.student_id for task in open_tasks()}
    fresh = [each for each in Tombstone.all() if not each.proved_at and each.student_id not in known]
    for tombstone in fresh:
        _new_task(tombstone, now=now)
    return len(fresh)


def finish_table(task: ErasureTask, *, now: datetime) -> None:
    """The step "table" of a task: what `erase` does, also where that was broken off. Raises as `erase`."""
    tombstone = Tombstone.of_student(task.student_id)
    if tombstone is None or tombstone.state != "erased" or _sessions(task.student_id):
        erase(task.student_id, by=Actor(str(task.by), "system"), now=now, wait=lambda _: None)
    else:
        _sweep(task)


def note_progress(task: ErasureTask, *, left: list[str], error: str | None, now: datetime) -> None:
    """What is left of the task, and when it is tried again."""
    tries = int(task.tries) + 1
    settles_in = task.asked_at + SETTLES_AFTER - now
    wait = max(settles_in, min(FIRST_WAIT * 2 ** min(tries - 1, 10), MAX_WAIT))
    actions: list[Action] = [
        ErasureTask.left.set(left),
        ErasureTask.tries.set(tries),
        ErasureTask.tried_at.set(now),
        ErasureTask.retry_at.set(now + wait),
        ErasureTask.last_error.set(error) if error else ErasureTask.last_error.remove(),
    ]
    task.update(actions=actions, condition=Item.PK.exists())


def is_settled(task: ErasureTask, *, now: datetime) -> bool:
    """Whether an index that lags, or a writer that was under way, has shown itself by now."""
    return bool(now >= task.asked_at + SETTLES_AFTER)


def prove(task: ErasureTask, *, now: datetime) -> bool:
    """Look every place up once more; with nothing found the task ends and the tombstone says so."""
    if not is_settled(task, now=now) or _sessions(task.student_id) or next(places(task), None):
        return False
    transaction = Transaction()
    transaction.delete("task", task)
    tombstone = Tombstone(PK=keys.TOMBSTONES, SK=task.student_id)
    transaction.update("tombstone", tombstone, [Tombstone.proved_at.set(now)])
    with suppress(Refused):  # another worker was faster
        transaction.commit()
    return True


# --- raw, as what is unknown must be found too


def _raw_items(pk: str, *, client: Any = None, table: str | None = None, **query: Any) -> Iterator[Any]:
    pages = (
        (client or connection().client)
        .get_paginator("query")
        .paginate(
            TableName=table or str(Item.Meta.table_name),
            KeyConditionExpression="PK = :pk",
            ExpressionAttributeValues={":pk": {"S": pk}},
            ConsistentRead=True,
            **query,
        )
    )
    for page in pages:
        yield from page["Items"]


def _raw_keys(pk: str, **where: Any) -> Iterator[Key]:
    found = _raw_items(pk, ProjectionExpression="PK, SK", **where)
    return ((item["PK"]["S"], item["SK"]["S"]) for item in found)


def keys_in(pk: str) -> list[Key]:
    """The keys of every item of a partition, of known kind or not."""
    return list(_raw_keys(pk))


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
    return [student_id for _, student_id in _raw_keys(keys.TOMBSTONES, client=client, table=table)]
