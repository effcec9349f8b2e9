"""Consent given again, a new version for everybody, and withdrawal, each over HTTP and without JavaScript."""

from __future__ import annotations

import io
import re
from html import unescape
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse

from sessions_app import study
from sessions_app.domain.consent import decisions as consent_decisions
from sessions_app.domain.models import AuditEntry, RenewalDecision, Student, Tombstone
from sessions_app.domain.participants import erasure
from sessions_app.domain.session.record import Run
from sessions_app.views.run.participant_links import new_token
from support.cast import signed_in, withdraw
from tests.domain.cast import ADMIN, IRB, NOON, PACKAGE, consent_events, enrol, start_in, with_new_form

pytestmark = pytest.mark.django_db

PERMISSION = {
    "parental_permission-relation": "father",
    "parental_permission-method": "on_screen",
    "parental_permission-sharing": "no",
    "parental_permission-agrees": "yes",
}
ASSENT = {"assent-method": "on_screen", "assent-agrees": "yes"}


@pytest.fixture
def client(table: str) -> Client:
    return signed_in("facilitator")


def text(response: Any) -> str:
    return " ".join(unescape(response.content.decode()).split())


def hidden(response: Any) -> dict[str, str]:
    found = re.findall(r"<input[^>]*type=\"hidden\"[^>]*>", response.content.decode())
    named = {
        match[1]: unescape(value[1] if (value := re.search(r'value="([^"]*)"', each)) else "")
        for each in found
        if (match := re.search(r'name="([^"]*)"', each))
    }
    named.pop("csrfmiddlewaretoken", None)
    return named


def go_on(client: Client, page: Any, **answers: str) -> Any:
    return client.post(page.request["PATH_INFO"], {**hidden(page), **answers})


def forms_again(client: Client, student: Student, age: str = "16") -> Any:
    """The page of the first form that is due."""
    return go_on(client, client.get(f"/students/{student.student_id}/consent/"), **{"today-age": age})


def fresh(student: Student) -> Student:
    return Student.by_id(student.student_id)


def actions(student: Student) -> list[str]:
    return [str(event.action) for event in consent_events(student.student_id)]


def returned(student: Student) -> None:
    consent_decisions.review(
        student_id=student.student_id, outcome="returned", reason="no signature", seen=1, by=IRB, now=NOON
    )


