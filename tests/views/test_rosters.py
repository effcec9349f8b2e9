"""Class lists over HTTP: a preview first, nothing stored before Import, own sites only."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from sessions_app import study
from sessions_app.domain.consent import form_texts
from sessions_app.domain.models import ConsentEvent, DirectoryEntry, Item, Roster, Student
from sessions_app.domain.store import keys
from support.cast import enrolled, signed_in

pytestmark = pytest.mark.django_db

LIST = "age,grade,richmond\n16,10,yes\n17,11,no\n"
NEW = "/rosters/new/"


@pytest.fixture(autouse=True)
def own_table(table: str, settings: Any) -> None:
    settings.SOCRATIC_TABLE = table


@pytest.fixture
def client() -> Client:
    return signed_in("facilitator")


def details(**changes: Any) -> dict[str, Any]:
    return {"name": "Period 3", "school": "Riverside High", "pasted": LIST} | changes


def stored() -> list[Any]:
    return list(Roster.newest_first())


def imported(client: Client, **changes: Any) -> str:
    answer = client.post(NEW, details(step="import", **changes))
    assert answer.status_code == 302, answer.content.decode()
    return str(answer.headers["Location"])


def test_a_preview_names_each_bad_line_and_stores_nothing(client: Client) -> None:
    page = client.post(NEW, details(pasted=LIST + "160,10,yes\n", step="import"))
    assert "age: a whole number from 5 to 120" in page.content.decode()
    assert "nothing saved yet" in page.content.decode()
    assert client.post(NEW, details()).status_code == 200
    assert stored() == []


def test_an_upload_is_previewed_and_then_imported_from_the_preview(client: Client) -> None:
    upload = SimpleUploadedFile("class.csv", ("\ufeff" + LIST.replace(",", ";")).encode())
    page = client.post(NEW, details(pasted="", file=upload)).content.decode()
    assert 'value="import"' in page
    assert "16;10;yes" in page
    shown = client.get(imported(client)).content.decode()
    assert "2 students imported" in shown
    assert shown.count("needs consent") == 2


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "picture"),
        (b"student name,age\nAnn,16\n", "personal"),
        (b"age,grade,richmond\n" + b"16,10,yes\n" * 3000, "3,000 students"),
        (b"", "empty"),
    ],
)
def test_a_bad_file_is_refused_in_plain_words(client: Client, content: bytes, word: str) -> None:
    upload = SimpleUploadedFile("list.csv", content)
    page = client.post(NEW, details(pasted="", file=upload, step="import"))
    assert page.status_code == 422
    assert word in page.content.decode()
    assert stored() == []


def test_importing_twice_leads_to_the_same_list(client: Client) -> None:
    assert imported(client) == imported(client)
    assert len(stored()) == 1


def test_the_same_rows_under_another_name_are_asked_about(client: Client) -> None:
    imported(client)
    page = client.post(NEW, details(name="Period 4", step="import"))
    assert "exactly the same rows" in page.content.decode()
    assert len(stored()) == 1
    imported(client, name="Period 4", confirmed="on")
    assert len(stored()) == 2


def test_another_spelling_of_a_school_is_asked_about(client: Client) -> None:
    imported(client)
    page = client.post(NEW, details(name="Period 4", school="River Side High", step="import"))
    assert "Did you mean Riverside High?" in page.content.decode()
    assert len(stored()) == 1


def test_sheet_and_cards_hold_codes_and_no_names(client: Client) -> None:
    place = imported(client)
    page = client.get(f"{place}print/").content.decode()
    (roster,) = stored()
    for entry in roster.entries():
        assert page.count(f"<strong>{entry.student_code}</strong>") == 1
    assert page.count("<svg") >= 2
    assert "study office" in page


def test_a_list_of_another_site_does_not_exist(client: Client) -> None:
    admin = signed_in("admin")
    place = imported(admin, school="Elsewhere High")
    for page in (place, f"{place}print/"):
        assert client.get(page).status_code == 404
        assert admin.get(page).status_code == 200
    assert "Period 3" not in client.get("/rosters/").content.decode()
    refused = client.post(NEW, details(school="Elsewhere High", step="import"))
    assert refused.status_code in (302, 422)


def test_the_template_is_itself_a_list(client: Client) -> None:
    answer = client.get("/rosters/template.csv")
    assert answer.content.decode().startswith("code,age,grade,richmond")
    assert keys.ROSTERS not in answer.content.decode()


# --- consent on paper, and the start


def papers(*rows: tuple[str, str, str], **changes: str) -> dict[str, str]:
    package = study.package()
    common = {kind: package.form(kind).sha256 for kind in ("parental_permission", "assent")}
    sent = {"signed_on": "2026-01-15"} | common | changes
    for code, signer, sharing in rows:
        sent |= {f"{code}-signer": signer, f"{code}-sharing": sharing}
    return sent


def class_of_three(client: Client) -> tuple[str, list[str]]:
    place = imported(client, pasted="age,grade,richmond\n" + "16,10,yes\n" * 3)
    (roster,) = stored()
    return place, [str(entry.student_code) for entry in roster.entries()]


def test_papers_of_a_class_enroll_each_student_with_date_version_and_signer(client: Client) -> None:
    place, (one, two, three) = class_of_three(client)
    page = client.get(f"{place}consent/").content.decode()
    assert "checked" not in page
    sent = papers((one, "mother", "yes"), (two, "guardian", "no"), (three, "no", ""))
    shown = client.post(f"{place}consent/", sent, follow=True).content.decode()
    assert "2 enrolled, 1 refused." in shown
    assert "1 refusal." in shown
    assert three not in shown
    student = Student.by_id(DirectoryEntry.get(keys.STUDENT_DIRECTORY, two).student_id)
    assert student.has_consent()
    assert student.consent_data.data_sharing_consent is False
    events = [each for each in Item.query(student.PK) if isinstance(each, ConsentEvent)]
    assert {event.signed_on for event in events} == {"2026-01-15"}
    assert {(event.kind, event.relation, event.method) for event in events} == {
        ("parental_permission", "guardian", "paper_seen"),
        ("assent", "self", "paper_seen"),
    }
    again = client.post(f"{place}consent/", sent, follow=True).content.decode()
    assert "0 enrolled, 0 refused." in again
    assert stored()[0].refusals == 1


def test_an_older_paper_keeps_its_own_version(client: Client) -> None:
    current = study.package().form("assent")
    older = current.model_copy(update={"version": "0.9", "text": f"{current.text}\n\nOld."})
    form_texts.keep([older], now=study.now())
    place, (one, *_) = class_of_three(client)
    client.post(f"{place}consent/", papers((one, "father", "no"), assent=older.sha256))
    student = Student.by_id(DirectoryEntry.get(keys.STUDENT_DIRECTORY, one).student_id)
    assert student.consent_data.assent.version == "0.9"


@pytest.mark.parametrize(
    "fault",
    [{"signed_on": "2999-01-01"}, {"signed_on": ""}, {"assent": ""}, {"assent": "0" * 64}],
)
def test_without_date_or_version_nothing_is_stored(client: Client, fault: dict[str, str]) -> None:
    place, (one, *_) = class_of_three(client)
    answer = client.post(f"{place}consent/", papers((one, "mother", "yes"), **fault))
    assert answer.status_code == 422
    assert list(DirectoryEntry.all()) == []


def test_a_signer_without_a_word_on_sharing_is_asked_about(client: Client) -> None:
    place, (one, two, _) = class_of_three(client)
    answer = client.post(f"{place}consent/", papers((one, "mother", ""), (two, "mother", "yes")))
    assert answer.status_code == 422
    assert list(DirectoryEntry.all()) == []


def test_adults_sign_for_themselves(client: Client) -> None:
    place = imported(client, pasted="age,grade,richmond\n18,12,yes\n")
    code = str(stored()[0].entries()[0].student_code)
    sent = {"signed_on": "2026-01-15", "adult_consent": study.package().form("adult_consent").sha256}
    client.post(f"{place}consent/", sent | {f"{code}-signer": "self", f"{code}-sharing": "yes"})
    student = Student.by_id(DirectoryEntry.get(keys.STUDENT_DIRECTORY, code).student_id)
    assert student.has_consent()


def test_a_card_leads_to_the_last_location_and_codes_are_read_as_written(client: Client) -> None:
    code = str(enrolled().student_code)
    first = client.get("/sessions/new/", {"code": code})
    assert f'value="{code}"' in first.content.decode()
    written = code.replace("-", " ").upper()
    assert client.get("/sessions/new/", {"code": written, "place": "home"}).status_code == 200
    card = client.get("/sessions/new/", {"code": code})
    assert card.headers["Location"] == f"/sessions/new/?code={code}&place=home"


def test_a_beginning_or_a_misspelling_offers_the_code(client: Client) -> None:
    code = str(enrolled().student_code)
    begun = client.get("/sessions/new/", {"code": code[:6], "place": "home"})
    assert begun.status_code == 404
    assert f"?code={code}&amp;place=home" in begun.content.decode()
    first, rest = code.split("-", 1)
    wrong = client.get("/sessions/new/", {"code": f"{first}{first[-1]}-{rest}", "place": "home"})
    assert f"?code={code}&amp;place=home" in wrong.content.decode()
    assert client.get("/sessions/new/", {"code": "-", "place": "home"}).status_code == 422


def test_who_has_not_enrolled_can_be_removed(client: Client) -> None:
    address = imported(client)
    assert "Remove 2 students" in client.get(address).content.decode()
    answer = client.post(f"{address}remove/", follow=True)
    assert "2 students removed from Period 3." in answer.content.decode()
    assert stored() == []
    assert client.post(f"{address}remove/").status_code == 404
