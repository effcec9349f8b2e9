"""Starting a session over HTTP: who, where, the check of the place, and one transaction."""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from sessions_app import study
from sessions_app.domain.models import AllocationEntry, LocationVerification, Session, Student
from sessions_app.domain.session import location_check
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from support.bot import Bot, Page
from support.cast import brought_to, close, enrolled, items_of, signed_in, store_away, withdraw

pytestmark = pytest.mark.django_db

GATE = {"latitude": "37.53571", "longitude": "-77.44519", "accuracy": "8"}  # some 15 m from the middle
CAFE = {"latitude": "37.54444", "longitude": "-77.43333", "accuracy": "8"}  # more than a kilometre away
IPAD = "Mozilla/5.0 (iPad; CPU OS 17_1 like Mac OS X) AppleWebKit/605.1.15 Version/17.1 Safari/604.1"


@pytest.fixture(scope="module")
def table(lasting_table: str) -> str:
    return lasting_table


@pytest.fixture(scope="module")
def dynamodb(lasting_dynamodb: Any) -> Any:
    return lasting_dynamodb


@pytest.fixture
def student(table: str) -> Student:
    return enrolled()


@pytest.fixture
def bot(table: str, requests_made: list[str]) -> Bot:
    return Bot(signed_in("facilitator"), requests_made)


@pytest.fixture
def admin(table: str, requests_made: list[str]) -> Bot:
    return Bot(signed_in("admin"), requests_made)


def check(bot: Bot, student: Student, place: str) -> Page:
    page = bot.open("/sessions/new/")
    return bot.send(page, "who", code=student.student_code, place=place)


def started(page: Page) -> Run:
    assert page.status == 302, page.text
    assert page.path.endswith("/hand-over/")
    return Run.load(page.path.split("/")[2])


def verification(run: Run) -> LocationVerification:
    assert run.verification is not None
    return run.verification


def sessions_of(student: Student) -> list[Any]:
    return list(Session.of_student(student.student_id))


def code_for(place: str, *, ago: timedelta = timedelta()) -> str:
    from django.conf import settings

    return location_check.place_code(place, secret=settings.SECRET_KEY, now=study.now() - ago)


# --- who and where


def test_students_with_consent_are_offered_and_places_are_not_preselected(bot: Bot, student: Student) -> None:
    page = bot.open("/sessions/new/")
    assert f'<option value="{student.student_code}">' in page.html
    assert page.form("who").offered["place"] == list(keys.LOCATIONS.values())
    assert "place" not in page.form("who").values


def test_a_link_from_a_students_page_brings_the_code(bot: Bot, student: Student) -> None:
    page = bot.open(f"/sessions/new/?student={student.student_id}")
    assert page.form("who").values["code"] == [student.student_code]


@pytest.mark.parametrize("unknown", ["nobody", "no body/../", "x" * 99, ""])
def test_a_link_from_nobodys_page_brings_nothing(unknown: str, bot: Bot) -> None:
    page = bot.open(f"/sessions/new/?student={unknown}")
    assert (page.status, page.form("who").values["code"]) == (200, [""])


@pytest.mark.parametrize("code", ["nobody-here-1", "<script>", "\x01", "'; --"])
def test_an_unknown_code_is_said_so(code: str, bot: Bot) -> None:
    page = bot.send(bot.open("/sessions/new/"), "who", code=code, place="home")
    assert page.status == 404
    assert "No student has this code." in page.text
    assert page.form("who").offered["place"]


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ({"code": "", "place": "home"}, "Which student?"),
        ({"code": "a-b-1"}, "Choose a location"),
        ({"code": "a-b-1", "place": "moon"}, "Select a valid choice"),
        ({"code": "x" * 61, "place": "home"}, "at most 60 characters"),
    ],
)
def test_who_and_where_are_both_needed(told: dict[str, str], fault: str, bot: Bot) -> None:
    page = bot.open("/sessions/new/?" + "&".join(f"{name}={value}" for name, value in told.items()))
    if "place" in told:
        assert page.status == 422
        assert fault in page.text
    else:
        assert page.forms[-1].id == "who"


def test_a_code_may_be_typed_in_capitals_and_with_spaces_around(bot: Bot, student: Student) -> None:
    page = bot.send(
        bot.open("/sessions/new/"), "who", code=f"  {student.student_code.upper()} ", place="home"
    )
    assert page.form("start")


