"""A facilitator sees the own schools' students and sessions; those of others do not exist."""

from __future__ import annotations

import re
from html import unescape
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from sessions_app import study
from sessions_app.access import account_audit, accounts, sites
from sessions_app.access.roles import sites_of
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.models import AuditEntry, DirectoryEntry, Item, School, Session, Student
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from support.cast import at, belong, close, enrolled, signed_in, started, store_away
from tests.domain.cast import new_id

pytestmark = pytest.mark.django_db

MINE, FOREIGN = "Riverside High", "Elsewhere Academy"


@pytest.fixture(scope="module")
def table(lasting_table: str) -> str:
    return lasting_table


@pytest.fixture
def client(table: str) -> Client:
    return signed_in("facilitator")


@pytest.fixture
def mine(table: str) -> Run:
    return started()


@pytest.fixture
def foreign(table: str) -> Run:
    return started(student=enrolled(school=FOREIGN))


def codes(response: Any) -> set[str]:
    assert response.status_code == 200
    return set(re.findall(r"\b[a-z]+-[a-z]+-\d+\b", unescape(response.content.decode())))


def code_of(run: Run) -> str:
    return str(run.session.student_code)


def told() -> list[tuple[str, str | None, dict[str, str], dict[str, str]]]:
    """Changes of sites in the audit log; those of one second are in no order."""
    found = AuditEntry.on_day(study.now().date())
    return [
        (entry.by, entry.subject, entry.old, entry.new)
        for entry in found
        if isinstance(entry, AuditEntry) and entry.action == "site.change"
    ]


# --- pages of one student, one session


@pytest.mark.parametrize(
    "path",
    [
        "/students/{student}/",
        "/students/{student}/consent/",
        "/students/{student}/withdraw/",
        "/students/new/?enrolled={student}",
        "/sessions/{session}/",
        "/sessions/{session}/words/",
        "/sessions/{session}/hand-over/",
        "/run/{session}/",
        "/run/{session}/done/",
        "/run/{session}/baseline/1/",
        "/run/{session}/notes/",
    ],
)
def test_a_page_of_a_foreign_site_does_not_exist(client: Client, mine: Run, foreign: Run, path: str) -> None:
    def status(run: Run) -> int:
        address = path.format(student=run.session.student_id, session=run.id)
        return int(client.get(address).status_code)

    assert status(foreign) == 404
    assert status(mine) in (200, 302)


@pytest.mark.parametrize(
    "path",
    [
        "/sessions/{session}/stop/",
        "/sessions/{session}/reopen/",
        "/sessions/{session}/hand-over/",
        "/sessions/{session}/link/",
        "/sessions/{session}/link/revoke/",
        "/sessions/{session}/office/",
        "/sessions/{session}/answer/",
        "/run/{session}/baseline/1/",
        "/run/{session}/notes/read/",
        "/run/{session}/help/",
        "/students/{student}/consent/",
        "/students/{student}/withdraw/",
    ],
)
def test_nothing_is_done_to_a_foreign_site(client: Client, foreign: Run, path: str) -> None:
    address = path.format(student=foreign.session.student_id, session=foreign.id)
    sent = {"pin": "1234", "choice": "keep", "answer": "x"}
    before = [item.serialize() for item in Item.query(keys.session(foreign.id))]
    assert client.post(address, sent).status_code == 404
    assert [item.serialize() for item in Item.query(keys.session(foreign.id))] == before
    assert Student.by_id(foreign.session.student_id).has_consent()


def test_a_foreign_page_says_no_more_than_one_that_is_not_there(client: Client, foreign: Run) -> None:
    absent = new_id()
    pages = [
        client.get(path).content.decode().replace(each, "")
        for each, path in ((foreign.id, f"/sessions/{foreign.id}/"), (absent, f"/sessions/{absent}/"))
    ]
    nonceless = [re.sub(r'nonce="[^"]*"|value="[^"]*"|X-CSRFToken[^}]*', "", page) for page in pages]
    assert nonceless[0] == nonceless[1]


