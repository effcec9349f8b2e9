from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sessions_app import staff
from sessions_app.access import ROLES


class Command(BaseCommand):
    help = "Makes a staff account with a generated password, which is shown once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--role", choices=ROLES, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        password = staff.new_password()
        user, new = staff.ensure_account(
            username=options["username"], role=options["role"], password=password
        )
        if not new:
            raise CommandError(
                f"{user.username} exists; it has the role {options['role']} and its old password"
            )
        self.stdout.write(f"{user.username} ({options['role']}), password: {password}")
