"""The statistics counted anew from the items of the table, or compared with them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from analytics_app.statistics import contributions
from analytics_app.statistics import rebuild as statistics_rebuild
from analytics_app.streams import dispatch
from sessions_app import study
from sessions_app.domain.store import keys, table


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
        parser.add_argument(
            "--patience",
            type=float,
            default=10,
            metavar="SECONDS",
            help="how long a session may wait for a worker elsewhere to count it before it is a difference",
        )
        parser.add_argument("--quiet", action="store_true", help="no progress bar")

    def handle(
        self,
        *args: Any,
        check: bool,
        no_stream: bool,
        condition: str | None,
        quiet: bool,
        patience: float,
        **options: Any,
    ) -> None:
        conditions = self.conditions(condition)
        waits_for_worker = not no_stream and bool(os.environ.get("AWS_ENDPOINT_URL_DYNAMODB"))
        self.settle = count_what_waits if waits_for_worker else lambda: None
        self.patience = 0.0 if waits_for_worker else patience
        self.settle()
        known = {each: statistics_rebuild.sessions_of(each) for each in conditions}
        self.unreadable: dict[str, str] = {}
        if condition is None:
            self.find_others(known)
        number = sum(len(ids) for ids in known.values())
        with tqdm(total=number, unit="session", file=sys.stderr, disable=quiet or None) as bar:
            if check:
                self.compare(known, bar)
            else:
                self.rebuild(known, bar)

    def conditions(self, code: str | None) -> tuple[keys.Condition, ...]:
        try:
            condition = keys.Condition.from_code(code) if code else None
            return tuple(cell for cell in keys.CELLS if condition is None or cell.code == condition.code)
        except keys.BadKey as error:
            raise CommandError(str(error)) from None

    def find_others(self, known: dict[keys.Condition, list[str]]) -> None:
        """Sessions that no condition's index holds: with the others where they can be read, else named."""
        for session_id in statistics_rebuild.sessions_elsewhere(
            each for ids in known.values() for each in ids
        ):
            _, _, share, reason = statistics_rebuild.read_session(session_id)
            if share is not None:
                known[share.condition].append(session_id)
            elif reason is not None:
                self.unreadable[session_id] = reason

    # --- rebuilding

    def rebuild(self, known: dict[keys.Condition, list[str]], bar: Any) -> None:
        days = {
            (realm, day) for realm in keys.COUNTED_REALMS for day in statistics_rebuild.stored_days(realm)
        }
        counted: dict[tuple[str, str], list[str]] = {}
        sessions = months = 0
        for condition, ids in known.items():
            cell = statistics_rebuild.rebuild(condition, ids, now=study.now(), tick=bar.update)
            days |= {(condition.realm, share.day) for share in cell.shares.values()}
            sessions, months = sessions + len(cell.shares), months + len(cell.totals())
            self.unreadable |= cell.unreadable
        for realm, day in sorted(days):
            month = day[:7]
            if (realm, month) not in counted:
                counted[realm, month] = statistics_rebuild.counted_in(month, realm)
            statistics_rebuild.rebuild_day(day, counted[realm, month], realm)
        self.stdout.write(f"{sessions} sessions in {months} months of conditions, {len(days)} days")
        if self.unreadable:
            listed = "\n".join(f"  {key}: {reason}" for key, reason in sorted(self.unreadable.items()))
            raise CommandError(
                f"{len(self.unreadable)} sessions cannot be read and are not counted:\n{listed}"
            )

    # --- comparing

    def compare(self, known: dict[keys.Condition, list[str]], bar: Any) -> None:
        self.moving: list[str] = []
        found = list(self.compared(known, bar))
        found += [statistics_rebuild.unreadable("none", *each) for each in sorted(self.unreadable.items())]
        for difference in found:
            self.stdout.write(str(difference))
        if self.moving:
            self.stdout.write(f"kept moving, not compared: {', '.join(self.moving)}")
        if found:
            raise CommandError(f"{len(found)} differences; `manage.py rebuild_statistics` puts them right")
        if self.moving:
            raise CommandError("not everything could be compared; try again when less is going on")
        self.stdout.write(f"{sum(len(ids) for ids in known.values())} sessions, no difference")

    def compared(
        self, known: dict[keys.Condition, list[str]], bar: Any
    ) -> Iterator[statistics_rebuild.Difference]:
        """What differs at first sight is looked at again by itself before it is called a difference."""
        shares = []
        for condition, ids in known.items():
            cell = statistics_rebuild.read(condition, ids, bar.update)
            if any(statistics_rebuild.differences(cell)):
                yield from self.looked_at_again(cell, ids)
            shares += list(cell.shares.values())
        for realm in keys.COUNTED_REALMS:
            yield from self.compared_days(realm, shares)

    def compared_days(
        self, realm: str, shares: list[contributions.Share]
    ) -> Iterator[statistics_rebuild.Difference]:
        stored = statistics_rebuild.stored_days(realm)
        by_day = statistics_rebuild.day_differences(stored, shares, realm)
        for day in sorted({difference.month for difference in by_day}):
            yield from self.unless_moving(day, partial(statistics_rebuild.recheck_day, day, realm))

    def looked_at_again(
        self, cell: statistics_rebuild.Cell, ids: list[str]
    ) -> Iterator[statistics_rebuild.Difference]:
        for session_id in statistics_rebuild.sessions_that_differ(cell):
            yield from self.unless_moving(
                session_id,
                lambda session_id=session_id: statistics_rebuild.recheck_session(  # type: ignore[misc]
                    session_id, patience=self.patience, settle=self.settle
                ),
            )
        yield from self.unless_moving(
            cell.condition.code, lambda: statistics_rebuild.recheck_totals(cell.condition, ids)
        )

    def unless_moving(
        self, name: str, recheck: Callable[[], list[statistics_rebuild.Difference]]
    ) -> list[statistics_rebuild.Difference]:
        try:
            return recheck()
        except statistics_rebuild.Moving:
            self.moving.append(name)
            return []


def count_what_waits() -> None:
    """What the table's stream still holds, as `run_worker` would; beside a running one it does no harm."""
    client = table.connect(region=settings.AWS_REGION)
    arn = dispatch.stream_of(client, settings.SOCRATIC_TABLE)
    poller = dispatch.Poller(client=dispatch.connect(region=settings.AWS_REGION), arn=arn)
    while poller.poll():
        pass
