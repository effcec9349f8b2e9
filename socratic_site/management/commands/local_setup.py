import json
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from sessions_app.access import accounts as staff_accounts
from sessions_app.access.roles import ROLES
from sessions_app.private_files import write_private
from socratic_site.local import files


class Command(BaseCommand):
    help = "What `make run` needs before its first page: SQL tables, the study's table, one account a role."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
        call_command("migrate", interactive=False, verbosity=0, stdout=self.stdout)
        call_command("create_table", stdout=self.stdout)
        self.make_accounts()

    def make_accounts(self) -> None:
        """Passwords are made at the first start and kept: a lost SQL database gets the same accounts."""
        file = settings.VAR_DIR / "demo-accounts.json"
        accounts = files.read_json(file)
        for role in ROLES:
            accounts.setdefault(role, {"username": role, "password": staff_accounts.new_password()})
        write_private(file, json.dumps(accounts, indent=2) + "\n")
        for role in ROLES:
            user, _ = staff_accounts.ensure_account(role=role, **accounts[role])
            staff_accounts.mark_as_demo(user)
