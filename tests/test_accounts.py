"""Staff accounts under /admin/: what an admin can change, and that no change goes untold."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from sessions_app.access import accounts
from sessions_app.access.roles import roles_of
from support.cast import signed_in, store_away
from tests.domain.cast import reason_of
from tests.test_signin import PASSWORD, account, entry, told

pytestmark = pytest.mark.django_db

USERS = "/admin/auth/user/"


@pytest.fixture
def boss(table: str) -> Client:
    accounts.ensure_roles()
    return signed_in("admin")


def roles(*names: str) -> list[int]:
    return [Group.objects.get(name=name).pk for name in names]


def add(client: Client, name: str, *names: str) -> Any:
    passwords = {"password1": PASSWORD, "password2": PASSWORD}
    return client.post(f"{USERS}add/", {"username": name, "groups": roles(*names)} | passwords)


def change(client: Client, user: User, *names: str, **fields: Any) -> Any:
    given = {"username": user.username, "is_active": "on", "groups": roles(*names)} | fields
    return client.post(
        f"{USERS}{user.pk}/change/", {name: value for name, value in given.items() if value != ""}
    )


def test_an_admin_makes_an_account_with_roles(boss: Client) -> None:
    assert add(boss, "tariq", "researcher", "irb").status_code == 302
    user = User.objects.get(username="tariq")
    assert user.check_password(PASSWORD)
    assert roles_of(user) == {"researcher", "irb"}
    made = entry("account.create")
    assert (made.by, made.role, made.subject) == ("a-admin", "admin", "tariq")
    assert made.new == {"active": "True", "roles": "researcher+irb", "is_staff": "False"}
    assert PASSWORD not in str(made.attribute_values)


def test_the_role_admin_opens_the_admin_site_and_losing_it_closes_it(boss: Client) -> None:
    add(boss, "tariq", "admin")
    user = User.objects.get(username="tariq")
    assert (user.is_staff, user.is_superuser) == (True, True)
    change(boss, user, "irb")
    user.refresh_from_db()
    assert (user.is_staff, user.is_superuser) == (False, False)
    changed = entry("account.change")
    assert changed.old == {"active": "True", "roles": "admin", "is_staff": "True"}
    assert changed.new == {"active": "True", "roles": "irb", "is_staff": "False"}


def test_closing_an_account_ends_its_sessions(boss: Client) -> None:
    user = account()
    client = Client()
    client.force_login(user)
    change(boss, user, "facilitator", is_active="")
    assert client.get("/").status_code == 302
    assert entry("account.change").new["active"] == "False"
    assert reason_of(entry("account.change")) == "changed: active"


def test_a_new_password_ends_the_sessions_of_the_account(boss: Client) -> None:
    user = account()
    client = Client()
    client.force_login(user)
    fields = {"password1": "another mill gate", "password2": "another mill gate", "usable_password": "true"}
    assert boss.post(f"{USERS}{user.pk}/password/", fields).status_code == 302
    assert User.objects.get(pk=user.pk).check_password("another mill gate")
    assert client.get("/").status_code == 302
    assert reason_of(entry("account.change")) == "changed: password"


def test_an_admin_changes_the_own_password(boss: Client) -> None:
    User.objects.filter(username="a-admin").update(password=account().password)
    boss.force_login(User.objects.get(username="a-admin"))
    fields = {"old_password": PASSWORD, "new_password1": "a mill in may", "new_password2": "a mill in may"}
    assert boss.post("/admin/password_change/", fields).status_code == 302
    assert entry("account.change").subject == "a-admin"


def test_deleting_an_account_is_told(boss: Client) -> None:
    user = account()
    assert boss.post(f"{USERS}{user.pk}/delete/", {"post": "yes"}).status_code == 302
    assert entry("account.delete").old == {"active": "True", "roles": "facilitator", "is_staff": "False"}


def test_deleting_several_accounts_is_told_of_each(boss: Client) -> None:
    users = [account("one"), account("two")]
    fields = {"action": "delete_selected", "_selected_action": [user.pk for user in users], "post": "yes"}
    assert boss.post(USERS, fields).status_code == 302
    assert [subject for action, _, subject in told() if action == "account.delete"] == ["one", "two"]
    assert not User.objects.filter(username__in=("one", "two")).exists()


def test_nobody_deletes_the_own_account(boss: Client) -> None:
    me = User.objects.get(username="a-admin")
    assert boss.post(f"{USERS}{me.pk}/delete/", {"post": "yes"}).status_code == 403
    boss.post(USERS, {"action": "delete_selected", "_selected_action": [me.pk], "post": "yes"})
    assert User.objects.filter(username="a-admin").exists()


def test_a_second_factor_is_reset(boss: Client) -> None:
    user = account(role="researcher")
    TOTPDevice.objects.create(user=user, name="app")
    StaticDevice.objects.create(user=user, name="recovery")
    boss.post(USERS, {"action": "reset_second_factor", "_selected_action": [user.pk]})
    assert (TOTPDevice.objects.count(), StaticDevice.objects.count()) == (0, 0)
    assert entry("factor.reset").subject == "miriam"


def test_what_cannot_be_told_is_not_changed(boss: Client) -> None:
    user = account(role="researcher")
    TOTPDevice.objects.create(user=user, name="app")
    before = User.objects.filter(pk=user.pk).values().get()
    password = {"password1": "another mill gate", "password2": "another mill gate", "usable_password": "true"}
    chosen = {"_selected_action": [user.pk]}
    with store_away():
        answers = [
            add(boss, "tariq", "irb"),
            change(boss, user, "irb", is_active=""),
            boss.post(f"{USERS}{user.pk}/password/", password),
            boss.post(f"{USERS}{user.pk}/delete/", {"post": "yes"}),
            boss.post(USERS, {"action": "delete_selected", "post": "yes"} | chosen),
            boss.post(USERS, {"action": "reset_second_factor"} | chosen),
        ]
    assert [answer.status_code for answer in answers] == [503] * 6
    assert "nothing was changed or shown" in answers[0].content.decode()
    assert User.objects.filter(pk=user.pk).values().get() == before
    assert roles_of(User.objects.get(pk=user.pk)) == {"researcher"}
    assert not User.objects.filter(username="tariq").exists()
    assert TOTPDevice.objects.count() == 1


def test_a_demo_account_stays_one_whatever_roles_it_gets(boss: Client) -> None:
    user = account()
    accounts.mark_as_demo(user)
    change(boss, user, "irb")
    assert accounts.demo_accounts() == ["miriam"]
    assert roles_of(User.objects.get(pk=user.pk)) == {"irb"}


def test_only_accounts_can_be_changed_and_no_secret_is_shown(boss: Client) -> None:
    assert set(admin.site._registry) == {User}
    assert boss.get("/admin/otp_totp/totpdevice/").status_code == 404


def test_a_group_that_is_no_role_cannot_be_given(boss: Client) -> None:
    Group.objects.create(name="guests")
    user = account()
    response = change(boss, user, "facilitator", "guests")
    assert response.status_code == 200
    assert "Select a valid choice" in response.content.decode()


@pytest.mark.parametrize("role", ["facilitator", "researcher", "irb"])
def test_other_roles_are_refused(table: str, role: str) -> None:
    client = signed_in(role)
    assert client.get(USERS, follow=True).status_code == 403


def test_the_admin_site_has_no_way_in_and_out_of_its_own(boss: Client) -> None:
    assert Client().get("/admin/", follow=True).request["PATH_INFO"] == "/login/"
    assert (
        Client().post("/admin/login/", {"username": "a", "password": "b"})["Location"].startswith("/login/")
    )
    assert boss.post("/admin/logout/").status_code == 302
    assert entry("sign_out").by == "a-admin"
    assert boss.get("/admin/").status_code == 302
