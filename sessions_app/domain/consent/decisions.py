"""What becomes of a consent after enrolment: reviewed by the board, given again, refused; and what it allows.

Every change is one transaction: the event, the profile's state, the directory's lists, the audit entry. It
is made on condition that consent is as the person saw it (`seen`, the version on the page) and not withdrawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pynamodb.expressions.update import Action

from ..audit import log as audit_log
from ..audit.log import Actor
from ..content.package import ConsentForm
from ..models import ConsentEvent, DirectoryEntry, FormRecord, InvalidField, Student
from ..store import keys
from ..store.transactions import Refused, Transaction
from . import form_texts
from .agreement import Ages, Agreement, agreed, forms_needed

OBSTACLES = {
    "missing_permission": "A parent's permission is missing. Go through the form with the parent, on the "
    "student's page under Consent.",
    "missing_assent": "Student assent is missing. Go through the form with the student, on the "
    "student's page under Consent.",
    "refused": "Permission or assent was refused. Do not ask again today.",
    "needs_reconsent": "A form has a new version that must be agreed to first. Go through it on the "
    "student's page under Consent.",
    "returned": "The review board returned this consent. The reason is on the student's page; go through "
    "the forms again there, under Consent.",
}


class ChangedMeanwhile(Exception):
    """Consent is not as it was shown any more; nothing was stored."""


class NothingToReview(Exception):
    """Consent is withdrawn, refused or not complete: there is nothing that could be accepted or returned."""


class ConsentWithdrawn(Exception):
    """Consent was withdrawn for good; whoever wants to take part again is enrolled anew."""


# --- what it allows


def obstacle(student: Student) -> str | None:
    """Why no session can be started with this student, and what to do; None where one can.

    The write itself is checked by `Student.may_start`, which says the same.
    """
    consent = student.consent_data
    if student.has_withdrawn:
        return "Consent was withdrawn. Nothing more may be collected from this student."
    if not student.has_consent():
        permitted = consent.parent_consent or student.is_adult
        missing = "missing_assent" if permitted else "missing_permission"
        return OBSTACLES["refused" if consent.state == "refused" else missing]
    if consent.state == "needs_reconsent":
        return OBSTACLES["needs_reconsent"]
    return OBSTACLES["returned"] if student.review_state == "returned" else None


def may_export(student: Student, *, unreviewed: bool) -> str | None:
    """Why this student's data stay out of an export for others, as one word; None where they may go.

    `unreviewed` is the study's choice to export what the review board has not looked at yet. Whether
    simulated students are wanted is for the caller to say.
    """
    consent = student.consent_data
    if student.has_withdrawn:
        return "withdrawn"
    if not student.has_consent():
        return "consent_missing"
    if not consent.data_sharing_consent:
        return "not_shared"
    if consent.state == "needs_reconsent":
        return "needs_reconsent"
    if student.review_state == "returned":
        return "returned"
    return None if unreviewed or student.review_state == "accepted" else "unreviewed"


# --- the review board


def review(
    *, student_id: str, outcome: str, reason: str = "", seen: float | None, by: Actor, now: datetime
) -> Student:
    """Accept a complete consent, or return it with a reason. A later review may say otherwise.

    Raises Student.DoesNotExist, InvalidField, NothingToReview, ChangedMeanwhile, Busy.
    """
    student = Student.by_id(student_id)
    if outcome == "returned" and not reason.strip():
        raise InvalidField("reason", "is missing: say what needs correcting")
    _expect(student, seen)
    if not student.has_consent() or student.consent_data.state not in (None, "complete"):
        raise NothingToReview("this consent is not complete, so there is nothing to accept or return")
    before = student.review_state
    event = _event(student, "reviewed", by=by, now=now, outcome=outcome, reason=reason.strip() or None)
    event.serialize()  # faults are named by the event's fields
    path: Any = Student.consent_data.review
    told = {"state": outcome, "by": by.name, "at": now}
    transaction = _changing(student, [event], [path.set(told)], review=outcome)
    audit_log.note(
        transaction,
        "consent.review",
        by=by,
        events=[event],
        now=now,
        student_id=student_id,
        old={"review": before},
        new={"review": outcome},
        reason=reason.strip() or None,
    )
    return _committed(transaction, student_id)


# --- given again, or refused


def record_for(student: Student, kind: str) -> Any:
    """The form of this kind that stands in the profile, or None."""
    consent = student.consent_data
    record = consent.permission if kind == "parental_permission" else consent.assent
    return record if record and record.is_of(kind) else None


def forms_to_renew(student: Student, age: int, forms: Iterable[ConsentForm]) -> list[str]:
    """The kinds of form to go through again at this age.

    Those that are required, missing, or agreed to in another version; all of them where the board returned
    the consent or where none stands out.
    """
    current = {str(form.kind): form.sha256 for form in forms}
    needed = forms_needed(age)
    due = [
        kind
        for kind in needed
        if kind in (student.consent_data.required or ())
        or (record := record_for(student, kind)) is None
        or not record.is_about(current[kind])
        or not _stands(student, kind)
    ]
    return due if due and student.review_state != "returned" else list(needed)


def _stands(student: Student, kind: str) -> bool:
    consent = student.consent_data
    return bool(consent.parent_consent if kind == "parental_permission" else consent.student_assent)


def renew(
    *,
    student_id: str,
    age: int,
    agreements: Iterable[Agreement],
    data_sharing: bool | None,
    forms: Iterable[ConsentForm],
    ages: Ages,
    seen: float | None,
    by: Actor,
    now: datetime,
) -> Student:
    """Store that every form that is due was agreed to, at the age of today; the board has to look again.

    `data_sharing` None leaves that choice as it was. Raises Student.DoesNotExist, AgeOutsideStudy,
    ConsentWithdrawn, ConsentNotInForce when a form was not agreed to, FormChanged, ChangedMeanwhile, Busy.
    """
    student, forms = Student.by_id(student_id), list(forms)
    _expect(student, seen)
    ages.check(age)
    sharing = student.consent_data.data_sharing_consent if data_sharing is None else data_sharing
    events = agreed(
        forms_to_renew(student, age, forms),
        action="renewed",
        student_id=student_id,
        agreements=agreements,
        forms=forms,
        data_sharing=data_sharing,
        by=by,
        now=now,
        change=_number(student),
    )
    kinds = [str(event.kind) for event in events]
    form_texts.keep((form for form in forms if form.kind in kinds), now=now)
    transaction = _changing(
        student, events, _renewed(events, age, sharing, now), state="complete", review="awaiting"
    )
    audit_log.note(
        transaction,
        "consent.renew",
        by=by,
        events=events,
        now=now,
        student_id=student_id,
        old={"state": student.consent_data.state, "age": student.demographics.age},
        new={"state": "complete", "age": age}
        | {event.kind: f"{event.action}, version {event.form_version}" for event in events},
    )
    return _committed(transaction, student_id)


def _renewed(events: Sequence[ConsentEvent], age: int, sharing: bool, now: datetime) -> list[Action]:
    """The profile's new state. Where an adult consents alone, the permission of before does not count."""
    paths: Any = Student.consent_data
    known: Any = Student.demographics
    actions: list[Action] = [
        known.age.set(age),
        paths.state.set("complete"),
        paths.student_assent.set(True),
        paths.parent_consent.set("parental_permission" in forms_needed(age)),
        paths.data_sharing_consent.set(sharing),
        paths.irb_consent_date.set(now),
        paths.review.remove(),
        paths.required.remove(),
    ]
    for event in events:
        slot = paths.permission if event.kind == "parental_permission" else paths.assent
        actions.append(slot.set(FormRecord.of(event)))
    if "parental_permission" not in forms_needed(age):
        actions.append(paths.permission.remove())
    return actions


