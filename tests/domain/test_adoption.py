"""A student whom another client enrolled becomes listed, reviewable and startable; silence is no consent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from sessions_app.domain import adoption
from sessions_app.domain.consent import decisions as consent_decisions
from sessions_app.domain.models import AuditEntry, DirectoryEntry, Item, School, Student
from sessions_app.domain.session.start import start
from sessions_app.domain.store import keys
from tests.domain.cast import ADMIN, HONOR, NOON, PACKAGE, new_id
from tests.foreign import kinds


def profile(dynamodb: Any, table: str, **changes: Any) -> str:
    """A student as another client enrolls one; `changes` are attributes, None takes one out."""
    item = kinds.part(kinds.fresh(), "student_profile")
    for name, value in changes.items():
        kinds.put(item, name.replace("__", "."), value)
    dynamodb.put_item(TableName=table, Item=item)
    return str(item["student_id"]["S"])


def entries_of(student_id: str) -> list[DirectoryEntry]:
    found = (entry for entry in DirectoryEntry.all() if isinstance(entry, DirectoryEntry))
    return [entry for entry in found if entry.student_id == student_id]


def test_it_is_listed_reviewable_and_startable(table: str, dynamodb: Any) -> None:
    student_id = profile(dynamodb, table)
    assert adoption.adopt(student_id, now=NOON)
    student = Student.by_id(student_id)
    (entry,) = entries_of(student_id)
    assert (entry.student_code, entry.school) == (student.student_code, "Foreign High")
    assert School.get(keys.SCHOOL_DIRECTORY, keys.school_id("Foreign High")).name == "Foreign High"
    assert student.consent_data.state == "complete"
    assert [each.student_id for each in DirectoryEntry.in_review("awaiting")] == [student_id]
    assert consent_decisions.obstacle(student) is None or consent_decisions.obstacle(student) == ""
    run = start(
        session_id=new_id(),
        student_id=student_id,
        location=PACKAGE.location("home"),
        verified=HONOR,
        package=PACKAGE,
        by=ADMIN,
        choose=min,
        now=NOON,
    )
    assert run.session.student_code == student.student_code


def test_again_it_changes_nothing(table: str, dynamodb: Any) -> None:
    student_id = profile(dynamodb, table)
    adoption.adopt(student_id, now=NOON)
    before = Student.by_id(student_id).serialize()
    assert adoption.adopt(student_id, now=NOON + timedelta(days=1)) is False
    assert Student.by_id(student_id).serialize() == before
    assert len(entries_of(student_id)) == 1
    found = [each for each in AuditEntry.on_day(NOON.date()) if isinstance(each, AuditEntry)]
    assert [each.action for each in found] == ["student.adopt"]


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"consent_data__parent_consent": {"BOOL": False}}, "missing_permission"),
        ({"consent_data__parent_consent": {"S": "yes"}}, "missing_permission"),
        ({"consent_data__student_assent": None}, "missing_assent"),
        ({"consent_data": kinds.NUL}, "missing_permission"),
        ({"consent_data__parent_consent": {"BOOL": False}, "demographics__age": {"N": "18"}}, "complete"),
        ({"metadata": None}, "complete"),
    ],
)
def test_silence_is_not_consent(table: str, dynamodb: Any, changes: dict[str, Any], state: str) -> None:
    student_id = profile(dynamodb, table, **changes)
    adoption.adopt(student_id, now=NOON)
    student = Student.by_id(student_id)
    assert student.consent_data.state == state
    assert student.has_consent() == (state == "complete")
    assert entries_of(student_id)[0].consent_state == state
    assert student.metadata.total_sessions == 0


def test_what_could_not_be_read_stays_as_it_is(table: str, dynamodb: Any) -> None:
    student_id = profile(dynamodb, table, consent_data__parent_consent={"S": "yes"}, hobby={"S": "chess"})
    adoption.adopt(student_id, now=NOON)
    key = {"PK": {"S": keys.student(student_id)}, "SK": {"S": keys.PROFILE}}
    stored = dynamodb.get_item(TableName=table, Key=key)["Item"]
    assert stored["consent_data"]["M"]["parent_consent"] == {"S": "yes"}
    assert stored["hobby"] == {"S": "chess"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"demographics": kinds.NUL}, "demographics.age, demographics.grade_level"),
        ({"demographics__school": None}, "demographics.school"),
        ({"demographics__school": {"S": "x" * 121}}, "longer than 120"),
    ],
)
def test_what_cannot_be_adopted_is_named(
    table: str, dynamodb: Any, changes: dict[str, Any], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good, odd = profile(dynamodb, table), profile(dynamodb, table, **changes)
    with pytest.raises(CommandError, match="1 could not"):
        call_command("adopt")
    told = capsys.readouterr()
    assert f"{odd}: " in told.err
    assert reason in told.err
    assert "1 adopted, 0 complete already, 1 not adopted" in told.out
    assert entries_of(good)
    assert not [item for item in Item.query(keys.student(odd)) if getattr(item, "student_code", None)]


def test_an_erased_student_is_not_brought_back(table: str, dynamodb: Any) -> None:
    student_id = profile(dynamodb, table)
    tombstone = {"PK": {"S": keys.TOMBSTONES}, "SK": {"S": student_id}, "entity_type": {"S": "tombstone"}}
    dynamodb.put_item(TableName=table, Item=tombstone)
    with pytest.raises(adoption.CannotAdopt, match="were erased"):
        adoption.adopt(student_id, now=NOON)
    with pytest.raises(adoption.CannotAdopt, match="no profile"):
        adoption.adopt(new_id(), now=NOON)
