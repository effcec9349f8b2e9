"""The live board: which sessions are on it, where it says they stand, which come first, and what it costs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from analytics_app.dashboards import live_monitor
from sessions_app import study
from sessions_app.domain import flow
from sessions_app.domain.models import Session
from sessions_app.domain.session import devices
from sessions_app.domain.session import survey as session_survey
from sessions_app.domain.session.record import DifferentAnswer, Run
from sessions_app.domain.tutor import TutorFailed, budget
from sessions_app.domain.tutor.scripted import ScriptedTutor
from support.cast import signed_in, store_away
from tests.analytics import cohort
from tests.domain.cast import FACILITATOR, NOON, Participant, start_in

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
PLANS = {code: flow.plan(interval) for code, interval in (("L4-I1-S", "2.5"), ("L1-I3-D", "10.0"))}
STEPS = [
    (code, flow.Step(stage, number).slug, at)
    for code, plan in PLANS.items()
    for at, (stage, number) in enumerate(
        ((stage, number) for stage in plan for number in range(1, stage.steps + 1)), 1
    )
]


class Mute(ScriptedTutor):
    def ask(self, *args: Any, **options: Any) -> Any:
        raise TutorFailed("refused", retryable=False)


@pytest.fixture
def client(table: str) -> Client:
    return signed_in("facilitator")


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The moment at which the page is asked for: at(NOON)."""

    def stand(now: datetime) -> None:
        monkeypatch.setattr(study, "now", lambda: now)

    stand(NOON + MINUTE)
    return stand


def text(response: Any) -> str:
    return unescape(re.sub(r"\s+", " ", response.content.decode()))


def shown(client: Client, **headers: str) -> list[str]:
    """Ids of the sessions, in order."""
    return re.findall(r'id="s-([^"]+)"', client.get("/monitor/", headers=headers).content.decode())


def row_of(run: Run, now: datetime) -> live_monitor.Row:
    (row,) = [row for row in live_monitor.board(now).rows if row.session.session_id == run.id]
    return row


# --- where a session stands


def test_the_step_is_the_one_that_comes_next_all_the_way(table: str) -> None:
    for code in PLANS:
        participant = Participant.in_condition(code)
        for _, slug, number in [each for each in STEPS if each[0] == code]:
            assert participant.run.step is not None
            assert participant.run.step.slug == slug
            row = row_of(participant.run, participant.now)
            assert (row.number, row.steps) == (number, len([each for each in STEPS if each[0] == code])), slug
            participant.take_step()
        assert live_monitor.board(participant.now).rows == ()


def test_time_on_the_step_counts_from_the_last_answer(table: str) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("baseline/4")
    row = row_of(participant.run, participant.now + timedelta(seconds=70))
    assert row.on_step == timedelta(seconds=70)
    assert row.seen == participant.now
    assert row.label == "Pre-test, item 4"


def test_a_segment_that_plays_is_a_sign_of_life(table: str) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("segment-1")
    participant.report(1, seconds=290, position=60, played=60)
    row = row_of(participant.run, participant.now + 2 * MINUTE)
    assert (row.seen, row.on_step) == (participant.now, timedelta(seconds=60) + 2 * MINUTE)
    assert row.problems == ()


# --- what calls for somebody


@pytest.mark.parametrize(("minutes", "problems"), [(5, ()), (6, ("still for 6 min",))])
def test_no_movement_for_more_than_five_minutes_calls(
    table: str, minutes: int, problems: tuple[str, ...]
) -> None:
    run = start_in("L4-I3-S")
    assert row_of(run, NOON + minutes * MINUTE).problems == problems


def test_two_texts_for_one_answer_call(table: str) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("questions-4/2")
    with pytest.raises(DifferentAnswer):
        participant.answer_question(4, 1, "Another thought entirely.")
    assert row_of(participant.run, participant.now).problems == ("conflicting answers",)
    participant.run = Run.load(participant.run.id)
    participant.walk_to("survey")
    assert row_of(participant.run, participant.now).problems == ("conflicting answers",)


