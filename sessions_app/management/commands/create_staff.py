from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from sessions_app.access import account_audit, accounts, sites
from sessions_app.access.roles import ROLES
from sessions_app.domain.audit.log import Actor

BY = Actor("create_staff", "system")


class Command(BaseCommand):
    help = "Makes a staff account with a generated password, which is shown once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--role", choices=ROLES, required=True)
        parser.add_argument(
            "--site", action="append", default=[], metavar="SCHOOL", help="belongs to it; as often as needed"
        )

    def handle(self, *args: Any, username: str, role: str, site: list[str], **options: Any) -> None:
        password = accounts.new_password()
        try:
            with transaction.atomic():
                new = make(username=username, role=role, password=password)
                for school in site:
                    sites.join(User.objects.get(username=username), school, by=BY)
        except account_audit.NotTold:
            raise CommandError(
                "The study's table does not answer, so the account could not be told in the audit log and "
                "was not made. Check the connection, run `manage.py create_table` once, and try again."
            ) from None
        if not new and site:
            self.stdout.write(
                f"{username} exists with its old password; it belongs to these sites as well now"
            )
            return
        if not new:
            raise CommandError(f"{username} exists; it has the role {role} and its old password")
        self.stdout.write(f"{username} ({role}), password: {password}")


def make(*, username: str, role: str, password: str) -> bool:
    """Whether the account is new; an existing one gets the role. Raises NotTold."""
    known = User.objects.filter(username=username).first()
    old = account_audit.facts(known) if known else None
    user, new = accounts.ensure_account(username=username, role=role, password=password)
    action = "account.create" if new else "account.change"
    account_audit.tell(action, by=BY, subject=username, old=old, new=account_audit.facts(user))
    return new
