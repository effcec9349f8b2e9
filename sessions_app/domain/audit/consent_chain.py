"""Consent events against the digests that sealed audit entries hold of them.

An entry is written in the transaction of its events, so an event that no entry knows was not written by us.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ..models import AuditEntry, DirectoryEntry, Item, Tombstone
from ..models.audit import Image, stored_entry
from ..store import keys
from ..store.items import connection
from .digests import item_digest
from .verification import Fault

RECHECK_SECONDS = 2.0
"""The index of entries by student follows the table after a moment."""


def check_entry(entry: Image) -> Iterator[Fault]:
    """Every event whose digest this entry holds is there as it was, unless its student was erased."""
    digests: dict[str, Any] = entry.get("event_digests", {}).get("M", {})
    if not digests:
        return
    student_id = str(entry.get("student_id", {}).get("S", ""))
    for sort_key, digest in sorted(digests.items()):
        event = stored_entry(keys.student(student_id), sort_key)
        if event is None:
            if Tombstone.of_student(student_id) is None:
                yield _fault(
                    "a consent event is missing, and the student was not erased", student_id, sort_key
                )
        elif item_digest(event) != digest.get("S"):
            yield _fault("a consent event was changed after it was written", student_id, sort_key)


def unknown_events() -> Iterator[Fault]:
    """Events that no entry of the log knows, though other events of their student are known to it.

    Two queries a student. Students whose every event is older than the digests are not judged.
    """
    for entry in Item.query(keys.STUDENT_DIRECTORY):
        if isinstance(entry, DirectoryEntry) and entry.student_id:
            yield from _unknown_of(str(entry.student_id))


def _unknown_of(student_id: str) -> Iterator[Fault]:
    unknown = _not_known(student_id)
    if unknown:  # written a moment ago, perhaps
        time.sleep(RECHECK_SECONDS)
        unknown = _not_known(student_id)
    for sort_key in sorted(unknown):
        yield _fault("no audit entry knows of this consent event: forged", student_id, sort_key)


def _not_known(student_id: str) -> set[str]:
    events = _event_keys(student_id)
    if not events:
        return set()
    entries = [item for item in AuditEntry.about_student(student_id) if isinstance(item, AuditEntry)]
    known = {sort_key for entry in entries for sort_key in entry.event_digests or {}}
    if not known:
        return set()
    if any(entry.action == "student.enrol" and entry.event_digests for entry in entries):
        return events - known
    return {sort_key for sort_key in events - known if sort_key > min(known)}  # enrolled before the digests


def _event_keys(student_id: str) -> set[str]:
    pages = (
        connection()
        .client.get_paginator("query")
        .paginate(
            TableName=Item.Meta.table_name,
            KeyConditionExpression="#pk = :pk AND begins_with(#sk, :prefix)",
            ProjectionExpression="#sk",
            ExpressionAttributeNames={"#pk": "PK", "#sk": "SK"},
            ExpressionAttributeValues={
                ":pk": {"S": keys.student(student_id)},
                ":prefix": {"S": keys.CONSENT_PREFIX},
            },
            ConsistentRead=True,
        )
    )
    return {str(item["SK"]["S"]) for page in pages for item in page["Items"]}


def _fault(what: str, student_id: str, sort_key: str) -> Fault:
    return Fault(what, f"student {student_id}", sort_key)
