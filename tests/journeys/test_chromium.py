"""Whole sessions in a browser, from the sign-in to what the table holds, read past our own models."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer
from playwright.sync_api import Page, expect

from support.fake_anthropic import Answer, Body, good, kind_of
from tests.journeys.conftest import GATE, SECONDS, Site, shoot
from tests.journeys.guide import ANSWERS, Guide

pytestmark = pytest.mark.browser

STAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
HERE = {"geolocation": GATE, "permissions": ["geolocation"]}
Visit = Callable[..., Page]
LOOKED_AT: set[str] = set()  # each kind of page is looked at once, whichever journey comes to it first


# --- the table, with plain boto3


def plain(raw: dict[str, Any]) -> dict[str, Any]:
    read = TypeDeserializer().deserialize
    return {name: read(value) for name, value in raw.items()}


def items_of(dynamodb: Any, site: Site, key: str) -> list[dict[str, Any]]:
    answer = dynamodb.query(
        TableName=site.table,
        KeyConditionExpression="PK = :pk",
        ExpressionAttributeValues={":pk": {"S": key}},
        ConsistentRead=True,
    )
    return [plain(raw) for raw in answer["Items"]]


def profile(dynamodb: Any, site: Site, student_id: str) -> dict[str, Any]:
    return by_type(items_of(dynamodb, site, f"STUDENT#{student_id}"))["student_profile"][0]


def by_type(items: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    kinds: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        kinds.setdefault(item["entity_type"], []).append(item)
    return kinds


def graded(dynamodb: Any, site: Site, session_id: str) -> dict[str, list[dict[str, Any]]]:
    """The session's items as soon as the worker has scored them all."""
    deadline, waiting = time.monotonic() + 60, threading.Event()
    while time.monotonic() < deadline:
        kinds = by_type(items_of(dynamodb, site, f"SESSION#{session_id}"))
        final = next(item for item in kinds["assessment"] if item["assessment_metadata"]["type"] == "final")
        rated = all("grading" in item for item in kinds["intervention"])
        if "learning_gain" in final and rated:
            return kinds
        waiting.wait(0.2)
    raise AssertionError("the worker has not scored the session in a minute")


def has(item: dict[str, Any], names: str) -> None:
    """Every one of the dotted names; `a.b` is b inside a."""
    for name in names.split():
        value: Any = item
        for part in name.split("."):
            assert part in value, f"{item['SK']} has no {name}"
            value = value[part]


def assert_session(item: dict[str, Any], session_id: str, student_id: str, code: str, place: str) -> None:
    condition = item["experimental_condition"]
    at, interval, kind = (
        item["timeline"]["session_start"],
        condition["interval_minutes"],
        condition["intervention_type"],
    )
    assert STAMP.fullmatch(at)
    literal = {"2.5": "2.5", "5": "5.0", "10": "10.0"}[f"{interval:f}".rstrip("0").rstrip(".")]
    expected = {
        "PK": f"SESSION#{session_id}",
        "SK": "METADATA",
        "GSI1PK": f"CONDITION#{place}#{literal}#{kind}",
        "GSI1SK": at,
        "GSI2PK": f"STUDENT#{student_id}",
        "GSI2SK": f"SESSION#{at}",
        "GSI3PK": f"LOCATION#{place}",
        "GSI3SK": at,
        "GSI4PK": f"INTERVENTION#{kind}",
        "GSI4SK": at,
        "GSI5PK": f"DATE#{at[:10]}",
        "GSI5SK": at,
    }
    assert {name: item[name] for name in expected} == expected
    assert condition["condition_code"] == code
    assert item["completion_status"] == {
        "completed": True,
        "location_verified": True,
        "baseline_completed": True,
        "content_completed": True,
        "interventions_completed": 4 if "-I1-" in code else 1,
        "final_assessment_completed": True,
        "post_survey_completed": True,
    }
    has(item, "student_metadata.age student_metadata.grade student_metadata.richmond_resident")
    has(item, "timeline.session_end timeline.total_duration_seconds timeline.content_duration_seconds")
    has(item, "timeline.intervention_duration_seconds timeline.assessment_duration_seconds")
    has(item, "metadata.created_at metadata.updated_at metadata.version metadata.data_quality_flags")


