"""The records: every entity declared, every list one query, every cursor and argument checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from itertools import chain
from typing import Any
from urllib.parse import unquote

import boto3
import pytest
from django.test import Client

from analytics_app.records import presentation, raw_items
from analytics_app.records.declarations import EVERYWHERE, Source
from analytics_app.records.entities import BY_NAME, ENTITIES, LEFT_OUT
from analytics_app.views.records import CONSENT_RECORDS
from sessions_app.dictionary import model_attributes
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from socratic_site.local.dynamodb_local import REGION, Engine
from support.cast import signed_in
from tests.analytics.record_pages import keys_of, links, rows, text, whole
from tests.domain.cast import NOON, enrol, start_in

pytestmark = pytest.mark.django_db

OF_NOBODY = (
    "condition_statistics",
    "condition_month",
    "day_counts",
    "allocation_tally",
    "stream_checkpoint",
)
READS = {"Query", "GetItem", "BatchGetItem"}


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


def pages(client: Client, path: str, query: str) -> Iterator[list[str]]:
    address = f"{path}?{query}"
    while address:
        response = client.get(address)
        assert response.status_code == 200
        yield keys_of(rows(response))
        following = re.search(r'href="([^"]*)" rel="next"', response.content.decode())
        address = f"{path}{unescape(following[1])}" if following else ""


# --- what is declared


def test_every_entity_is_declared_or_left_out_by_name() -> None:
    assert {*BY_NAME} | LEFT_OUT == set(model_attributes.entities())
    assert not {*BY_NAME} & LEFT_OUT
    assert len(BY_NAME) == len(ENTITIES)


def test_an_entity_is_in_no_other_ones_address() -> None:
    assert not {"find", "partition", "other"} & set(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_columns_and_links_lead_somewhere(name: str) -> None:
    entity = BY_NAME[name]
    paths = set(presentation.book(name))
    assert {column.path for column in entity.columns} <= paths
    assert [column.link for column in entity.columns].count(True) == 1
    assert {related.path for related in (*entity.related, *entity.actions)} <= paths
    for related in (*EVERYWHERE, *entity.related):
        target = BY_NAME[related.entity]
        source = target.source(related.source)
        assert related.key or (source is not None and len(source.fields) == 1)


# --- cost


def arguments(source: Source, run: Run) -> dict[str, str]:
    student = run.session.student_id
    told = {
        "session": run.id,
        "student": student,
        "code": run.session.student_code[:3],
        "worker": "statistics",
    }
    fixed = {
        "day": f"{run.session.start:%Y-%m-%d}",
        "condition": "L1-I2-D",
        "place": "on-site",
        "type": "dynamic",
    }
    told |= fixed | {"state": "complete", "start": "2026-01-01", "end": "", "month": "", "kind": "short"}
    return {"source": source.name, **{name: told[name] for name in source.fields}}


def test_every_list_is_one_query_and_every_item_one_get(admin: Client, requests_made: list[str]) -> None:
    run = whole()
    filled = set()
    for entity in ENTITIES:
        for source in entity.sources:
            requests_made.clear()
            response = admin.get(f"/records/{entity.name}/", arguments(source, run))
            assert response.status_code == 200, (entity.name, source.name)
            told = ["PutItem"] if entity.name in CONSENT_RECORDS and rows(response) else []  # the audit entry
            assert requests_made == ["Query", *told], (entity.name, source.name)
            audited = [] if entity.name in OF_NOBODY else ["PutItem"]
            for address in rows(response):
                filled.add((entity.name, source.name))
                requests_made.clear()
                opened = admin.get(address)
                assert opened.status_code == 200
                assert requests_made == ["GetItem", *audited]
                assert "do not fit" not in text(opened), address
    assert {name for name, _ in filled} >= {
        "session",
        "intervention",
        "assessment",
        "post_survey",
        "allocation",
    }
    assert {source for name, source in filled if name == "session"} == {
        "day",
        "condition",
        "student",
        "place",
        "type",
    }
    assert {source for name, source in filled if name == "student_directory_entry"} == {
        "newest",
        "state",
        "code",
    }


def test_every_link_of_every_item_opens(admin: Client) -> None:
    run = whole()
    partition = admin.get("/records/partition/", {"pk": keys.session(run.id)})
    addresses = {link for address in rows(partition) for link in links(admin.get(address))}
    addresses = {address for address in addresses if address.startswith("/")}
    assert any(address.startswith("/sessions/") for address in addresses)
    assert any("student_profile" in address for address in addresses)
    assert {address: admin.get(address).status_code for address in addresses} == dict.fromkeys(addresses, 200)


def test_no_page_scans_or_writes_but_to_the_audit_log(admin: Client, requests_made: list[str]) -> None:
    run = whole()
    requests_made.clear()
    admin.get("/records/")
    assert requests_made == []
    for address in rows(admin.get("/records/partition/", {"pk": keys.session(run.id)})):
        admin.get(address)
    admin.get("/records/find/", {"q": run.id}, follow=True)
    assert set(requests_made) == {*READS, "PutItem"}


# --- lists


def begun(count: int, code: str = "L4-I3-S") -> list[str]:
    return [start_in(code, now=NOON + n * timedelta(minutes=7)).session.PK for n in range(count)]


@pytest.mark.parametrize("query", ["source=place&place=home", "source=type&type=static", "day=2026-03-03"])
def test_cursors_walk_through_a_list_in_both_directions(admin: Client, query: str) -> None:
    oldest = begun(raw_items.SIZE + 3)
    for order, expected in (("up", oldest), ("down", oldest[::-1])):
        found = list(pages(admin, "/records/session/", f"{query}&order={order}"))
        assert [*chain.from_iterable(found)] == expected
        assert max(map(len, found)) <= raw_items.SIZE


def test_a_filtered_list_may_have_short_pages_but_lacks_nothing(
    admin: Client, put: Callable[..., None], requests_made: list[str]
) -> None:
    wanted = begun(3, "L4-I3-D")
    for n in range(130):  # more than one page reads
        at = {"S": f"2026-03-03T19:{n // 60:02}:{n % 60:02}Z"}
        put(
            PK={"S": f"SESSION#other-{n}"},
            SK={"S": "INTERVENTION#x"},
            entity_type={"S": "intervention"},
            GSI4PK={"S": "INTERVENTION#dynamic"},
            GSI4SK=at,
        )
    requests_made.clear()
    found = list(pages(admin, "/records/session/", "source=type&type=dynamic"))
    assert found[0] == []
    assert [*chain.from_iterable(found)] == wanted[::-1]
    assert requests_made == ["Query"] * len(found)


def test_a_range_of_days_includes_both_ends(admin: Client) -> None:
    run = whole()
    day = run.interventions[2].intervention_metadata.timestamp.date()
    one = timedelta(days=1)

    def count(start: Any, end: Any) -> int:
        sent = {"source": "type", "type": "dynamic", "start": str(start), "end": str(end)}
        return len(rows(admin.get("/records/intervention/", sent)))

    assert count(day, day) == 2
    assert count(day - one, "") == 2
    assert count(day - one, day - one) == count(day + one, day + one) == 0


def test_a_cursor_that_is_changed_or_of_another_list_is_refused(admin: Client) -> None:
    begun(raw_items.SIZE + 1)
    page = admin.get("/records/session/?source=place&place=home").content.decode()
    cursor = unquote(re.findall(r"cursor=([^\"&]*)", page)[0])
    for sent in (
        {"source": "place", "place": "home", "cursor": cursor[:-1]},
        {"source": "place", "place": "on-site", "cursor": cursor},
        {"source": "place", "place": "home", "order": "up", "cursor": cursor},
        {"source": "type", "type": "static", "cursor": cursor},
        {"day": "2026-03-03", "cursor": "nonsense"},
    ):
        response = admin.get("/records/session/", sent)
        assert response.status_code == 400, sent
        assert "This link is incomplete" in text(response)
    assert admin.get("/records/partition/", {"pk": "SESSION#x", "cursor": cursor}).status_code == 400


@pytest.mark.parametrize(
    "address",
    [
        "session/?day=2026-13-01",
        "session/?day=0001-01-01",
        "session/?day=%3Cscript%3E",
        "session/?order=sideways",
        "session/?source=place&place=the-moon",
        "session/?source=condition&condition=L9-I1-D",
        "session/?source=student&student=a%23b",
        "session/?source=student&student=%00",
        "session/?source=student&student=" + "x" * 999,
        "intervention/?type=both",
        "intervention/?start=2026-03-05&end=2026-03-04",
        "student_directory_entry/?source=state&state=happy",
        "student_directory_entry/?source=code&code=UPPER",
        "condition_month/?month=2026-13",
        "assessment/?session=../x",
    ],
)
def test_a_wrong_value_is_told_at_its_field_and_nothing_is_asked(
    admin: Client, requests_made: list[str], address: str
) -> None:
    response = admin.get(f"/records/{address}")
    assert response.status_code == 200
    assert 'class="error"' in response.content.decode()
    assert "<script>" not in response.content.decode()
    assert requests_made == []


@pytest.mark.parametrize(
    "address",
    [
        "planets/",
        "school/",
        "other/",
        "session/?source=colour",
        "planets/item/?pk=SESSION%23x&sk=METADATA",
        "session/item/",
        "session/item/?pk=SESSION%23x",
        "session/item/?pk=SESSION%23x&sk=METADATA",
        "session/item/?pk=" + "x" * 2049 + "&sk=METADATA",
        "session/item/?pk=x&sk=" + "%C3%A9" * 513,
        "session/item/?pk=%00&sk=%FF",
        "partition/",
        "partition/?pk=" + "x" * 2049,
    ],
)
def test_what_there_is_not_is_not_found(admin: Client, address: str) -> None:
    assert admin.get(f"/records/{address}").status_code == 404


def test_a_list_that_needs_an_id_asks_for_it_first(admin: Client, requests_made: list[str]) -> None:
    page = text(admin.get("/records/assessment/"))
    assert "Fill in the field" in page
    assert 'class="error"' not in page
    assert requests_made == []


def test_an_empty_list_says_so(admin: Client) -> None:
    assert "Nothing here" in text(admin.get("/records/grading_task/"))


# --- the search


def test_ids_codes_and_keys_are_found_with_one_request(admin: Client, requests_made: list[str]) -> None:
    student = enrol()
    run = start_in("L4-I2-D", student, now=NOON)
    sought = {
        run.id: ("session", "BatchGetItem"),
        f"  {run.id.upper()} ": ("session", "BatchGetItem"),
        student.student_id: ("student_profile", "BatchGetItem"),
        student.student_code: ("student_directory_entry", "BatchGetItem"),
        student.student_code.replace("-", " ").title(): ("student_directory_entry", "BatchGetItem"),
        f"{run.session.PK}  METADATA": ("session", "GetItem"),
    }
    for text_sought, (entity, request) in sought.items():
        requests_made.clear()
        response = admin.get("/records/find/", {"q": text_sought})
        assert response.status_code == 302, text_sought
        assert response["Location"].startswith(f"/records/{entity}/item/")
        assert requests_made == [request]
    assert admin.get("/records/find/", {"q": run.session.PK})["Location"].startswith("/records/partition/")


@pytest.mark.parametrize(
    "sought",
    ["", "nobody-1", "x" * 3000, "#", "SESSION#none METADATA", "\x00", "<b>", "a#" + "é" * 2000, "# #"],
)
def test_a_search_that_finds_nothing_says_so_at_its_field(admin: Client, sought: str) -> None:
    response = admin.get("/records/find/", {"q": sought}, follow=True)
    assert response.status_code in (200, 404)
    if response.status_code == 200 and not response.redirect_chain:
        assert 'id="id_q_error"' in response.content.decode()
    assert "<b>" not in response.content.decode()
