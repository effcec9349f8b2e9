"""Real, practice and simulated students: what is stored, what is read of older items, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from analytics_app.statistics import updates
from sessions_app.domain.models import DirectoryEntry, InvalidField, Session, Student
from sessions_app.domain.realms import REALMS, realm_of
from sessions_app.domain.store import keys

from .cast import Participant, enrol, start

Items = Callable[..., list[dict[str, Any]]]


@pytest.mark.parametrize(
    ("realm", "simulated", "read"),
    [
        (None, None, "real"),
        (None, False, "real"),
        (None, True, "simulated"),
        ("practice", None, "practice"),
        ("simulated", True, "simulated"),
        ("real", None, "real"),
    ],
)
def test_items_without_a_realm_are_real_or_say_that_they_are_simulated(
    realm: str | None, simulated: bool | None, read: str
) -> None:
    assert realm_of(realm, simulated) == read


@pytest.mark.parametrize("realm", REALMS)
def test_a_session_is_of_its_students_realm(table: str, stored: Items, realm: str) -> None:
    student = enrol(realm=realm)
    run = start(student)
    (session,) = stored(keys.session(run.id), "METADATA")
    assert session["metadata"]["realm"] == realm
    assert Session.get(keys.session(run.id), keys.METADATA).realm == realm
    assert Student.by_id(student.student_id).realm == realm
    assert DirectoryEntry.get(keys.STUDENT_DIRECTORY, student.student_code).realm_read == realm


def test_another_realm_is_refused(table: str) -> None:
    with pytest.raises(InvalidField, match="realm"):
        enrol(realm="rehearsal")


def test_realms_share_no_tally(table: str, stored: Items) -> None:
    for realm in REALMS:
        start(enrol(realm=realm), choose=lambda offered: offered[0])
    tallies = {tally["SK"]: tally["counts"] for tally in stored("ALLOCATION#home", "TALLY")}
    assert tallies == {key: {"I1-S": 1} for key in ("TALLY", "TALLY#practice", "TALLY#simulated")}


def test_practice_counts_in_no_statistic(table: str) -> None:
    shares = {}
    for realm in REALMS:
        run = Participant(start(enrol(realm=realm))).walk().run
        shares[realm] = updates.recount(run.id)
    assert shares["practice"] is None
    assert (shares["real"] is None, shares["simulated"] is None) == (False, False)
