"""What pages say of items that other clients wrote: the good rows stand, the others are named."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from sessions_app.domain import adoption
from sessions_app.domain.store import keys
from support.cast import signed_in
from tests.domain.cast import NOON
from tests.foreign import kinds

pytestmark = pytest.mark.django_db

Odd = dict[str, list[kinds.Typed]]

UNREADABLE = {
    "interval75": "L1-I4-D (7.5 minutes) is no condition of the study",
    "no_timeline": "timeline.session_start is missing",
    "space_id": "has characters that an id may not have",
    "dot_id": "has characters that an id may not have",
    "slash_id": "has characters that an id may not have",
    "long_id": "has characters that an id may not have",
    "unknown_entity": "entity_type 'sesion' is unknown",
    "no_entity_type": "entity_type is missing",
    "contradiction": "experimental_condition does not agree with its code L4-I3-S",
    "interval_in_words": "experimental_condition.condition_code is missing",
}


@pytest.fixture
def client() -> Client:
    return signed_in("admin")


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return re.sub(r"\s+", " ", unescape(answer.content.decode()))


def all_pages(client: Client, address: str) -> str:
    """A list to its end."""
    found, text = "", text_of(client, address)
    while True:
        found += text
        older = re.search(r'href="(\?[^"]*cursor=[^"]*)"[^>]*>\s*Older', text)
        older = older or re.search(r'href="(\?[^"]*cursor=[^"]*)"', text)
        if older is None:
            return found
        text = text_of(client, f"{address.split('?')[0]}{older[1]}")


def id_of(items: list[kinds.Typed]) -> str:
    return str(next(item for item in items if item["SK"]["S"] == "METADATA")["PK"]["S"]).partition("#")[2]


def test_the_list_of_sessions_has_every_one_as_a_row_or_by_name(client: Client, populated: Odd) -> None:
    text = all_pages(client, f"/sessions/?day={kinds.today()}")
    named = {name: items for name, items in populated.items() if ", " not in name}
    for name, items in named.items():
        if name in UNREADABLE:
            assert UNREADABLE[name] in text, name
            assert f'href="/sessions/{id_of(items)}/"' not in text, name
        else:
            assert f'href="/sessions/{id_of(items)}/"' in text, name
    assert text.count("Cannot be read.") >= len(UNREADABLE)


def test_facilitators_have_no_link_to_raw_records(populated: Odd) -> None:
    text = text_of(signed_in("facilitator"), f"/sessions/?day={kinds.today()}")
    assert "Raw record" not in text


def test_a_session_that_cannot_be_read_has_a_page_that_says_why(client: Client, populated: Odd) -> None:
    text = text_of(client, f"/sessions/{id_of(populated['no_timeline'])}/")
    assert UNREADABLE["no_timeline"] in text
    assert "Raw record" in text


SESSION_PAGES: dict[str, list[str]] = {
    "seed_shaped": ["63.3%", "93.3%", "+30.0"],
    "plus00": ["L1-I3-D", "93.3%"],
    "naive_updated": ["naive timestamp", "93.3%", "has no time zone and is read as UTC"],
    "running_naive_updated": ["naive timestamp", "running"],
    "null_few": ["63.3%", "93.3%", "location_experience.location_impact_rating", "is NULL"],
    "strings_for_numbers": ["93.3%", "is the text '93.3', read as a number", "16 years"],
    "duplicates": ["duplicate", "93.3%", "Stored, but not counted", "final assessment", ": 50.0%"],
    "no_code": ["L1-I1-D", "93.3%"],
    "bad_index_stamp": ["93.3%"],
    "no_student_id": ["93.3%", "is taken from the key"],
    "score_101": ["63.3%", "is 100.4, which is not from 0 to 100"],
    "null_maps": ["completion_status", "is NULL"],
    "null_assessment_metadata": ["assessment_metadata.type is missing", "93.3%"],
    "null_intervention_metadata": ["intervention_metadata.segment_id is missing", "93.3%"],
    "unknown_part": ["entity_type 'exit_poll' is unknown", "entity_type is missing", "93.3%"],
    "midpoint": ["midpoint", "Stored, but not counted"],
    "casing": ["93.3%", "'ON_SITE', read as on-site"],
    "final_completed": ["is stored as final_completed"],
    "sets": ["late sync", "resumed"],
    "odd_elements": ["questions[2]", "is text, not a map"],
}


def test_session_pages_say_what_is_right(client: Client, populated: Odd) -> None:
    lacking = []
    for name, phrases in SESSION_PAGES.items():
        text = text_of(client, f"/sessions/{id_of(populated[name])}/")
        lacking += [(name, phrase) for phrase in phrases if phrase not in text]
    assert lacking == []


def test_a_score_outside_the_scale_is_no_score(client: Client, populated: Odd) -> None:
    text = text_of(client, f"/sessions/{id_of(populated['score_101'])}/")
    learning = text.split('id="learning"')[1].split("</section>")[0]
    assert "63.3%" in learning
    assert "100.4" not in learning
    assert "93.3" not in learning


def test_the_monitor_names_what_it_cannot_read(client: Client, moto_table: Any) -> None:
    good = kinds.from_file()["running_naive_updated"]
    odd = kinds.fresh()
    session = kinds.part(odd, "session")
    kinds.put(session, "timeline", None)
    for item in (session, kinds.part(good, "session")):
        kinds.put(item, "state", {"S": "running"})
        kinds.put(item, "completion_status.completed", {"BOOL": False})
    for item in (*good, *odd):
        moto_table.put_item(TableName="Foreign", Item=item)
    text = text_of(client, "/monitor/")
    assert f'href="/sessions/{id_of(good)}/"' in text
    assert UNREADABLE["no_timeline"] in text


def test_students_of_other_clients_are_listed_once_adopted(client: Client, populated: Odd) -> None:
    student_id = kinds.part(populated["seed_shaped"], "student_profile")["student_id"]["S"]
    assert f"/students/{student_id}/" not in all_pages(client, "/students/")
    adoption.adopt(student_id, now=NOON)
    text = all_pages(client, "/students/")
    assert f"/students/{student_id}/" in text
    assert "Cannot be read." in text  # the wrecks of a directory entry are named beside it
    assert keys.school_id("Foreign High") in text_of(client, "/students/?by=school")
