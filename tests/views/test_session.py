"""One session, shown whole at whatever stage it is, stopped and reopened."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.test import Client

from sessions_app import study
from sessions_app.domain import flow
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.grading import automated as automated_scoring
from sessions_app.domain.models import Session
from sessions_app.domain.models.session import FLAGS
from sessions_app.domain.session import abandoned
from sessions_app.domain.session import start as session_start
from sessions_app.domain.session import survey as session_survey
from sessions_app.domain.session.record import DifferentAnswer, Run
from sessions_app.presenters import session_timeline, transcript
from socratic_site.local.dynamodb_local import REGION, Engine
from support.cast import close, signed_in, store_away
from tests.domain.cast import NOON, PACKAGE, Participant, enrol, new_id, start_in, verified

pytestmark = pytest.mark.django_db

REASON = {"reason": "the bell rang"}
HOSTILE = "<script>alert(1)</script> \u202eright to left\u202c 🏭 'quoted' & \"double\""
SLUGS = [flow.Step(stage, number).slug for stage in flow.plan("2.5") for number in range(1, stage.steps + 1)]


@pytest.fixture
def researcher(table: str) -> Client:
    """Sees the arm of a running session, and what was said in its lesson."""
    return signed_in("researcher")


@pytest.fixture
def client(table: str) -> Client:
    return signed_in("facilitator")


def stop(run: Run) -> None:
    session_survey.stop(run, by=Actor("mia", "facilitator"), now=NOON, reason="the bell rang")


def text(response: Any) -> str:
    return " ".join(unescape(response.content.decode()).split())


def ids(response: Any) -> list[str]:
    """The sessions of a list, in order."""
    return re.findall(r'row-link[^"]*"\s+href="/sessions/([^/"]+)/"', response.content.decode())


def graded(run: Run) -> Run:
    for task in list(automated_scoring.due(NOON + timedelta(days=1))):
        tutor = study.tutor()
        assert automated_scoring.work(task, package=PACKAGE, tutor=tutor, now=NOON + timedelta(hours=2))
    return Run.load(run.id)


# --- at every stage


@pytest.mark.parametrize(
    "slug", [slug for slug in SLUGS if slug.split("/")[-1] not in ("3", "4", "6", "7", "8")]
)
def test_a_session_is_shown_at_every_stage(client: Client, slug: str, requests_made: list[str]) -> None:
    run = Participant.in_condition("L1-I1-D").walk_to(slug).run
    requests_made.clear()
    response = client.get(f"/sessions/{run.id}/")
    page = text(response)
    assert response.status_code == 200
    assert requests_made == ["Query", "PutItem"]  # the session, and the audit entry
    assert "Not reached yet: the session is running." in page
    assert f'href="/run/{run.id}/"' in page
    assert page.count('<li class="now">') == 1


@pytest.mark.parametrize("slug", ["baseline/1", "format", "segment-2", "questions-2/2", "final/5", "survey"])
def test_a_stopped_session_says_what_it_never_reached(client: Client, slug: str) -> None:
    run = Participant.in_condition("L2-I2-S").walk_to(slug).run
    close(run)
    response = client.get(f"/sessions/{run.id}/")
    page = text(response)
    assert response.status_code == 200
    assert "Not reached: the session was stopped before." in page
    assert "stopped" in page
    assert f"/run/{run.id}/" not in page
    assert "Stop this session" not in page


@pytest.mark.parametrize("code", ["L1-I1-D", "L2-I2-S", "L3-I3-D", "L4-I1-S"])
def test_a_whole_session_is_told_from_verification_to_survey(client: Client, code: str) -> None:
    run = graded(Participant.in_condition(code).walk().run)
    page = text(client.get(f"/sessions/{run.id}/"))
    assert "Not reached" not in page
    assert "being scored" not in page
    for record in run.interventions.values():
        for question in record.questions:
            assert question.question in page
            assert question.answer in page
    for record in run.assessments.values():
        for item in record.questions:
            assert item.question_text in page
            assert item.student_answer in page
    for group in PACKAGE.survey:
        assert all(field.label in page for field in group.fields)
    assert all(
        session_timeline.FLAG_MEANINGS[flag] in page for flag in run.session.metadata.data_quality_flags
    )


def test_scores_stand_before_and_after_with_the_gain(client: Client) -> None:
    participant = Participant.in_condition("L4-I3-S")
    wrong = PACKAGE.assessment[0].options[-1]
    assert wrong != PACKAGE.assessment[0].correct_answer
    participant.answer_item("baseline", 1, wrong)
    run = graded(participant.walk().run)
    page, told = text(client.get(f"/sessions/{run.id}/")), run.assessments["final"].learning_gain
    assert f"+{told.absolute_gain:.1f}" in page
    assert "incorrect, 0 of 1" in page
    assert "correct, 1 of 1" in page
    assert f"Correct answer: {PACKAGE.assessment[0].correct_answer}" in page
    assert "Rubric and feedback" in page


def test_a_gain_that_is_not_defined_says_why(client: Client) -> None:
    run = graded(Participant.in_condition("L4-I3-S").walk().run)
    baseline = run.assessments["baseline"]
    kind: Any = type(baseline)
    for percent, why in ((0, "the baseline is 0"), (100, "the baseline was 100%")):
        for question in baseline.questions:
            question.points_earned = question.points * percent / 100
        baseline.assessment_results.score_percentage = percent
        results = kind.assessment_results.set(baseline.assessment_results)
        baseline.update(actions=[kind.questions.set(baseline.questions), results])
        assert f"not defined: {why}" in text(client.get(f"/sessions/{run.id}/"))


def test_ungraded_answers_are_said_to_be_in_scoring(client: Client) -> None:
    run = Participant.in_condition("L4-I3-S").walk().run
    page = text(client.get(f"/sessions/{run.id}/"))
    assert "The short answers are being scored; the gain follows." in page
    assert "The answers are being scored." in page
    assert "Short answers are being scored" in page


def test_where_a_question_came_from_is_told(researcher: Client) -> None:
    run = Participant.in_condition("L4-I3-D").walk_to("questions-4/2").run
    assert "scripted tutor, scripted-v1" in text(researcher.get(f"/sessions/{run.id}/"))
    record = run.interventions[4]
    asked: Any = type(record).socratic_sequence[0]
    record.update(actions=[asked.question_source.set("static_fallback")])
    assert "scripted question (fallback)" in text(researcher.get(f"/sessions/{run.id}/"))
    static = Participant.in_condition("L4-I3-S").walk_to("questions-4/2").run
    assert ">scripted question<" in text(researcher.get(f"/sessions/{static.id}/"))


def test_the_place_is_told_without_coordinates(client: Client) -> None:
    run = start_in("L1-I1-D")
    page = text(client.get(f"/sessions/{run.id}/"))
    assert "GPS, confidence high" in page
    assert "Geofence: inside, up to 50 m from the center" in page
    assert "37.5" not in page
    assert "77.4" not in page


def test_an_override_of_place_and_condition_says_its_reason(researcher: Client) -> None:
    vouched = session_start.Verified(
        method="manual", confidence="low", override_reason="no satellites in the cellar", attested_by="mia"
    )
    run = start_in("L1-I1-D", verified=vouched)
    page = text(researcher.get(f"/sessions/{run.id}/"))
    for told in ("no satellites in the cellar", "Confirmed by mia", "set by admin: a test"):
        assert told in page.replace("<bdi>", "").replace("</bdi>", "")
    drawn = session_start.start(
        session_id=new_id(),
        student_id=enrol().student_id,
        location=PACKAGE.location("home"),
        verified=verified("home"),
        package=PACKAGE,
        by=Actor("mia", "facilitator"),
        choose=lambda cells: cells[0],
        now=NOON,
    )
    assert "assigned at random, balanced within the location" in text(
        researcher.get(f"/sessions/{drawn.id}/")
    )


def test_both_texts_of_a_conflict_are_shown(researcher: Client) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("questions-4/2")
    chosen, other = PACKAGE.assessment[0].options[:2]
    stored = participant.run.assessments["baseline"].questions[0].student_answer
    second = other if stored == chosen else chosen
    with pytest.raises(DifferentAnswer):
        participant.answer_item("baseline", 1, second)
    with pytest.raises(DifferentAnswer):
        participant.answer_question(4, 1, "Another thought entirely.")
    page = text(researcher.get(f"/sessions/{participant.run.id}/"))
    told = transcript.conflicts(Run.load(participant.run.id))
    assert [(each.stored, each.other) for each in told] == [
        (stored, second),
        (participant.run.interventions[4].questions[0].answer, "Another thought entirely."),
    ]
    assert "Questions after part 4, question 1" in page
    assert "Another thought entirely." in page


def test_what_the_tutor_took_is_added_up() -> None:
    lines = [
        transcript.Cost("a", "m", 100, 10, 0.25, 800),
        transcript.Cost("b", "m", 50, 5, 0.5, 1200),
        transcript.Cost("c", "m", 1, 1, 0.0),
    ]
    assert transcript.total(lines) == transcript.Cost("All", "", 151, 16, 0.75, 1000)
    assert transcript.total([]).milliseconds is None


@pytest.mark.parametrize(
    "answer", [HOSTILE, "x" * 10_000, "\u202e" + "שלום " * 50, "a\n\nb\n" * 100, "{{ 7|add:7 }}"]
)
def test_hostile_answers_are_shown_as_text(researcher: Client, answer: str) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("questions-4/1")
    participant.answer_question(4, 1, answer)
    response = researcher.get(f"/sessions/{participant.run.id}/")
    assert b"<script>alert" not in response.content
    assert " ".join(answer.split()) in text(response)


def test_every_flag_explains_itself() -> None:
    assert set(session_timeline.FLAG_MEANINGS) == set(FLAGS)
    session = Session(metadata={"data_quality_flags": list(FLAGS)})
    assert [flag for flag, meaning in session_timeline.flags(session) if meaning] == list(FLAGS)


def test_sessions_of_another_writer_are_shown(engine: Engine, table: str) -> None:
    """The schema's own examples, put there by plain boto3; they name no site, so no facilitator sees them."""
    client = signed_in("researcher")
    raw = boto3.resource("dynamodb", region_name=REGION, endpoint_url=engine.endpoint).Table(table)
    found = set()
    for path in sorted((Path(__file__).parents[1] / "examples").glob("*.json")):
        item = json.loads(path.read_text(), parse_float=Decimal)
        raw.put_item(Item=item)
        found |= {item["session_id"]} if item["SK"] == "METADATA" else set()
    (session_id,) = found
    assert ids(client.get("/sessions/?day=2025-10-23")) == [session_id]
    page = text(client.get(f"/sessions/{session_id}/"))
    assert "completed" in page
    assert "Looking around at the physical space" in page
    assert "model claude-3-5-sonnet-20241022" in page