def assert_student(item: dict[str, Any], student_id: str, code: str) -> None:
    key = f"STUDENT#{student_id}"
    keys = {"PK": key, "SK": "PROFILE", "GSI2PK": key, "GSI2SK": "PROFILE"}
    assert {name: item[name] for name in keys} == keys
    assert item["entity_type"] == "student_profile"
    assert item["demographics"] == {
        "age": 16,
        "grade_level": 10,
        "school": "Riverside High",
        "richmond_resident": True,
    }
    has(item, "learning_profile.depth_preference learning_profile.learning_style")
    assert item["learning_profile"]["prior_knowledge_topics"] == []
    assert item["consent_data"]["parent_consent"] is True
    assert item["consent_data"]["student_assent"] is True
    has(item, "consent_data.irb_consent_date consent_data.data_sharing_consent")
    assert item["metadata"]["total_sessions"] == 1
    assert item["metadata"]["conditions_completed"] == [code]


def assert_assessments(items: list[dict[str, Any]]) -> None:
    for item in items:
        told = item["assessment_metadata"]
        assert item["SK"] == f"ASSESSMENT#{told['type']}#{told['timestamp']}"
        has(item, "assessment_id assessment_metadata.version assessment_metadata.duration_seconds")
        has(item, "assessment_metadata.content_topic assessment_results.score_percentage")
        has(item, "assessment_results.total_questions assessment_results.correct_answers")
        has(item, "assessment_results.total_points assessment_results.points_earned scoring_breakdown")
        assert len(item["questions"]) == 10
        for question in item["questions"]:
            has(question | {"SK": item["SK"]}, "question_id question_text student_answer points_earned")
            assert ("ai_scoring" in question) == (question["question_type"] == "short_answer")
    final = next(item for item in items if item["assessment_metadata"]["type"] == "final")
    has(final, "learning_gain.baseline_score learning_gain.final_score learning_gain.absolute_gain")
    has(final, "learning_gain.relative_gain learning_gain.normalized_gain")


def assert_interventions(items: list[dict[str, Any]], kind: str, segments: list[int]) -> None:
    assert [item["intervention_metadata"]["segment_id"] for item in items] == segments
    name = "socratic_sequence" if kind == "dynamic" else "static_questions"
    for item in items:
        at = item["intervention_metadata"]["timestamp"]
        segment = item["intervention_metadata"]["segment_id"]
        assert item["SK"] == f"INTERVENTION#{at}#{segment}"
        assert (item["GSI4PK"], item["GSI4SK"]) == (f"INTERVENTION#{kind}", at)
        assert [question["answer"] for question in item[name]] == list(ANSWERS)
        for question in item[name]:
            has(
                question | {"SK": item["SK"]},
                "question_number question timestamp quality_scores.answer_depth",
            )
            has(question["answer_metadata"] | {"SK": ""}, "response_time_seconds word_count character_count")
        has(item, "location_context.location_type location_context.location_name intervention_summary")
        has(item, "intervention_summary.questions_asked intervention_summary.avg_answer_depth")
        assert ("ai_metadata" in item) == (kind == "dynamic")


def assert_common(kinds: dict[str, list[dict[str, Any]]], session_id: str, student_id: str) -> None:
    counted = Counter({kind: len(items) for kind, items in kinds.items()})
    for kind, number in {
        "session": 1,
        "location_verification": 1,
        "content_delivery": 1,
        "assessment": 2,
        "post_survey": 1,
    }.items():
        assert counted[kind] == number, kind
    for items in kinds.values():
        assert all(item["PK"] == f"SESSION#{session_id}" for item in items)
    assert "session_token" not in kinds["location_verification"][0]["metadata"]
    assert re.fullmatch(
        r"[0-9a-f]{64}", kinds["location_verification"][0]["metadata"]["session_token_sha256"]
    )
    assert kinds["location_verification"][0]["metadata"]["ip_address"] == "127.0.0.0/24"
    content = kinds["content_delivery"][0]
    assert content["SK"] == "CONTENT_DELIVERY"
    assert [tracking["completed"] for tracking in content["segment_tracking"]] == [True] * 4
    assert content["engagement_metrics"]["completion_percentage"] == 100
    assert content["engagement_metrics"]["segments_completed"] == 4
    survey = kinds["post_survey"][0]
    assert survey["SK"] == "POST_SURVEY"
    assert survey["learning_experience"]["pacing_rating"] == 4
    has(survey, "survey_metadata.duration_seconds location_experience.location_impact_rating")
    has(survey, "intervention_experience.intervention_helpful_rating technical_experience")
    assert all(item.get("student_id", student_id) == student_id for items in kinds.values() for item in items)


# --- the journeys


