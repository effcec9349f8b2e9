import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from sessions_app.domain.store import table


class Command(BaseCommand):
    help = "Makes the study's table where it is missing. A table of another shape is reported, never altered."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--print", action="store_true", help="only print the table's definition as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        name = settings.SOCRATIC_TABLE
        wanted = table.definition(name, settings.SOCRATIC_BILLING)
        if options["print"]:
            self.stdout.write(json.dumps(wanted, indent=2))
            return
        client = table.connect(region=settings.AWS_REGION)
        self.make_or_compare(client, name, wanted)
        tags = {"Project": "SocraticBenchmarks", "Environment": settings.SOCRATIC_ENVIRONMENT}
        self.stdout.write(f"  point-in-time recovery: {table.turn_on_recovery(client, name)}")
        self.stdout.write(f"  tags: {table.tag(client, name, tags)}")

    def make_or_compare(self, client: Any, name: str, wanted: dict[str, Any]) -> None:
        existing = table.describe(client, name)
        if existing is None:
            table.create(client, name=name, billing=settings.SOCRATIC_BILLING)
            self.stdout.write(f"Table {name}: made, billing {settings.SOCRATIC_BILLING}")
            return
        found = table.differences(existing, wanted)
        if found:
            listed = "\n".join(f"  {difference}" for difference in found)
            raise CommandError(f"Table {name} has another shape; nothing was changed:\n{listed}")
        self.stdout.write(f"Table {name}: is there and as it should be")
