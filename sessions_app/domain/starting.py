"""How a session starts: its condition is drawn, and all that it needs is stored, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import assignment, audit, consent, keys, open_session
from .audit import Actor
from .content import Location, Package
from .models import (
    AllocationEntry,
    AllocationTally,
    LocationVerification,
    Session,
    Student,
    readable,
)
from .models.transaction import Busy, Refused, Transaction
from .run import (
    ConsentNotInForce,
    Run,
    SessionNotFound,
)

START_TRIES = 8


class StudentNotFound(LookupError):
    """No student has this id."""


class OtherPlace(ValueError):
    """A condition that was set by hand belongs to another place than the one that was verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """How the place was made sure of: values of `LocationVerification`'s maps, and flags to raise."""

    method: str
    confidence: str
    gps: Mapping[str, Any] | None = None
    device: Mapping[str, str] | None = None
    network: str | None = None
    token_sha256: str | None = None
    override_reason: str | None = None
    attested_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A condition set by a person instead of drawn."""

    condition: keys.Condition
    reason: str


def start(
    *,
    session_id: str,
    student_id: str,
    location: Location,
    verified: Verified,
    package: Package,
    by: Actor,
    choose: Callable[[Sequence[keys.Condition]], keys.Condition],
    now: datetime,
    override: Override | None = None,
    simulated: bool = False,
) -> Run:
    """Draw the condition and store session, verification, counters and allocation in one transaction.

    Called again with the same `session_id` it gives back the session that exists.
    Raises StudentNotFound, ConsentNotInForce, OtherPlace, open_session.AlreadyOpen, Busy.
    """
    if override and override.condition.location != location.key:
        raise OtherPlace(f"{override.condition.code} is not a condition of {location.name}")
    student, earlier = _student_and_sessions(student_id)
    had = _conditions_given(student, earlier)
    for _ in range(START_TRIES):
        if other := open_session.find(student, earlier):
            return _existing(session_id, other)
        tally = AllocationTally.at(location.key)
        condition = (
            override.condition
            if override
            else assignment.draw(location=location.key, counts=tally.counts, had=had, choose=choose)
        )
        session = _new_session(
            session_id, student, condition, location, package, by, override, now, simulated, verified
        )
        verification = _new_verification(session, location, verified, now)
        entry = _allocation_entry(session, tally, had, by, now)
        transaction = _starting(session, verification, entry, student)
        _count(transaction, tally, condition.arm)
        _note_start(transaction, session, verified, by, now)
        try:
            transaction.commit()
        except Refused as refused:
            if {"student", "closed"} & refused.names:
                student = _fresh(student_id)
            if "session" in refused.names:
                return Run.load(session_id)
            continue  # another session of the student, or the same arm drawn for another student: look again
        return Run(session, verification)
    raise Busy("many sessions are starting at this place; nothing was stored, try again")


def _existing(session_id: str, other: Session) -> Run:
    """The session that an earlier try started, whatever became of it. Raises AlreadyOpen if there is none."""
    try:
        return Run.load(session_id)
    except SessionNotFound:
        raise open_session.AlreadyOpen(other) from None


def _student_and_sessions(student_id: str) -> tuple[Student, list[Session]]:
    """The profile, and every session of the student that the index shows."""
    try:
        items = Student.with_sessions(student_id)
    except keys.BadKey:
        raise StudentNotFound(student_id) from None
    student = next((item for item in items if isinstance(item, Student)), None) or _just_enrolled(student_id)
    if obstacle := consent.obstacle(student):
        raise ConsentNotInForce(obstacle)
    return student, list(readable(items, Session))


def _conditions_given(student: Student, earlier: Sequence[Session]) -> set[str]:
    """The codes of all conditions that the student was ever given."""
    given = {one.experimental_condition.condition_code for one in earlier if not _was_somebody_else(one)}
    return given | set(student.metadata.conditions_completed)


def _was_somebody_else(session: Session) -> bool:
    return session.is_void and session.metadata.void.kind == "wrong_student"


def _fresh(student_id: str) -> Student:
    """The profile as it is now. Raises ConsentNotInForce where an obstacle came up since it was read."""
    student = Student.by_id(student_id)
    if obstacle := consent.obstacle(student):
        raise ConsentNotInForce(obstacle)
    return student


def _just_enrolled(student_id: str) -> Student:
    """The profile itself, where the index does not have it yet."""
    try:
        return Student.by_id(student_id)
    except Student.DoesNotExist:
        raise StudentNotFound(student_id) from None


def _new_session(
    session_id: str,
    student: Student,
    condition: keys.Condition,
    location: Location,
    package: Package,
    by: Actor,
    override: Override | None,
    now: datetime,
    simulated: bool,
    verified: Verified,
) -> Session:
    flags = ["condition_override"] if override else []
    flags += ["location_override"] if verified.method == "manual" else []
    return Session.new(
        session_id=session_id,
        student_id=student.student_id,
        condition=condition,
        start=now,
        student_code=student.student_code,
        facilitator=by.name,
        site=keys.school_id(student.demographics.school),
        state="running",
        content_id=package.content_id,
        experimental_condition={
            "location": condition.location,
            "location_name": location.name,
            "interval_minutes": condition.minutes,
            "intervention_type": condition.type,
            "condition_code": condition.code,
        },
        timeline={"session_start": now},
        completion_status={
            "completed": False,
            "location_verified": True,
            "baseline_completed": False,
            "content_completed": False,
            "interventions_completed": 0,
            "final_assessment_completed": False,
            "post_survey_completed": False,
        },
        student_metadata={
            "age": student.demographics.age,
            "grade": student.demographics.grade_level,
            "richmond_resident": student.demographics.richmond_resident,
        },
        allocation={
            "method": "override" if override else "balanced",
            "reason": override.reason if override else None,
            "by": by.name if override else None,
        },
        metadata={
            "created_at": now,
            "updated_at": now,
            "version": 1,
            "data_quality_flags": flags,
            "simulated": simulated or None,
        },
    )


def _new_verification(
    session: Session, location: Location, verified: Verified, now: datetime
) -> LocationVerification:
    return LocationVerification(
        PK=session.PK,
        SK=keys.LOCATION_VERIFICATION,
        session_id=session.session_id,
        student_id=session.student_id,
        location_data={"type": location.key, "name": location.name, "address": location.address},
        verification={
            "method": verified.method,
            "verified": True,
            "verification_timestamp": now,
            "confidence": verified.confidence,
            "override_reason": verified.override_reason,
            "attested_by": verified.attested_by,
        },
        gps_data=verified.gps,
        device_info=verified.device,
        metadata={
            "timestamp": now,
            "ip_address": verified.network,
            "session_token_sha256": verified.token_sha256,
        },
    )


def _allocation_entry(
    session: Session,
    tally: AllocationTally,
    had: set[str],
    by: Actor,
    now: datetime,
) -> AllocationEntry:
    location = session.experimental_condition.location
    drawn_from = assignment.candidates(location=location, counts=tally.counts, had=had)
    return AllocationEntry.new(
        location=location,
        session_id=session.session_id,
        at=now,
        student_id=session.student_id,
        condition_code=session.experimental_condition.condition_code,
        method=session.allocation.method,
        reason=session.allocation.reason,
        by=by.name,
        candidates=[condition.code for condition in drawn_from],
    )


def _note_start(
    transaction: Transaction, session: Session, verified: Verified, by: Actor, now: datetime
) -> None:
    """The reason is that of the override, or else that of vouching for the place."""
    told = {
        "condition": session.experimental_condition.condition_code,
        "allocation": session.allocation.method,
        "location_method": verified.method,
    }
    audit.note(
        transaction,
        "session.start",
        by=by,
        now=now,
        student_id=session.student_id,
        session_id=session.session_id,
        new=told,
        reason=session.allocation.reason or verified.override_reason,
    )


def _starting(
    session: Session,
    verification: LocationVerification,
    entry: AllocationEntry,
    student: Student,
) -> Transaction:
    transaction = Transaction()
    transaction.create("session", session)
    transaction.create("verification", verification)
    transaction.create("allocation", entry)
    taking, unheld = open_session.take(transaction, student, session.session_id)
    profile = Student(PK=student.PK, SK=keys.PROFILE)
    metadata: Any = Student.metadata
    counting = [
        metadata.total_sessions.set(metadata.total_sessions + 1),
        metadata.updated_at.set(session.start),
    ]
    transaction.update("student", profile, counting + taking, Student.may_start() & unheld)
    return transaction


def _count(transaction: Transaction, tally: AllocationTally, arm: str) -> None:
    """Count the arm, on condition that nobody counted it since the tally was read."""
    seen = tally.counts.get(arm, 0)
    path: Any = AllocationTally.counts[arm]
    if tally.counts:
        unchanged = path == seen
        if not seen:  # never drawn, or every place was given back
            unchanged |= path.does_not_exist()
        transaction.upsert("tally", tally, [path.set(seen + 1)], unchanged)
    else:
        tally.counts = {arm: 1}
        transaction.create("tally", tally)
