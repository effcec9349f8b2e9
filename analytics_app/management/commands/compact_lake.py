"""The lake's lines into Parquet by the month; whoever has left the study leaves the lake with it."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentTypeError
from collections import Counter
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from pynamodb.exceptions import PynamoDBException
from tqdm import tqdm

from analytics_app.export import bundle
from analytics_app.lake import compaction, configuration
from analytics_app.lake.compaction import Gone, Outcome, Task
from analytics_app.lake.storage import LakeAway, Store, Taken
from analytics_app.lake.write import DEAD_LETTERS


def month(text: str) -> str:
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text, re.ASCII):
        raise ArgumentTypeError(f"{text!r} is not a month like 2026-03")
    return text


class Command(BaseCommand):
    help = (
        "Merges the lake's JSON lines into one Parquet file a table and month, and takes out whoever was "
        "erased or has withdrawn. Run it every day. It may be stopped at any time and run again."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--month", type=month, metavar="YYYY-MM", help="this month only; default: all")
        parser.add_argument("--quiet", action="store_true", help="no progress bar")

    def handle(self, *args: Any, **options: Any) -> None:
        lake = configuration.lake()
        try:
            gone = Gone(compaction.who_left(lake.coder), lake.store)
            faults = self.compact(lake.store, gone, options["month"], quiet=options["quiet"])
        except PynamoDBException as error:
            raise CommandError(
                f"The table does not answer ({type(error).__name__}), and only it knows who has left the "
                "study. Nothing was changed."
            ) from None
        except Taken as error:
            raise CommandError(
                f"{error}. What is done stays; run it again when that one has ended."
            ) from None
        except LakeAway as error:
            raise CommandError(f"{error}. Every file is whole; run it again and it goes on.") from None
        except bundle.CannotWrite as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            raise CommandError("Stopped; every file is whole. Run it again.", returncode=130) from None
        if faults:
            raise CommandError("\n".join(faults))

    def compact(self, store: Store, gone: Gone, month: str | None, *, quiet: bool) -> list[str]:
        tasks = compaction.tasks(store, month)
        if not tasks:
            where = f"{settings.LAKE_URL} for {month}" if month else settings.LAKE_URL
            raise CommandError(
                f"There is nothing in the lake at {where}. Does `run_worker` or Lambda write to it?"
            )
        faults = []
        with (
            bundle.workshop(Path(settings.VAR_DIR) / "compacting", "lake's Parquet") as shop,
            tqdm(
                total=sum(len(task.lines) for task in tasks),
                unit="object",
                file=sys.stderr,
                disable=quiet or None,
            ) as bar,
        ):
            for task in tasks:
                bar.set_description(f"{task.table} {task.month}")
                outcome = compaction.compact(task, store, gone, shop, lambda: bar.update(1))
                faults += outcome.faults
                self.tell(task, outcome)
        if gone.void:
            kinds = sorted(Counter(gone.void.values()).items())
            counts = ", ".join(f"{number} {kind}" for kind, number in kinds)
            self.stdout.write(f"void sessions set aside: {counts}")
        letters = len(store.names(f"{DEAD_LETTERS}/"))
        if letters:
            self.stderr.write(f"{letters} objects in {DEAD_LETTERS}/ name records that are not in the lake")
        return faults

    def tell(self, task: Task, outcome: Outcome) -> None:
        if outcome.written:
            told = f"{task.target}: {outcome.rows} rows of {len(task.lines)} new objects and what was there"
            left = f"; {outcome.dropped} entities taken out" if outcome.dropped else ""
            self.stdout.write(told + left)