@pytest.fixture
def new_permission(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package from now on holds another text of the parents' form; gives that form."""
    package = PACKAGE.model_copy(update={"forms": with_new_form("parental_permission")})
    monkeypatch.setattr(study, "package", lambda: package)
    return package.form("parental_permission")


# --- given again


def test_a_returned_consent_is_given_again_form_by_form(client: Client) -> None:
    student = enrol()
    returned(student)
    first = client.get(f"/students/{student.student_id}/consent/")
    assert "no signature" in text(first)
    page = go_on(client, first, **{"today-age": "16"})
    assert PACKAGE.form("parental_permission").sha256 in text(page)
    page = go_on(client, page, **PERMISSION)
    assert PACKAGE.form("assent").sha256 in text(page)
    done = go_on(client, page, **ASSENT)
    assert done["Location"] == f"/students/{student.student_id}/"
    after = fresh(student)
    assert (after.review_state, after.consent_data.data_sharing_consent) == ("awaiting", False)
    assert actions(student).count("renewed") == 2


def test_nothing_is_chosen_beforehand_and_silence_is_no_answer(client: Client) -> None:
    student = enrol()
    page = forms_again(client, student)
    assert not re.search("<input[^>]* checked", page.content.decode())
    for _ in range(2):
        page = go_on(client, page)
        assert page.status_code == 422
        assert "Please answer this." in text(page)
    assert actions(student) == ["granted", "granted"]


def test_a_form_that_was_never_on_screen_is_not_agreed_to(client: Client) -> None:
    """Answers that are sent along with the age, past the page with the text."""
    student = enrol()
    page = client.get(f"/students/{student.student_id}/consent/")
    page = go_on(client, page, **{"today-age": "16", **PERMISSION, **ASSENT})
    assert PACKAGE.form("parental_permission").sha256 in text(page)
    assert actions(student) == ["granted", "granted"]


def test_a_text_that_changed_since_it_was_shown_is_shown_again(client: Client) -> None:
    student = enrol()
    page = forms_again(client, student)
    page = go_on(client, page, **{**PERMISSION, "parental_permission-sha256": "0" * 64})
    assert "The form has changed since it was shown" in text(page)
    assert actions(student) == ["granted", "granted"]


def test_whoever_turned_18_is_given_the_form_of_adults(client: Client) -> None:
    student = enrol(17)
    page = forms_again(client, student, age="18")
    assert PACKAGE.form("adult_consent").sha256 in text(page)
    go_on(
        client,
        page,
        **{
            "adult_consent-method": "on_screen",
            "adult_consent-sharing": "yes",
            "adult_consent-agrees": "yes",
        },
    )
    after = fresh(student)
    assert (after.demographics.age, after.consent_data.parent_consent) == (18, False)


@pytest.mark.parametrize("age", ["", "13", "19", "x", "999"])
def test_an_age_that_does_not_fit_is_told_at_its_field(client: Client, age: str) -> None:
    page = forms_again(client, enrol(), age=age)
    assert page.status_code == 422
    assert 'aria-invalid="true"' in page.content.decode()


def test_a_no_is_stored_and_leads_to_the_choice_about_earlier_data(client: Client) -> None:
    student = enrol()
    run = start_in("L4-I3-S", student)
    page = go_on(client, forms_again(client, student), **{"parental_permission-agrees": "no"})
    assert "Permission was not given" in text(page)
    assert f"/students/{student.student_id}/withdraw/" in text(page)
    assert (fresh(student).consent_data.state, fresh(student).has_consent()) == ("refused", False)
    assert Run.load(run.id).is_open  # its next request is refused: the profile says no


def test_sent_twice_it_is_stored_once_and_said(client: Client) -> None:
    student = enrol()
    page = go_on(client, forms_again(client, student), **PERMISSION)
    go_on(client, page, **ASSENT)
    again = client.post(page.request["PATH_INFO"], {**hidden(page), **ASSENT}, follow=True)
    assert "Nothing was saved" in text(again)
    assert actions(student).count("renewed") == 2


def test_a_withdrawn_student_is_not_asked_again(client: Client) -> None:
    student = enrol()
    withdraw(student.student_id)
    page = client.get(f"/students/{student.student_id}/consent/", follow=True)
    assert "is enrolled again" in text(page)


# --- a new version for everybody


def test_every_version_is_listed_with_its_students(table: str, new_permission: Any) -> None:
    enrol()
    enrol()
    page = text(signed_in("irb").get("/consent/forms/"))
    old = PACKAGE.form("parental_permission")
    assert f"/consent/forms/text/{new_permission.sha256}/" in page
    row = page.split(f"/consent/forms/text/{old.sha256}/")[1].split("</tr>")[0]
    assert "older" in row
    assert re.search(r'class="num">2<', row)
    assert page.count("signed an older version…") == 1  # only this kind has an older version with students


def test_a_version_is_shown_word_for_word(table: str, new_permission: Any) -> None:
    enrol()
    client, old = signed_in("irb"), PACKAGE.form("parental_permission")
    page = text(client.get(f"/consent/forms/text/{old.sha256}/"))
    assert all(line in page for block in old.blocks for line in block.lines)
    assert "New in 2.0." not in page
    assert "New in 2.0." in text(client.get(f"/consent/forms/text/{new_permission.sha256}/"))
    for unknown in ("0" * 64, "x" * 80, "nothing"):
        assert client.get(f"/consent/forms/text/{unknown}/").status_code == 404


def test_a_decision_is_carried_out_step_by_step_without_javascript(
    table: str, new_permission: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    students = [enrol() for _ in range(3)]
    monkeypatch.setattr("sessions_app.domain.consent.reconsent.BATCH", 2)
    client = signed_in("irb")
    address = "/consent/forms/parental_permission/"
    page = client.post(f"{address}require/", {"parental_permission-reason": "new risks"}, follow=True)
    assert "0 students checked" in text(page)
    steps = [text(client.post(f"{address}renewal/", follow=True)) for _ in range(2)]
    assert "3 students checked, 3 need re-consent." in steps[-1]
    assert "Done" in steps[-1]
    assert {fresh(student).consent_data.state for student in students} == {"needs_reconsent"}
    told = [e for e in AuditEntry.on_day(study.now().date()) if e.action == "consent.require_renewal"]
    assert len(told) == 4


def test_htmx_gets_the_progress_alone(table: str, new_permission: Any) -> None:
    enrol()
    client = signed_in("irb")
    client.post("/consent/forms/parental_permission/require/", {"parental_permission-reason": "new risks"})
    page = text(client.get("/consent/forms/parental_permission/renewal/"))
    assert 'hx-trigger="load' in page
    part = client.post("/consent/forms/parental_permission/renewal/", headers={"HX-Request": "true"})
    assert text(part).strip().startswith("<section")
    assert "hx-trigger" not in text(part)


def test_a_decision_without_a_reason_is_asked_again(table: str, new_permission: Any) -> None:
    enrol()
    page = signed_in("irb").post("/consent/forms/parental_permission/require/", {})
    assert page.status_code == 422
    assert "Please answer this." in text(page)
    assert RenewalDecision.about(new_permission.sha256) is None


@pytest.mark.parametrize("address", ["require", "renewal"])
def test_an_unknown_form_is_not_found(table: str, address: str) -> None:
    assert signed_in("irb").post(f"/consent/forms/nonsense/{address}/").status_code == 404


def test_the_command_does_the_same_from_the_shell(table: str, new_permission: Any) -> None:
    student, out = enrol(), io.StringIO()
    with pytest.raises(CommandError, match="--reason"):
        call_command("require_consent", "parental_permission")
    call_command("require_consent", "parental_permission", reason="new risks", stdout=out)
    assert "1 students looked at, 1 need re-consent" in out.getvalue()
    assert fresh(student).consent_data.state == "needs_reconsent"


# --- withdrawal


@pytest.mark.parametrize("role", ["facilitator", "irb", "admin"])
def test_earlier_data_are_kept_in_two_taps(table: str, role: str) -> None:
    student = enrol()
    run = start_in("L4-I3-S", student)
    client = signed_in(role)
    address = f"/students/{student.student_id}/withdraw/"
    assert not re.search("<input[^>]* checked", text(client.get(address)))
    page = client.post(address, {"choice": "keep"}, follow=True)
    assert "has withdrawn" in text(page)
    assert "Earlier data are kept." in text(page)
    assert fresh(student).has_withdrawn
    assert Run.load(run.id).session.state == "withdrawn"


def test_without_the_choice_nothing_is_withdrawn(client: Client) -> None:
    student = enrol()
    page = client.post(f"/students/{student.student_id}/withdraw/", {"reason": "moves away"})
    assert page.status_code == 422
    assert "Please answer this." in text(page)
    assert not fresh(student).has_withdrawn


def test_erasing_says_what_will_be_gone_and_asks_once_more(client: Client) -> None:
    student = enrol()
    start_in("L4-I3-S", student)
    address = f"/students/{student.student_id}/withdraw/"
    page = client.post(address, {"choice": "erase", "reason": "the family moves"})
    assert "What will be erased" in text(page)
    assert not fresh(student).has_withdrawn
    done = client.post(address, hidden(page), follow=True)
    assert "This student's data were erased" in text(done)
    assert "nothing was exported" not in text(done)  # what is left to do is for the board and administrators
    whole = text(signed_in("admin").get(address))
    assert "1 session," in whole
    assert "None: nothing was exported" in whole
    tombstone = Tombstone.of_student(student.student_id)
    assert tombstone is not None
    assert tombstone.state == "erased"
    for gone in (f"/students/{student.student_id}/", address):
        answer = client.get(gone)
        assert (answer.status_code, "This student's data were erased" in text(answer)) == (410, True)


def test_addresses_of_an_erased_session_say_so_to_people_and_tablets(client: Client) -> None:
    student = enrol()
    run = start_in("L4-I3-S", student)
    erasure.erase(student.student_id, by=ADMIN, now=NOON, wait=lambda _: None)
    for address in (f"/run/{run.id}/", f"/run/{run.id}/baseline/1/", f"/sessions/{run.id}/"):
        answer = client.get(address)
        assert (answer.status_code, "This student's data were erased" in text(answer)) == (410, True)
    by_a_service_worker = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Dest": "empty"}
    answer = client.get(f"/run/{run.id}/baseline/1/", headers=by_a_service_worker)
    assert (answer.status_code, "This student's data were erased" in text(answer)) == (410, True)
    sent = client.post(
        f"/run/{run.id}/baseline/1/",
        "answer=late+words",
        content_type="application/x-www-form-urlencoded",
        headers={"Accept": "application/json"},
    )
    assert (sent.status_code, sent.json()["error"], sent.headers["Run-Gone"]) == (410, "erased", "yes")
    page = client.get(f"/students/{student.student_id}/")  # erased by somebody else: that it is so, no more
    assert page.status_code == 410
    assert student.student_id not in text(page).replace(f"/students/{student.student_id}/", "")
    assert client.get("/run/never-was/").status_code == 404


def test_every_address_of_an_erased_student_says_so(client: Client) -> None:
    student = enrol()
    run = start_in("L4-I3-S", student)
    erasure.erase(student.student_id, by=ADMIN, now=NOON, wait=lambda _: None)
    link = reverse("join", args=[new_token(run.id)])
    for who, address in (
        (client, f"/students/{student.student_id}/consent/"),
        (signed_in("researcher"), f"/dashboards/students/{student.student_id}/"),
        (Client(), link),
    ):
        page = who.get(address)
        assert (page.status_code, "This student's data were erased" in text(page)) == (410, True), address
    assert Client().post(link).status_code == 410
    assert Client().get(reverse("join", args=[new_token("never-was")])).status_code == 404


def test_exports_to_be_destroyed_are_named(table: str) -> None:
    student, client = enrol(), signed_in("irb")
    b"".join(client.get("/consent/export.csv").streaming_content)  # type: ignore[attr-defined]
    client.post(f"/students/{student.student_id}/withdraw/", {"choice": "erase", "confirmed": "on"})
    page = text(client.get(f"/consent/{student.student_id}/"))
    assert "Have every copy deleted." in page
    assert re.search(r"consent-awaiting-\w+\.csv by a-irb", page)


def test_who_kept_earlier_data_can_still_have_them_erased(client: Client) -> None:
    student = enrol()
    address = f"/students/{student.student_id}/withdraw/"
    page = client.post(address, {"choice": "keep"}, follow=True)
    page = client.post(address, hidden(page))
    assert "What will be erased" in text(page)
    assert "This student's data were erased" in text(client.post(address, hidden(page), follow=True))


@pytest.mark.parametrize("address", ["/students/{}/", "/sessions/{}/"])
def test_the_way_out_is_on_the_pages_in_the_field(client: Client, address: str) -> None:
    student = enrol()
    run = start_in("L4-I3-S", student)
    page = text(client.get(address.format(run.id if "sessions" in address else student.student_id)))
    assert f'href="/students/{student.student_id}/withdraw/"' in page


@pytest.mark.parametrize("student_id", ["nobody", "x" * 65])
def test_nobody_can_not_withdraw(client: Client, student_id: str) -> None:
    for page in ("withdraw", "consent"):
        assert client.get(f"/students/{student_id}/{page}/").status_code == 404


@pytest.mark.parametrize(
    ("role", "opens"),
    [
        ("facilitator", {"withdraw", "consent"}),
        ("admin", {"withdraw", "consent"}),
        ("irb", {"withdraw"}),
        ("researcher", set()),
    ],
)
def test_each_page_is_for_its_roles(table: str, role: str, opens: set[str]) -> None:
    client, student = signed_in(role), enrol()
    pages = ("withdraw", "consent")
    answers = {page: client.get(f"/students/{student.student_id}/{page}/").status_code for page in pages}
    assert answers == {page: 200 if page in opens else 403 for page in pages}
