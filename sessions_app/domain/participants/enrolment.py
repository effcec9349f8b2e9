"""A student enters the study: profile, code, and consent to exact form texts, each affirmed."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ..audit import log as audit_log
from ..audit.log import Actor
from ..consent import form_texts
from ..consent.agreement import (
    Ages,
    Agreement,
    agreed,
    forms_needed,
)
from ..content.package import ConsentForm
from ..models import (
    ConsentEvent,
    DirectoryEntry,
    FormRecord,
    InvalidField,
    RosterEntry,
    School,
    Student,
    Tombstone,
)
from ..store import keys
from ..store.transactions import Refused, Transaction
from .codes import new_code

CODE_TRIES = 20


class Erased(Exception):
    """An old form was sent again for a student whose data were erased; nothing was stored."""


def enrol(
    *,
    student_id: str,
    demographics: dict[str, Any],
    learning_profile: dict[str, Any],
    agreements: Iterable[Agreement],
    data_sharing: bool,
    forms: Iterable[ConsentForm],
    ages: Ages,
    source: random.Random,
    by: Actor,
    now: datetime,
    realm: str = "real",
    entry: RosterEntry | None = None,
) -> Student:
    """Store profile, directory entry, school and one consent event for each form, in one transaction.

    Enrolled again with the same `student_id` it gives back the student who exists. From a class list
    (`entry`) the student keeps the list's code; Refused names `roster` where the entry is gone.
    Raises AgeOutsideStudy, FormChanged, Erased, InvalidField, ConsentNotInForce when a form is missing or
    refused.
    """
    student = Student.new(
        student_id=student_id,
        demographics=demographics,
        learning_profile=learning_profile,
        metadata={
            "created_at": now,
            "updated_at": now,
            "total_sessions": 0,
            "conditions_completed": [],
            "created_by": by.name,
            "simulated": realm == "simulated" or None,
            "realm": realm,
        },
    )
    age = demographics.get("age")
    if isinstance(age, bool) or not isinstance(age, int):
        raise InvalidField("demographics.age", f"must be a number, not {age!r}")
    ages.check(age)
    forms = list(forms)
    events = agreed(
        forms_needed(age),
        action="granted",
        student_id=student_id,
        agreements=agreements,
        forms=forms,
        data_sharing=data_sharing,
        by=by,
        now=now,
    )
    student.consent_data = _consent_data(events, data_sharing, now)
    student.serialize()  # faults are named before the directory and the school are made from it
    form_texts.keep((form for form in forms if form.kind in forms_needed(age)), now=now)
    for _ in range(CODE_TRIES):
        student.student_code = str(entry.student_code) if entry else new_code(source)
        try:
            _enrolling(student, events, by, entry).commit()
        except Refused as refused:
            if "erased" in refused.names:
                raise Erased("This student's data were erased at the family's wish.") from None
            if "profile" in refused.names:
                return Student.by_id(student_id)
            if entry:
                raise
            continue  # the code is taken: draw another
        return student
    raise Refused(frozenset({"directory"}))


def _consent_data(events: list[ConsentEvent], data_sharing: bool, now: datetime) -> dict[str, Any]:
    """The state that the events lead to. An adult's own consent stands where the assent would.

    No review yet is one that is awaited.
    """
    records = {event.kind: FormRecord.of(event) for event in events}
    return {
        "parent_consent": "parental_permission" in records,
        "student_assent": True,
        "irb_consent_date": now,
        "data_sharing_consent": data_sharing,
        "state": "complete",
        "permission": records.get("parental_permission"),
        "assent": next(record for kind, record in records.items() if kind != "parental_permission"),
        "version": 1,
    }


def _enrolling(
    student: Student, events: list[ConsentEvent], by: Actor, entry: RosterEntry | None
) -> Transaction:
    transaction = Transaction()
    audit_log.note(
        transaction,
        "student.enrol",
        by=by,
        events=events,
        now=student.metadata.created_at,
        student_id=student.student_id,
        new={event.kind: f"{event.action}, version {event.form_version}" for event in events},
    )
    transaction.check("erased", Tombstone, keys.TOMBSTONES, student.student_id, Tombstone.PK.does_not_exist())
    transaction.create("profile", student)
    transaction.create("directory", DirectoryEntry.of(student))
    if entry:
        enrolled = [RosterEntry.enrolled_at.set(student.metadata.created_at)]
        transaction.update("roster", entry, enrolled, RosterEntry.enrolled_at.does_not_exist())
    else:
        code = str(student.student_code)
        transaction.check("code", RosterEntry, keys.ROSTER_DIRECTORY, code, RosterEntry.PK.does_not_exist())
    for event in events:
        transaction.create(event.kind, event)
    school = School.named(student.demographics.school)
    # An upsert makes the item where it is missing, so it has to say its type as well.
    transaction.upsert("school", school, [School.name.set(school.name), School.entity_type.set(School)])
    return transaction
