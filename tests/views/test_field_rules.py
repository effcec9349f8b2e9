"""Canaries in every text of every entity: pages and files of each role are crawled for denied ones."""

from __future__ import annotations

import io
import itertools
import re
from collections import deque
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from django.test import Client

from analytics_app.records import presentation as records
from sessions_app import study
from sessions_app.access import field_policy
from sessions_app.access.field_policy import Rule
from sessions_app.access.roles import ROLES
from sessions_app.dictionary import model_attributes
from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.grading import automated as automated_scoring
from sessions_app.domain.models import GradingTask, Item, connection
from sessions_app.domain.session import messages as session_messages
from sessions_app.domain.session import start as session_start
from sessions_app.domain.store import keys
from sessions_app.domain.tutor.scripted import ScriptedTutor
from support.cast import belong, signed_in
from tests.analytics.export.participants import built
from tests.domain.cast import GPS, PACKAGE, Participant, enrol

pytestmark = pytest.mark.django_db

SCHOOL = "Zinnia Ridge Academy"
POSITION = {**GPS, "latitude": 37.5391, "longitude": -77.4429}
NETWORK = "203.0.113.0/24"
SCORE = "13.37"
MAX_PAGES = 250
KINDS = ("session", "student_profile")
"""What the address calls an item: one for researchers, one for the board too; what it is decides."""
LOOKED_UP = {
    *("session_id", "student_id", "student_code", "question_id", "content_id", "condition_code", "site"),
    *("facilitator", "kind", "answers[].question", "entry_key", "first_day", "last_day"),
}
"""Attributes that pages find other items by; they keep their values."""
NATURAL = {
    SCHOOL: ("student_profile", "demographics.school"),
    str(POSITION["latitude"]): ("location_verification", "gps_data.latitude"),
    str(POSITION["longitude"]).lstrip("-"): ("location_verification", "gps_data.longitude"),
    NETWORK.partition("/")[0]: ("location_verification", "metadata.ip_address"),
}
UNKNOWN = ("no rule", "")


@pytest.fixture(scope="module")
def table(lasting_table: str) -> str:
    return lasting_table


Canaries = dict[str, tuple[str, str]]
"""The attribute that each was planted in."""
Planted = tuple[Participant, Canaries]
PLANTED: dict[str, Planted] = {}
"""By table: planting takes longer than a crawl."""


@pytest.fixture
def planted(table: str) -> Planted:
    if table not in PLANTED:
        walker, canaries = walked(), Canaries(NATURAL)
        scan = connection().client.get_paginator("scan").paginate(TableName=table)
        items = [item for page in scan for item in page["Items"]]
        present = {item["entity_type"]["S"] for item in items}
        items += [made_up(entity) for entity in sorted(set(model_attributes.entities()) - present)]
        for item in items:
            plant(item, item["entity_type"]["S"], "", canaries)
            connection().client.put_item(TableName=table, Item=item)
        PLANTED[table] = (walker, canaries)
    return PLANTED[table]


def walked() -> Participant:
    """A session of today, from the enrolment to the last score, with calls, a link and an audit entry."""
    verified = session_start.Verified(
        method="GPS",
        confidence="high",
        gps=POSITION,
        network=NETWORK,
        device={"device_type": "tablet", "os": "BeOS", "browser": "NetPositive", "user_agent": "Netscape"},
    )
    about = {"age": 16, "grade_level": 10, "school": SCHOOL, "richmond_resident": True}
    student = enrol(now=study.now(), demographics=about)
    walker = Participant.in_condition("L1-I3-D", student=student, verified=verified, now=study.now())
    walker.now = study.now()
    session_messages.send_note(
        walker.run, text="Take your time", by=Actor("a-admin", "admin"), now=study.now()
    )
    walker.walk()
    for task in [each for each in Item.query(keys.GRADING_QUEUE) if isinstance(each, GradingTask)]:
        automated_scoring.work(task, package=PACKAGE, tutor=ScriptedTutor(), now=study.now())
    audit_log.record(
        "score.give",
        by=Actor("gail", "researcher"),
        now=study.now(),
        student_id=student.student_id,
        session_id=walker.run.id,
        subject="final/10, first score",
        new={"evidence": SCORE},
    )
    return walker