def refuse(*, student_id: str, form: ConsentForm, seen: float | None, by: Actor, now: datetime) -> Student:
    """Store the no of whoever was asked again: consent is not in force from now on, earlier data stay.

    Raises Student.DoesNotExist, ConsentWithdrawn, ChangedMeanwhile, Busy.
    """
    student = Student.by_id(student_id)
    _expect(student, seen)
    event = _event(
        student,
        "refused",
        by=by,
        now=now,
        kind=form.kind,
        form_id=form.form_id,
        form_version=form.version,
        form_sha256=form.sha256,
        affirmed=False,
    )
    paths: Any = Student.consent_data
    given = paths.parent_consent if form.kind == "parental_permission" else paths.student_assent
    form_texts.keep([form], now=now)
    transaction = _changing(student, [event], [paths.state.set("refused"), given.set(False)], state="refused")
    audit_log.note(
        transaction,
        "consent.refuse",
        by=by,
        events=[event],
        now=now,
        student_id=student_id,
        old={"state": student.consent_data.state},
        new={"state": "refused", form.kind: f"refused, version {form.version}"},
    )
    return _committed(transaction, student_id)


def require_renewal(student: Student, *, form: ConsentForm, reason: str, by: Actor, now: datetime) -> None:
    """Mark that this form must be agreed to before the next session; a running one goes on.

    Raises ConsentWithdrawn, ChangedMeanwhile, Busy.
    """
    event = _event(student, "renewal_required", by=by, now=now, kind=form.kind, reason=reason)
    required = [*(student.consent_data.required or ()), form.kind]
    paths: Any = Student.consent_data
    marking = [paths.state.set("needs_reconsent"), paths.required.set(required)]
    transaction = _changing(student, [event], marking, state="needs_reconsent")
    record = record_for(student, form.kind)
    audit_log.note(
        transaction,
        "consent.require_renewal",
        by=by,
        events=[event],
        now=now,
        student_id=student.student_id,
        old={form.kind: f"version {record.version}"} if record else None,
        new={form.kind: f"version {form.version} required"},
        reason=reason,
    )
    _committed(transaction, student.student_id)