def test_without_consent_there_is_no_start(bot: Bot, student: Student, dynamodb: Any, table: str) -> None:
    page = check(bot, student, "home")
    withdraw(student.student_id)
    assert "This student cannot start." in check(bot, student, "home").text

    refused = bot.post(page, "start", at_home="on")
    assert refused.status == 403
    assert sessions_of(student) == []
    assert items_of(dynamodb, table, page.form("start").values["session_id"][0]) == []


@pytest.mark.parametrize("age", [14, 17])
def test_the_page_shows_who_the_code_stands_for(bot: Bot, age: int, table: str) -> None:
    student = enrolled(age=age)
    page = check(bot, student, "home")
    facts = f"Age {age} Grade 10 School {student.demographics.school} Last session none yet"
    assert facts in " ".join(page.text.split())


def test_the_page_shows_how_the_last_session_ended(bot: Bot, student: Student) -> None:
    run = started(bot.post(check(bot, student, "home"), "start", at_home="on"))
    close(run)
    page = " ".join(check(bot, student, "on-site").text.split())
    when = run.session.start.astimezone(study.zone())
    assert f"Last session {when:%b} {when.day}, {when:%Y, %H:%M}, Home: stopped" in page


def test_a_student_who_cannot_start_is_shown_as_well(bot: Bot, student: Student) -> None:
    withdraw(student.student_id)
    page = " ".join(check(bot, student, "home").text.split())
    assert "This student cannot start." in page
    assert f"School {student.demographics.school}" in page


# --- by position


def test_inside_the_fence_the_position_is_kept_to_four_decimals(bot: Bot, student: Student) -> None:
    run = started(bot.post(check(bot, student, "on-site"), "start", **GATE))
    told = verification(run)
    assert (told.verification.method, told.verification.verified) == ("GPS", True)
    assert told.verification.confidence == "high"
    assert (told.gps_data.latitude, told.gps_data.longitude) == (37.5357, -77.4452)
    assert told.gps_data.geofence_validated is True
    assert (told.gps_data.distance_from_target_meters, told.gps_data.accuracy_meters) == (10, 10)
    assert run.session.metadata.data_quality_flags == []


def test_a_position_at_the_edge_of_what_is_exact_enough_is_less_sure(bot: Bot, student: Student) -> None:
    run = started(bot.post(check(bot, student, "on-site"), "start", **GATE | {"accuracy": "95"}))
    assert verification(run).verification.confidence == "medium"


@pytest.mark.parametrize(
    ("position", "fault"),
    [
        (CAFE, "Move closer and check again"),
        (GATE | {"accuracy": "250"}, "The position is only known to 250 m."),
        ({}, "There is no position yet."),
        (GATE | {"accuracy": ""}, "There is no position yet."),
        (GATE | {"latitude": "1e9"}, "The position cannot be used: latitude"),
        (GATE | {"longitude": "-181"}, "The position cannot be used: longitude"),
        (GATE | {"accuracy": "-1"}, "The position cannot be used: accuracy"),
        (GATE | {"latitude": "nan"}, "Enter a number."),
        (GATE | {"accuracy": "inf"}, "Enter a number."),
        (GATE | {"latitude": "here"}, "Enter a number."),
    ],
)
def test_a_position_that_proves_nothing_starts_nothing(
    position: dict[str, str], fault: str, bot: Bot, student: Student
) -> None:
    page = bot.post(check(bot, student, "on-site"), "start", **position)
    assert page.status == 422
    assert fault in page.text
    assert sessions_of(student) == []
    assert page.form("start").values["session_id"], "the page can be sent again"


# --- a facilitator's word


def test_vouching_needs_a_reason(bot: Bot, student: Student) -> None:
    page = bot.post(check(bot, student, "on-site"), "start", vouch="on", vouch_reason="  ")
    assert page.status == 422
    assert "Say why: the reason is kept with the session." in page.text
    assert sessions_of(student) == []


@pytest.mark.parametrize("place", ["on-site", "classroom"])
def test_vouching_is_flagged_and_trusted_little(place: str, bot: Bot, student: Student) -> None:
    page = bot.post(check(bot, student, place), "start", vouch="on", vouch_reason="No signal by the wall")
    run = started(page)
    told = verification(run).verification
    assert (told.method, told.confidence) == ("manual", "low")
    assert (told.override_reason, told.attested_by) == ("No signal by the wall", "a-facilitator")
    assert run.session.metadata.data_quality_flags == ["location_override"]
    assert verification(run).gps_data is None


