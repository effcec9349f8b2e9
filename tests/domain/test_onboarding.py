import random
from collections.abc import Callable
from typing import Any

import pytest

from sessions_app.domain.consent.agreement import (
    AgeOutsideStudy,
    Ages,
    Agreement,
    ConsentNotInForce,
    FormChanged,
    forms_needed,
)
from sessions_app.domain.models import DirectoryEntry, InvalidField, School, Student
from sessions_app.domain.participants import codes
from sessions_app.domain.store import keys
from sessions_app.domain.store.transactions import Refused

from .cast import AGES, PACKAGE, agreements, enrol, new_id

Items = Callable[..., list[dict[str, Any]]]


class Loaded(random.Random):
    """Draws the same code a number of times, and only then another."""

    def __init__(self, repeats: int) -> None:
        super().__init__(1)
        self.left = repeats

    def choice(self, options: Any) -> Any:
        return options[0] if self.left > 0 else options[1]

    def randint(self, least: int, most: int) -> int:
        self.left -= 1
        return 7


@pytest.mark.parametrize(
    ("age", "forms"),
    [
        (13, ("parental_permission", "child_assent")),
        (14, ("parental_permission", "assent")),
        (17, ("parental_permission", "assent")),
        (18, ("adult_consent",)),
        (40, ("adult_consent",)),
    ],
)
def test_who_signs_what(age: int, forms: tuple[str, ...]) -> None:
    assert forms_needed(age) == forms


def test_a_code_can_be_read_aloud() -> None:
    first, second, number = codes.new_code(random.Random(1)).split("-")
    assert first in codes.FIRST_WORDS
    assert second in codes.SECOND_WORDS
    assert 1 <= int(number) <= 99


def test_profile_directory_school_and_consent_events_are_stored(table: str, stored: Items) -> None:
    student = enrol()
    profile, *_ = stored(keys.student(student.student_id), "PROFILE")
    assert profile["GSI2PK"] == profile["PK"]
    assert profile["student_code"] == student.student_code
    assert profile["consent_data"]["state"] == "complete"
    assert profile["metadata"]["total_sessions"] == 0
    events = stored(keys.student(student.student_id), "CONSENT#")
    assert {event["kind"]: event["form_sha256"] for event in events} == {
        kind: PACKAGE.form(kind).sha256 for kind in ("parental_permission", "assent")
    }
    assert all(event["action"] == "granted" and event["affirmed"] is True for event in events)
    assert [entry["student_id"] for entry in stored(keys.STUDENT_DIRECTORY)] == [student.student_id]
    assert [school["name"] for school in stored(keys.SCHOOL_DIRECTORY)] == ["Fall Line High School"]


def test_a_student_is_found_by_code_school_and_state_of_consent(table: str) -> None:
    student = enrol()
    school = School.all()[0].SK
    for found in (
        DirectoryEntry.with_code(student.student_code),
        DirectoryEntry.of_school(school),
        DirectoryEntry.in_state("complete"),
        DirectoryEntry.newest_first(),
    ):
        assert [entry.student_id for entry in found if isinstance(entry, DirectoryEntry)] == [
            student.student_id
        ]


def test_a_profile_holds_no_name_and_no_key_tells_the_school(
    table: str, everything: Callable[[], list[dict[str, Any]]]
) -> None:
    enrol()
    in_keys = [value for item in everything() for name, value in item.items() if name.endswith(("PK", "SK"))]
    assert not [value for value in in_keys if "Fall" in value]
    assert not [item for item in everything() if "name" in item and item["entity_type"] != "school"]


def test_an_adult_consents_alone(table: str, stored: Items) -> None:
    student = enrol(18)
    assert student.has_consent()
    assert not student.consent_data.parent_consent
    assert [event["kind"] for event in stored(keys.student(student.student_id), "CONSENT#")] == [
        "adult_consent"
    ]


