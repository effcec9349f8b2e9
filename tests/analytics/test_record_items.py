"""The page of an item: whatever its form, and to each role no more than what is its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from boto3.dynamodb.types import TypeSerializer
from django.test import Client

from analytics_app.records import raw_items
from sessions_app.domain.models import Session, Student
from sessions_app.domain.store import keys
from socratic_site.local.dynamodb_local import REGION, Engine
from support.cast import signed_in
from tests.analytics.record_pages import item, keys_of, links, rows, text, whole
from tests.domain.cast import NOON, enrol, start_in

pytestmark = pytest.mark.django_db

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.json"))
SCHOOL = "Fall Line High School"
SECRETS = ("37.53", "-77.44", "10.1.2.0", "Mozilla/5.0", "f" * 64)


@pytest.fixture
def admin(table: str) -> Client:
    return signed_in("admin")


@pytest.fixture
def put(engine: Engine, table: str) -> Callable[..., None]:
    """Stores an item as DynamoDB's own JSON, past the models."""
    client = boto3.client("dynamodb", region_name=REGION, endpoint_url=engine.endpoint)

    def store(**item: Any) -> None:
        client.put_item(TableName=table, Item=item)

    return store


# --- an item


def test_an_item_shows_labels_values_by_kind_keys_and_both_forms_of_json(admin: Client) -> None:
    run = start_in("L1-I2-D", enrol(), now=NOON)
    page = text(item(admin, "session", run.session.PK, "METADATA"))
    assert "Session start" in page
    assert "Mar 3, 2026, 12:00:00" in page  # in the study's zone
    assert "2026-03-03T17:00:00Z" in page
    assert "Minutes of content between two interventions" in page
    assert "takes answers" in page  # what `running` stands for
    for name in ("PK", "GSI1PK", "GSI5SK"):
        assert getattr(run.session, name) in re.findall(r'data-copy="([^"]*)"', page)
    dynamodb, plain = (
        json.loads(each) for each in re.findall(r'<pre class="json"[^>]*>(.*?)</pre>', page, re.S)
    )
    assert float(dynamodb["experimental_condition"]["M"]["interval_minutes"]["N"]) == 5
    assert plain["experimental_condition"]["interval_minutes"] == 5
    assert list(plain)[:2] == ["PK", "SK"]


def test_an_item_under_the_name_of_another_entity_leads_to_its_own(admin: Client) -> None:
    run = start_in("L4-I2-D", enrol(), now=NOON)
    response = item(admin, "assessment", run.session.PK, "METADATA")
    assert response.status_code == 302
    assert response["Location"].startswith("/records/session/item/")


@pytest.mark.parametrize("file", EXAMPLES, ids=[file.stem for file in EXAMPLES])
def test_the_examples_of_the_schema_are_shown_without_a_fault(
    admin: Client, put: Callable[..., None], file: Path
) -> None:
    told = json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    put(**{name: TypeSerializer().serialize(value) for name, value in told.items()})
    response = item(admin, told["entity_type"], told["PK"], told["SK"])
    assert response.status_code == 200
    assert "not fit the data dictionary" not in text(response)
    listed = admin.get("/records/partition/", {"pk": told["PK"]})
    assert len(rows(listed)) == 1


def test_an_item_of_another_form_is_shown_with_what_is_wrong(admin: Client, put: Callable[..., None]) -> None:
    put(
        PK={"S": "SESSION#odd"},
        SK={"S": "METADATA"},
        GSI3PK={"S": "LOCATION#home"},
        GSI3SK={"S": "2026-03-03T17:00:00Z"},
        entity_type={"S": "session"},
        session_id={"N": "7"},
        student_id={"S": "a b/c"},
        experimental_condition={"S": "L1"},
        timeline={"M": {"session_start": {"S": "yesterday"}, "session_end": {"NULL": True}}},
        completion_status={"L": [{"M": {}}, {"S": "x"}]},
        state={"S": "<script>alert(1)</script>"},
        metadata={"M": {"data_quality_flags": {"SS": ["resumed"]}, "version": {"B": b"\x00\xff"}}},
        shoe_size={"N": "41.5"},
    )
    response = item(admin, "session", "SESSION#odd", "METADATA")
    page = text(response)
    assert response.status_code == 200
    for fault in (
        "session_id should be a text",
        "experimental_condition should be a map",
        "timeline.session_start should be a timestamp",
        "metadata.version should be a whole number",
        "metadata.data_quality_flags should be a list of texts",
        "metadata.created_at is missing",
        "student_metadata is missing",
        "state is not one of running",
    ):
        assert fault in page, fault
    assert "shoe_size" in page
    assert "41.5" not in page  # no rule names it
    assert "<script>alert" not in response.content.decode()
    listed = admin.get("/records/session/?source=place&place=home")
    assert keys_of(rows(listed)) == ["SESSION#odd"]
    assert "other format" in text(listed)


