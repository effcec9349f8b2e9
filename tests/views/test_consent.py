"""The review board over HTTP: lists by state, records with the exact texts, reviews, certificate and file."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from sessions_app import study
from sessions_app.domain.consent import decisions as consent_decisions
from sessions_app.domain.consent.agreement import forms_needed
from sessions_app.domain.models import AuditEntry, DirectoryEntry, Student
from sessions_app.domain.store import keys
from support.cast import signed_in, store_away, withdraw
from tests.domain.cast import FACILITATOR, IRB, NOON, PACKAGE, enrol, start_in

pytestmark = pytest.mark.django_db

HOSTILE = '=HYPERLINK("http://x") <script>alert(1)</script> \u202e🏭 \'q\' & "d"'
ABOUT = {"age": 16, "grade_level": 10, "richmond_resident": True}


@pytest.fixture
def client(table: str) -> Client:
    return signed_in("irb")


def text(response: Any) -> str:
    return " ".join(unescape(response.content.decode()).split())


def codes(response: Any) -> list[str]:
    return re.findall(r"row-link[^>]*>([a-z]+-[a-z]+-\d+)<", response.content.decode())


def counts(response: Any) -> dict[str, str]:
    return dict(re.findall(r'\?tab=(\w+)"[^>]*>[^<]*<span[^>]*>([\d,+]+)<', response.content.decode()))


def at_school(school: str, **changes: Any) -> Student:
    return enrol(demographics={**ABOUT, "school": school}, **changes)


def returned(student: Student, reason: str = "no signature") -> None:
    consent_decisions.review(
        student_id=student.student_id, outcome="returned", reason=reason, seen=1, by=IRB, now=NOON
    )


def views_of(student: Student) -> list[tuple[str, str, str]]:
    about = AuditEntry.about_student(student.student_id)
    return [(str(e.by), str(e.role), str(e.subject)) for e in about if e.action == "consent.view"]


# --- the lists


def test_each_list_has_its_students_and_its_count(client: Client, requests_made: list[str]) -> None:
    waiting, back, refused = enrol(), enrol(), enrol()
    returned(back)
    consent_decisions.refuse(
        student_id=refused.student_id, form=PACKAGE.form("assent"), seen=1, by=FACILITATOR, now=NOON
    )
    requests_made.clear()
    page = client.get("/consent/")
    assert requests_made == [
        *["Query"] * 10,
        "PutItem",
    ]  # the schools, eight counts, the list, the audit entry
    assert codes(page) == [waiting.student_code]
    assert counts(page) == {
        "awaiting": "1",
        "returned": "1",
        "needs_reconsent": "0",
        "complete": "2",
        "missing_permission": "0",
        "missing_assent": "0",
        "refused": "1",
        "withdrawn": "0",
    }
    assert codes(client.get("/consent/?tab=returned")) == [back.student_code]
    assert codes(client.get("/consent/?tab=refused")) == [refused.student_code]


def test_counting_stops_at_its_bound(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        enrol()
    monkeypatch.setattr("sessions_app.views.consent.COUNTED", 2)
    assert counts(client.get("/consent/"))["awaiting"] == "2+"


def test_a_list_goes_on_page_by_page(client: Client) -> None:
    students = [enrol(now=NOON + timedelta(minutes=n)) for n in range(23)]
    first = client.get("/consent/")
    older = re.search(r'href="([^"]*)" rel="next"', first.content.decode())
    assert older
    second = client.get(f"/consent/{unescape(older[1])}")
    assert codes(first) + codes(second) == [s.student_code for s in reversed(students)]
    assert client.get(f"/consent/{unescape(older[1])[:-3]}").status_code == 400


def test_a_list_can_be_narrowed_to_a_school(client: Client) -> None:
    here, back, _ = at_school("Hill High"), at_school("Hill High"), at_school("Lake High")
    returned(back)
    school = keys.school_id("Hill High")
    assert codes(client.get(f"/consent/?school={school}")) == [here.student_code]
    assert codes(client.get(f"/consent/?tab=returned&school={school}")) == [back.student_code]
    assert codes(client.get(f"/consent/?tab=withdrawn&school={school}")) == []


def test_a_school_also_finds_entries_from_before_there_were_reviews(client: Client) -> None:
    student = at_school("Hill High")
    entry = DirectoryEntry.get(keys.STUDENT_DIRECTORY, student.student_code)
    entry.update(actions=[DirectoryEntry.review_state.remove(), DirectoryEntry.GSI4PK.remove()])
    found = client.get(f"/consent/?school={keys.school_id('Hill High')}")
    assert codes(found) == [student.student_code]


def test_a_code_is_found_in_whatever_state(client: Client) -> None:
    student = enrol()
    returned(student)
    spoken = student.student_code.replace("-", " ").upper()
    assert codes(client.get("/consent/", {"code": spoken})) == [student.student_code]
    other = {"code": spoken, "school": keys.school_id("Fall Line High School")}
    assert codes(client.get("/consent/", other)) == [student.student_code]


@pytest.mark.parametrize("query", ["school=nowhere", "code=%3Cscript%3E", "code=" + "x" * 41])
def test_an_unknown_filter_is_told_at_its_field(client: Client, query: str) -> None:
    page = client.get(f"/consent/?{query}")
    assert page.status_code == 200
    assert 'class="error"' in page.content.decode()


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "Nothing awaits review"),
        ("tab=refused", "This list is empty"),
        ("tab=nonsense", "Nothing awaits review"),
        ("code=river", "No student found"),
    ],
)
def test_an_empty_list_says_what_to_do_next(client: Client, query: str, says: str) -> None:
    page = text(client.get(f"/consent/?{query}"))
    assert says in page
    assert 'class="button" href="?' in page


# --- one record


def test_a_record_shows_the_exact_texts_with_their_fingerprints(client: Client) -> None:
    student = enrol()
    page = text(client.get(f"/consent/{student.student_id}/"))
    for kind in forms_needed(16):
        form = PACKAGE.form(kind)
        assert all(line in page for block in form.blocks for line in block.lines)
        assert form.sha256 in page
    assert page.count("matches the text below") == 2
    assert "the mother, on screen" in page
    assert "witnessed by facilitator" in page


def test_an_old_text_stays_readable_when_the_package_changes(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, old = enrol(), PACKAGE.form("assent")
    other = PACKAGE.model_copy(
        update={"forms": tuple(f.model_copy(update={"text": "Quite another text."}) for f in PACKAGE.forms)}
    )
    monkeypatch.setattr(study, "package", lambda: other)
    page = text(client.get(f"/consent/{student.student_id}/"))
    assert all(line in page for block in old.blocks for line in block.lines)
    assert old.sha256 in page
    assert "Quite another text." not in page


def test_a_text_that_does_not_match_is_said_loudly(client: Client, shared_table: Any) -> None:
    student, form = enrol(), PACKAGE.form("assent")
    shared_table.update_item(
        Key={"PK": keys.form(form.sha256), "SK": keys.FORM_TEXT},
        UpdateExpression="SET #t = :t",
        ExpressionAttributeNames={"#t": "text"},
        ExpressionAttributeValues={":t": "You agree to everything."},
    )
    for address in (f"/consent/{student.student_id}/", f"/consent/forms/text/{form.sha256}/"):
        assert "The stored text does not match." in text(client.get(address))
    paper = text(client.get(f"/consent/{student.student_id}/certificate/"))
    assert "does NOT have this SHA-256" in paper


def test_a_text_that_is_not_stored_is_said(client: Client, shared_table: Any) -> None:
    student = enrol()
    sha256 = PACKAGE.form("assent").sha256
    shared_table.delete_item(Key={"PK": keys.form(sha256), "SK": keys.FORM_TEXT})
    page = text(client.get(f"/consent/{student.student_id}/"))
    assert "The text is not stored." in page
    assert sha256 in page


def test_a_record_shows_nothing_that_the_student_answered_or_is_like(client: Client) -> None:
    student = enrol()
    start_in("L4-I3-S", student)
    for address in ("", "certificate/"):
        page = text(client.get(f"/consent/{student.student_id}/{address}"))
        for private in ("moderate", "visual", "civil_war", "civil war", "L4-I3-S", "richmond_resident"):
            assert private not in page.split("<main")[1].split("Signed forms")[0]


@pytest.mark.parametrize("student_id", ["nobody", "x" * 65])
def test_nobody_has_no_record(client: Client, student_id: str) -> None:
    for page in ("", "certificate/"):
        assert client.get(f"/consent/{student_id}/{page}").status_code == 404
    assert list(AuditEntry.on_day(study.now().date())) == []


# --- looking is told first


@pytest.mark.parametrize(
    ("role", "address", "what"),
    [
        ("irb", "/consent/{}/", "consent record"),
        ("admin", "/consent/{}/certificate/", "certificate"),
        ("facilitator", "/students/{}/", "student page"),
        ("facilitator", "/students/{}/consent/", "renewal of consent"),
        ("researcher", "/students/{}/", "student page"),
        ("irb", "/students/{}/withdraw/", "withdrawal"),
    ],
)
def test_whoever_looks_is_told_before(table: str, role: str, address: str, what: str) -> None:
    client, student = signed_in(role), enrol()
    page = address.format(student.student_id)
    with store_away("PutItem"):
        closed = client.get(page)
    assert closed.status_code == 503
    assert "The database did not respond, so nothing was shown" in text(closed)
    assert PACKAGE.form("assent").sha256 not in text(closed)
    assert views_of(student) == []
    assert client.get(page).status_code == 200
    assert views_of(student) == [(f"a-{role}", role, what)]


def test_a_record_tells_who_looked_before(client: Client) -> None:
    student = enrol()
    signed_in("facilitator").get(f"/students/{student.student_id}/")
    page = text(client.get(f"/consent/{student.student_id}/"))
    assert "looked at a consent record: student page" in page
    assert "a-facilitator" in page
    assert "looked at a consent record: consent record" not in page


# --- the review


def send(client: Client, student: Student, **told: str) -> Any:
    return client.post(f"/consent/{student.student_id}/review/", {"seen": "1", **told}, follow=True)


def test_a_consent_is_accepted(client: Client) -> None:
    student = enrol()
    page = send(client, student, outcome="accepted")
    assert "The consent is accepted." in text(page)
    review = Student.by_id(student.student_id).consent_data.review
    assert (review.state, review.by) == ("accepted", "a-irb")


def test_a_returned_consent_reaches_the_facilitator_with_its_reason(client: Client) -> None:
    student = enrol()
    send(client, student, outcome="returned", reason=HOSTILE)
    page = signed_in("facilitator").get(f"/students/{student.student_id}/")
    assert HOSTILE in text(page)
    assert "<script>alert" not in page.content.decode()
    assert "Go through the forms again" in text(page)
    assert f"/sessions/new/?student={student.student_id}" not in text(page)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({}, "Please answer this."),
        ({"outcome": "returned"}, "Say what needs correcting."),
        ({"outcome": "returned", "reason": "  "}, "Say what needs correcting."),
        ({"outcome": "returned", "reason": "x" * 501}, "at most 500 characters"),
        ({"outcome": "maybe"}, "Select a valid choice"),
    ],
)
def test_a_review_with_a_fault_is_asked_again_and_nothing_is_stored(
    client: Client, told: dict[str, str], says: str
) -> None:
    student = enrol()
    page = send(client, student, **told)
    assert page.status_code == 422
    assert says in text(page)
    assert Student.by_id(student.student_id).review_state == "awaiting"


def test_a_review_of_an_old_page_is_told_and_not_stored(client: Client) -> None:
    student = enrol()
    returned(student)
    page = send(client, student, outcome="accepted")
    assert "Someone changed this consent" in text(page)
    assert Student.by_id(student.student_id).review_state == "returned"


def test_a_review_after_a_withdrawal_is_told_and_not_stored(client: Client) -> None:
    student = enrol()
    withdraw(student.student_id)
    assert "no longer complete" in text(send(client, student, outcome="accepted"))
    assert Student.by_id(student.student_id).review_state == "awaiting"


# --- certificate and file


def test_a_certificate_is_one_card_a_form_with_code_and_zone(client: Client) -> None:
    student = enrol()
    page = text(client.get(f"/consent/{student.student_id}/certificate/"))
    main = page.split("<main")[1].split("</main")[0]
    assert main.count('class="card"') == 2
    assert student.student_code in main
    assert all(PACKAGE.form(kind).sha256 in main for kind in forms_needed(16))
    assert re.search(r"\d\d:\d\d:\d\d E[SD]T", main)
    assert "Fall Line" not in main


def rows(response: Any) -> list[dict[str, str]]:
    body = b"".join(response.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(body)))


def test_the_file_holds_the_list_without_learning_data(client: Client, table: str) -> None:
    mine = at_school("Hill High")
    at_school("Lake High")
    school = keys.school_id("Hill High")
    answer = client.get(f"/consent/export.csv?tab=awaiting&school={school}")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    (row,) = rows(answer)
    assert (row["student_code"], row["school"]) == (mine.student_code, "Hill High")
    assert row["assent_sha256"] == PACKAGE.form("assent").sha256
    assert row["data_sharing"] == "true"
    assert not {"age", "learning_style", "depth_preference"} & set(row)
    (told,) = AuditEntry.exports(NOON - timedelta(days=9))
    assert told.new == {"rows": "1", "list": "awaiting", "school": school}


def test_no_file_leaves_without_being_told(client: Client) -> None:
    enrol()
    with store_away("PutItem"):
        assert client.get("/consent/export.csv").status_code == 503


def test_a_school_can_not_be_a_formula(client: Client) -> None:
    at_school(HOSTILE)
    (row,) = rows(client.get("/consent/export.csv"))
    assert row["school"] == f"'{HOSTILE}"


# --- the facilitator's session page


def test_a_start_is_refused_with_the_reason(table: str) -> None:
    student = enrol()
    returned(student)
    client = signed_in("facilitator")
    page = text(client.get("/sessions/new/", {"code": student.student_code, "place": "home"}))
    assert "The review board returned this consent" in page


# --- who may


@pytest.mark.parametrize(
    ("role", "opens"),
    [
        ("irb", {"list", "one", "certificate", "file", "forms"}),
        ("admin", {"list", "one", "certificate", "file", "forms"}),
        ("facilitator", set()),
        ("researcher", set()),
    ],
)
def test_each_page_is_for_its_roles(table: str, role: str, opens: set[str]) -> None:
    client, student = signed_in(role), enrol()
    addresses = {
        "list": "/consent/",
        "one": f"/consent/{student.student_id}/",
        "certificate": f"/consent/{student.student_id}/certificate/",
        "file": "/consent/export.csv",
        "forms": "/consent/forms/",
    }
    answers = {name: client.get(address).status_code for name, address in addresses.items()}
    assert answers == {name: 200 if name in opens else 403 for name in addresses}


def test_the_home_page_leads_the_board_to_its_work(client: Client) -> None:
    assert 'href="/consent/"' in text(client.get("/"))


def test_what_nobody_reviewed_leaves_the_study_only_where_the_setting_says_so(
    table: str, settings: Any
) -> None:
    student = enrol()
    assert study.may_export(student) == "unreviewed"
    settings.EXPORT_UNREVIEWED = True
    assert study.may_export(student) is None
