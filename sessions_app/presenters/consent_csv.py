"""A list of consents as a table, one row a student."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import chain
from typing import Any

from ..domain.models import FormRecord, Student
from ..domain.store import keys

FORMS = ("permission", "assent")
OF_FORM = ("form_id", "version", "sha256", "given_at")
HEADER = [
    "student_code",
    "student_id",
    "school",
    "consent_state",
    "review_state",
    "reviewed_by",
    "reviewed_at",
    *(f"{form}_{name}" for form in FORMS for name in OF_FORM),
    "data_sharing",
    "enrolled_at",
    "withdrawn_at",
    "simulated",
]


def row(student: Student, texts: Mapping[str, str]) -> list[Any]:
    """The columns of HEADER: consent alone, nothing of how the student learns or answers.

    `texts` are the whole SHA-256 of the forms' texts by their fingerprints, which is what profiles have.
    """
    consent = student.consent_data
    review = consent.review
    told = [
        student.student_code,
        student.student_id,
        student.demographics.school,
        consent.state,
        student.review_state,
        review.by if review else None,
        review.at if review and review.by else None,
        *chain.from_iterable(_form(getattr(consent, form), texts) for form in FORMS),
        consent.data_sharing_consent,
        student.metadata.created_at,
        consent.withdrawn_at,
        bool(student.metadata.simulated),
    ]
    return [_words(value) for value in told]


def _form(record: FormRecord | None, texts: Mapping[str, str]) -> list[Any]:
    if record is None:
        return [None] * len(OF_FORM)
    whole = texts.get(record.fingerprint, record.sha256)
    return [record.form_id, record.version, whole, record.given_at]


def _words(value: Any) -> Any:
    if isinstance(value, datetime):
        return keys.stamp(value)
    return str(value).lower() if isinstance(value, bool) else value