@pytest.mark.parametrize("kind", [{"S": "eye_tracking"}, {"N": "3"}, None])
def test_of_an_unknown_entity_only_the_names_are_shown_and_to_admins_alone(
    admin: Client, put: Callable[..., None], kind: dict[str, str] | None
) -> None:
    stranger: dict[str, Any] = {"PK": {"S": "SESSION#x"}, "SK": {"S": "EYES"}, "gaze": {"L": [{"N": "0.5"}]}}
    stranger |= {"GSI3PK": {"S": "LOCATION#home"}, "GSI3SK": {"S": "2026"}}
    put(**stranger, **({"entity_type": kind} if kind else {}))
    (address,) = rows(admin.get("/records/partition/", {"pk": "SESSION#x"}))
    page = text(admin.get(address))
    assert "is not part of this project" in page or "has no entity type" in page
    assert "gaze" in page
    assert "0.5" not in page
    assert rows(admin.get("/records/session/?source=place&place=home")) == [address]
    researcher = signed_in("researcher")
    assert researcher.get(address).status_code == 403
    assert item(researcher, "session", "SESSION#x", "EYES").status_code == 403
    listed = researcher.get("/records/session/?source=place&place=home")
    assert listed.status_code == 200
    assert rows(listed) == []


# --- who may see what


def verification() -> dict[str, Any]:
    return {
        "PK": {"S": "SESSION#v"},
        "SK": {"S": "LOCATION_VERIFICATION"},
        "entity_type": {"S": "location_verification"},
        "session_id": {"S": "v"},
        "gps_data": {
            "M": {"latitude": {"N": "37.5356"}, "longitude": {"N": "-77.4453"}, "accuracy_meters": {"N": "8"}}
        },
        "device_info": {"M": {"os": {"S": "iOS"}, "user_agent": {"S": "Mozilla/5.0"}}},
        "metadata": {"M": {"ip_address": {"S": "10.1.2.0"}, "session_token_sha256": {"S": "f" * 64}}},
    }


def test_a_researcher_sees_no_position_address_or_token(admin: Client, put: Callable[..., None]) -> None:
    put(**verification())
    seen = text(item(signed_in("researcher"), "location_verification", "SESSION#v", "LOCATION_VERIFICATION"))
    assert [secret for secret in SECRETS if secret in seen] == []
    assert "Not shown to your role" in seen
    assert "accuracy_meters" in seen
    assert "gps_data.latitude is missing" not in seen
    whole_page = text(item(admin, "location_verification", "SESSION#v", "LOCATION_VERIFICATION"))
    assert [secret for secret in SECRETS if secret not in whole_page] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"gps_data": {"S": "37.5356,-77.4453"}},
        {"gps_data": {"L": [{"N": "37.5356"}, {"N": "-77.4453"}]}},
        {"places": {"L": [{"M": {"latitude": {"N": "37.5356"}}}]}},
        {"metadata": {"S": "10.1.2.0"}},
        {"entity_type": {"S": "session"}},
    ],
)
def test_what_is_hidden_is_hidden_in_whatever_form_it_is_stored(
    table: str, put: Callable[..., None], changes: dict[str, Any]
) -> None:
    put(**{**verification(), **changes})
    name = changes.get("entity_type", {"S": "location_verification"})["S"]
    response = item(signed_in("researcher"), name, "SESSION#v", "LOCATION_VERIFICATION")
    assert response.status_code == 200
    assert [secret for secret in SECRETS if secret in text(response)] == []


