"""An export made here and now, into a folder."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from datetime import date
from getpass import getuser
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from pynamodb.exceptions import PynamoDBException
from tqdm import tqdm

from analytics_app.export import bundle, read
from analytics_app.export.bundle import Built
from analytics_app.export.read import BadChoice
from analytics_app.export.request import Choice
from analytics_app.export.tables import LEVELS
from sessions_app import study
from sessions_app.domain import export_jobs
from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.models import InvalidField
from sessions_app.domain.models.export import PROFILES
from sessions_app.domain.store import table

HINTS = {
    "simulated": "--include-simulated has simulated sessions in the export too",
    "unreviewed": "EXPORT_UNREVIEWED=1 exports what the review board has not accepted yet",
}


class Command(BaseCommand):
    help = (
        "Exports sessions into one zip: tidy tables as Parquet and CSV, a code book, a manifest. Exit code 1 "
        "and one line of why where it cannot; then nothing half-made is left, and it may be run again."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--profile", choices=PROFILES, default="coded", help="default: coded")
        parser.add_argument("--out", required=True, metavar="DIR", help="where the zip goes")
        parser.add_argument(
            "--from", dest="start", metavar="DAY", help="first day of the study's, like 2026-03-01"
        )
        parser.add_argument("--to", dest="end", metavar="DAY", help="last day, counted in")
        parser.add_argument(
            "--condition", action="append", default=[], metavar="CODE", help="like L1-I1-D; may be repeated"
        )
        parser.add_argument(
            "--level",
            action="append",
            default=[],
            metavar="TABLE",
            help=f"one of {', '.join(LEVELS)}; may be repeated",
        )
        parser.add_argument("--labels", action="store_true", help="also CSV with labels in place of values")
        parser.add_argument("--include-simulated", action="store_true", help="simulated sessions too")
        parser.add_argument("--reason", default="", help="why a full export is needed")
        parser.add_argument("--unpack", action="store_true", help="also unpack the zip beside it")
        parser.add_argument("--quiet", action="store_true", help="no progress bar")

    def handle(self, *args: Any, **options: Any) -> None:
        by = Actor(getuser(), "system")
        choice = self.choice(options)
        try:
            choice.check()
            export_jobs.may_have(choice.profile, by=by, reason=options["reason"])
        except BadChoice as error:
            raise CommandError(f"--{error.field.removesuffix('s')}: {error}") from None
        except InvalidField as error:
            raise CommandError(f"--{error.field} {error.reason}") from None
        self.look_for_table()
        try:
            self.export(choice, Path(options["out"]), by, options)
        except (bundle.CannotWrite, BadChoice) as error:
            raise CommandError(str(error)) from None
        except (PynamoDBException, BotoCoreError, ClientError, read.Overloaded) as error:
            raise CommandError(
                f"The table does not answer ({type(error).__name__}); nothing was kept. Try again."
            ) from None
        except KeyboardInterrupt:
            raise CommandError("Stopped; nothing was kept.", returncode=130) from None

    def choice(self, options: dict[str, Any]) -> Choice:
        return Choice(
            profile=options["profile"],
            chosen=read.Chosen(
                self.day("from", options["start"]),
                self.day("to", options["end"]),
                tuple(sorted(set(options["condition"]))),
            ),
            levels=tuple(options["level"]),
            labels=options["labels"],
            simulated=options["include_simulated"],
        )

    def day(self, name: str, text: str | None) -> date | None:
        try:
            return date.fromisoformat(text) if text else None
        except ValueError:
            raise CommandError(f"--{name}: {text!r} is not a day like 2026-03-01.") from None

    def look_for_table(self) -> None:
        name = settings.SOCRATIC_TABLE
        try:
            known = table.describe(table.connect(region=settings.AWS_REGION), name)
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"The table does not answer ({type(error).__name__}).") from None
        if known is None:
            raise CommandError(f"There is no table {name}: make it with `manage.py create_table`.")

    def export(self, choice: Choice, out: Path, by: Actor, options: dict[str, Any]) -> None:
        begun = study.now()
        with (
            bundle.workshop(out) as shop,
            tqdm(unit="session", file=sys.stderr, disable=options["quiet"] or None) as bar,
        ):

            def tick(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            built = bundle.build(choice, shop, zone=study.zone(), tick=tick)
            if export_jobs.departures().concern(choice.profile, begun):
                raise CommandError("A participant left the study meanwhile; nothing was kept. Run it again.")
            target = out / f"{choice.profile}-{built.version[:12]}.zip"
            self.note(choice, target, built, by, options["reason"])
            os.replace(built.path, target)
        if options["unpack"]:
            self.unpack(target)
        self.tell(target, built)

    def note(self, choice: Choice, target: Path, built: Built, by: Actor, reason: str) -> None:
        """In the audit log before the file is there."""
        chosen = choice.chosen
        audit_log.record(
            "export",
            by=by,
            now=study.now(),
            subject=target.name,
            new={
                "step": "exported by command",
                "profile": choice.profile,
                "from": chosen.start,
                "to": chosen.end,
                "conditions": " ".join(chosen.conditions) or None,
                "levels": " ".join(choice.levels) or None,
                "simulated": "included" if choice.simulated else None,
                "sha256": built.sha256,
            },
            reason=reason.strip() or None,
        )

    def unpack(self, target: Path) -> None:
        folder = target.with_suffix("")
        with bundle.workshop(target.parent) as shop:
            with zipfile.ZipFile(target) as archive:
                archive.extractall(shop / "whole")
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(shop / "whole", folder)

    def tell(self, target: Path, built: Built) -> None:
        left_out = ", ".join(f"{number} {reason}" for reason, number in sorted(built.excluded.items()))
        number = sum(built.rows.values())
        self.stdout.write(f"{target}: {built.sessions} sessions, {number} rows in {len(built.rows)} tables")
        self.stdout.write(f"left out: {left_out or 'none'}")
        self.stdout.write(f"SHA-256 {built.sha256}")
        for reason, hint in HINTS.items():
            if not built.sessions and built.excluded.get(reason):
                self.stdout.write(f"Nothing was left to export; {hint}.")