# --- a change, whole


def _expect(student: Student, seen: float | None) -> None:
    if student.has_withdrawn:
        raise ConsentWithdrawn("consent was withdrawn; nothing was stored")
    if student.consent_data.version != seen:
        raise ChangedMeanwhile("consent was changed by someone else in the meantime; nothing was saved")


def _number(student: Student) -> int:
    """Of the change that comes next, at least 2: the first was the enrolment."""
    return int(student.consent_data.version or 1) + 1


def _event(
    student: Student, action: str, *, by: Actor, now: datetime, kind: str = "participation", **told: Any
) -> ConsentEvent:
    return ConsentEvent.new(
        student_id=student.student_id,
        event_id=f"{action}-{kind}-{_number(student)}",
        at=now,
        kind=kind,
        action=action,
        attested_by=by.name,
        **told,
    )


def _changing(
    student: Student,
    events: Iterable[ConsentEvent],
    actions: Sequence[Action],
    *,
    state: str | None = None,
    review: str | None = None,
) -> Transaction:
    """Events, profile and directory entry. `state` and `review` are what the lists show afterwards."""
    transaction = Transaction()
    consent = student.consent_data
    version: Any = Student.consent_data.version
    counted = version.set(_number(student))
    unchanged = Student.consent_unchanged(consent.version)
    transaction.update("profile", student, [*actions, counted], unchanged)
    for event in events:
        transaction.create(event.event_id, event)
    if student.student_code:  # a profile by another writer has no entry
        entry = DirectoryEntry(
            PK=keys.STUDENT_DIRECTORY, SK=student.student_code, created_at=student.metadata.created_at
        )
        placed = entry.place(
            state=state or consent.state or "complete", review=review or student.review_state
        )
        transaction.update("directory", entry, placed)
    return transaction


def _committed(transaction: Transaction, student_id: str) -> Student:
    try:
        transaction.commit()
    except Refused:
        _expect(Student.by_id(student_id), seen=math.nan)  # says which, for no version is this number
    return Student.by_id(student_id)