@pytest.mark.parametrize(
    "session_id", ["nothing", "3b5f3afc-2f76-4204-b977-5b2808c2531f", "x" * 65, "x" * 400]
)
def test_what_does_not_exist_is_not_found(client: Client, session_id: str) -> None:
    assert client.get(f"/sessions/{session_id}/").status_code == 404
    assert client.post(f"/sessions/{session_id}/stop/").status_code == 404


# --- stopping and reopening


def test_a_session_is_stopped_with_what_it_has(client: Client) -> None:
    run = Participant.in_condition("L4-I3-S").walk_to("baseline/4").run
    page = text(client.get(f"/sessions/{run.id}/"))
    assert f'action="/sessions/{run.id}/stop/"' in page
    after = client.post(f"/sessions/{run.id}/stop/", REASON, follow=True)
    assert "The session is stopped. What was answered before is kept." in text(after)
    stopped = Run.load(run.id)
    assert stopped.session.state == "stopped"
    assert len(stopped.assessments["baseline"].questions) == 3


def test_stopping_twice_is_harmless(client: Client) -> None:
    run = start_in("L4-I3-S")
    for _ in range(2):
        assert "is stopped" in text(client.post(f"/sessions/{run.id}/stop/", REASON, follow=True))
    assert Run.load(run.id).session.metadata.version == 2


