"""Looks at data, failures to get in, denied pages, and changes of settings: each is in the audit log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from sessions_app import study
from sessions_app.domain import study_settings
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.grading import automated as automated_scoring
from sessions_app.domain.grading import human as human_scoring
from sessions_app.domain.models import AuditEntry
from sessions_app.domain.session import messages as session_messages
from sessions_app.domain.session.record import Run
from support.cast import signed_in, started, store_away
from tests.analytics.record_pages import rows, whole
from tests.domain import test_consent
from tests.domain.cast import NOON, PACKAGE, Participant, enrol

pytestmark = pytest.mark.django_db

ANSWER = "The canal brought coal and carried the cannons away"
ADDRESS = "203.0.113.77"


@pytest.fixture(autouse=True)
def no_repeats() -> None:
    """What a process remembers of denials."""
    cache.clear()


def entries(action: str = "") -> list[AuditEntry]:
    """Of the last days, oldest first."""
    today = timezone.now().date()
    days = {NOON.date(), today, today - timedelta(days=1), study.now().date()}
    found = [item for day in sorted(days) for item in reversed(list(AuditEntry.on_day(day)))]
    return [item for item in found if isinstance(item, AuditEntry) and action in ("", item.action)]


def whole_with_answer() -> Run:
    participant = Participant.in_condition("L4-I3-D", now=NOON)
    participant.walk_to("final/1")
    for number, item in enumerate(PACKAGE.assessment, 1):
        participant.answer_item("final", number, ANSWER if item.question_type == "short_answer" else None)
    participant.walk()
    for task in list(automated_scoring.due(participant.now)):
        automated_scoring.work(task, package=PACKAGE, tutor=study.tutor(), now=participant.after())
    return Run.load(participant.run.id)


def grading_page(run: Run) -> str:
    return reverse("grading_answer", args=[run.id, human_scoring.mark_of(run.id, "final"), "q3"])


# --- looks


def looks(run: Run) -> dict[str, tuple[str, str, dict[str, str]]]:
    """By action: who looks, at which address, with which query."""
    assessment = run.assessments["final"]
    answers = {"pk": assessment.PK, "sk": assessment.SK}
    return {
        "transcript.view": ("researcher", reverse("session", args=[run.id]), {}),
        "record.view": ("researcher", "/records/assessment/item/", answers),
        "grading.view": ("researcher", grading_page(run), {}),
        "chart.view": ("researcher", reverse("dashboard_student", args=[run.session.student_id]), {}),
        "consent.list": ("irb", "/consent/", {"tab": "awaiting"}),
        "audit.view": ("irb", "/audit/", {}),
        "place_code.show": ("admin", "/sessions/new/place-code/", {}),
    }


LOOKS = (
    "transcript.view",
    "record.view",
    "grading.view",
    "chart.view",
    "consent.list",
    "audit.view",
    "place_code.show",
)


@pytest.mark.parametrize("action", LOOKS)
def test_a_look_is_audited_once_and_without_what_was_seen(table: str, action: str) -> None:
    run = whole_with_answer()
    role, url, query = looks(run)[action]
    before = len(entries())
    response = signed_in(role).get(url, query)
    assert response.status_code == 200
    (entry,) = entries(action)
    assert len(entries()) == before + 1
    assert (entry.by, entry.role) == (f"a-{role}", role)
    assert ANSWER not in str(entry.serialize())
    if action not in ("consent.list", "audit.view", "place_code.show"):
        assert entry.student_id == run.session.student_id


@pytest.mark.parametrize("action", LOOKS)
def test_nothing_is_shown_that_could_not_be_audited(table: str, action: str) -> None:
    run = whole_with_answer()
    role, url, query = looks(run)[action]
    client = signed_in(role)
    assert client.get(url, query).status_code == 200
    with store_away("PutItem"):
        response = client.get(url, query)
    assert response.status_code == 503
    assert ANSWER not in response.content.decode()
    assert str(run.session.student_code) not in response.content.decode()
    assert len(entries(action)) == 1


def test_a_raw_position_is_told_apart_from_other_records(table: str) -> None:
    run = whole()  # on site
    addresses = rows(signed_in("admin").get("/records/partition/", {"pk": run.session.PK}))
    (address,) = [address for address in addresses if "location_verification" in address]
    signed_in("admin").get(address)
    (seen,) = entries("position.view")
    assert (seen.by, seen.session_id) == ("a-admin", run.id)
    assert "37.5" not in str(seen.serialize())
    signed_in("researcher").get(address)  # who sees everything of it but the position
    (seen,) = entries("record.view")
    assert seen.by == "a-researcher"


def test_a_picture_of_a_page_is_no_second_look_and_a_bare_one_is(table: str) -> None:
    run = whole_with_answer()
    client = signed_in("researcher")
    url = "/dashboards/charts/student_sessions.svg"
    asked = {"student": run.session.student_id}
    first = client.get(url, asked)
    assert first.status_code == 200
    version = first["ETag"].strip('"').split("-")[1]
    assert len(entries("chart.view")) == 1
    client.get(url, {**asked, "v": version})
    assert len(entries("chart.view")) == 1


def test_what_renews_itself_writes_nothing(table: str) -> None:
    started()
    client, before = signed_in("admin"), len(entries())
    for _ in range(3):
        client.get("/monitor/", headers={"HX-Request": "true"})
    assert len(entries()) == before


# --- failures


def test_a_wrong_password_is_audited_with_the_network_and_neither_address_nor_password(table: str) -> None:
    signed_in("facilitator")
    sent = {"username": "a-facilitator", "password": "hunter2 hunter2"}
    Client(REMOTE_ADDR=ADDRESS).post("/login/", sent)
    (entry,) = entries("sign_in.failed")
    assert (entry.by, entry.subject, entry.new["factor"]) == ("system", "a-facilitator", "password")
    Client(REMOTE_ADDR="198.51.100.4").post("/login/", sent)
    assert len({failed.new["network"] for failed in entries("sign_in.failed")}) == 2
    assert len(entry.new["network"]) == 16
    for secret in (ADDRESS, "203.0.113", "hunter2"):
        assert secret not in str(entry.serialize())


def test_guesses_at_unknown_names_are_audited_once_in_a_while_and_never_by_name(table: str) -> None:
    for number in range(4):
        sent = {"username": f"my password {number}", "password": "x"}
        assert Client(REMOTE_ADDR=ADDRESS).post("/login/", sent).status_code == 200
    (entry,) = entries("sign_in.failed")
    assert entry.subject == "an unknown account"
    assert "my password" not in str(entry.serialize())


def test_tries_while_an_account_is_locked_fill_nothing(table: str, settings: Any) -> None:
    signed_in("facilitator")
    for _ in range(settings.AXES_FAILURE_LIMIT + 4):
        Client(REMOTE_ADDR=ADDRESS).post("/login/", {"username": "a-facilitator", "password": "x"})
    assert len(entries("sign_in.failed")) == settings.AXES_FAILURE_LIMIT
    (lock,) = entries("lockout")
    assert lock.new["network"] == entries("sign_in.failed")[0].new["network"]


def test_a_form_without_a_password_is_no_failure(table: str) -> None:
    Client().post("/login/", {"username": "a-facilitator", "password": ""})
    assert entries("sign_in.failed") == []


# --- denied pages


def test_a_denied_page_is_audited_once_in_a_while_for_each_account_and_route(table: str) -> None:
    run = started()
    researcher = signed_in("researcher")
    for _ in range(5):
        assert researcher.get("/students/").status_code == 403
        assert researcher.get("/audit/").status_code == 403
        assert signed_in("irb").get(reverse("session", args=[run.id])).status_code == 403
    assert sorted((entry.by, entry.subject) for entry in entries("access.denied")) == [
        ("a-irb", "session"),
        ("a-researcher", "audit"),
        ("a-researcher", "student_list"),
    ]


def test_a_page_of_a_foreign_school_is_audited_though_it_does_not_exist(table: str) -> None:
    client = signed_in("facilitator")
    student = enrol(now=NOON)
    client.get("/")
    user: Any = client.get("/").wsgi_request.user
    user.groups.remove(*user.groups.filter(name__startswith="site:"))
    assert client.get(reverse("student", args=[student.student_id])).status_code == 404
    (entry,) = entries("access.denied")
    assert (entry.by, entry.subject) == ("a-facilitator", "student")


def test_a_denied_page_stays_denied_while_the_log_is_away(table: str) -> None:
    client = signed_in("researcher")
    with store_away():
        assert client.get("/students/").status_code == 403


# --- the session's surroundings


def test_notes_calls_and_devices_are_audited_without_their_words(table: str) -> None:
    run = started()
    facilitator = Actor("a-facilitator", "facilitator")
    session_messages.send_note(run, text=ANSWER, by=facilitator, now=NOON)
    session_messages.ask_for_help(run, now=NOON)
    session_messages.call_office(run, by=facilitator, now=NOON)
    run = Run.load(run.id)
    for call in run.calls:
        by = None if call.kind == session_messages.NOTE else facilitator
        for _ in range(2):
            session_messages.answer(run.calls, call_id=call.call_id, by=by, now=NOON)
    found = sorted(
        (e.action, e.by, e.new["kind"]) for e in entries() if e.action.startswith(("note", "call"))
    )
    assert found == [
        ("call.answer", "a-facilitator", session_messages.HELP),
        ("call.answer", "a-facilitator", session_messages.OFFICE),
        ("call.make", "a-facilitator", session_messages.OFFICE),
        ("call.make", "participant", session_messages.HELP),
        ("note.read", "participant", session_messages.NOTE),
        ("note.send", "a-facilitator", session_messages.NOTE),
    ]
    assert ANSWER not in str([entry.serialize() for entry in entries()])


def test_a_consent_given_again_is_audited(table: str) -> None:
    student = enrol(now=NOON)
    test_consent.renew(student)
    (entry,) = entries("consent.renew")
    assert entry.student_id == student.student_id


# --- settings and forms


def test_the_worker_audits_changed_settings_and_forms_once(table: str, settings: Any) -> None:
    call_command("run_worker", once=True, no_stream=True)
    assert len(entries("setting.change")) == len(entries("form.publish")) == 1
    settings.RETENTION_UNTIL = (NOON + timedelta(days=400)).date()
    for _ in range(2):
        call_command("run_worker", once=True, no_stream=True)
    (changed,) = [entry for entry in entries("setting.change") if entry.old]
    assert len(entries("setting.change")) == 2
    assert (changed.by, changed.old, changed.new) == (
        "system",
        {"RETENTION_UNTIL": "None"},
        {"RETENTION_UNTIL": f"{settings.RETENTION_UNTIL}"},
    )
    assert len(entries("form.publish")) == 1


def test_a_form_that_changed_is_audited_with_both_versions(table: str) -> None:
    study_settings.record_changes({"form assent": "version 1, SHA-256 aa", "X": "1"}, now=NOON)
    later = NOON + timedelta(seconds=1)
    study_settings.record_changes({"form assent": "version 2, SHA-256 bb", "X": "1"}, now=later)
    (_, changed) = entries("form.publish")
    assert (changed.old, changed.new) == (
        {"form assent": "version 1, SHA-256 aa"},
        {"form assent": "version 2, SHA-256 bb"},
    )
    assert len(entries("setting.change")) == 1


def test_no_secret_is_among_the_settings_that_are_audited(settings: Any) -> None:
    for name, value in study.settings_in_force().items():
        assert "KEY" not in name
        assert settings.SECRET_KEY not in value
