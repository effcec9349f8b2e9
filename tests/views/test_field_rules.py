"""What a role may not see is planted in a whole session, and looked for on every page that links lead to."""

from __future__ import annotations

import re
from collections import deque
from html import unescape
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import pytest
from django.test import Client

from sessions_app import study
from sessions_app.domain import audit, grading, keys, starting
from sessions_app.domain.audit import Actor
from sessions_app.domain.models import GradingTask, Item
from sessions_app.domain.tutor.scripted import ScriptedTutor
from tests.domain.cast import GPS, PACKAGE, Participant, enrol
from tests.journeys.cast import signed_in

pytestmark = pytest.mark.django_db

ANSWER = "quokkas built the waterwheels by moonlight"
POSITION = {**GPS, "latitude": 37.5391, "longitude": -77.4429}
NETWORK = "203.0.113.0"
DEVICE = "Netscape Navigator 4.79"
SCORE = "13.37"

MOST_PAGES = 150
KINDS = ("session", "student_profile")
"""What the address calls an item: one for researchers, one for the board too; what it is decides."""


@pytest.fixture(scope="module")
def table(lasting_table: str) -> str:
    return lasting_table


@pytest.fixture
def planted(table: str) -> Participant:
    """A session of today; its answers, position, network, device and a score occur nowhere else."""
    verified = starting.Verified(
        method="GPS",
        confidence="high",
        gps=POSITION,
        network=f"{NETWORK}/24",
        device={"device_type": "tablet", "os": "BeOS", "browser": "NetPositive", "user_agent": DEVICE},
    )
    student = enrol(now=study.now())
    walker = Participant.in_condition("L1-I3-D", student=student, verified=verified, now=study.now())
    walker.now = study.now()
    while walker.run.step is not None:
        step = walker.run.step
        if step.stage.kind in ("baseline", "final"):
            item = PACKAGE.assessment[step.number - 1]
            walker.answer_item(step.stage.kind, step.number, item.correct_answer or ANSWER)
        elif step.stage.kind == "questions":
            walker.question(step.stage.segment or 0, step.number)
            walker.answer_question(step.stage.segment or 0, step.number, ANSWER)
        else:
            walker.take_step()
    for task in [each for each in Item.query(keys.GRADING_QUEUE) if isinstance(each, GradingTask)]:
        grading.work(task, package=PACKAGE, tutor=ScriptedTutor(), now=study.now())
    audit.record(
        "score.give",
        by=Actor("gail", "researcher"),
        now=study.now(),
        student_id=student.student_id,
        session_id=walker.run.id,
        subject="final/10, first score",
        new={"evidence": SCORE},
    )
    return walker


def crawled(client: Client, *starts: str) -> dict[str, str]:
    """Every page that links lead to, by address; what differs by a cursor or a day alone is opened once."""
    waiting, found, shapes = deque(starts), dict[str, str](), set[str]()
    while waiting and len(found) < MOST_PAGES:
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


def shown(pages: dict[str, str], *needles: str) -> list[tuple[str, str]]:
    return [(address, needle) for address, text in pages.items() for needle in needles if needle in text]


def starts_of(walker: Participant) -> list[str]:
    """What no link of the home page may lead to, but an address that somebody keeps."""
    student, session = walker.run.session.student_id, walker.run.id
    partitions = (keys.session(session), keys.student(student), keys.GRADING_QUEUE)
    own = list(Item.query(keys.session(session)))
    return [
        "/",
        f"/students/{student}/",
        f"/students/{student}/withdraw/",
        f"/consent/{student}/",
        f"/sessions/{session}/",
        *(f"/records/partition/?{urlencode({'pk': pk})}" for pk in partitions),
        *(f"/records/find/?q={word}" for word in (session, student)),
        *(
            f"/records/{kind}/item/?{urlencode({'pk': item.PK, 'sk': item.SK})}"
            for item in own
            for kind in KINDS
        ),
    ]


def test_the_planted_values_are_there_to_be_found(planted: Participant) -> None:
    pages = crawled(signed_in("admin"), *starts_of(planted))
    for needle in (ANSWER, str(POSITION["latitude"]), NETWORK, DEVICE, SCORE):
        assert shown(pages, needle), needle


def test_a_researcher_finds_no_position_no_network_and_no_device(planted: Participant) -> None:
    pages = crawled(signed_in("researcher"), *starts_of(planted))
    assert len(pages) > 40
    assert shown(pages, ANSWER)  # answers are what researchers read
    position = (str(POSITION["latitude"]), str(POSITION["longitude"])[1:])
    assert shown(pages, *position, NETWORK, DEVICE, SCORE) == []


def test_the_review_board_finds_no_answer_and_no_score(planted: Participant) -> None:
    pages = crawled(signed_in("irb"), *starts_of(planted))
    assert len(pages) > 15
    assert shown(
        pages, str(planted.run.session.student_code)
    )  # students and consents are what the board reads
    names = ("evidence", "percentage_score", "learning_gain", "rubric_breakdown", "student_response")
    assert shown(pages, ANSWER, SCORE, *names) == []


def test_a_facilitator_finds_no_position_and_no_network(planted: Participant) -> None:
    pages = crawled(signed_in("facilitator"), *starts_of(planted))
    assert len(pages) > 15
    assert shown(pages, str(POSITION["latitude"]), NETWORK, SCORE) == []
