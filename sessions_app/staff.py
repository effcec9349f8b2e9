"""Staff accounts: one Django group a role; passwords are generated, long, and shown once."""

import secrets
from typing import Any

from django.contrib.auth.models import Group, User

from sessions_app.access import ROLES


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