@pytest.mark.parametrize("role", ["researcher", "admin"])
def test_other_roles_see_every_site(role: str, table: str, foreign: Run) -> None:
    client = signed_in(role)
    assert client.get(f"/sessions/{foreign.id}/").status_code == 200
    assert code_of(foreign) in codes(client.get("/sessions/"))


def test_who_is_a_researcher_as_well_sees_pages_of_researchers_whole(table: str, foreign: Run) -> None:
    client = signed_in("facilitator")
    accounts.ensure_account(username="a-facilitator", role="researcher", password="x")
    assert client.get(f"/sessions/{foreign.id}/").status_code == 200
    assert client.get(at(foreign)).status_code == 404  # a researcher leads no session


def test_a_session_without_a_site_is_its_own_facilitators(table: str) -> None:
    run = started()
    run.session.update(actions=[Session.site.remove(), Session.facilitator.set("a-facilitator")])
    other = started()
    other.session.update(actions=[Session.site.remove(), Session.facilitator.set("somebody-else")])
    client = signed_in("facilitator")
    assert client.get(f"/sessions/{run.id}/").status_code == 200
    assert client.get(f"/sessions/{other.id}/").status_code == 404
    listed = codes(client.get("/sessions/"))
    assert code_of(run) in listed
    assert code_of(other) not in listed


def test_details_of_an_erasure_are_for_whoever_asked_for_it(table: str, foreign: Run) -> None:
    student_id = foreign.session.student_id
    signed_in("admin").post(
        f"/students/{student_id}/withdraw/", {"choice": "erase", "confirmed": "on", "reason": "asked to"}
    )
    client = signed_in("facilitator")
    for path in (f"/students/{student_id}/", f"/students/{student_id}/withdraw/"):
        pages = [client.get(path), signed_in("admin").get(path)]
        assert [page.status_code for page in pages] == [410, 410]
        assert ["Requested" in page.content.decode() for page in pages] == [False, True]


# --- lists


@pytest.mark.parametrize(
    "query", ["", "?day={day}", "?place=home", "?condition=L4-I3-S", "?type=static", "?code={code}"]
)
def test_lists_of_sessions_hold_own_ones(client: Client, mine: Run, foreign: Run, query: str) -> None:
    day = mine.session.start.astimezone().strftime("%Y-%m-%d")
    for run, expected in ((mine, True), (foreign, False)):
        page = client.get("/sessions/" + query.format(day=day, code=code_of(run)))
        assert page.status_code == 200
        assert (f"/sessions/{run.id}/" in page.content.decode()) is expected


@pytest.mark.parametrize("query", ["", "?code={code}", "?state=complete"])
def test_lists_of_students_hold_own_ones(client: Client, mine: Run, foreign: Run, query: str) -> None:
    for run, expected in ((mine, True), (foreign, False)):
        page = client.get("/students/" + query.format(code=code_of(run))).content.decode()
        assert (f"/students/{run.session.student_id}/" in page) is expected


def test_schools_are_offered_where_one_belongs(client: Client, mine: Run, foreign: Run) -> None:
    for path in ("/students/?by=school", "/students/new/"):
        page = client.get(path).content.decode()
        assert MINE in page
        assert FOREIGN not in page
    assert client.get(f"/students/?school={keys.school_id(FOREIGN)}").status_code == 200
    assert code_of(foreign) not in codes(client.get(f"/students/?school={keys.school_id(FOREIGN)}"))


def test_own_pages_of_lists_follow_each_other_past_foreign_ones(table: str) -> None:
    runs = {}
    for number in range(46):
        school = MINE if number % 2 else FOREIGN
        runs[started("L3-I2-D", student=enrolled(school=school)).id] = school
    client, address, found = signed_in("facilitator"), "/sessions/", list[str]()
    while address:
        page = client.get(address).content.decode()
        found += re.findall(r'row-link nowrap" href="/sessions/([0-9a-f-]+)/"', page)
        older = re.search(r'href="([^"]*)" rel="next"', page)
        address = f"/sessions/{unescape(older[1])}" if older else ""
    assert len(found) == len(set(found))
    assert {run for run in found if run in runs} == {run for run, school in runs.items() if school == MINE}


