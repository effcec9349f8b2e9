"""Lists of sessions: each filter is served by its index, and every session is on one page."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from sessions_app import study
from sessions_app.domain.models import Item, Session
from sessions_app.domain.store import keys
from sessions_app.presenters import session_timeline
from support.cast import signed_in
from tests.domain.cast import NOON, Participant, enrol, start_beside, start_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(table: str) -> Client:
    return signed_in("researcher")


def text(response: Any) -> str:
    return " ".join(unescape(response.content.decode()).split())


def ids(response: Any) -> list[str]:
    """The sessions of a list, in order."""
    return re.findall(r'row-link[^"]*"\s+href="/sessions/([^/"]+)/"', response.content.decode())


def pages(client: Client, address: str) -> list[list[str]]:
    found = []
    while address:
        response = client.get(address)
        assert response.status_code == 200
        found.append(ids(response))
        older = re.search(r'href="([^"]*)" rel="next"', response.content.decode())
        address = f"/sessions/{unescape(older[1])}" if older else ""
    return found


def begun(code: str = "L4-I3-S", *, at: datetime = NOON, student: Any = None) -> str:
    return (start_beside(student, code, now=at) if student else start_in(code, now=at)).id


def in_a_row(pages: list[list[str]]) -> list[str]:
    return [each for page in pages for each in page]


# --- the list


def test_each_filter_is_one_query_of_its_index(client: Client, requests_made: list[str]) -> None:
    student, other = enrol(), enrol()
    one = begun("L1-I1-D", student=student)
    two = begun("L4-I2-S", at=NOON + timedelta(hours=1), student=student)
    three = begun("L1-I2-S", at=NOON + timedelta(hours=2), student=other)
    asked = {
        "place=on-site": [three, one],
        "condition=L1-I1-D": [one],
        "type=static": [three, two],
        f"student={student.student_id}": [two, one],
        "day=2026-03-03": [three, two, one],
    }
    for query, expected in asked.items():
        requests_made.clear()
        assert ids(client.get(f"/sessions/?{query}")) == expected, query
        assert set(requests_made) == {"Query"}
        assert len(requests_made) == (2 if query.startswith("day") else 1), query


def test_a_students_sessions_are_found_by_the_code(client: Client, requests_made: list[str]) -> None:
    student = enrol()
    run_id = begun(student=student)
    begun()
    requests_made.clear()
    assert ids(client.get("/sessions/", {"code": student.student_code})) == [run_id]
    assert requests_made == ["GetItem", "Query"]
    assert "No student has this code." in text(client.get("/sessions/?code=no-body-1"))


def test_interventions_in_the_index_of_types_are_no_sessions(client: Client) -> None:
    run = Participant.in_condition("L4-I1-D").walk_to("segment-3").run
    later = begun("L4-I1-D", at=NOON + timedelta(hours=3))
    assert ids(client.get("/sessions/?type=dynamic")) == [later, run.id]


def test_the_first_filter_decides(client: Client) -> None:
    one = begun("L1-I1-D")
    begun("L4-I1-D")
    assert ids(client.get("/sessions/?place=on-site&type=static")) == [one]


def test_without_a_filter_the_sessions_of_today_are_listed(client: Client) -> None:
    begun()
    today = begun(at=study.now())
    assert ids(client.get("/sessions/")) == [today]


@pytest.mark.parametrize(
    ("day", "starts", "ends"),
    [
        ("2026-07-04", datetime(2026, 7, 4, 4, 0, tzinfo=UTC), datetime(2026, 7, 5, 4, 0, tzinfo=UTC)),
        ("2026-01-15", datetime(2026, 1, 15, 5, 0, tzinfo=UTC), datetime(2026, 1, 16, 5, 0, tzinfo=UTC)),
        # The clock goes forward, so this day has 23 hours.
        ("2026-03-08", datetime(2026, 3, 8, 5, 0, tzinfo=UTC), datetime(2026, 3, 9, 4, 0, tzinfo=UTC)),
    ],
)
def test_a_day_is_one_of_the_study_zone(client: Client, day: str, starts: datetime, ends: datetime) -> None:
    one = timedelta(seconds=1)
    student = enrol(now=starts - timedelta(days=9))
    moments = [starts - one, starts, ends - one, ends]
    before, first, last, after = (begun(at=at, student=student) for at in moments)
    assert ids(client.get(f"/sessions/?day={day}")) == [last, first]
    assert before != after


def test_a_day_in_utc_is_one_query(client: Client, settings: Any, requests_made: list[str]) -> None:
    settings.STUDY_TIME_ZONE = "UTC"
    one = begun(at=datetime(2026, 7, 4, 0, 0, tzinfo=UTC))
    requests_made.clear()
    assert ids(client.get("/sessions/?day=2026-07-04")) == [one]
    assert requests_made == ["Query"]


def many(count: int, step: timedelta, code: str = "L4-I3-S") -> list[str]:
    return [begun(code, at=NOON + n * step) for n in range(count)]


@pytest.mark.parametrize("query", ["place=home", "condition=L4-I3-S", "type=static"])
def test_cursors_walk_through_a_whole_list_newest_first(client: Client, query: str) -> None:
    newest = list(reversed(many(43, timedelta(hours=7))))
    found = pages(client, f"/sessions/?{query}")
    assert [len(page) for page in found] == [20, 20, 3]
    assert in_a_row(found) == newest


def test_cursors_walk_across_the_two_utc_days_of_a_day(client: Client) -> None:
    newest = list(reversed(many(45, timedelta(minutes=12))))  # from noon until 21:00, over midnight in UTC
    found = pages(client, "/sessions/?day=2026-03-03")
    assert [len(page) for page in found] == [20, 20, 5]
    assert in_a_row(found) == newest


def test_a_cursor_is_refused_when_it_is_changed_or_of_another_list(client: Client) -> None:
    many(21, timedelta(minutes=1))
    cursor = re.search(r"cursor=([^\"&]*)", client.get("/sessions/?place=home").content.decode())
    assert cursor
    for query in (
        f"place=home&cursor={cursor[1][:-1]}",
        f"place=on-site&cursor={cursor[1]}",
        f"condition=L4-I3-S&cursor={cursor[1]}",
        "cursor=nonsense",
    ):
        response = client.get(f"/sessions/?{query}")
        assert response.status_code == 400
        assert b"This link is incomplete" in response.content


@pytest.mark.parametrize(
    "query",
    [
        "place=the-moon",
        "condition=L9-I1-D",
        "condition=",
        "type=both",
        "day=2026-13-01",
        "day=0001-01-01",
        "day=9999-12-31",
        "day=",
        "day=%3Cscript%3E",
        "code=%00",
        "code=" + "x" * 99,
    ],
)
def test_an_unknown_filter_value_is_told_at_its_field(client: Client, query: str) -> None:
    response = client.get(f"/sessions/?{query}")
    assert response.status_code == 200
    assert 'class="error"' in response.content.decode()
    assert b"<script>" not in response.content.replace(b"<script src", b"").replace(b"<script type", b"")


@pytest.mark.parametrize("student", ["", "x" * 65, "a b", "../x"])
def test_a_malformed_student_is_not_found(client: Client, student: str) -> None:
    assert client.get("/sessions/", {"student": student}).status_code == 404


def test_the_days_before_and_after_are_at_hand(client: Client) -> None:
    page = text(client.get("/sessions/?day=2026-03-01"))
    assert 'href="?day=2026-02-28"' in page
    assert 'href="?day=2026-03-02"' in page
    assert "No session on this day" in page
    today = text(client.get("/sessions/"))
    assert "No session today" in today
    assert today.count('href="?day=') == 1


@pytest.mark.parametrize("by", ["day", "code", "place", "condition", "type"])
def test_every_way_to_find_sessions_opens(client: Client, by: str) -> None:
    page = client.get(f"/sessions/?by={by}").content.decode()
    assert f'name="{by}"' in page
    assert 'class="error"' not in page


def test_a_row_tells_place_arm_state_progress_and_flags(client: Client) -> None:
    run = Participant.in_condition("L1-I2-D").walk_to("segment-3").run
    row = text(client.get("/sessions/?place=on-site")).split("<tbody>")[1]
    for told in (run.session.student_code, "L1 on site", "5 min, dynamic", "running", "condition override"):
        assert told in row
    assert "16 of 32" in row  # ten items, the format, two parts, three questions
    assert session_timeline.FLAG_MEANINGS["condition_override"] in row


def test_progress_from_the_metadata_never_says_more_than_is_done() -> None:
    """What lists show lags behind what is stored, by less than a stage, and meets it at the end."""
    session = Session(
        experimental_condition={"interval_minutes": 2.5, "condition_code": "L1-I1-S"},
        completion_status={"baseline_completed": False, "interventions_completed": 0},
    )
    assert session_timeline.progress(session) == session_timeline.Progress(0, 38, "Pre-test")
    session.completion_status.baseline_completed = True
    assert session_timeline.progress(session) == session_timeline.Progress(10, 38, "Format")
    session.completion_status.interventions_completed = 2
    assert session_timeline.progress(session) == session_timeline.Progress(19, 38, "Part 3")
    session.completion_status.content_completed = True
    session.completion_status.interventions_completed = 4
    assert session_timeline.progress(session) == session_timeline.Progress(27, 38, "Post-test")
    session.completion_status.final_assessment_completed = True
    session.completion_status.post_survey_completed = True
    assert session_timeline.progress(session) == session_timeline.Progress(38, 38, "")


def test_the_index_holds_only_what_is_queried_for(table: str) -> None:
    """The list of a day trusts that nothing else lives in the partitions of days."""
    Participant.in_condition("L4-I1-D").walk()
    in_day = list(Item.by_day.query(keys.day(NOON.date())))
    assert [type(item) for item in in_day] == [Session]


# --- who may


@pytest.mark.parametrize(
    ("role", "opens"),
    [
        ("facilitator", {"list", "one"}),
        ("researcher", {"list", "one"}),
        ("admin", {"list", "one"}),
        ("irb", set()),
    ],
)
def test_each_page_is_for_its_roles(table: str, role: str, opens: set[str]) -> None:
    client, run = signed_in(role), start_in("L4-I3-S")
    addresses = {"list": "/sessions/", "one": f"/sessions/{run.id}/"}
    answers = {name: client.get(address).status_code for name, address in addresses.items()}
    assert answers == {name: 200 if name in opens else 403 for name in addresses}
