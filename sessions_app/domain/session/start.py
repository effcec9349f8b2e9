"""How a session starts: its condition is drawn, and all that it needs is stored, in one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .. import allocation
from ..audit import log as audit_log
from ..audit.log import Actor
from ..consent import decisions as consent_decisions
from ..consent.agreement import ConsentNotInForce
from ..content.package import Location, Package
from ..models import (
    AllocationEntry,
    AllocationTally,
    LocationVerification,
    Session,
    Student,
    StudentAllocation,
    readable,
)
from ..models.session import STAGES
from ..store import keys
from ..store.transactions import Busy, Refused, Transaction
from . import open_session
from .record import Run, SessionNotFound

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocated:
    """The condition of a session about to start, and how it came about.

    `held` is the student's allocation at the location, None for a first draw; it is not stored yet where the
    sessions before were started without one. `tally` is None where the student has a place in the balance.
    """

    condition: keys.Condition
    method: str
    reason: str | None = None
    by: str | None = None
    held: StudentAllocation | None = None
    is_stored: bool = True
    tally: AllocationTally | None = None
    stratum: str | None = None
    candidates: Sequence[keys.Condition] = ()
    seed: str | None = None
    earlier: Sequence[Session] = ()

    @property
    def attempt(self) -> int:
        return int(self.held.attempts) + 1 if self.held else 1

    @property
    def balanced_arm(self) -> str:
        """The arm that the student counts for: that of the first allocation."""
        return self.held.condition.arm if self.held else self.condition.arm

    @property
    def is_override(self) -> bool:
        """Set by a person, now or when the student first started at the location."""
        return "override" in (self.method, self.held.method if self.held else None)


def start(
    *,
    session_id: str,
    student_id: str,
    location: Location,
    verified: Verified,
    package: Package,
    by: Actor,
    now: datetime,
    choose: allocation.Choose | None = None,
    strata: Collection[str] = ("location",),
    override: Override | None = None,
) -> Run:
    """Allocate the condition and store session, verification, counters and allocation in one transaction.

    A student's first condition at a location is kept: later starts there continue it. The first is drawn
    with a fresh seed, which the log keeps, or by `choose`. `strata` are of `assignment.STRATA`.
    Called again with the same `session_id` it gives back the session that exists.
    Raises StudentNotFound, ConsentNotInForce, OtherPlace, open_session.AlreadyOpen, Busy.
    """
    if override and override.condition.location != location.key:
        raise OtherPlace(f"{override.condition.code} is not a condition of {location.name}")
    student, earlier = _student_and_sessions(student_id)
    for _ in range(START_TRIES):
        if other := open_session.find(student, earlier):
            return _existing(session_id, other)
        stratum = allocation.stratum(
            realm=student.realm,
            factors=strata,
            school_id=keys.school_id(student.demographics.school or ""),
            facilitator=by.name,
        )
        allocated = _allocate(student_id, location.key, earlier, stratum, override, choose, by)
        session = _new_session(session_id, student, allocated, location, package, by, now, verified)
        verification = _new_verification(session, location, verified, now)
        transaction = _starting(session, verification, student)
        _store_allocation(transaction, allocated, session, by, now)
        _note_start(transaction, session, allocated, verified, by, now)
        try:
            transaction.commit()
        except Refused as refused:
            if {"student", "closed"} & refused.names:
                student = _fresh(student_id)
            if "session" in refused.names:
                return Run.load(session_id)
            continue  # another session of the student, or the same arm drawn for another student: look again
        return Run(session, verification)
    raise Busy("many sessions are starting at this location; nothing was stored, try again")


def _allocate(
    student_id: str,
    location: str,
    earlier: Sequence[Session],
    stratum: str,
    override: Override | None,
    choose: allocation.Choose | None,
    by: Actor,
) -> Allocated:
    seen = [session for session in earlier if not session.was_of_another_student]
    stored, tally = StudentAllocation.with_tally(student_id, location, stratum)
    held = stored or _held_before(student_id, location, seen, stratum)
    common: dict[str, Any] = {"held": held, "is_stored": stored is not None, "earlier": seen}
    common["stratum"] = (held.stratum if held else stratum) or None
    if held is None or not held.places:
        moved = common["stratum"] != (stratum or None)  # the place is where it was first
        common["tally"] = AllocationTally.at(location, common["stratum"]) if moved else tally
    if override:
        return Allocated(
            condition=override.condition, method="override", reason=override.reason, by=by.name, **common
        )
    if held:
        return Allocated(condition=held.condition, method="continued", **common)
    had = {session.condition.arm for session in seen}
    candidates = allocation.candidates(location=location, counts=tally.counts, had=had)
    seed = None if choose else allocation.new_seed()
    condition = (choose or allocation.by_seed(str(seed)))(candidates)
    return Allocated(condition=condition, method="balanced", candidates=candidates, seed=seed, **common)


def _held_before(
    student_id: str, location: str, seen: Sequence[Session], stratum: str
) -> StudentAllocation | None:
    """The allocation of a student whose sessions at the location were started without one being stored."""
    here = [session for session in seen if session.condition.location == location]
    if not here:
        return None
    first = min(here, key=lambda session: (session.start, session.session_id))
    return StudentAllocation.new(
        student_id=student_id,
        condition=first.condition,
        method=(first.allocation and first.allocation.method) or "balanced",
        session_id=first.session_id,
        at=first.start,
        stratum=stratum or None,
        attempts=len(here),
        places=len([session for session in here if session.allocation and not session.is_void]),
    )


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
    if obstacle := consent_decisions.obstacle(student):
        raise ConsentNotInForce(obstacle)
    return student, list(readable(items, Session))


def _fresh(student_id: str) -> Student:
    """The profile as it is now. Raises ConsentNotInForce where an obstacle came up since it was read."""
    student = Student.by_id(student_id)
    if obstacle := consent_decisions.obstacle(student):
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
    allocated: Allocated,
    location: Location,
    package: Package,
    by: Actor,
    now: datetime,
    verified: Verified,
) -> Session:
    condition = allocated.condition
    flags = ["condition_override"] if allocated.is_override else []
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
            "method": allocated.method,
            "reason": allocated.reason,
            "by": allocated.by,
            "attempt": allocated.attempt,
            "earlier_sessions": len(allocated.earlier),
            "farthest_stage": max((each.stage for each in allocated.earlier), key=STAGES.index, default=None),
        },
        metadata={
            "created_at": now,
            "updated_at": now,
            "version": 1,
            "data_quality_flags": flags,
            "simulated": student.realm == "simulated" or None,
            "realm": student.realm,
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


def _store_allocation(
    transaction: Transaction, allocated: Allocated, session: Session, by: Actor, now: datetime
) -> None:
    """The log, the student's allocation, and the place in the balance unless the student has one."""
    location, held = allocated.condition.location, allocated.held
    entry = AllocationEntry.new(
        location=location,
        session_id=session.session_id,
        at=now,
        student_id=session.student_id,
        condition_code=allocated.condition.code,
        method=allocated.method,
        reason=allocated.reason,
        by=by.name,
        candidates=[condition.code for condition in allocated.candidates],
        counts=dict(allocated.tally.counts) if allocated.tally else None,
        stratum=allocated.stratum,
        attempt=allocated.attempt,
        seed=allocated.seed,
    )
    transaction.create("allocation", entry)
    first = held or StudentAllocation.new(
        student_id=session.student_id,
        condition=allocated.condition,
        method=allocated.method,
        session_id=session.session_id,
        at=now,
        stratum=allocated.stratum,
        attempts=0,
        places=0,
    )
    _count_attempt(transaction, first, is_stored=held is not None and allocated.is_stored)
    if allocated.tally:
        _count(transaction, allocated.tally, allocated.balanced_arm)


