from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from sessions_app.access import account_audit, accounts
from sessions_app.domain.audit.log import Actor

BY = Actor("remove_demo_accounts", "system")


class Command(BaseCommand):
    help = "Deletes the accounts that `make run` made, so that this database can serve production."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with transaction.atomic():
                names = accounts.remove_demo_accounts()
                for name in names:
                    account_audit.tell("account.delete", by=BY, subject=name)
        except account_audit.NotTold:
            raise CommandError(
                "The study's table does not answer; no account was removed. Try again."
            ) from None
        self.stdout.write(f"Removed: {', '.join(names)}" if names else "There are no demo accounts.")
