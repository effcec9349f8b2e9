"""Facilitators learn the arm of a session when it has ended: every page they can reach is looked through."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from sessions_app import study
from sessions_app.domain.session import survey as session_survey
from sessions_app.domain.session.record import Run
from support.cast import belong, signed_in
from tests.domain.cast import ADMIN, Participant, enrol, start_in

from .test_field_rules import crawled

pytestmark = pytest.mark.django_db

SCHOOL = "Fall Line High School"
CODES = ("L4-I1-D", "L4-I1-S", "L4-I2-D")
TELLING = re.compile(
    r"L\d-I\d-[SD]|data-type=\"(?:static|dynamic)|\bmin, (?:static|dynamic)|after part \d|>offline tutor<"
    r"|Question \d|CONDITION#|INTERVENTION#(?:static|dynamic)|>fixed<|>offline<|\d of \d\d\b(?! answers)"
)
"""Whatever gives an arm away: code and names, the plan of its steps, flags that only dynamic ones have."""


def in_the_lesson(code: str) -> Participant:
    participant = Participant(start_in(code, enrol(now=study.now()), now=study.now()), now=study.now())
    participant.walk_to("format")
    while participant.run.step is not None and participant.run.step.stage.kind in ("format", "segment"):
        participant.take_step()
    participant.take_step()  # a question, answered
    return participant


@pytest.fixture
def running(table: str) -> list[Participant]:
    return [in_the_lesson(code) for code in CODES]


def facilitator() -> Client:
    client = signed_in("facilitator")
    belong(client.get("/").wsgi_request.user, SCHOOL)  # type: ignore[arg-type]
    return client


def pages(client: Client, running: list[Participant]) -> dict[str, str]:
    sessions = [each.run.session for each in running]
    starts = ["/", "/monitor/", "/sessions/", "/students/", "/sessions/?place=home"]
    starts += [f"/sessions/?{query}" for query in ("condition=L4-I1-D", "type=dynamic", "by=condition")]
    for session in sessions:
        starts += [
            f"/sessions/{session.session_id}/",
            f"/students/{session.student_id}/",
            f"/sessions/new/?code={session.student_code}&place=home",
            f"/sessions/?code={session.student_code}",
        ]
    return crawled(client, *starts)


def telling(found: dict[str, str]) -> dict[str, list[str]]:
    return {address: words for address, text in found.items() if (words := TELLING.findall(text))}


def test_no_page_of_a_facilitator_tells_the_arm_of_a_running_session(running: list[Participant]) -> None:
    found = pages(facilitator(), running)
    ids = [each.run.id for each in running]
    assert all(any(session_id in address for address in found) for session_id in ids)
    assert all(
        any(session_id in found[address] for session_id in ids) for address in ("/monitor/", "/sessions/")
    )
    assert telling(found) == {}


def test_researchers_see_the_arms_of_running_sessions(running: list[Participant]) -> None:
    found = telling(pages(signed_in("researcher"), running))
    assert {"/monitor/", "/sessions/", f"/sessions/{running[0].run.id}/"} <= found.keys()


def test_sessions_of_all_arms_look_alike_to_a_facilitator(running: list[Participant]) -> None:
    client = facilitator()
    shapes = set()
    for each in running:
        page: Any = client.get(f"/sessions/{each.run.id}/")
        text = page.content.decode().partition("<main")[2]
        for word in (each.run.id, each.run.session.student_id, each.run.session.student_code):
            text = text.replace(word, "-")
        visible = re.sub(r"<[^>]*>", " ", re.sub(r'(nonce|value)="[^"]*"', "", text))
        shapes.add(" ".join(re.sub(r"\d+ min \d+ s|\d+ min|\d+", "0", visible).split()))
    assert len(shapes) == 1


def test_a_filter_by_arm_shows_a_facilitator_the_day(running: list[Participant]) -> None:
    client = facilitator()
    for query in ("condition=L4-I1-D", "type=static"):
        text = client.get(f"/sessions/?{query}").content.decode()
        assert all(each.run.id in text for each in running)
        assert 'name="condition"' not in text


def test_the_arm_is_shown_when_the_session_has_ended(running: list[Participant]) -> None:
    run = Run.load(running[0].run.id)
    session_survey.stop(run, by=ADMIN, now=study.now(), reason="a test")
    text = facilitator().get(f"/sessions/{run.id}/").content.decode()
    assert "L4-I1-D" in text
    assert "2.5 min, dynamic" in " ".join(text.split())