def test_vouching_from_outside_keeps_only_two_decimals(bot: Bot, student: Student) -> None:
    page = bot.post(check(bot, student, "on-site"), "start", vouch="on", vouch_reason="Rain", **CAFE)
    gps = verification(started(page)).gps_data
    assert (gps.latitude, gps.longitude, gps.geofence_validated) == (37.54, -77.43, False)
    assert (gps.distance_from_target_meters, gps.accuracy_meters) == (1000, 1000)


# --- by the code on the wall


def test_a_good_code_proves_the_classroom(bot: Bot, student: Student) -> None:
    run = started(
        bot.post(check(bot, student, "classroom"), "start", place_code=f" {code_for('classroom')} ")
    )
    told = verification(run)
    assert (told.verification.method, told.verification.confidence) == ("QR_code", "high")
    assert told.gps_data is None


def forged(code: str) -> str:
    place, until, signature = code.split(".")
    return f"{place}.{int(until) + 3600}.{signature}"


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (lambda: "", "This is not a place code."),
        (lambda: "classroom.1.2.3", "This is not a place code."),
        (lambda: "classroom.١٢.x", "This is not a place code."),
        (lambda: forged(code_for("classroom")), "This code was not made by this study."),
        (lambda: code_for("classroom", ago=timedelta(hours=25)), "This code is older than 24 hours."),
        (lambda: code_for("on-site"), "This code belongs to another place."),
    ],
)
def test_a_bad_code_starts_nothing(code: Any, fault: str, bot: Bot, student: Student) -> None:
    page = bot.post(check(bot, student, "classroom"), "start", place_code=code())
    assert page.status == 422
    assert fault in page.text
    assert sessions_of(student) == []


def test_the_sheet_for_the_wall_holds_a_picture_and_a_code_that_works(bot: Bot, student: Student) -> None:
    sheet = bot.open("/sessions/new/place-code/")
    assert sheet.status == 200
    assert re.search(r"<svg[^>]*>.*<path", sheet.html, re.S)
    found = re.search(r"classroom\.\d+\.[0-9a-f]{32}", sheet.text)
    assert found
    run = started(bot.post(check(bot, student, "classroom"), "start", place_code=found[0]))
    assert verification(run).verification.method == "QR_code"