def made_up(entity: str) -> dict[str, Any]:
    """An item of an entity that the walk leaves none of, with all its texts and no more."""
    item: dict[str, Any] = {
        "PK": {"S": keys.session("made-up")},
        "SK": {"S": f"ZZ#{entity}"},
        "entity_type": {"S": entity},
    }
    for path in free_texts(entity):
        container = item
        *parents, name = path.split(".")
        for parent in parents:
            is_list = parent.endswith("[]")
            inner = {"L": [{"M": {}}]} if is_list else {"M": {}}
            held = container.setdefault(parent.removesuffix("[]"), inner)
            container = held["L"][0]["M"] if is_list else held["M"]
        container[name] = {"S": "-"}
    return item


def free_texts(entity: str) -> list[str]:
    rows = records.book(entity).values()
    return [
        row.path
        for row in rows
        if row.kind == "text" and not row.allowed.startswith("`") and is_free(row.path)
    ]


def plant(container: dict[str, Any], entity: str, prefix: str, canaries: Canaries) -> None:
    """In each free text a canary of its own; an unknown text and an unknown map beside it, at every depth."""
    for name, value in container.items():
        path = f"{prefix}{name}"
        if path in records._containers(entity):
            for inner in [value["M"]] if "M" in value else [each["M"] for each in value["L"]]:
                plant(inner, entity, f"{path}{'' if 'M' in value else '[]'}.", canaries)
    for path in free_texts(entity):
        parent, _, name = path.rpartition(".")
        if f"{parent}." == prefix or parent == prefix == "":
            container[name] = {"S": canary(canaries, (entity, path))}
    container["zz_text"] = {"S": canary(canaries, UNKNOWN)}
    container["zz_map"] = {"M": {"deep": {"M": {"deeper": {"S": canary(canaries, UNKNOWN)}}}}}


def is_free(path: str) -> bool:
    kept = LOOKED_UP | records.COMMON | {"school", "ip_address"}
    return path not in kept and path.rpartition(".")[2] not in kept


NUMBERS = itertools.count(1000)


def canary(canaries: Canaries, attribute: tuple[str, str]) -> str:
    word = f"zq{next(NUMBERS)}qz"
    canaries[word] = attribute
    return word


# --- the crawl


def crawled(client: Client, *starts: str) -> dict[str, str]:
    """Every page that links lead to, by address; what differs by a cursor or a day alone is opened once."""
    waiting, found, shapes = deque(starts), dict[str, str](), set[str]()
    while waiting and len(found) < MAX_PAGES:
        address = waiting.popleft()
        shape = re.sub(r"cursor=[^&]*|\b20\d\d-\d\d(-\d\d)?", "", address)
        if shape in shapes or address.startswith(("/static", "/admin", "/logout", "/run/")):
            continue
        shapes.add(shape)
        answer: Any = client.get(address)
        if answer.status_code in (301, 302):
            waiting.append(urljoin(address, answer["Location"]))
            continue
        assert answer.status_code < 500, address
        if answer.status_code != 200:
            continue
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content
        found[address] = unescape(content.decode(errors="replace"))
        if answer["Content-Type"].startswith("text/html"):
            links = re.findall(r'(?:href|src)="([^"#]+)', found[address])
            parts = (urlsplit(urljoin(address, link)) for link in links if not link.startswith("data:"))
            waiting += [f"{each.path}?{each.query}".rstrip("?") for each in parts if not each.netloc]
    return found


def starts_of(walker: Participant) -> list[str]:
    """What no link of the home page may lead to, but an address that somebody keeps."""
    student, session = walker.run.session.student_id, walker.run.id
    partitions = (keys.session(session), keys.student(student), keys.GRADING_QUEUE, keys.session("made-up"))
    scan = connection().client.get_paginator("scan").paginate(TableName=Item.Meta.table_name)
    every = [(item["PK"]["S"], item["SK"]["S"]) for page in scan for item in page["Items"]]
    return [
        "/",
        f"/students/{student}/",
        f"/students/{student}/withdraw/",
        f"/consent/{student}/",
        f"/consent/{student}/certificate/",
        "/consent/export.csv",
        f"/sessions/{session}/",
        f"/dashboards/students/{student}/",
        *(f"/records/partition/?{urlencode({'pk': pk})}" for pk in partitions),
        *(f"/records/find/?q={word}" for word in (session, student)),
        *(f"/records/{kind}/item/?{urlencode({'pk': pk, 'sk': sk})}" for pk, sk in every for kind in KINDS),
    ]