def test_a_whole_session_on_site_with_questions_by_the_model(visit: Visit, site: Site, dynamodb: Any) -> None:
    guide = Guide(visit(**HERE), shoot, seen=LOOKED_AT)
    page = guide.page
    guide.sign_in(site.accounts["admin"])
    student_code = guide.onboard()
    page.get_by_role("link", name="Start a session").last.click()
    expect(page.locator("[name=code]")).to_have_value(student_code)
    guide.choose(student_code, "on-site")
    expect(page.locator("#gps-state .chip")).to_have_text("inside")
    expect(page.locator("#gps-accuracy")).to_have_text("26 ft (8 m)")
    guide.look("start-check")
    session_id = guide.start("L1-I1-D")

    guide.assessment("baseline", well=False)
    guide.follow_by("Read it")
    guide.play(1)
    asked = guide.talk(1)
    assert asked[0] == "Think about what you just heard. How might you link it to what you can see here?"
    assert asked[1].startswith("You wrote about “river”.")
    assert asked[2].startswith("First you wrote about “river”, then about “carried”.")
    leave_in_the_middle_and_come_back(guide)
    guide.talk(2)
    guide.play(3)
    second_tab_answers_too(guide)
    guide.play(4)
    the_model_takes_its_time(guide, site)
    guide.talk(4)
    guide.assessment("final", well=True)
    guide.rate()

    kinds = graded(dynamodb, site, session_id)
    student_id = kinds["session"][0]["student_id"]
    assert_common(kinds, session_id, student_id)
    assert_session(kinds["session"][0], session_id, student_id, "L1-I1-D", "on-site")
    assert_student(profile(dynamodb, site, student_id), student_id, "L1-I1-D")
    assert_assessments(kinds["assessment"])
    assert_interventions(kinds["intervention"], "dynamic", [1, 2, 3, 4])
    for item in kinds["intervention"]:
        assert item["ai_metadata"]["model_version"] == "claude-sonnet-5-5"
        assert item["ai_metadata"]["total_prompt_tokens"] > 0
        assert item["ai_metadata"]["total_completion_tokens"] > 0
        assert {question["question_source"] for question in item["socratic_sequence"]} == {"generated"}
    gps = kinds["location_verification"][0]["gps_data"]
    assert (str(gps["latitude"]), str(gps["longitude"])) == ("37.5357", "-77.4452")
    assert gps["geofence_validated"] is True
    assert [conflict["text"] for conflict in kinds["answer_conflict"]] == ["From the second tab."]
    assert kinds["session"][0]["metadata"]["data_quality_flags"] == ["condition_override"]
    shows_it_back(guide, session_id, student_code)


def leave_in_the_middle_and_come_back(guide: Guide) -> None:
    """Segment 2: a reload while it plays goes on at the same second; a pause and a rewind are counted."""
    page, length = guide.page, SECONDS[2]
    expect(page).to_have_url(re.compile("/segment-2/$"))
    page.click("#play")
    expect(page.locator("#time")).to_have_text(re.compile("^0:0[2-4] of"))
    left = page.evaluate("document.getElementById('bar').value")
    page.reload()
    resumed = page.evaluate("document.getElementById('bar').value")
    assert left - 1 <= resumed <= left + 1, f"left at {left}, resumed at {resumed}"
    assert resumed < length
    expect(page.locator("#play")).to_contain_text("Continue")
    expect(guide.primary).to_be_disabled()
    guide.look("segment-resumed")
    page.click("#play")
    expect(page.locator("#player-note")).to_have_text("Finished. You can go on.")
    page.click("#back")
    expect(page.locator("#time")).to_contain_text("0:00")
    expect(guide.primary).to_be_enabled()
    page.get_by_text("Read the words").click()
    expect(page.locator("#words .narration")).to_be_visible()
    guide.send()


def second_tab_answers_too(guide: Guide) -> None:
    """The questions of segment 3: two tabs answer the first one; the other tab's words are kept beside."""
    expect(guide.page).to_have_url(re.compile("/questions-3/1/"))
    guide.page.wait_for_selector("textarea")
    other = guide.page.context.new_page()
    other.goto(guide.page.url)
    other.wait_for_selector("textarea")
    assert other.locator("#asked").inner_text() == guide.page.locator("#asked").inner_text()
    guide.talk(3)
    other.fill("textarea", "From the second tab.")
    other.locator(".action-bar .button.primary").click()
    expect(other.locator(".notice")).to_contain_text("Both answers are kept; the first counts.")
    expect(other).to_have_url(guide.page.url)
    other.close()


def the_model_takes_its_time(guide: Guide, site: Site) -> None:
    """The second question of segment 4 comes late: a page says so, and gives way to it by itself."""
    looked = threading.Event()

    def slow(body: Body) -> Answer:
        if kind_of(body) == "question":
            looked.wait(7)
        return good(body)

    guide.page.wait_for_selector("textarea")
    site.fake.default = slow
    try:
        guide.talk(4, up_to=1)
        expect(guide.page.locator("h1")).to_have_text("A moment, please")
        guide.look("making")
    finally:
        looked.set()
        site.fake.default = "good"
    expect(guide.page.locator("#asked")).to_be_visible()


