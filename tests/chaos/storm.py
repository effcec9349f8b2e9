"""Several tablets in a bad network at once, each with a person who goes through session after session."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import Playwright, async_playwright
from tqdm import tqdm

from tests.chaos.device import Device
from tests.chaos.ledger import Difference, Ledger
from tests.chaos.person import Person
from tests.chaos.proxy import FIELD, FaultProxy, Plan

ANSWERS = 33  # of one session in L4-I1: ten before, four times three, ten after, the survey's comment


@dataclass
class Outcome:
    ledgers: list[Ledger] = field(default_factory=list)
    network: Counter[str] = field(default_factory=Counter)
    devices: Counter[str] = field(default_factory=Counter)
    broken: list[Difference] = field(default_factory=list)
    traces: dict[str, list[str]] = field(default_factory=dict)
    script_errors: list[str] = field(default_factory=list)
    seconds: float = 0

    def report(self) -> str:
        sent = sum(len(ledger.sent) for ledger in self.ledgers)
        rate = sent / self.seconds
        return "\n".join(
            [
                f"{sent} answers in {len(self.ledgers)} sessions, {self.seconds:.0f} s, {rate:.1f} answers/s",
                "network: " + counts(self.network),
                "devices: " + counts(self.devices),
            ]
        )


def counts(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counted.most_common())


@dataclass(frozen=True, kw_only=True)
class Storm:
    """`start` begins a session of a condition and gives its id; `database` is that of the web sessions."""

    site: str
    database: Path
    account: Mapping[str, str]
    chromium: str
    flags: list[str]
    folder: Path
    start: Callable[[str], str]
    seed: str
    answers: int
    tablets: int = 3
    offline_seconds: float = 1.0
    slow: float = 1.5
    rates: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: FIELD)

    async def rage(self) -> Outcome:
        outcome, sessions = Outcome(), iter(range(-(-self.answers // ANSWERS)))
        begun = time.monotonic()
        with tqdm(total=self.answers, unit="answer", desc=f"chaos, seed {self.seed}") as bar:
            async with async_playwright() as playwright, asyncio.TaskGroup() as together:
                for number in range(self.tablets):
                    together.create_task(self._tablet(playwright, number, sessions, outcome, bar))
        outcome.seconds = time.monotonic() - begun
        return outcome

    async def _tablet(
        self,
        playwright: Playwright,
        number: int,
        sessions: Iterator[int],
        outcome: Outcome,
        bar: tqdm[None],
    ) -> None:
        plan = Plan(seed=f"{self.seed}/{number}", rates=self.rates, slow=self.slow)
        folder = self.folder / f"tablet-{number}"
        device = Device(playwright, chromium=self.chromium, flags=self.flags, folder=folder)
        async with FaultProxy(port=urlsplit(self.site).port or 80, plan=plan) as network:
            await device.switch_on()
            try:
                for session in sessions:
                    await self._session(session, device, network, outcome, bar)
            finally:
                device.kill()
        outcome.network += network.counted
        outcome.script_errors += device.faults

    async def _session(
        self, number: int, device: Device, network: FaultProxy, outcome: Outcome, bar: tqdm[None]
    ) -> None:
        """Every third session is a dynamic one."""
        ledger = Ledger(self.start("L4-I1-D" if number % 3 == 2 else "L4-I1-S"))
        person = Person(
            device=device,
            url=network.url,
            account=self.account,
            expire=self._expire,
            seed=f"{self.seed}/{number}",
            offline_seconds=self.offline_seconds,
            counted=outcome.devices,
            broken=outcome.broken,
            answered=lambda: tell(bar),
        )
        outcome.ledgers.append(ledger)
        outcome.traces[ledger.session] = person.trace
        await person.live(ledger)

    def _expire(self, key: str) -> None:
        with closing(sqlite3.connect(self.database, timeout=20)) as database, database:
            database.execute("DELETE FROM django_session WHERE session_key = ?", [key])


def tell(bar: tqdm[None]) -> None:
    bar.update()
