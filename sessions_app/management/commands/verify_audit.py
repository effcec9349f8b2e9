"""Walks the audit log: every entry against its seal, and the seals against each other."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from sessions_app import story, study
from sessions_app.domain import chain, seals
from sessions_app.domain.models import AuditHead

WITHOUT_HEAD = timedelta(days=31)
"""How far back the walk begins where no head tells the first day."""


class Command(BaseCommand):
    help = (
        "Verifies the audit log: names every entry and seal that was changed, moved or taken away, and exits "
        "1 if there is one. Prints the head: keep it elsewhere, and give it back later with --expect."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seal", action="store_true", help="first seal all entries that are not sealed")
        parser.add_argument("--expect", metavar="SEQ:SHA", help="a head that an earlier run printed")
        parser.add_argument(
            "--since",
            metavar="DAY",
            type=date.fromisoformat,
            help="begin here, where entries lie before the first sealed day",
        )

    def handle(self, *args: Any, seal: bool, expect: str | None, since: date | None, **options: Any) -> None:
        anchor = self.anchor(expect)
        if seal:
            sealed = seals.sweep(self.days(self.head(), since), now=study.now())
            self.stdout.write(f"{sealed} entries sealed now")
        head = self.head()
        walk = chain.Walk(head=head, anchor=anchor)
        faults = self.named(walk, self.days(head, since))
        self.stdout.write(self.summary(walk))
        self.stdout.write(f"head {head.sequence}:{head.sha256}" if head else "head: nothing is sealed yet")
        if faults:
            raise CommandError(f"{faults} fault{'s' if faults > 1 else ''} in the audit log")
        self.stdout.write("No fault")

    def anchor(self, expect: str | None) -> chain.Anchor | None:
        try:
            return chain.Anchor.read(expect) if expect is not None else None
        except ValueError as fault:
            raise CommandError(f"--expect {fault}") from None

    def head(self) -> AuditHead | None:
        head = AuditHead.read()
        if head and None in (head.sequence, head.sha256, head.first_day):
            raise CommandError("The head of the audit log is not whole: it was changed.")
        return head

    def days(self, head: AuditHead | None, since: date | None) -> Iterator[date]:
        """To tomorrow, for a clock that is ahead of this one."""
        today = study.now().date()
        first = date.fromisoformat(head.first_day) if head else today - WITHOUT_HEAD
        return seals.days_from(min(first, since or first), today + timedelta(days=1))

    def named(self, walk: chain.Walk, days: Iterator[date]) -> int:
        """How many faults there were; each is written as it is found."""
        faults = 0
        total = walk.head.sequence if walk.head else None
        with tqdm(total=total, unit="entry", file=sys.stderr, disable=None) as bar:
            for fault in walk.faults(days, bar.update):
                faults += 1
                self.stdout.write(str(fault))
        return faults

    def summary(self, walk: chain.Walk) -> str:
        told = f"{walk.entries} entries, {walk.unsealed} of them not sealed"
        if walk.oldest_unsealed is None:
            return told
        waited = (study.now() - walk.oldest_unsealed).total_seconds()
        return f"{told}, the oldest for {story.span(max(waited, 0))}"
