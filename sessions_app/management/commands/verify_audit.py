"""Walks the audit log: entries against seals, seals against each other, all against what was published."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import date, timedelta
from getpass import getuser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from sessions_app import study
from sessions_app.domain.audit import (
    acknowledgments,
    consent_chain,
    published_heads,
    reason_chain,
    seals,
    verification,
)
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.audit.published_heads import PublicationAway, Published
from sessions_app.domain.audit.seal_keys import BadSealKey, SealKeyMissing, SealKeys
from sessions_app.domain.models import AuditHead
from sessions_app.presenters import session_timeline

WITHOUT_HEAD = timedelta(days=31)
"""How far back the walk begins where no head tells the first day."""


class Command(BaseCommand):
    help = (
        "Verifies the audit log: names every entry and seal that was changed, moved or taken away, and exits "
        "1 if there is one. Also names entries that were sealed late, typed reasons that were changed, and "
        "consent events that the log does not know. Compares with the heads published in AUDIT_HEAD_URL. "
        "Prints the head for --expect."
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
        parser.add_argument(
            "--acknowledge",
            metavar="SEQ",
            type=int,
            help="record an explanation for the late seal or missing reason of this entry",
        )
        parser.add_argument("--reason", help="the explanation")
        parser.add_argument("--by", default=getuser(), help="who acknowledges it; default: you")

    def handle(self, *args: Any, seal: bool, expect: str | None, since: date | None, **options: Any) -> None:
        anchor, signing = self.anchor(expect), self.signing()
        sequence, reason = options["acknowledge"], str(options["reason"] or "").strip()
        if sequence is not None and not reason:
            raise CommandError("--acknowledge needs --reason: say why the entry was sealed late")
        if seal:
            self.seal(self.days(self.head(), since), signing)
        published = self.published()
        head = self.head()
        walk = verification.Walk(
            head=head,
            anchors=(*([anchor] if anchor else []), *map(verification.Anchor.of, published)),
            signing=signing,
            published=published,
            on_entry=lambda entry: (*consent_chain.check_entry(entry), *reason_chain.check_entry(entry)),
        )
        faults = self.named(walk, self.days(head, since)) + self.unknown_events()
        self.stdout.write(self.summary(walk))
        self.say_what_was_compared(walk)
        for doubt in walk.acknowledged:
            self.stdout.write(f"acknowledged: {doubt}")
        self.stdout.write(f"head {head.sequence}:{head.sha256}" if head else "head: nothing is sealed yet")
        if sequence is not None:
            self.acknowledge(walk, sequence, reason, options["by"])
        if faults:
            raise CommandError(f"{faults} fault{'s' if faults > 1 else ''} in the audit log")
        self.stdout.write("No fault")

    def acknowledge(self, walk: verification.Walk, sequence: int, reason: str, by: str) -> None:
        found = [(identity, doubts) for identity, doubts in walk.doubts.items() if identity[0] == sequence]
        if not found:
            raise CommandError(f"Sequence {sequence} is neither sealed late nor without its reason.")
        for (_, sha256), doubts in found:
            what = "; ".join(doubt.what for doubt in doubts)
            acknowledgments.acknowledge(
                sequence=sequence,
                sha256=sha256,
                what=what,
                reason=reason[:500],
                by=Actor(by, "system"),
                now=study.now(),
            )
        self.stdout.write(f"sequence {sequence} is acknowledged; it counts as soon as that entry is sealed")

    def anchor(self, expect: str | None) -> verification.Anchor | None:
        try:
            return verification.Anchor.read(expect) if expect is not None else None
        except ValueError as error:
            raise CommandError(f"--expect {error}") from None

    def signing(self) -> SealKeys | None:
        try:
            return SealKeys.from_environment(os.environ)
        except BadSealKey as error:
            raise CommandError(f"{error}") from None

    def seal(self, days: Iterator[date], signing: SealKeys | None) -> None:
        try:
            sealed = seals.sweep(days, now=study.now(), signing=signing)
        except (SealKeyMissing, PublicationAway) as error:
            raise CommandError(f"Nothing was sealed: {error}") from None
        self.stdout.write(f"{sealed} entries sealed now")

    def published(self) -> tuple[Published, ...]:
        if not settings.AUDIT_HEAD_URL:
            return ()
        try:
            return tuple(published_heads.read(settings.AUDIT_HEAD_URL))
        except PublicationAway as error:
            raise CommandError(f"{error}") from None

    def unknown_events(self) -> int:
        faults = list(consent_chain.unknown_events())
        for fault in faults:
            self.stdout.write(str(fault))
        return len(faults)

    def say_what_was_compared(self, walk: verification.Walk) -> None:
        """Only where there is a key, or something was published: elsewhere there is nothing to add."""
        if walk.signed_from is not None:
            checked = "checked" if walk.signing else "not checked, for there is no AUDIT_SEAL_KEY here"
            self.stdout.write(f"signatures from sequence {walk.signed_from} on {checked}")
        if walk.published:
            newest = walk.published[-1]
            self.stdout.write(f"{len(walk.published)} published heads, the newest of {newest.at}")
        elif settings.AUDIT_HEAD_URL:
            self.stdout.write("warning: no head was published yet: an end that was cut off would not be seen")

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

    def named(self, walk: verification.Walk, days: Iterator[date]) -> int:
        """How many faults there were; each is written as it is found."""
        faults = 0
        total = walk.head.sequence if walk.head else None
        with tqdm(total=total, unit="entry", file=sys.stderr, disable=None) as bar:
            for fault in walk.faults(days, bar.update):
                faults += 1
                self.stdout.write(str(fault))
        return faults

    def summary(self, walk: verification.Walk) -> str:
        told = f"{walk.entries} entries, {walk.unsealed} of them not sealed"
        if walk.oldest_unsealed is None:
            return told
        waited = (study.now() - walk.oldest_unsealed).total_seconds()
        return f"{told}, the oldest for {session_timeline.span(max(waited, 0))}"
