from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from sessions_app import study
from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.models import DirectoryEntry, Tombstone
from sessions_app.domain.participants import erasure
from sessions_app.domain.session.start import StudentNotFound
from sessions_app.domain.store import table


class Command(BaseCommand):
    help = (
        "Erases a student's data; a tombstone stays. With --replay, erases again whom a restored table has "
        "brought back: those with a tombstone in this table, or in the newer one that --tombstones-of names."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("student", nargs="?", help="the student's id or code, such as river-oak-7")
        what.add_argument("--replay", action="store_true")
        what.add_argument("--expired", action="store_true", help="everybody, once RETENTION_UNTIL has passed")
        parser.add_argument("--tombstones-of", metavar="TABLE")
        parser.add_argument(
            "--reason",
            help="why; it may name somebody, so it is kept until the data are gone and then goes too",
        )
        parser.add_argument("--by", default="command line", help="who asks for it, for the audit log")

    def handle(self, *args: Any, student: str | None, **options: Any) -> None:
        by = audit_log.Actor(options["by"], "system")
        if options["replay"]:
            self.replay(options["tombstones_of"], by)
            return
        if not options["reason"]:
            raise CommandError(
                "--reason is missing: say why; it stands with the withdrawal until the data are gone"
            )
        for one in [student] if student else self.everybody():
            self.tell(self.erase(one, by, options["reason"]))

    def erase(self, student: str, by: audit_log.Actor, reason: str) -> Tombstone:
        try:
            return erasure.erase(self.id_of(student), by=by, reason=reason, now=study.now())
        except (StudentNotFound, erasure.NotAllFound) as error:
            raise CommandError(f"{student}: {type(error).__name__}: {error}") from None

    def everybody(self) -> Iterator[str]:
        if not study.is_expired():
            raise CommandError(f"RETENTION_UNTIL is {settings.RETENTION_UNTIL}: it has not passed")
        entries = (entry for entry in DirectoryEntry.all() if isinstance(entry, DirectoryEntry))
        everybody = [entry.student_id for entry in entries]
        yield from tqdm(everybody, desc="students", disable=None)

    def id_of(self, student: str) -> str:
        entry = next(iter(DirectoryEntry.with_code(student, limit=1)), None)
        return str(entry.student_id) if isinstance(entry, DirectoryEntry) else student

    def replay(self, newer: str | None, by: audit_log.Actor) -> None:
        ids = self.ids_in(newer) if newer else [told.student_id for told in Tombstone.all()]
        for student_id in tqdm(ids, desc="tombstones", disable=None):
            try:
                erasure.replay(student_id, by=by, now=study.now())
            except erasure.NotAllFound as error:
                raise CommandError(f"{student_id}: {error}; run it again") from None
        self.stdout.write(f"{len(ids)} tombstones replayed")

    def ids_in(self, name: str) -> list[str]:
        try:
            return erasure.buried_in(table.connect(region=settings.AWS_REGION), name)
        except ClientError as error:
            raise CommandError(f"{name} cannot be read: {error.response['Error']['Code']}") from None

    def tell(self, told: Tombstone) -> None:
        self.stdout.write(
            f"erased: {told.sessions:g} sessions, {told.items:g} items; statistics follow by the worker"
        )
        for export in told.exports:
            self.stdout.write(f"to be destroyed by hand: {export}")
