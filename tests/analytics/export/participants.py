"""Participants and sessions for the tests of exports, stored item by item, and a bundle read back."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from analytics_app.export import bundle
from analytics_app.export.bundle import Built
from analytics_app.export.request import Choice
from sessions_app import study
from sessions_app.domain.models import Item, LocationVerification, Session, Student
from sessions_app.domain.store import keys
from tests.analytics import cohort

SCHOOL = "Zinnia Ridge Academy"
AGENT = "Mozilla/5.0 (planted)"
NETWORK = "203.0.113.0/24"
LATITUDE, LONGITUDE = 37.5357, -77.4451
STAFF = "planted-facilitator"


def profile(student_id: str | None = None, *, code: str | None = None, **consent: Any) -> Student:
    """A student whose consent is in force, reviewed and shared, unless `consent` says otherwise."""
    told = {
        "parent_consent": True,
        "student_assent": True,
        "irb_consent_date": cohort.NOON - timedelta(days=9),
        "data_sharing_consent": True,
        "state": "complete",
        "review": {"state": "accepted", "by": "irb", "at": cohort.NOON - timedelta(days=8)},
    }
    age, simulated = consent.pop("age", 16), consent.pop("simulated", None)
    realm = consent.pop("realm", None)
    return Student.new(
        student_id=student_id or cohort.new_id(),
        student_code=code,
        demographics={
            "age": age,
            "grade_level": 10,
            "school": SCHOOL,
            "richmond_resident": consent.pop("resident", True),
        },
        learning_profile={
            "depth_preference": "deep",
            "learning_style": "visual",
            "prior_knowledge_topics": ["civil_war", "richmond_history"],
        },
        consent_data={**told, **consent},
        metadata={
            "created_at": cohort.NOON - timedelta(days=9),
            "updated_at": cohort.NOON,
            "total_sessions": 1,
            "conditions_completed": [],
            "simulated": simulated,
            "realm": realm,
        },
    )


def verification(of: Session) -> LocationVerification:
    on_site = of.condition.location == "on-site"
    return LocationVerification(
        PK=of.PK,
        SK=keys.LOCATION_VERIFICATION,
        session_id=of.session_id,
        student_id=of.student_id,
        location_data={"type": of.condition.location, "name": "here"},
        verification={
            "method": "GPS" if on_site else "honor_system",
            "verified": True,
            "verification_timestamp": of.start,
            "confidence": "high",
            "attested_by": STAFF,
        },
        gps_data={
            "latitude": LATITUDE,
            "longitude": LONGITUDE,
            "accuracy_meters": 8.5,
            "geofence_validated": True,
            "distance_from_target_meters": 61.7,
        }
        if on_site
        else None,
        device_info={"device_type": "tablet", "os": "iOS 17", "browser": "Safari", "user_agent": AGENT},
        metadata={"timestamp": of.start, "ip_address": NETWORK},
    )


def took_part(student: Student, code: str = "L1-I1-D", **changes: Any) -> list[Item]:
    """The student's whole session in a condition, with one intervention for each that it plans."""
    segments = {"I1": 4, "I2": 2, "I3": 1}[code.split("-")[1]]
    items = cohort.whole(code, student_id=student.student_id, segments=segments, **changes)
    session = items[0]
    assert isinstance(session, Session)
    session.facilitator = STAFF
    session.student_code = student.student_code
    session.student_metadata.age = student.demographics.age
    session.student_metadata.richmond_resident = student.demographics.richmond_resident
    return [*items, verification(session)]


def store(*people: tuple[Student, list[Item]]) -> None:
    cohort.store(*(item for student, items in people for item in (student, *items)))


# --- a bundle, made and read back


def built(folder: Path, **choice: Any) -> tuple[Built, dict[str, bytes]]:
    """The bundle, and its files by name."""
    with bundle.workshop(folder) as shop:
        made = bundle.build(Choice(**choice), shop, zone=study.zone())
        with zipfile.ZipFile(made.path) as archive:
            return made, {name: archive.read(name) for name in archive.namelist()}


def manifest(files: Mapping[str, bytes]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(files["manifest.json"])
    return told


def rows(files: Mapping[str, bytes], level: str, form: str = "csv") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files[f"{form}/{level}.csv"].decode(), newline="")))