def _count_attempt(transaction: Transaction, first: StudentAllocation, *, is_stored: bool) -> None:
    attempts, places = int(first.attempts) + 1, int(first.places) + 1
    if is_stored:
        actions = [StudentAllocation.attempts.set(attempts), StudentAllocation.places.set(places)]
        transaction.update("student allocation", first, actions, first.unchanged())
    else:
        first.attempts, first.places = attempts, places
        transaction.create("student allocation", first)


def _note_start(
    transaction: Transaction,
    session: Session,
    allocated: Allocated,
    verified: Verified,
    by: Actor,
    now: datetime,
) -> None:
    """The reason is that of the override, or else that of vouching for the location.

    The log of allocations has the seed; the digest here proves that it was not changed afterward.
    """
    details: dict[str, Any] = {
        "condition": allocated.condition.code,
        "allocation": allocated.method,
        "attempt": allocated.attempt,
        "location_method": verified.method,
    }
    if allocated.candidates:
        details["candidates"] = ", ".join(condition.code for condition in allocated.candidates)
    if allocated.seed:
        details["seed_sha256"] = hashlib.sha256(allocated.seed.encode()).hexdigest()
    audit_log.note(
        transaction,
        "session.start",
        by=by,
        now=now,
        student_id=session.student_id,
        session_id=session.session_id,
        new=details,
        reason=session.allocation.reason or verified.override_reason,
    )


def _starting(
    session: Session,
    verification: LocationVerification,
    student: Student,
) -> Transaction:
    transaction = Transaction()
    transaction.create("session", session)
    transaction.create("verification", verification)
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