def reader(role: str) -> Client:
    client = signed_in(role)
    if role == "facilitator":
        belong(client.get("/").wsgi_request.user, SCHOOL)  # type: ignore[arg-type]
    return client


def denied(canaries: Canaries, role: str) -> set[str]:
    roles = frozenset({role})
    return {word for word, attribute in canaries.items() if not field_policy.sees(roles, *attribute)}


def leaks(pages: dict[str, str], words: set[str]) -> Iterator[tuple[str, str]]:
    for address, text in pages.items():
        found = {word for word in re.findall(r"zq\d+qz", text) if word in words}
        found |= {word for word in words & NATURAL.keys() if word in text}
        yield from ((address, word) for word in sorted(found))


MIN_SEEN = {"facilitator": (18, 50), "researcher": (80, 100), "irb": (15, 20), "admin": (100, 150)}
"""Pages and canaries that each role finds at least."""


@pytest.mark.parametrize("role", ROLES)
def test_each_role_finds_what_the_policy_lets_it_see_and_nothing_else(role: str, planted: Planted) -> None:
    walker, canaries = planted
    pages = crawled(reader(role), *starts_of(walker))
    words = denied(canaries, role)
    found = [(address, word, canaries[word]) for address, word in leaks(pages, words)]
    assert found == []
    seen = {word for _, word in leaks(pages, set(canaries) - words)}
    print(f"{role}: {len(pages)} pages, {len(seen)} of {len(canaries)} canaries seen, {len(words)} denied")
    assert (len(pages) >= MIN_SEEN[role][0], len(seen) >= MIN_SEEN[role][1]) == (True, True)
    if role != "admin":
        assert [address for address, text in pages.items() if SCORE in text] == []


@pytest.mark.parametrize(
    ("role", "attribute", "start"),
    [
        ("researcher", ("student_profile", "demographics.school"), "/students/{student}/"),
        ("researcher", ("location_verification", "device_info.user_agent"), "/records/session/item/?{place}"),
    ],
)
def test_a_loosened_rule_is_found(
    role: str, attribute: tuple[str, str], start: str, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The crawl can fail: with one more role in a rule, pages show what they must not."""
    walker, canaries = planted
    words = denied(canaries, role)
    place = urlencode({"pk": walker.run.session.PK, "sk": keys.LOCATION_VERIFICATION})
    address = start.format(student=walker.run.session.student_id, place=place)
    assert list(leaks(crawled_once(role, address), words)) == []
    entity, path = attribute
    rule = field_policy.rule(entity, path)
    loose = {**field_policy.RULES[entity], path: Rule(rule.roles | {role}, rule.exports)}
    monkeypatch.setattr(field_policy, "RULES", {**field_policy.RULES, entity: loose})
    assert {canaries[word] for _, word in leaks(crawled_once(role, address), words)} == {attribute}


def crawled_once(role: str, address: str) -> dict[str, str]:
    response: Any = reader(role).get(address, follow=True)
    return {address: unescape(response.content.decode())}


@pytest.mark.parametrize("profile", ["coded", "full"])
def test_an_export_holds_what_the_policy_lets_its_profile_carry(
    profile: str, planted: Planted, settings: Any, tmp_path: Path
) -> None:
    settings.EXPORT_UNREVIEWED = True
    _, canaries = planted
    made, files = built(tmp_path, profile=profile)
    assert made.sessions == 1
    texts = {name: content.decode() for name, content in files.items() if not name.endswith(".parquet")}
    parquet = {name: content for name, content in files.items() if name.endswith(".parquet")}
    texts |= {name: str(pq.read_table(io.BytesIO(content)).to_pylist()) for name, content in parquet.items()}
    words = {word for word, at in canaries.items() if profile not in field_policy.rule(*at).exports}
    assert [(name, canaries[word]) for name, word in leaks(texts, words)] == []
    assert len({word for _, word in leaks(texts, set(canaries) - words)}) > 10