def test_the_start_page_offers_own_codes_and_takes_no_others(client: Client, mine: Run, foreign: Run) -> None:
    page = client.get("/sessions/new/")
    assert code_of(mine) in codes(page)
    assert code_of(foreign) not in codes(page)
    student = foreign.session.student_id
    assert code_of(foreign) not in codes(client.get(f"/sessions/new/?student={student}"))
    asked = client.get("/sessions/new/", {"code": code_of(foreign), "place": "home"})
    assert asked.status_code == 404
    assert "No student has this code." in asked.content.decode()
    assert client.get("/sessions/new/", {"code": code_of(mine), "place": "home"}).status_code == 200


def test_a_withdrawn_student_is_not_offered(client: Client) -> None:
    student = enrolled()
    assert student.student_code in codes(client.get("/sessions/new/"))
    entry = DirectoryEntry.get(keys.STUDENT_DIRECTORY, student.student_code)
    entry.update(actions=[DirectoryEntry.consent_state.set("withdrawn")])
    assert student.student_code not in codes(client.get("/sessions/new/"))


def test_the_board_shows_own_sessions(client: Client, mine: Run, foreign: Run) -> None:
    shown = codes(client.get("/monitor/"))
    assert code_of(mine) in shown
    assert code_of(foreign) not in shown
    assert code_of(foreign) in codes(signed_in("admin").get("/monitor/"))
    close(mine)


def test_who_belongs_to_no_site_is_told_so(table: str, mine: Run) -> None:
    user, _ = accounts.ensure_account(username="newcomer", role="facilitator", password="x")
    client = Client()
    client.force_login(user)
    page = client.get("/students/")
    assert "You are not assigned to a school yet" in page.content.decode()
    assert codes(page) == set()
    for path in ("/students/?code=a", "/students/?state=complete", "/students/?by=school", "/sessions/"):
        assert code_of(mine) not in codes(client.get(path))
    assert code_of(mine) not in codes(client.get("/monitor/"))


# --- what it costs


def test_a_run_page_costs_no_more_than_an_administrators(
    client: Client, mine: Run, requests_made: list[str]
) -> None:
    made = {}
    for role, reader in (("facilitator", client), ("admin", signed_in("admin"))):
        requests_made.clear()
        with CaptureQueriesContext(connection) as queries:
            reader.get(f"{at(mine)}baseline/1/")
            reader.get(f"{at(mine)}notes/")
        groups = [each["sql"] for each in queries if "auth_group" in each["sql"]]
        made[role] = list(requests_made)
        assert len(groups) <= 2  # one a request, for roles and sites
    assert made["facilitator"] == made["admin"]


# --- schools that come in


def enrolment(school: str) -> dict[str, str]:
    return {
        "step": "about",
        "student_id": new_id(),
        "about-age": "18",
        "about-grade_level": "12",
        "about-school": school,
        "about-richmond_resident": "yes",
    }


def test_a_foreign_school_is_not_enrolled_into(client: Client, foreign: Run) -> None:
    answer = client.post("/students/new/", enrolment(f" {FOREIGN.upper()} "))
    assert "you are not assigned to it. Ask an administrator" in unescape(answer.content.decode())
    assert "Learning" in client.post("/students/new/", enrolment(MINE)).content.decode()


def new_school() -> str:
    return f"School {new_id()}"


def test_who_brings_in_a_school_belongs_to_it(table: str) -> None:
    signed_in("facilitator")
    school, user = new_school(), User.objects.get(username="a-facilitator")
    assert sites.join(user, school, by=Actor("a-facilitator", "facilitator")) is True
    assert keys.school_id(school) in sites_of(User.objects.get(pk=user.pk))
    assert {keys.school_id(name) for name in (MINE, "Fall Line High School")} < sites_of(user)
    by, subject, old, new = next(entry for entry in told() if school in entry[3]["schools"])
    assert (by, subject) == ("a-facilitator", "a-facilitator")
    assert school not in old["schools"]
    assert school in new["schools"]
    assert sites.join(user, school, by=Actor("a-facilitator", "facilitator")) is False


