"""A table that was restored from a backup, put right and looked through before the site uses it."""

from __future__ import annotations

import io
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from getpass import getuser
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from pynamodb.exceptions import PynamoDBException
from tqdm import tqdm

from analytics_app.statistics import updates
from sessions_app import study
from sessions_app.domain import models
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.models import Contribution, InvalidField, Item, Session, Tombstone
from sessions_app.domain.participants import erasure
from sessions_app.domain.session.start import StudentNotFound
from sessions_app.domain.store import keys, table
from sessions_app.domain.store.transactions import Busy

USABLE = ("ACTIVE", "UPDATING")


@dataclass(frozen=True, slots=True)
class Part:
    """One of the things looked at: what there is to say of it, and whether it is in order."""

    name: str
    told: str
    in_order: bool

    def __str__(self) -> str:
        lines = self.told.strip().splitlines() or [""]
        return "\n".join([f"{self.name:<12} {lines[0]}", *(f"{'':<12} {line}" for line in lines[1:])])


class Command(BaseCommand):
    help = (
        "For a table restored from a backup: verifies its audit log, erases again whom the backup brought "
        "back, and compares the statistics. Prints a report, and exits 1 where anything differs."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("table", metavar="TABLE", help="the restored table")
        newer = parser.add_mutually_exclusive_group()
        newer.add_argument(
            "--tombstones-of",
            metavar="TABLE",
            help="the table that knows of the newest erasures (default: the one that the site uses)",
        )
        newer.add_argument(
            "--without-newer",
            action="store_true",
            help="that table is lost: only tombstones in the backup itself can be replayed",
        )
        parser.add_argument(
            "--expect", metavar="SEQ:SHA", help="a head of the audit log that was written down"
        )
        parser.add_argument(
            "--in-use", action="store_true", help="TABLE is the one that the site uses already"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["table"]
        if name == settings.SOCRATIC_TABLE and not options["in_use"]:
            raise CommandError(
                f"{name} is the table that the site uses. Nothing was changed. Name the restored one, or say "
                "--in-use."
            )
        client = table.connect(region=settings.AWS_REGION)
        try:
            left_out = self.left_out(client, name)
            buried = self.buried(client, name, options["tombstones_of"], options["without_newer"])
            with bound_to(name):
                parts = [*self.parts(buried, options["expect"])]
        except (BotoCoreError, ClientError, PynamoDBException, Busy) as error:
            raise CommandError(
                f"The table does not answer ({type(error).__name__}). What was erased stays so; run it again."
            ) from None
        self.report(name, parts, left_out)

    # --- the table

    def left_out(self, client: Any, name: str) -> list[str]:
        """What a restore leaves out and the site needs; a table of another shape is refused."""
        found = table.describe(client, name)
        if found is None:
            raise CommandError(f"There is no table {name} in {settings.AWS_REGION}.")
        if found["TableStatus"] not in USABLE:
            raise CommandError(f"Table {name} is {found['TableStatus']}: wait until it is ACTIVE.")
        differences = table.differences(found, table.definition(name, settings.SOCRATIC_BILLING))
        missing = [each for each in differences if each.partition(":")[0] in table.NOT_RESTORED]
        if wrong := [each for each in differences if each not in missing]:
            listed = "\n".join(f"  {each}" for each in wrong)
            raise CommandError(f"Table {name} is none of this study; nothing was changed:\n{listed}")
        recovery = table.recovery(client, name)
        return [*missing, *(["point-in-time recovery: is off, should be on"] if recovery == "off" else [])]

    def buried(self, client: Any, name: str, newer: str | None, without: bool) -> list[str]:
        """The ids of everybody erased, as the restored and the newer table tell."""
        newer = newer or settings.SOCRATIC_TABLE
        told = set(erasure.buried_in(client, name))
        if not without and newer != name:
            if table.describe(client, newer) is None:
                raise CommandError(
                    f"There is no table {newer} to tell of the newest erasures. Nothing was changed. Name it "
                    "with --tombstones-of; if it is lost, say --without-newer."
                )
            told.update(erasure.buried_in(client, newer))
        return sorted(told)

    # --- its parts

    def parts(self, buried: list[str], expect: str | None) -> Iterator[Part]:
        """The log is verified before anything is added to it."""
        restored = self.outcome("Audit log", "verify_audit", expect=expect)
        yield restored
        yield self.replayed(buried)
        if restored.in_order:
            yield self.outcome("and since", "verify_audit", seal=True)
        yield self.outcome("Statistics", "rebuild_statistics", check=True, no_stream=True)

    def outcome(self, name: str, command: str, **options: Any) -> Part:
        told = io.StringIO()
        try:
            call_command(command, stdout=told, **options)
        except CommandError as error:
            return Part(name, f"{told.getvalue()}{error}", in_order=False)
        return Part(name, told.getvalue(), in_order=True)

    def replayed(self, buried: list[str]) -> Part:
        back, failed = 0, []
        for student_id in tqdm(buried, desc="tombstones", file=sys.stderr, disable=None):
            try:
                back += erased_again(student_id, by=Actor(getuser(), "system"))
            except (erasure.NotAllFound, StudentNotFound) as error:
                failed.append(f"{student_id}: {type(error).__name__}: {error}; run it again")
        told = f"{len(buried)} replayed, {back} of whom had come back and are erased again"
        return Part("Tombstones", "\n".join([told, *failed]), in_order=not failed)

    def report(self, name: str, parts: list[Part], left_out: list[str]) -> None:
        self.stdout.write(f"Table {name}")
        for part in parts:
            self.stdout.write(str(part))
        if left_out:
            self.stdout.write(str(Part("Before use", "\n".join(left_out), in_order=True)))
        if wrong := [part.name for part in parts if not part.in_order]:
            raise CommandError(f"Not in order: {', '.join(wrong)}. Do not use {name} yet.")
        self.stdout.write("All in order")


def erased_again(student_id: str, *, by: Actor) -> bool:
    """Whether there was anything of the student. Statistics follow here: a restored table has no stream."""
    sessions = [each.session_id for each in Session.of_student(student_id) if isinstance(each, Session)]
    counted = {session_id: Contribution.of_session(session_id) for session_id in sessions}
    was_there = bool(sessions) or any(erasure.keys_in(keys.student(student_id)))
    if was_there or not is_settled(student_id):
        erasure.replay(student_id, by=by, now=study.now())
    for session_id, lost in counted.items():
        with suppress(InvalidField, updates.Unreadable):  # damaged: the comparison names them
            updates.apply(session_id, now=study.now(), lost=lost)
    return was_there


def is_settled(student_id: str) -> bool:
    """Erased to the end, as the table itself tells: then there is nothing to add to its audit log."""
    tombstone = Tombstone.of_student(student_id)
    return tombstone is not None and tombstone.state == "erased"


@contextmanager
def bound_to(name: str) -> Iterator[None]:
    """The models work on this table meanwhile."""
    before, region = str(Item.Meta.table_name), Item.Meta.region
    models.configure(table_name=name, region=settings.AWS_REGION)
    try:
        yield
    finally:
        models.configure(table_name=before, region=region)