def test_a_complete_session_can_not_be_stopped(client: Client) -> None:
    run = Participant.in_condition("L4-I3-S").walk().run
    assert "There was nothing to stop" in text(client.post(f"/sessions/{run.id}/stop/", REASON, follow=True))
    assert Run.load(run.id).session.state == "completed"


def test_a_link_stops_nothing(client: Client) -> None:
    run = start_in("L4-I3-S")
    assert client.get(f"/sessions/{run.id}/stop/").status_code == 405
    assert Run.load(run.id).is_open


def test_stopping_without_the_store_is_told(client: Client) -> None:
    run = start_in("L4-I3-S")
    with store_away("TransactWriteItems"):
        after = client.post(f"/sessions/{run.id}/stop/", REASON, follow=True)
    assert "Not stopped" in text(after)
    assert Run.load(run.id).is_open


@pytest.mark.parametrize("action", ["stop", "reopen"])
@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_a_reason_is_required_and_bounded(client: Client, action: str, reason: str) -> None:
    run = Participant.in_condition("L4-I3-S").run
    if action == "reopen":
        stop(run)
    before = Run.load(run.id).session.state
    answer = client.post(f"/sessions/{run.id}/{action}/", {"reason": reason})
    assert answer.status_code == 422
    assert f"The session was not {'stopped' if action == 'stop' else 'reopened'}." in text(answer)
    assert 'href="#id_reason"' in text(answer)
    assert Run.load(run.id).session.state == before


