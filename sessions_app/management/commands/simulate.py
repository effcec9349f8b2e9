"""Simulated students for demonstrations and tests; the scripted tutor asks them, whatever key is set."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from sessions_app import study
from sessions_app.access import sites
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.models import DirectoryEntry, readable
from sessions_app.domain.session.record import Run
from sessions_app.domain.simulation import cohort as simulated_cohort
from sessions_app.domain.simulation import persona
from sessions_app.domain.store import keys, table
from sessions_app.domain.tutor.scripted import ScriptedTutor

WORKERS = 4  # the work is half waiting for the table; more do not help on two cores


class Command(BaseCommand):
    help = "Simulated students go through whole sessions, all conditions in turn; a seed repeats itself."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--students", type=int, required=True, metavar="N", help="one session each")
        parser.add_argument("--seed", type=int, default=1, metavar="S", help="default: 1")
        parser.add_argument("--condition", metavar="CODE", help="one condition for all, like L1-I1-D")
        parser.add_argument("--days", type=int, default=28, help="how far back sessions reach (default: 28)")
        parser.add_argument("--workers", type=int, default=WORKERS, help=f"at once (default: {WORKERS})")
        parser.add_argument("--member", metavar="USERNAME", help="a facilitator who gets the cohort's sites")
        parser.add_argument("--beside-real", action="store_true", help="also into a table with real students")
        parser.add_argument("--label", default="simulation", help="what stands for the facilitator's name")

    def handle(self, *args: Any, **options: Any) -> None:
        cohort = self.cohort(options)
        if options["workers"] < 1:
            raise CommandError("--workers must be at least 1")
        self.look_for_table()
        if not options["beside_real"]:
            self.refuse_real_students()
        if options["member"]:
            self.add_member(options["member"])
        begun = time.monotonic()
        states, faults = self.simulate(cohort, options["workers"])
        told = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        summary = f"{states.total()} sessions ({told or 'none'}), {sum(faults.values())} errors"
        self.stdout.write(f"{summary}, {time.monotonic() - begun:.0f} s")
        if faults:
            listed = ", ".join(f"{number} x {fault}" for fault, number in faults.items())
            raise CommandError(f"Not all sessions went through: {listed}")

    def cohort(self, options: dict[str, Any]) -> simulated_cohort.Cohort:
        try:
            return simulated_cohort.Cohort(
                size=options["students"],
                seed=options["seed"],
                package=study.package(),
                tutor=ScriptedTutor(),
                now=study.now(),
                zone=study.zone(),
                days=options["days"],
                condition=keys.Condition.from_code(options["condition"]) if options["condition"] else None,
                label=options["label"],
            )
        except (simulated_cohort.BadCohort, keys.BadKey) as error:
            raise CommandError(str(error)) from None

    def add_member(self, username: str) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no account {username}.")
        for school in persona.SCHOOLS:
            sites.join(user, school, by=Actor("simulate", "system"))

    def look_for_table(self) -> None:
        name = settings.SOCRATIC_TABLE
        if table.describe(table.connect(region=settings.AWS_REGION), name) is None:
            raise CommandError(f"There is no table {name}: make it with `manage.py create_table`.")

    def refuse_real_students(self) -> None:
        if any(entry.realm_read == "real" for entry in readable(DirectoryEntry.all(), DirectoryEntry)):
            raise CommandError(
                "This table has real students. Simulate into another table (SOCRATIC_TABLE), "
                "or say --beside-real if you mean it."
            )

    def simulate(self, cohort: simulated_cohort.Cohort, workers: int) -> tuple[Counter[str], Counter[str]]:
        """How many sessions ended in which state, and how many faults of which kind there were.

        Students are admitted in order, so that conditions come in turn; then they walk side by side.
        """
        states, faults = Counter[str](), Counter[str]()
        with (
            tqdm(total=cohort.size, unit="session", file=sys.stderr) as bar,
            ThreadPoolExecutor(workers) as pool,
        ):
            walks: dict[Future[Run], int] = {}
            for index in range(cohort.size):
                try:
                    run = simulated_cohort.admit(cohort, index)
                except Exception as error:  # the others go on; the end tells
                    faults[self.named(error, index)] += 1
                    bar.update()
                    continue
                walk = pool.submit(simulated_cohort.walk, cohort, index, run)
                walk.add_done_callback(lambda _: bar.update())
                walks[walk] = index
            for walk, index in ((done, walks[done]) for done in as_completed(walks)):
                if broken := walk.exception():
                    faults[self.named(broken, index)] += 1
                else:
                    states[str(walk.result().session.state)] += 1
        return states, faults

    def named(self, fault: BaseException, index: int) -> str:
        name = type(fault).__name__
        tqdm.write(f"student {index + 1}: {name}: {fault}", file=sys.stderr)
        return name