def shows_it_back(guide: Guide, session_id: str, student_code: str) -> None:
    page = guide.page
    page.goto(f"/sessions/{session_id}/")
    expect(page.locator("h1")).to_contain_text(student_code)
    for part in ("timeline", "dialogue", "items", "survey"):
        expect(page.locator(f"#{part}")).to_be_visible()
    expect(page.locator("#dialogue")).to_contain_text(ANSWERS[0])
    expect(page.locator("body")).to_contain_text("From the second tab.")
    guide.look("session")


def test_a_classroom_session_with_the_code_on_the_wall(visit: Visit, site: Site, dynamodb: Any) -> None:
    guide = Guide(visit(), shoot, seen=LOOKED_AT)
    page = guide.page
    guide.sign_in(site.accounts["admin"])
    student_code = guide.onboard()
    page.goto("/sessions/new/place-code/")
    expect(page.locator(".place-code svg path")).to_be_visible()
    guide.look("place-code")
    code = page.locator(".copy code").first.inner_text()

    page.goto(f"/sessions/new/#place-code={code}")  # as scanned
    expect(page.locator("[name=place][value=classroom]")).to_be_checked()
    assert code not in page.url
    guide.choose(student_code, "classroom")
    expect(page.locator("[name=place_code]")).to_have_value(code)
    guide.look("start-code")
    session_id = guide.start("L3-I3-S")

    guide.assessment("baseline", well=True)
    guide.follow_by("Listen to it")
    expect(page.locator("#captions")).to_be_hidden()
    expect(page.locator("audio")).to_have_attribute("src", "/static/content/1.wav?v=1.1")
    guide.play(1)
    assert page.locator("audio").count() == 0
    guide.look("segment-by-voice")
    another_tab_is_told_that_the_part_is_over(guide)
    guide.play(3)
    guide.play(4)
    guide.talk(4)
    guide.assessment("final", well=True)
    guide.rate()

    kinds = graded(dynamodb, site, session_id)
    student_id = kinds["session"][0]["student_id"]
    assert_common(kinds, session_id, student_id)
    assert_session(kinds["session"][0], session_id, student_id, "L3-I3-S", "classroom")
    assert_student(profile(dynamodb, site, student_id), student_id, "L3-I3-S")
    assert_assessments(kinds["assessment"])
    assert_interventions(kinds["intervention"], "static", [4])
    tracked = kinds["content_delivery"][0]["segment_tracking"]
    # This browser has no voice of its own: the parts without a file go on in reading pace.
    assert [part["delivered_by"] for part in tracked] == ["recording", "words", "recording", "words"]
    assert [part["heard"] for part in tracked if "heard" in part] == [f"0-{SECONDS[n]}" for n in (1, 3)]
    verification = kinds["location_verification"][0]
    assert verification["verification"]["method"] == "QR_code"
    assert "gps_data" not in verification
    page.goto(f"/sessions/{session_id}/")
    expect(page.locator("#dialogue")).to_contain_text(ANSWERS[2])


def another_tab_is_told_that_the_part_is_over(guide: Guide) -> None:
    """Segment 2 is open in two tabs; when one has gone on, the other one learns it and follows."""
    expect(guide.page).to_have_url(re.compile("/segment-2/$"))
    other = guide.page.context.new_page()
    other.goto(guide.page.url)
    expect(other.locator("#go-on")).to_be_disabled()
    guide.play(2)
    other.click("#play")
    expect(other.locator("#player-note")).to_have_text("This part is over. You can go on.")
    other.click("#go-on")
    expect(other).to_have_url(guide.page.url)
    other.close()


def test_a_whole_session_without_javascript(visit: Visit, site: Site, dynamodb: Any) -> None:
    guide = Guide(visit(java_script_enabled=False), shoot, scripts=False)
    guide.sign_in(site.accounts["admin"])
    guide.choose(guide.onboard(), "home")
    guide.page.check("[name=at_home]")
    session_id = guide.start("L4-I3-S")
    guide.assessment("baseline", well=True)
    guide.follow_by("Read it")
    for segment in (1, 2, 3, 4):
        guide.play(segment)
    guide.talk(4)
    guide.assessment("final", well=True)
    guide.rate()

    kinds = graded(dynamodb, site, session_id)
    assert kinds["session"][0]["completion_status"]["completed"] is True
    assert kinds["location_verification"][0]["verification"]["method"] == "honor_system"
    assert_assessments(kinds["assessment"])
    assert_interventions(kinds["intervention"], "static", [4])
