"""Students over HTTP: found by each index, and shown with their consent and sessions."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from sessions_app import study
from sessions_app.domain.consent.agreement import forms_needed
from sessions_app.domain.models import ConsentEvent, DirectoryEntry, Student
from sessions_app.domain.store import keys
from support.cast import signed_in, withdraw
from tests.domain.cast import NOON, PACKAGE, consent_events, enrol, start_in

pytestmark = pytest.mark.django_db

SCHOOL = "Fall Line High School"
HOSTILE = "<script>alert(1)</script> \u202eright to left\u202c 🏭 'quoted' & \"double\""


@pytest.fixture
def client(table: str) -> Client:
    return signed_in("facilitator")


def text(response: Any) -> str:
    return " ".join(unescape(response.content.decode()).split())


# --- the list


def enrol_many(count: int, school: str = SCHOOL) -> list[Student]:
    told = {"grade_level": 10, "richmond_resident": True, "school": school, "age": 16}
    return [enrol(demographics=told, now=NOON + timedelta(minutes=n)) for n in range(count)]


def codes(response: Any) -> list[str]:
    return re.findall(r"row-link[^>]*>([a-z]+-[a-z]+-\d+)<", response.content.decode())


def pages(client: Client, address: str) -> list[list[str]]:
    found = []
    while address:
        response = client.get(address)
        assert response.status_code == 200
        found.append(codes(response))
        older = re.search(r'href="([^"]*)" rel="next"', response.content.decode())
        address = f"/students/{unescape(older[1])}" if older else ""
    return found


def in_a_row(pages: list[list[str]]) -> list[str]:
    return [each for page in pages for each in page]


def test_the_newest_students_come_first_twenty_a_page(table: str) -> None:
    """To those who see all schools; a facilitator's list goes through the own schools, by code."""
    client = signed_in("admin")
    students = enrol_many(43)
    newest = [student.student_code for student in reversed(students)]
    found = pages(client, "/students/")
    assert [len(page) for page in found] == [20, 20, 3]
    assert in_a_row(found) == newest


def test_a_facilitators_students_come_by_school_and_code(client: Client) -> None:
    schools = [enrol_many(12), enrol_many(12, "Riverside High")]
    in_order = sorted(schools, key=lambda each: keys.school_id(each[0].demographics.school))
    codes_of = [sorted(str(student.student_code) for student in school) for school in in_order]
    found = pages(client, "/students/")
    assert [len(page) for page in found] == [20, 4]
    assert in_a_row(found) == codes_of[0] + codes_of[1]


def test_each_filter_is_one_query_of_its_index(client: Client, requests_made: list[str]) -> None:
    first, other = enrol_many(1)[0], enrol_many(1, "Riverside High")[0]
    state = DirectoryEntry.get(keys.STUDENT_DIRECTORY, other.student_code)
    state.update(
        actions=[
            DirectoryEntry.consent_state.set("withdrawn"),
            DirectoryEntry.GSI3PK.set(keys.consent_state("withdrawn")),
        ]
    )
    asked = {
        f"code={first.student_code[:-1]}": ([first.student_code], ["Query"]),
        f"code={first.student_code.replace('-', ' ').upper()}": ([first.student_code], ["Query"]),
        f"school={keys.school_id('Riverside High')}": ([other.student_code], ["Query", "Query"]),
        "state=withdrawn": ([other.student_code], ["Query"]),
        "state=complete": ([first.student_code], ["Query"]),
    }
    for query, (found, requests) in asked.items():
        requests_made.clear()
        response = client.get(f"/students/?{query}")
        assert (codes(response), requests_made) == (found, requests), query


def test_a_filtered_list_goes_on_with_its_filter(client: Client) -> None:
    enrol_many(21)
    enrol_many(3, "Riverside High")
    found = pages(client, f"/students/?school={keys.school_id(SCHOOL)}")
    assert [len(page) for page in found] == [20, 1]
    assert in_a_row(found) == sorted(in_a_row(found))


