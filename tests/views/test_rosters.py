"""Class lists over HTTP: a preview first, nothing stored before Import, own sites only."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from sessions_app.domain.models import Roster
from sessions_app.domain.store import keys
from support.cast import signed_in

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
