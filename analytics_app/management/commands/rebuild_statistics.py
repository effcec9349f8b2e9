"""The statistics counted anew from the items of the table, or compared with them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from analytics_app import recount, stream
from sessions_app import study
from sessions_app.domain import keys, table

CHECKS = 3  # a session that moved while it was compared is looked at again


class Command(BaseCommand):
    help = (
        "Recomputes every condition's statistics from the sessions and replaces them; with --check only "
        "compares, names each difference and exits 1 if there is one."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="compare, change nothing that is counted")
        parser.add_argument(
            "--no-stream",
            action="store_true",
            help="do not first count what a local table's stream still holds",
        )
        parser.add_argument("--condition", metavar="CODE", help="one condition alone, like L1-I1-D")
        parser.add_argument("--quiet", action="store_true", help="no progress bar")

    def handle(
        self, *args: Any, check: bool, no_stream: bool, condition: str | None, quiet: bool, **options: Any
    ) -> None:
        conditions = self.conditions(condition)
        waits_for_worker = not no_stream and bool(os.environ.get("AWS_ENDPOINT_URL_DYNAMODB"))
        self.settle = count_what_waits if waits_for_worker else lambda: None
        self.settle()
        known = {each: recount.sessions_of(each) for each in conditions}
        number = sum(len(ids) for ids in known.values())
        with tqdm(total=number, unit="session", file=sys.stderr, disable=quiet or None) as bar:
            if check:
                self.compare(known, bar)
            else:
                self.rebuild(known, bar)

    def conditions(self, code: str | None) -> tuple[keys.Condition, ...]:
        try:
            return (keys.Condition.from_code(code),) if code else keys.CONDITIONS
        except keys.BadKey as fault:
            raise CommandError(str(fault)) from None

    def rebuild(self, known: dict[keys.Condition, list[str]], bar: Any) -> None:
        days = set(recount.stored_days())
        sessions = months = 0
        unreadable: dict[str, str] = {}
        for condition, ids in known.items():
            cell = recount.rebuild(condition, ids, now=study.now(), tick=bar.update)
            days |= {share.day for share in cell.shares.values()}
            sessions, months = sessions + len(cell.shares), months + len(cell.totals())
            unreadable |= cell.unreadable
        for day in sorted(days):
            recount.rebuild_day(day)
        self.stdout.write(f"{sessions} sessions in {months} months of conditions, {len(days)} days")
        if unreadable:
            listed = "\n".join(f"  {key}: {reason}" for key, reason in sorted(unreadable.items()))
            raise CommandError(f"{len(unreadable)} sessions cannot be read and are not counted:\n{listed}")

    def compare(self, known: dict[keys.Condition, list[str]], bar: Any) -> None:
        found = list(self.compared(known, bar))
        for difference in found:
            self.stdout.write(str(difference))
        if found:
            raise CommandError(f"{len(found)} differences; `manage.py rebuild_statistics` puts them right")
        self.stdout.write(f"{sum(len(ids) for ids in known.values())} sessions, no difference")

    def compared(self, known: dict[keys.Condition, list[str]], bar: Any) -> Iterator[recount.Difference]:
        shares = []
        for condition, ids in known.items():
            cell, found = self.compared_cell(condition, ids, bar)
            yield from found
            shares += list(cell.shares.values())
        by_day = recount.day_differences(recount.stored_days(), shares)
        for day in sorted({difference.month for difference in by_day}):
            yield from recount.recheck_day(day)  # a session may have moved since its condition was read

    def compared_cell(
        self, condition: keys.Condition, ids: list[str], bar: Any
    ) -> tuple[recount.Cell, list[recount.Difference]]:
        cell = recount.read(condition, ids, bar.update)
        found = list(recount.differences(cell))
        for _ in range(CHECKS - 1):
            if not found:
                break
            self.settle()
            cell = recount.read(condition, ids, lambda: None)
            found = list(recount.differences(cell))
        return cell, found


def count_what_waits() -> None:
    """What the table's stream still holds, as `run_worker` would; beside a running one it does no harm."""
    client = table.connect(region=settings.AWS_REGION)
    arn = stream.stream_of(client, settings.SOCRATIC_TABLE)
    poller = stream.Poller(client=stream.connect(region=settings.AWS_REGION), arn=arn)
    while poller.poll():
        pass
