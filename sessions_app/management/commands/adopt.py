"""Makes students of other clients part of the study: listed, reviewable, startable."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sessions_app import study
from sessions_app.domain import adoption
from sessions_app.domain.store.transactions import Busy


class Command(BaseCommand):
    help = (
        "Gives students whom another program enrolled, with a profile alone, a code, a directory entry, "
        "their school and a state of consent. Without ids: all of them. Run again it changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("students", nargs="*", metavar="id")

    def handle(self, *args: Any, students: list[str], **options: Any) -> None:
        found = [(student_id, "") for student_id in students] or list(adoption.unlisted())
        adopted, failed = 0, 0
        for student_id, reason in found:
            try:
                if reason:
                    raise adoption.CannotAdopt(reason)
                adopted += adoption.adopt(student_id, now=study.now())
            except (adoption.CannotAdopt, Busy) as error:
                failed += 1
                self.stderr.write(f"{student_id}: {error}")
        complete = len(found) - adopted - failed
        self.stdout.write(f"{adopted} adopted, {complete} complete already, {failed} not adopted")
        if failed:
            raise CommandError(f"{failed} could not be adopted; the reasons are above")