def test_a_cursor_is_refused_when_it_is_changed_or_of_another_list(client: Client) -> None:
    enrol_many(21)
    page = client.get("/students/").content.decode()
    cursor = re.search(r"cursor=([^\"&]*)", page)
    assert cursor
    for address in (
        f"/students/?cursor={cursor[1][:-2]}",
        f"/students/?state=complete&cursor={cursor[1]}",
        "/students/?cursor=x",
    ):
        response = client.get(address)
        assert response.status_code == 400
        assert b"This link is incomplete" in response.content


@pytest.mark.parametrize(
    "query",
    ["code=%3Cscript%3E", "code=" + "x" * 50, "code=-", "school=nowhere", "state=happy", "code=", "state="],
)
def test_an_unknown_filter_value_is_told_at_its_field(client: Client, query: str) -> None:
    response = client.get(f"/students/?{query}")
    assert response.status_code == 200
    assert 'class="error"' in response.content.decode()


def test_an_empty_list_leads_on(client: Client) -> None:
    assert b"Enroll the first student" in client.get("/students/").content
    enrol()
    nothing = client.get("/students/?code=zz").content
    assert b"No student found" in nothing
    assert b"Show all students" in nothing


# --- one student


def test_a_student_is_shown_with_consent_and_sessions_in_two_queries_and_that_is_told(
    client: Client, requests_made: list[str]
) -> None:
    student = enrol()
    run = start_in("L3-I2-S", student)
    requests_made.clear()
    page = text(client.get(f"/students/{student.student_id}/"))  # type: ignore[arg-type]
    assert requests_made == ["Query", "Query", "PutItem"]
    assert student.student_code in page
    assert f'href="/sessions/{run.id}/"' in page
    assert "L3 classroom" in page
    for kind in forms_needed(16):
        assert PACKAGE.form(kind).sha256 in page
    assert "given, assent-14-17 version 1.0" in page


def test_a_session_is_offered_only_with_consent_in_force(client: Client) -> None:
    student = enrol()
    address, offered = f"/students/{student.student_id}/", f"/sessions/new/?student={student.student_id}"
    assert offered in text(client.get(address))  # type: ignore[arg-type]
    withdraw(student.student_id)
    page = text(client.get(address))  # type: ignore[arg-type]
    assert offered not in page
    assert "There is no active consent" in page


def test_later_events_of_consent_are_told(client: Client) -> None:
    student = enrol()
    ConsentEvent.new(
        student_id=student.student_id,
        event_id="later",
        at=study.now(),
        kind="parental_permission",
        action="withdrawn",
        attested_by="a-irb",
        reason=HOSTILE,
    ).save()
    page = client.get(f"/students/{student.student_id}/").content.decode()
    assert "Parental permission: withdrawn" in page
    assert "<script>alert" not in page


def test_a_profile_by_another_writer_is_shown(client: Client) -> None:
    """The schema's profiles have no code, no state of consent, and no events beside them."""
    student = enrol()
    bare: Any = Student.consent_data
    Student.by_id(student.student_id).update(
        actions=[Student.student_code.remove(), bare.state.remove(), bare.permission.remove()]
    )
    for event in consent_events(student.student_id):
        event.delete()
    page = text(client.get(f"/students/{student.student_id}/"))  # type: ignore[arg-type]
    assert "A student without a code" in page
    assert "No consent events on record." in page


@pytest.mark.parametrize(
    "student_id", ["nobody", "3b5f3afc-2f76-4204-b977-5b2808c2531f", "x" * 65, "x" * 400]
)
def test_nobody_is_not_found(client: Client, student_id: str) -> None:
    assert client.get(f"/students/{student_id}/").status_code == 404


# --- who may


@pytest.mark.parametrize(
    ("role", "opens"),
    [
        ("facilitator", {"list", "new", "one"}),
        ("admin", {"list", "new", "one"}),
        ("researcher", {"one"}),
        ("irb", set()),
    ],
)
def test_each_page_is_for_its_roles(table: str, role: str, opens: set[str]) -> None:
    client, student = signed_in(role), enrol()
    addresses = {"list": "/students/", "new": "/students/new/", "one": f"/students/{student.student_id}/"}
    answers = {name: client.get(address).status_code for name, address in addresses.items()}
    assert answers == {name: 200 if name in opens else 403 for name in addresses}