@pytest.mark.parametrize("closed", ["stopped", "abandoned"])
def test_a_closed_session_is_reopened(client: Client, closed: str) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("baseline/4")
    run = participant.run
    if closed == "stopped":
        stop(run)
    else:
        day = timedelta(hours=24)
        assert abandoned.close(run.id, now=participant.now + 2 * day, after=day)
    page = text(client.get(f"/sessions/{run.id}/"))
    assert f'action="/sessions/{run.id}/reopen/"' in page
    assert "Hand over the tablet" not in page
    after = text(client.post(f"/sessions/{run.id}/reopen/", REASON, follow=True))
    assert "The session is open again." in after
    assert "Hand over the tablet" in after
    assert Run.load(run.id).is_open


def test_no_session_is_reopened_beside_an_open_one(client: Client) -> None:
    student = enrol()
    run = start_in("L4-I3-S", student)
    stop(run)
    other = start_in("L4-I3-D", student)
    page = text(client.post(f"/sessions/{run.id}/reopen/", REASON, follow=True))
    assert "Not reopened: the student has another open session, started Mar 3, 12:00." in page
    assert (Run.load(run.id).is_open, Run.load(other.id).is_open) == (False, True)


def test_a_running_session_has_nothing_to_reopen(client: Client) -> None:
    run = start_in("L4-I3-S")
    assert "Not reopened: the session is running." in text(
        client.post(f"/sessions/{run.id}/reopen/", REASON, follow=True)
    )


@pytest.mark.parametrize("silence", [1, 30])
def test_stopping_asks_whether_the_student_works_without_a_network(
    client: Client, silence: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start_in("L4-I3-S")
    asks = "may still be working without a network"
    monkeypatch.setattr(study, "now", lambda: run.session.start + timedelta(minutes=silence))
    assert asks not in text(client.get(f"/sessions/{run.id}/"))  # no device took the pages
    assert client.get(f"/run/{run.id}/pack/").status_code == 200
    page = text(client.get(f"/sessions/{run.id}/"))
    assert (asks in page) is (silence == 30)
    assert ("Answers given before the stop are still stored" in page) is (silence == 30)


# --- who may


@pytest.mark.parametrize("role", ["researcher", "irb"])
def test_who_only_looks_can_neither_continue_nor_stop(table: str, role: str) -> None:
    run = start_in("L4-I3-S")
    client = signed_in(role)
    page = text(client.get(f"/sessions/{run.id}/"))
    assert "Continue" not in page
    assert "Stop this session" not in page
    assert client.post(f"/sessions/{run.id}/stop/", REASON).status_code == 403
    assert client.post(f"/sessions/{run.id}/reopen/", REASON).status_code == 403
    assert Run.load(run.id).is_open
