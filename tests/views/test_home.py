"""The start page: each role finds its own doors."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory

from sessions_app.context_processors import roles_of
from support.cast import signed_in

pytestmark = pytest.mark.django_db

DOORS = {
    "facilitator": {"/students/new/", "/students/", "/sessions/new/", "/sessions/"},
    "researcher": {"/sessions/"},
    "irb": set(),
    "admin": {"/students/new/", "/students/", "/sessions/new/", "/sessions/", "/admin/"},
}


@pytest.mark.parametrize("role", DOORS)
def test_each_role_finds_its_doors_and_no_other(role: str) -> None:
    response = signed_in(role).get("/")
    page = response.content.decode()
    known = set().union(*DOORS.values())
    assert response.status_code == 200
    assert {door for door in known if f'href="{door}"' in page} == DOORS[role]


@pytest.mark.parametrize("role", DOORS)
def test_every_door_on_the_page_opens(role: str, table: str) -> None:
    client = signed_in(role)
    assert {door: client.get(door).status_code for door in DOORS[role]} == dict.fromkeys(DOORS[role], 200)


def test_signed_out_leads_to_login() -> None:
    assert Client().get("/")["Location"] == "/login/?next=/"


def test_an_account_without_a_role_is_told_so() -> None:
    client = Client()
    client.force_login(User.objects.create_user("nobody"))
    response = client.get("/")
    assert response.status_code == 403
    assert b"has no role yet" in response.content


def test_a_superuser_is_an_admin_to_routes_and_pages_alike() -> None:
    user = User.objects.create_superuser("root")
    client = Client()
    client.force_login(user)
    request = RequestFactory().get("/")
    request.user = User.objects.get(pk=user.pk)
    assert roles_of(request) == {"admin"}
    assert 'href="/admin/"' in client.get("/").content.decode()


def test_a_page_drawn_without_a_reader_has_no_roles() -> None:
    assert roles_of(RequestFactory().get("/")) == frozenset()


def test_the_start_page_says_whether_the_tutor_is_offline(settings: object) -> None:
    client = signed_in("facilitator")
    assert b"The tutor is offline" in client.get("/").content
    settings.ANTHROPIC_API_KEY = "a key"  # type: ignore[attr-defined]
    assert b"The tutor is offline" not in client.get("/").content
