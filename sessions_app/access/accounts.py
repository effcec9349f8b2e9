"""Staff accounts: one Django group a role; passwords are generated, long, and shown once."""

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import DatabaseError

from sessions_app.access.roles import ROLES

DEMO = "demo"  # the group of accounts whose passwords `make run` printed; it opens nothing


def new_password() -> str:
    """About 120 bits, without characters that a shell or a form could mistake."""
    return secrets.token_urlsafe(15)


def ensure_roles() -> None:
    for role in ROLES:
        Group.objects.get_or_create(name=role)


def ensure_account(*, username: str, role: str, password: str) -> tuple[User, bool]:
    """The account and whether it is new; an existing one keeps its password and gets the role."""
    ensure_roles()
    full: dict[str, Any] = {"is_staff": role == "admin", "is_superuser": role == "admin"}
    user, new = User.objects.get_or_create(username=username, defaults=full)
    if new:
        user.set_password(password)
        user.save()
    user.groups.add(Group.objects.get(name=role))
    return user, new


def mark_as_demo(user: User) -> None:
    user.groups.add(Group.objects.get_or_create(name=DEMO)[0])


def demo_accounts() -> list[str]:
    """Their names, in order."""
    names = User.objects.filter(groups__name=DEMO).order_by("username")
    return list(names.values_list("username", flat=True))


def remove_demo_accounts() -> list[str]:
    """The names of those that were removed."""
    names = demo_accounts()
    User.objects.filter(groups__name=DEMO).delete()
    return names


def refuse_demo_accounts() -> None:
    """For the web process and the worker: what production does not start with ends them, and says so.

    Fails closed: while the accounts cannot be read, demo accounts may be among them.
    """
    if not settings.IN_PRODUCTION:
        return
    try:
        names = demo_accounts()
    except DatabaseError as error:
        raise SystemExit(
            f"Production does not start: the staff accounts cannot be read ({type(error).__name__}). "
            "Check DATABASE_URL and run `manage.py migrate`."
        ) from None
    if names:
        raise SystemExit(
            "Production does not start: demo accounts of `make run` are in its database. "
            "Remove them with `manage.py remove_demo_accounts`."
        )