def test_a_membership_that_cannot_be_told_is_not_given(table: str) -> None:
    signed_in("facilitator")
    user = User.objects.get(username="a-facilitator")
    before = sites_of(user)
    with store_away("PutItem"), pytest.raises(account_audit.NotTold):
        sites.join(user, new_school(), by=Actor("x", "admin"))
    assert sites_of(User.objects.get(pk=user.pk)) == before


# --- the administrators' page


def test_administrators_see_who_belongs_where_and_change_it(table: str, mine: Run, foreign: Run) -> None:
    signed_in("facilitator")
    user, admin = User.objects.get(username="a-facilitator"), signed_in("admin")
    page = admin.get("/staff/sites/").content.decode()
    assert "a-facilitator" in page
    assert MINE in page
    address = f"/staff/sites/{user.pk}/"
    assert FOREIGN in admin.get(address).content.decode()
    assert admin.post(address, {"schools": [keys.school_id(FOREIGN)]})["Location"] == "/staff/sites/"
    assert sites_of(User.objects.get(pk=user.pk)) == {keys.school_id(FOREIGN)}
    assert [(by, new) for by, _, _, new in told() if by == "a-admin"] == [("a-admin", {"schools": FOREIGN})]
    client = Client()
    client.force_login(User.objects.get(pk=user.pk))
    assert client.get(f"/sessions/{foreign.id}/").status_code == 200
    assert client.get(f"/sessions/{mine.id}/").status_code == 404


def test_a_school_that_is_none_changes_nothing(table: str, mine: Run) -> None:
    signed_in("facilitator")
    user = User.objects.get(username="a-facilitator")
    before = sites_of(user)
    assert signed_in("admin").post(f"/staff/sites/{user.pk}/", {"schools": ["nowhere"]}).status_code == 422
    assert sites_of(User.objects.get(pk=user.pk)) == before


def test_only_facilitators_have_sites(table: str) -> None:
    admin = signed_in("admin")
    own = User.objects.get(username="a-admin")
    assert admin.get(f"/staff/sites/{own.pk}/").status_code == 404


def test_saving_an_account_in_the_admin_leaves_its_sites(table: str) -> None:
    signed_in("facilitator")
    user = User.objects.get(username="a-facilitator")
    belong(user, MINE)
    roles = [group.pk for group in user.groups.filter(name="facilitator")]
    signed_in("admin").post(
        f"/admin/auth/user/{user.pk}/change/",
        {"username": user.username, "is_active": "on", "groups": roles},
    )
    assert keys.school_id(MINE) in sites_of(User.objects.get(pk=user.pk))


# --- commands


def test_create_staff_takes_sites(table: str) -> None:
    call_command("create_staff", "fay", role="facilitator", site=[MINE, "Hilltop High"], stdout=StringIO())
    user = User.objects.get(username="fay")
    assert sites_of(user) == {keys.school_id(MINE), keys.school_id("Hilltop High")}
    said = StringIO()
    call_command("create_staff", "fay", role="facilitator", site=["Valley High"], stdout=said)
    assert "fay exists" in said.getvalue()
    assert len(sites_of(User.objects.get(username="fay"))) == 3


def test_simulate_gives_the_cohorts_sites_to_a_member(table: str, settings: Any) -> None:
    settings.SOCRATIC_TABLE = table
    accounts.ensure_account(username="demo-fac", role="facilitator", password="x")
    call_command("simulate", students=1, beside_real=True, member="demo-fac", stdout=StringIO())
    held = sites_of(User.objects.get(username="demo-fac"))
    used = {school.SK for school in School.all() if isinstance(school, School)}
    assert keys.school_id("Fall Line High School") in held
    assert len(held & used) >= 1
    with pytest.raises(CommandError, match="There is no account nobody-there"):
        call_command("simulate", students=1, beside_real=True, member="nobody-there", stdout=StringIO())