@pytest.mark.parametrize("missing", ["parental_permission", "assent"])
def test_nothing_is_stored_unless_every_form_was_agreed_to(
    table: str, everything: Callable[[], list[dict[str, Any]]], missing: str
) -> None:
    given = [agreement for agreement in agreements(16) if agreement.kind != missing]
    with pytest.raises(ConsentNotInForce, match=missing):
        enrol(agreements=given)
    with pytest.raises(ConsentNotInForce, match="nothing was stored"):
        enrol(agreements=agreements(16, agrees=False))
    assert everything() == []


def test_a_text_that_changed_since_it_was_shown_has_to_be_read_again(
    table: str, everything: Callable[[], list[dict[str, Any]]]
) -> None:
    changed = [
        Agreement(kind=each.kind, sha256="0" * 64, relation="self", method="on_screen", agrees=True)
        for each in agreements(16)
    ]
    with pytest.raises(FormChanged):
        enrol(agreements=changed)
    assert everything() == []


@pytest.mark.parametrize("age", [13, 19])
def test_ages_outside_the_study_are_refused(
    table: str, everything: Callable[[], list[dict[str, Any]]], age: int
) -> None:
    with pytest.raises(AgeOutsideStudy, match="from 14 to 18"):
        enrol(age)
    assert everything() == []


def test_the_ages_are_a_setting(table: str) -> None:
    child = enrol(13, ages=Ages(least=5, most=120))
    assert child.has_consent()


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("demographics.age", {"demographics": {"age": "16"}}),
        ("demographics.age", {"demographics": {"age": True}}),
        ("demographics.age", {"demographics": {"age": None}}),
        ("demographics.age", {"demographics": {"age": 16.5}}),
        ("demographics.school", {"demographics": {"school": None}}),
        ("demographics.school", {"demographics": {"school": "x" * 121}}),
        ("demographics.grade_level", {"demographics": {"grade_level": 17}}),
        ("demographics.richmond_resident", {"demographics": {"richmond_resident": "yes"}}),
        ("learning_profile.learning_style", {"learning_profile": {"learning_style": "osmosis"}}),
        ("learning_profile.prior_knowledge_topics", {"learning_profile": {"prior_knowledge_topics": "war"}}),
    ],
)
def test_a_bad_profile_is_refused_by_field_and_nothing_is_stored(
    table: str, everything: Callable[[], list[dict[str, Any]]], field: str, changed: dict[str, Any]
) -> None:
    good: dict[str, dict[str, Any]] = {
        "demographics": {"age": 16, "grade_level": 10, "school": "A School", "richmond_resident": True},
        "learning_profile": {
            "depth_preference": "deep",
            "learning_style": "visual",
            "prior_knowledge_topics": [],
        },
    }
    told = {name: values | changed.get(name, {}) for name, values in good.items()}
    with pytest.raises(InvalidField) as refused:
        enrol(**told)
    assert refused.value.field == field
    assert everything() == []


def test_enrolling_twice_gives_the_one_student(
    table: str, everything: Callable[[], list[dict[str, Any]]]
) -> None:
    first = enrol(student_id=(student_id := new_id()))
    stored_once = everything()
    again = enrol(student_id=student_id)
    assert again.student_code == first.student_code
    assert everything() == stored_once


def test_a_code_that_is_taken_is_drawn_again(table: str) -> None:
    first = enrol(source=Loaded(99))
    second = enrol(source=Loaded(1))
    assert (first.student_code, second.student_code) == ("amber-apple-7", "blue-arch-7")
    assert Student.by_id(second.student_id).student_code == "blue-arch-7"


def test_where_every_code_is_taken_nobody_is_stored(table: str) -> None:
    enrol(source=Loaded(99))
    with pytest.raises(Refused, match="directory"):
        enrol(source=Loaded(99), student_id=(unlucky := new_id()))
    with pytest.raises(Student.DoesNotExist):
        Student.by_id(unlucky)


def test_enrolling_is_one_write_once_the_texts_are_kept(table: str, requests_made: list[str]) -> None:
    enrol(ages=AGES)
    assert requests_made == ["PutItem", "PutItem", "TransactWriteItems"]
    requests_made.clear()
    enrol(ages=AGES)
    assert requests_made == ["TransactWriteItems"]
