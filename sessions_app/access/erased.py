"""Addresses of erased sessions and students answer 410, so that devices drop what waits for them."""

from __future__ import annotations

from django.http import Http404

from ..domain.models import Tombstone
from ..domain.participants import erasure


class DataErased(Exception):
    """What stood at this address was erased."""


def missing_session(session_id: str) -> Exception:
    """What to raise for a session that is not there."""
    return DataErased() if erasure.is_erased_session(session_id) else Http404("no such session")


def missing_student(student_id: str) -> Exception:
    """What to raise for a student who is not there."""
    return DataErased() if Tombstone.of_student(student_id) else Http404("no such student")
