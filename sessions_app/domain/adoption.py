"""Students whom another client enrolled with a profile alone: what lists, reviews and starts need is built.

That is a code, the entry in the directory, the school's entry, and the state of consent that follows from the
flags. Nothing is taken as consent that the profile does not say. Adopting again changes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pynamodb.expressions.update import Action

from .audit import log as audit_log
from .audit.log import SYSTEM
from .models import DirectoryEntry, Item, School, Student, Tombstone, readable
from .participants.codes import new_code
from .participants.enrolment import CODE_TRIES
from .store import keys
from .store.transactions import Refused, Transaction

NEEDED = (
    "demographics.age",
    "demographics.grade_level",
    "demographics.school",
    "demographics.richmond_resident",
)
MAX_SCHOOL = 120


class CannotAdopt(ValueError):
    """Why a student cannot be adopted; nothing was changed."""


def adopt(student_id: str, *, now: datetime, source: random.Random | None = None) -> bool:
    """Whether anything had to be built. Raises CannotAdopt, Busy, or PynamoDB's error."""
    student = _profile(student_id)
    if student.student_code and _is_listed(student):
        return False
    _complete(student, now)
    known = student.student_code
    for _ in range(CODE_TRIES):
        student.student_code = known or new_code(source or random.SystemRandom())
        try:
            _adoption(student, known, now).commit()
        except Refused as refused:
            if "erased" in refused.names:
                raise CannotAdopt("the student's data were erased") from None
            if "profile" in refused.names:
                return False  # another one adopted the student a moment ago
            if known:
                raise CannotAdopt(f"the code {known} belongs to another student") from None
            continue
        return True
    raise CannotAdopt("no free code was found")


def unlisted() -> Iterator[tuple[str, str]]:
    """Profiles without a directory entry, each with why it cannot be read, or nothing. Reads the table."""
    listed = {entry.student_id for entry in readable(DirectoryEntry.all(), DirectoryEntry)}
    for item in Item.scan(Item.SK == keys.PROFILE):
        student_id = str(item.PK).removeprefix(keys.STUDENT_PREFIX)
        if not isinstance(item, Student) or not item.is_readable:
            yield student_id, item.unreadable_reason
        elif student_id not in listed:
            yield student_id, ""


def _profile(student_id: str) -> Student:
    try:
        student = Student.by_id(student_id)
    except keys.BadKey as error:
        raise CannotAdopt(str(error)) from None
    except Student.DoesNotExist:
        raise CannotAdopt("there is no profile") from None
    lacking = [path for path in NEEDED if _value(student, path) in (None, "")]
    if not student.is_readable or lacking:
        raise CannotAdopt(student.unreadable_reason or f"{', '.join(lacking)} cannot be read")
    if len(student.demographics.school) > MAX_SCHOOL:
        raise CannotAdopt(f"demographics.school is longer than {MAX_SCHOOL} characters")
    return student


def _value(student: Student, path: str) -> Any:
    value: Any = student
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _is_listed(student: Student) -> bool:
    found = readable(DirectoryEntry.with_code(student.student_code), DirectoryEntry)
    return any(entry.student_id == student.student_id for entry in found)


def _complete(student: Student, now: datetime) -> None:
    """What a start and a review read; silence is not consent."""
    consent, metadata = student.consent_data, student.metadata
    for name in ("parent_consent", "student_assent", "data_sharing_consent"):
        if getattr(consent, name) is None and name not in consent.unknown:
            setattr(consent, name, False)
    consent.state = consent.state or _state(student)
    metadata.created_at = metadata.created_at or now
    metadata.updated_at = now
    metadata.total_sessions = metadata.total_sessions or 0
    metadata.lacking -= {"conditions_completed"}  # an empty list is one that sessions can be added to


def _state(student: Student) -> str:
    consent = student.consent_data
    if student.has_withdrawn:
        return "withdrawn"
    if not consent.parent_consent and not student.is_adult:
        return "missing_permission"
    return "complete" if consent.student_assent else "missing_assent"


def _adoption(student: Student, known: str | None, now: datetime) -> Transaction:
    """`known` is the code that the profile has already."""
    transaction, path = Transaction(), _path(Student.student_code)
    key, school = keys.student(student.student_id), School.named(student.demographics.school)
    actions: list[Action] = [
        path.set(student.student_code),
        Student.student_id.set(student.student_id),
        Student.GSI2PK.set(key),
        Student.GSI2SK.set(keys.PROFILE),
        Student.consent_data.set(student.consent_data),
        Student.metadata.set(student.metadata),
    ]
    audit_log.note(
        transaction,
        "student.adopt",
        by=SYSTEM,
        now=now,
        student_id=student.student_id,
        new={"code": student.student_code, "consent": student.consent_data.state},
    )
    transaction.check("erased", Tombstone, keys.TOMBSTONES, student.student_id, Tombstone.PK.does_not_exist())
    transaction.create("directory", DirectoryEntry.of(student))
    transaction.update("profile", student, actions, path == known if known else path.does_not_exist())
    transaction.upsert("school", school, [School.name.set(school.name), School.entity_type.set(School)])
    return transaction


def _path(attribute: Any) -> Any:
    """An attribute as PynamoDB's expressions take it."""
    return attribute