def test_a_question_that_stood_in_calls_before_its_intervention_is_whole(table: str) -> None:
    participant = Participant.in_condition("L1-I3-D")
    participant.tutor = Mute()
    participant.walk_to("questions-4/2")
    row = row_of(participant.run, participant.now)
    assert row.problems == ("fallback question",)
    assert row.tutor == "fallback"


def test_the_scripted_tutor_is_told_and_calls_nobody(table: str) -> None:
    participant = Participant.in_condition("L1-I3-D").walk_to("questions-4/2")
    row = row_of(participant.run, participant.now)
    assert (row.tutor, row.problems) == ("offline", ())


def test_a_session_with_fixed_questions_has_no_tutor(table: str) -> None:
    assert row_of(start_in("L4-I3-S"), NOON).tutor == ""


# --- the board


def test_those_that_need_somebody_come_first(client: Client, at: Any) -> None:
    quiet = start_in("L4-I3-S")
    fine = [start_in("L4-I3-S", now=NOON + 9 * MINUTE) for _ in range(3)]
    at(NOON + 10 * MINUTE)
    found = shown(client)
    assert found[0] == quiet.id
    assert set(found[1:]) == {run.id for run in fine}
    assert "4 running, 1 needs attention" in text(client.get("/monitor/"))


def test_rows_keep_their_place_between_looks(client: Client, at: Any) -> None:
    for _ in range(4):
        start_in("L4-I3-S")
    assert shown(client) == shown(client)


def test_only_running_sessions_are_on_it(client: Client, at: Any) -> None:
    runs = [start_in("L4-I3-S") for _ in range(2)]
    session_survey.stop(runs[0], by=FACILITATOR, now=NOON, reason="the bell rang")
    whole = Participant.in_condition("L4-I3-S").walk()
    at(whole.now)
    assert shown(client) == [runs[1].id]


@pytest.mark.parametrize(("earlier", "there"), [(timedelta(hours=1), True), (timedelta(days=2), False)])
def test_midnight_in_utc_hides_nobody(client: Client, at: Any, earlier: timedelta, there: bool) -> None:
    midnight = datetime(2026, 3, 4, 0, 30, tzinfo=UTC)
    run = start_in("L4-I3-S", now=midnight - earlier)
    at(midnight)
    assert (run.id in shown(client)) is there


def test_sessions_left_behind_stand_apart_and_call_nobody(client: Client, at: Any) -> None:
    run = start_in("L4-I3-S")
    at(NOON + timedelta(hours=3))
    page = text(client.get("/monitor/"))
    assert "0 running, 0 need attention" in page
    assert "<h2>Inactive</h2>" in page
    assert "May be continuing offline" not in page
    assert shown(client) == [run.id]


def test_a_session_whose_pages_are_on_a_device_may_be_going_on(client: Client, at: Any) -> None:
    run = start_in("L4-I3-S")
    at(NOON + MINUTE)
    assert client.get(f"/run/{run.id}/pack/").status_code == 200
    at(NOON + 10 * MINUTE)
    assert "maybe offline" in text(client.get("/monitor/"))
    at(NOON + timedelta(hours=3))
    page = text(client.get("/monitor/"))
    assert "May be continuing offline" in page
    assert "<h2>Inactive</h2>" not in page
    assert shown(client) == [run.id]


def test_a_tablet_that_was_taken_back_goes_on_nowhere(client: Client, at: Any) -> None:
    run = start_in("L4-I3-S")
    devices.hand_over(run, browser_id="a-tablet", by=FACILITATOR, now=NOON)
    devices.note_cached_pages(run, now=NOON + MINUTE)
    at(NOON + timedelta(hours=3))
    assert "May be continuing offline" in text(client.get("/monitor/"))
    devices.take_back(
        session_id=run.id,
        browser_id="a-tablet",
        student_id=run.session.student_id,
        by=FACILITATOR,
        now=NOON + 2 * MINUTE,
    )
    page = text(client.get("/monitor/"))
    assert "May be continuing offline" not in page
    assert "<h2>Inactive</h2>" in page


