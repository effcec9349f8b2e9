"""Who may open what: one literal table, every route of the real site requested as every role.

What a browser confined to one session may open is in test_lock.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from sessions_app import study
from sessions_app.access.roles import ADMIN_SITE, ROLES
from sessions_app.domain.models import Student
from sessions_app.domain.session.record import Run
from support.cast import enrolled, signed_in, started

pytestmark = pytest.mark.django_db

F, R, I, A = ROLES  # noqa: E741
EVERYBODY = {*ROLES, "signed out"}

DOORS: dict[str, set[str]] = {
    # the site
    "healthz": EVERYBODY,
    "readyz": EVERYBODY,
    "login": EVERYBODY,
    "second_factor": EVERYBODY,
    "logout": EVERYBODY,
    "admin/logout/": EVERYBODY,
    "signed_in": EVERYBODY,
    "worker": EVERYBODY,
    "admin": {A},
    "home": {F, R, I, A},
    # students and consent
    "student_list": {F, A},
    "student_new": {F, A},
    "student": {F, R, A},
    "roster_list": {F, A},
    "roster_new": {F, A},
    "roster_template": {F, A},
    "roster": {F, A},
    "roster_print": {F, A},
    "roster_consent": {F, A},
    "roster_remove": {F, A},
    "consent_renew": {F, A},
    "withdraw": {F, I, A},
    "consent_list": {I, A},
    "erasures": {I, A},
    "consent_export": {I, A},
    "consent_forms": {I, A},
    "consent_form_require": {I, A},
    "consent_form_renewal": {I, A},
    "consent_form": {I, A},
    "consent": {I, A},
    "consent_review": {I, A},
    "consent_certificate": {I, A},
    # sessions
    "session_list": {F, R, A},
    "session_new": {F, A},
    "place_code": {F, A},
    "session": {F, R, A},
    "session_stop": {F, A},
    "session_reopen": {F, A},
    "session_void": {F, R, A},
    "session_unvoid": {F, R, A},
    "session_hand_over": {F, A},
    "session_link": {F, A},
    "session_link_revoke": {F, A},
    "session_words": {F, A},
    "session_office": {F, A},
    "session_answer": {F, R, A},
    "join": EVERYBODY,
    "monitor": {F, R, A},
    # a session's pages
    "run": {F, A},
    "run_done": {F, A},
    "take_back": {F, A},
    "run_notes": {F, A},
    "run_note_read": {F, A},
    "run_help": {F, A},
    "run_pause": {F, A},
    "run_care": {F, A},
    "run_stop": {F, A},
    "run_pack": {F, A},
    "run_stage": {F, A},
    "run_progress": {F, A},
    "run_prepare": {F, A},
    "run_step": {F, A},
    # what the study shows
    "records": {R, I, A},
    "record_find": {R, I, A},
    "record_partition": {R, I, A},
    "record_list": {R, I, A},
    "record_item": {R, I, A},
    "dashboard": {R, A},
    "dashboard_conditions": {R, A},
    "dashboard_condition": {R, A},
    "dashboard_condition_sessions": {R, A},
    "dashboard_locations": {R, A},
    "dashboard_interventions": {R, A},
    "dashboard_time": {R, A},
    "dashboard_student": {R, A},
    "dashboard_ai": {R, A},
    "dashboard_inference": {R, A},
    "dashboard_chart": {R, A},
    "grading": {R, A},
    "grading_agreement": {R, A},
    "grading_answer": {R, A},
    "confirmatory": {R, A},
    "study_plan": {R, I, A},
    "study_plan_sign": {R, I, A},
    "exports": {R, A},
    "export_download": {R, A},
    # staff
    "dead_letters": {A},
    "dead_letter_retry": {A},
    "dead_letter_dismiss": {A},
    "staff_sites": {A},
    "staff_site_change": {A},
    "audit": {I, A},
    "audit_export": {I, A},
}


def routes(patterns: Any, prefix: str = "") -> Iterator[tuple[str, URLPattern | URLResolver, str]]:
    """The name of each route of the real URLconf, or the route itself; the admin site is one."""
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLPattern):
            yield pattern.name or route, pattern, route
        elif pattern.app_name == ADMIN_SITE:
            yield ADMIN_SITE, pattern, route
        else:
            yield from routes(pattern.url_patterns, route)


ROUTES = {name: route for name, _, route in routes(get_resolver().url_patterns)}


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert set(DOORS) == set(ROUTES)
    assert len(ROUTES) == len(list(routes(get_resolver().url_patterns)))  # no two have the same name


@pytest.fixture(scope="module")
def table(lasting_table: str) -> str:
    return lasting_table


@pytest.fixture
def samples(table: str, settings: Any) -> dict[str, str]:
    """What stands in addresses: a student and a session that everybody's rights are tried on."""
    settings.SOCRATIC_TABLE = table
    student: Student = enrolled()
    run: Run = started("L1-I1-D", student=student)
    return {
        "<slug:student_id>": student.student_id,
        "<slug:session_id>": run.id,
        "<slug:roster_id>": "0" * 32,
        "<slug:sha256>": study.package().form("assent").sha256,
        "<slug:kind>": "assent",
        "<slug:stage>": "baseline",
        "<int:number>": "1",
        "<int:account>": str(uuid.uuid4().int % 1000 + 10_000),
        "<str:token>": "no-token",
        "<slug:code>": "L1-I1-D",
        "<slug:mark>": "baseline",
        "<slug:question>": "q1",
        "<slug:export_id>": "20260303T170000Z-00000000",
        "<slug:name>.<slug:form>": "gain_by_condition.csv",
        "<slug:name>": "student_profile",  # open to every reader of records
    }


def address(route: str, samples: dict[str, str]) -> str:
    for part, value in samples.items():
        route = route.replace(part, value)
    assert "<" not in route, f"{route} has a part without a sample"
    return f"/{route}"


def is_refused(client: Client, path: str) -> bool:
    """Whether it is the policy that answers, with whatever method the route takes."""
    answer = client.get(path)
    if answer.status_code == 405:
        answer = client.post(path)
    assert answer.status_code < 500, f"{path} answers {answer.status_code}"
    to_login = {f"{login}?next={path}" for login in ("/login/", "/admin/login/")}
    return answer.status_code == 403 or answer.headers.get("Location") in to_login


@pytest.mark.parametrize("role", sorted(EVERYBODY))
def test_each_role_opens_its_doors_and_no_other(role: str, samples: dict[str, str]) -> None:
    opened = set()
    for name, route in ROUTES.items():
        client = Client() if role == "signed out" else signed_in(role)
        if not is_refused(client, address(route, samples)):
            opened.add(name)
    expected = {name for name, allowed in DOORS.items() if role in allowed}
    assert opened - expected == set(), "more is open than the table says"
    assert expected - opened == set(), "less is open than the table says"