def test_a_researcher_sees_no_school_and_none_is_ever_in_an_address(admin: Client) -> None:
    student = enrol()
    school_id = keys.school_id(SCHOOL)
    entry = (keys.STUDENT_DIRECTORY, student.student_code)
    profile = (student.PK, keys.PROFILE)
    for role in ("researcher", "irb"):
        reader = signed_in(role)
        responses = (
            reader.get("/records/student_directory_entry/"),
            item(reader, "student_directory_entry", *entry),
            item(reader, "student_profile", *profile),
        )
        for response in responses:
            assert response.status_code == 200
            assert (SCHOOL in text(response)) == (role == "irb" and response is not responses[0])
            assert school_id not in text(response)
    shown_to_admin = item(admin, "student_directory_entry", *entry)
    assert SCHOOL in text(shown_to_admin)
    listed = admin.get("/records/partition/", {"pk": keys.SCHOOL_DIRECTORY})
    for response in (shown_to_admin, listed, item(admin, "student_profile", *profile)):
        assert [link for link in links(response) if school_id in link or "Fall" in link] == []
    assert item(admin, "other", keys.SCHOOL_DIRECTORY, school_id).status_code == 403


def test_the_irb_sees_consent_and_nothing_of_sessions(table: str) -> None:
    run = whole()
    irb = signed_in("irb")
    assert {urlsplit(link).path for link in links(irb.get("/records/")) if link.startswith("/records/")} == {
        "/records/find/",
        "/records/consent_event/",
        "/records/roster/",
        "/records/student_directory_entry/",
        "/records/student_profile/",
    } - {"/records/find/"}
    assert irb.get("/records/session/").status_code == 403
    for record in Session.whole(run.id):
        assert item(irb, "consent_event", record.PK, record.SK).status_code == 403
        assert item(irb, "other", record.PK, record.SK).status_code == 403
    partition = irb.get("/records/partition/", {"pk": run.session.PK})
    assert rows(partition) == []
    assert "not open to your role" in text(partition)
    assert "ASSESSMENT" not in text(partition)
    found = irb.get("/records/find/", {"q": run.id})
    assert "No matching record" in text(found)


def test_the_irb_reads_the_history_of_consent_but_not_how_somebody_learns(table: str) -> None:
    student = enrol()
    irb = signed_in("irb")
    events = irb.get("/records/consent_event/", {"student": student.student_id})
    assert len(rows(events)) == 2
    assert all(irb.get(address).status_code == 200 for address in rows(events))
    profile = item(irb, "student_profile", student.PK, keys.PROFILE)
    assert "consent_data" in text(profile)
    assert "learning_style" not in text(profile)
    assert [link for link in links(profile) if link.startswith(("/sessions/", "/students/"))] == []


def test_a_facilitator_has_no_business_here(table: str) -> None:
    facilitator = signed_in("facilitator")
    for address in ("", "session/", "partition/?pk=x", "find/?q=x", "session/item/?pk=x&sk=y"):
        assert facilitator.get(f"/records/{address}").status_code == 403
    assert 'href="/records/"' not in text(facilitator.get("/"))


@pytest.mark.parametrize("role", ["researcher", "irb", "admin"])
def test_the_way_to_the_records_is_on_every_page_of_those_they_are_for(table: str, role: str) -> None:
    assert 'href="/records/"' in text(signed_in(role).get("/records/"))


def test_a_signed_out_reader_is_led_to_the_login(table: str, client: Client) -> None:
    response = client.get("/records/session/")
    assert response.status_code == 302
    assert response["Location"].startswith("/login/")


# --- past the pages


def test_plain_json_keeps_what_was_stored() -> None:
    raw: dict[str, Any] = {
        "a": {"N": "37.5356"},
        "b": {"NS": ["1", "2"]},
        "c": {"B": b"\x00\xff"},
        "d": {"NULL": True},
        "e": {"M": {"f": {"L": [{"BOOL": False}, {"BS": [b"x"]}]}}},
    }
    assert json.loads(raw_items.plain_json(raw)) == {
        "a": 37.5356,
        "b": [1, 2],
        "c": "AP8=",
        "d": None,
        "e": {"f": [False, ["eA=="]]},
    }


def test_a_student_in_the_table_is_not_touched_by_looking(admin: Client) -> None:
    student = enrol()
    before = Student.by_id(student.student_id).serialize()
    item(admin, "student_profile", student.PK, keys.PROFILE)
    assert Student.by_id(student.student_id).serialize() == before