def test_a_row_leads_to_the_session(client: Client, at: Any) -> None:
    run = start_in("L4-I3-S")
    assert f'href="/sessions/{run.id}/"' in client.get("/monitor/").content.decode()


def test_without_sessions_it_says_what_to_do(client: Client, at: Any) -> None:
    page = text(client.get("/monitor/"))
    assert "No session is running" in page
    assert page.count('href="/sessions/new/"') >= 2
    assert "Start a session" not in text(signed_in("researcher").get("/monitor/"))


def test_more_than_it_reads_is_told(client: Client, at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_monitor, "MAX_SESSIONS", 2)
    for minute in range(3):
        start_in("L4-I3-S", now=NOON - minute * MINUTE)
    page = text(client.get("/monitor/"))
    assert "1 more are running; the newest are shown." in page
    assert "3 running" in page


# --- the part that comes again


def test_htmx_is_given_the_part_alone(client: Client, at: Any) -> None:
    run = start_in("L4-I3-S")
    response = client.get("/monitor/", headers={"HX-Request": "true"})
    html = response.content.decode()
    assert "HX-Request" in response["Vary"]
    assert html.strip().startswith("<div")
    assert "<html" not in html
    assert 'data-says="1 running, 0 need attention' in html
    assert f'id="s-{run.id}"' in html


def test_the_live_region_stands_outside_of_what_is_swapped(client: Client, at: Any) -> None:
    start_in("L4-I3-S")
    page = client.get("/monitor/").content.decode()
    assert page.index('id="board-says"') < page.index('id="board"')
    part = client.get("/monitor/", headers={"HX-Request": "true"}).content.decode()
    assert 'role="status"' not in part


def test_a_part_without_the_store_is_no_page(client: Client, at: Any) -> None:
    start_in("L4-I3-S")
    with store_away("Query"):
        response = client.get("/monitor/", headers={"HX-Request": "true"})
    assert (response.status_code, response.content) == (503, b"")


def test_it_says_that_the_model_does_not_answer_and_since_when(client: Client, at: Any) -> None:
    assert "has not responded since" not in client.get("/monitor/").content.decode()
    budget.ToldHealth(lambda: NOON).fails("overloaded")
    readers = {"/monitor/": client, "/dashboards/ai/": signed_in("researcher")}
    for address, reader in readers.items():
        assert "The AI model has not responded since 12:00." in reader.get(address).content.decode()


# --- what it costs


def test_it_costs_three_queries_and_one_for_each_that_runs(
    client: Client, at: Any, requests_made: list[str]
) -> None:
    for number in range(40):
        cohort.session(state="completed", start=NOON - number * MINUTE).save()
    for _ in range(3):
        start_in("L4-I3-S")
    requests_made.clear()
    client.get("/monitor/")
    assert requests_made == [*["Query"] * 6, "GetItem"]


def test_sessions_of_other_days_cost_nothing(
    client: Client, at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    on_day = Session.on_day
    monkeypatch.setattr(Session, "on_day", lambda day, **told: asked.append(day) or on_day(day, **told))
    client.get("/monitor/")
    assert asked == [NOON.date(), NOON.date() - timedelta(days=1)]


# --- who may


@pytest.mark.parametrize(
    ("role", "status"), [("facilitator", 200), ("researcher", 200), ("admin", 200), ("irb", 403)]
)
def test_the_board_is_for_its_roles(table: str, role: str, status: int) -> None:
    client = signed_in(role)
    assert client.get("/monitor/").status_code == status
    assert ('href="/monitor/"' in client.get("/").content.decode()) is (status == 200)