def test_the_picture_holds_the_code_behind_the_hash_only(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    import qrcode

    drawn: list[str] = []
    make = qrcode.make
    monkeypatch.setattr(qrcode, "make", lambda url, **options: drawn.append(url) or make(url, **options))
    bot.open("/sessions/new/place-code/")
    address, _, hidden = drawn[0].partition("#")
    assert address == "http://testserver/sessions/new/"
    assert re.fullmatch(r"place-code=classroom\.\d+\.[0-9a-f]{32}", hidden)


@pytest.mark.parametrize("place", ["on-site", "home", "nowhere"])
def test_only_places_with_a_code_have_a_sheet(place: str, bot: Bot) -> None:
    assert bot.open(f"/sessions/new/place-code/?place={place}").status == 404


# --- at home


def test_at_home_the_students_word_is_taken_and_no_position_is_kept(bot: Bot, student: Student) -> None:
    page = check(bot, student, "home")
    assert "latitude" not in page.form("start").values
    page.form("start").values |= {name: [value] for name, value in GATE.items()}
    run = started(bot.post(page, "start", at_home="on"))
    assert verification(run).verification.method == "honor_system"
    assert verification(run).gps_data is None


def test_at_home_the_student_has_to_say_so(bot: Bot, student: Student) -> None:
    page = bot.post(check(bot, student, "home"), "start")
    assert page.status == 422
    assert "Ask the student" in page.text
    assert sessions_of(student) == []


# --- the condition


def test_the_condition_is_drawn_at_the_place(bot: Bot, student: Student) -> None:
    run = started(bot.post(check(bot, student, "home"), "start", at_home="on"))
    assert run.session.experimental_condition.condition_code.startswith("L4-")
    assert run.session.allocation.method == "balanced"
    assert Student.by_id(student.student_id).metadata.total_sessions == 1


def test_an_admin_may_set_the_condition_with_a_reason(admin: Bot, student: Student) -> None:
    page = admin.post(
        check(admin, student, "home"), "start", at_home="on", condition="L4-I2-D", condition_reason="Pilot"
    )
    run = started(page)
    assert run.session.experimental_condition.condition_code == "L4-I2-D"
    assert run.session.metadata.data_quality_flags == ["condition_override"]
    told = run.session.allocation
    assert (told.method, told.reason, told.by) == ("override", "Pilot", "a-admin")
    logged = list(AllocationEntry.query(keys.allocation("home"), AllocationEntry.SK.startswith("20")))
    mine = [entry for entry in logged if entry.session_id == run.id]
    assert [(entry.method, entry.condition_code) for entry in mine] == [("override", "L4-I2-D")]


def test_an_admin_has_to_say_why(admin: Bot, student: Student) -> None:
    page = admin.post(check(admin, student, "home"), "start", at_home="on", condition="L4-I2-D")
    assert page.status == 422
    assert "the session is flagged, and the reason is kept" in page.text
    assert sessions_of(student) == []


def test_an_admin_cannot_set_a_condition_of_another_place(admin: Bot, student: Student) -> None:
    page = admin.post(
        check(admin, student, "home"), "start", at_home="on", condition="L1-I2-D", condition_reason="Pilot"
    )
    assert page.status == 422
    assert sessions_of(student) == []


def test_a_facilitator_cannot_set_the_condition(bot: Bot, student: Student) -> None:
    page = check(bot, student, "home")
    assert "condition" not in page.form("start").values | page.form("start").offered
    page.form("start").values |= {"condition": ["L4-I2-D"], "condition_reason": ["Because"]}
    assert bot.post(page, "start", at_home="on").status == 422
    assert sessions_of(student) == []


# --- once, and what is kept of it


def test_the_same_form_sent_twice_starts_one_session(bot: Bot, student: Student) -> None:
    page = check(bot, student, "home")
    first, second = (bot.post(page, "start", at_home="on") for _ in range(2))
    assert first.url == second.url
    assert len(sessions_of(student)) == 1
    assert Student.by_id(student.student_id).metadata.total_sessions == 1


def test_the_next_session_at_the_location_has_the_same_condition(bot: Bot, student: Student) -> None:
    for _ in range(2):
        close(started(bot.post(check(bot, student, "home"), "start", at_home="on")))
    codes = {one.experimental_condition.condition_code for one in sessions_of(student)}
    assert len(codes) == 1
    assert sorted(one.allocation.attempt for one in sessions_of(student)) == [1, 2]


def test_an_open_session_is_shown_in_place_of_the_form(bot: Bot, student: Student) -> None:
    run = brought_to(started(bot.post(check(bot, student, "home"), "start", at_home="on")), "baseline/4")
    page = check(bot, student, "on-site")
    since = run.session.start.astimezone(study.zone()).strftime("%H:%M")
    assert f"This student has a session at step 1 since {since}" in page.text
    assert [form for form in page.forms if form.id == "start"] == []
    assert f'href="/sessions/{run.id}/hand-over/"' in page.html
    assert f'action="/sessions/{run.id}/stop/"' in page.html
    close(run)
    assert check(bot, student, "on-site").form("start")


def test_an_open_session_is_stopped_from_the_page_with_a_reason(bot: Bot, student: Student) -> None:
    run = started(bot.post(check(bot, student, "home"), "start", at_home="on"))
    assert f'action="/sessions/{run.id}/stop/"' in check(bot, student, "home").html
    assert bot.client.post(f"/sessions/{run.id}/stop/", {"reason": " "}).status_code == 422
    assert Run.load(run.id).is_open
    bot.client.post(f"/sessions/{run.id}/stop/", {"reason": "The bus leaves."})
    assert Run.load(run.id).session.state == "stopped"
    assert started(bot.post(check(bot, student, "home"), "start", at_home="on")).id != run.id


def test_a_second_form_is_refused_while_a_session_is_open_and_changes_nothing(
    bot: Bot, student: Student, dynamodb: Any, table: str
) -> None:
    first, second = check(bot, student, "home"), check(bot, student, "home")
    run = started(bot.post(first, "start", at_home="on"))
    before = items_of(dynamodb, table, run.id)
    page = bot.post(second, "start", at_home="on")
    assert page.status == 409
    assert "The session was not started and nothing was stored." in page.text
    assert "This student has a session at step 1 since" in page.text
    assert [session.session_id for session in sessions_of(student)] == [run.id]
    assert items_of(dynamodb, table, run.id) == before
    assert Student.by_id(student.student_id).metadata.total_sessions == 1


@pytest.mark.parametrize("id", ["", "not-a-uuid", "../x", "' OR 1=1"])
def test_a_session_id_is_a_uuid(id: str, bot: Bot, student: Student) -> None:
    page = bot.post(check(bot, student, "home"), "start", at_home="on", session_id=id)
    assert page.status == 422
    assert sessions_of(student) == []


def test_of_device_and_network_only_the_coarse_is_kept(
    table: str, student: Student, dynamodb: Any, requests_made: list[str]
) -> None:
    client = signed_in("facilitator", user_agent=IPAD)
    client.defaults["REMOTE_ADDR"] = "192.168.77.123"
    run = started(Bot(client).post(check(Bot(client), student, "home"), "start", at_home="on"))

    told, token = verification(run), client.session.session_key
    assert told.metadata.ip_address == "192.168.77.0/24"
    assert told.metadata.session_token_sha256 == hashlib.sha256(str(token).encode()).hexdigest()
    assert (told.device_info.device_type, told.device_info.os) == ("tablet", "iOS 17")
    raw = repr(items_of(dynamodb, table, run.id))
    assert str(token) not in raw
    assert "192.168.77.123" not in raw
    assert "'session_token':" not in raw


def test_an_ipv6_address_is_cut_to_its_site(table: str, student: Student) -> None:
    client = signed_in("facilitator")
    client.defaults["REMOTE_ADDR"] = "2001:db8:12:34::56"
    run = started(Bot(client).post(check(Bot(client), student, "home"), "start", at_home="on"))
    assert verification(run).metadata.ip_address == "2001:db8:12::/48"


def test_hostile_reasons_are_stored_as_text(bot: Bot, student: Student) -> None:
    reason = "<script>alert(1)</script> \u202e🏭"
    page = bot.post(check(bot, student, "classroom"), "start", vouch="on", vouch_reason=reason)
    run = started(page)
    assert verification(run).verification.override_reason == reason
    close(run)
    page = bot.post(check(bot, student, "classroom"), "start", vouch_reason=reason, place_code=reason)
    assert page.status == 422
    assert "<script>alert" not in page.html


# --- when something is in the way


@pytest.mark.parametrize("operations", [(), ("TransactWriteItems",)])
def test_while_the_store_is_away_the_start_can_be_sent_again(
    operations: tuple[str, ...], bot: Bot, student: Student
) -> None:
    page = check(bot, student, "on-site")
    with store_away(*operations):
        kept = bot.post(page, "start", vouch="on", vouch_reason="No signal")
    assert kept.status == 503
    assert "was not started" in kept.text
    form = "start" if operations else "step-form"
    assert kept.form(form).values["vouch_reason"] == ["No signal"]

    run = started(bot.post(kept, form))
    assert verification(run).verification.override_reason == "No signal"
    assert run.id == page.form("start").values["session_id"][0]


def test_while_the_store_is_away_the_page_says_so(bot: Bot, student: Student) -> None:
    with store_away():
        for address in ("/sessions/new/", f"/sessions/new/?code={student.student_code}&place=home"):
            page = bot.open(address)
            assert page.status == 503
            assert "The database is not responding" in page.text


@pytest.mark.parametrize("role", ["researcher", "irb"])
def test_other_roles_start_nothing(role: str, table: str) -> None:
    client = signed_in(role)
    for address in ("/sessions/new/", "/sessions/new/place-code/"):
        assert client.get(address).status_code == 403
        assert client.post(address).status_code == 403


def test_signed_out_leads_to_the_login(table: str) -> None:
    response = Client().get("/sessions/new/?code=a-b-1&place=home")
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/login/?next=/sessions/new/")


def test_an_unknown_student_in_the_address_starts_nothing(bot: Bot) -> None:
    response = bot.client.post(
        "/sessions/new/?code=nobody-here-1&place=home", {"session_id": str(uuid.uuid4()), "at_home": "on"}
    )
    assert response.status_code == 404
