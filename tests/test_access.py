"""Who may open what, from signed-out visitors to each role, on a site of four small pages."""

import sys
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, User
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import include, path

from sessions_app.access import accounts
from sessions_app.access import roles as access_roles
from sessions_app.access.roles import ROLES, allow, public, roles_of


@allow("facilitator", "admin")
def running(request: HttpRequest) -> HttpResponse:
    return HttpResponse("running")


@allow("irb")
def consent(request: HttpRequest) -> HttpResponse:
    return HttpResponse("consent")


@public
def login(request: HttpRequest) -> HttpResponse:
    return HttpResponse("sign in")


def forgotten(request: HttpRequest) -> HttpResponse:
    return HttpResponse("nobody named a role")


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    return HttpResponse("refused", status=403)


nested = [path("forgotten/", forgotten)]
urlpatterns = [
    path("running/", running),
    path("consent/", consent),
    path("login/", login, name="login"),
    path("deep/", include(nested)),
    path("admin/", admin.site.urls),
]


@pytest.fixture(autouse=True)
def small_site(settings: Any) -> None:
    settings.ROOT_URLCONF = sys.modules[__name__]


def signed_in(role: str) -> Client:
    user, _ = accounts.ensure_account(username=f"a-{role}", role=role, password=accounts.new_password())
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("role", "opens"),
    [
        ("facilitator", {"/running/"}),
        ("researcher", set()),
        ("irb", {"/consent/"}),
        ("admin", {"/running/"}),
    ],
)
def test_a_role_opens_what_names_it_and_nothing_else(role: str, opens: set[str]) -> None:
    client = signed_in(role)
    answers = {address: client.get(address).status_code for address in ("/running/", "/consent/")}
    assert answers == {address: 200 if address in opens else 403 for address in answers}


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES)
def test_a_view_without_a_policy_is_for_nobody(role: str) -> None:
    assert signed_in(role).get("/deep/forgotten/").status_code == 403


@pytest.mark.django_db
def test_an_account_without_a_role_opens_nothing() -> None:
    client = Client()
    client.force_login(User.objects.create_user("nobody"))
    assert client.get("/running/").status_code == 403


@pytest.mark.django_db
def test_a_group_that_is_no_role_opens_nothing() -> None:
    user = User.objects.create_user("guest")
    user.groups.create(name="guests")
    assert roles_of(user) == frozenset()


def test_signed_out_leads_to_login_and_back_with_the_query() -> None:
    response = Client().get("/running/?day=2026-01-05")
    assert response.status_code == 302
    assert response["Location"] == "/login/?next=/running/%3Fday%3D2026-01-05"


def test_signed_out_of_a_fragment_leads_the_whole_page_to_login() -> None:
    response = Client().get(
        "/running/", headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/running/?page=2"}
    )
    assert response.status_code == 200
    assert response["HX-Redirect"] == "/login/?next=/running/%3Fpage%3D2"
    assert not response.has_header("Location")
    assert response.content == b""


def test_a_fragment_never_leads_back_to_another_site() -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "https://elsewhere.example/running/"}
    assert Client().get("/running/", headers=headers)["HX-Redirect"] == "/login/?next=/"


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_the_way_to_login_is_cached_apart_for_htmx(headers: dict[str, str]) -> None:
    assert "HX-Request" in Client().get("/running/", headers=headers)["Vary"]


@pytest.mark.django_db
def test_the_wrong_role_is_refused_to_a_fragment_too() -> None:
    assert signed_in("researcher").get("/running/", headers={"HX-Request": "true"}).status_code == 403


def test_a_public_view_is_open_to_signed_out_visitors() -> None:
    assert Client().get("/login/").content == b"sign in"


@pytest.mark.django_db
@pytest.mark.parametrize(("role", "status"), [("admin", 200), ("facilitator", 302)])
def test_the_admin_site_opens_to_admins_by_its_own_checks(role: str, status: int) -> None:
    assert signed_in(role).get("/admin/").status_code == status


@pytest.mark.django_db
def test_roles_are_asked_of_the_database_once(django_assert_num_queries: Any) -> None:
    user, _ = accounts.ensure_account(username="someone", role="irb", password=accounts.new_password())
    with django_assert_num_queries(1):
        assert roles_of(user) == roles_of(user) == {"irb"}


def test_nobody_signed_in_has_no_role() -> None:
    assert roles_of(AnonymousUser()) == frozenset()


@pytest.mark.parametrize("roles", [(), ("student",), ("facilitator", "boss")])
def test_a_policy_names_known_roles(roles: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="opened to some of"):
        allow(*roles)


def test_the_check_finds_the_route_without_a_policy() -> None:
    assert list(access_roles.routes_without_policy(urlpatterns)) == ["deep/forgotten/"]
    assert [message.id for message in access_roles.check_every_route_has_a_policy(app_configs=None)] == [
        "sessions_app.E001"
    ]


def test_every_route_of_the_real_site_has_a_policy(settings: Any) -> None:
    settings.ROOT_URLCONF = "socratic_site.urls"
    assert access_roles.check_every_route_has_a_policy(app_configs=None) == []


@pytest.mark.django_db
def test_a_new_staff_account_signs_in_with_the_password_it_was_shown(table: str, capsys: Any) -> None:
    call_command("create_staff", "miriam", role="researcher")
    password = capsys.readouterr().out.split()[-1]
    user = User.objects.get(username="miriam")
    assert user.check_password(password)
    assert (roles_of(user), user.is_staff) == ({"researcher"}, False)


def test_the_policy_stays_on_a_view_wrapped_by_a_policy() -> None:
    assert access_roles.policy_of(running) == {"facilitator", "admin"}
    assert running(RequestFactory().get("/")).content == b"running"
