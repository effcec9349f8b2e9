"""Nothing is lost, whatever the network or the tablet does: what a person sent is what the table holds.

`make chaos N=10000 SEED=7` runs the same with more answers and a longer time offline. Without it there are
three sessions, of which the third is dynamic, on three tablets, under the seed (of the first 400) whose plan
is richest in the rarest fault: each one of the network strikes at least two of their sendings, each mishap of
a device at least four of their steps.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessions_app.domain import models
from socratic_site.local.dynamodb_local import REGION
from support.cast import started
from support.chromium import FLAGS
from tests.chaos.ledger import KINDS, Difference, answers
from tests.chaos.person import MISHAPS
from tests.chaos.proxy import SENDING
from tests.chaos.storm import Outcome, Storm
from tests.journeys.conftest import Site
from tests.journeys.test_chromium import items_of

pytestmark = pytest.mark.browser

ANSWERS = int(os.environ.get("CHAOS_ANSWERS", "99"))
SEED = os.environ.get("CHAOS_SEED", "64")
TABLETS = int(os.environ.get("CHAOS_TABLETS", "3"))
OFFLINE = float(os.environ.get("CHAOS_OFFLINE", "1"))  # seconds
SLOW = 1.5 if OFFLINE < 15 else 20  # seconds: longer than a page waits for a reply

Storms = Callable[..., Storm]


@pytest.fixture
def storm(site: Site, chromium: str, tmp_path: Path) -> Storms:
    """A storm over this site; its sessions are started past the pages."""
    models.configure(table_name=site.table, region=REGION)

    def made(**options: Any) -> Storm:
        return Storm(
            site=site.url,
            database=Path(site.environment["DATABASE_URL"].removeprefix("sqlite:///")),
            account=site.accounts["facilitator"],
            chromium=chromium,
            flags=FLAGS,
            folder=tmp_path,
            start=lambda condition: started(condition).id,
            **options,
        )

    return made


def differences(outcome: Outcome, dynamodb: Any, site: Site) -> dict[str, list[Difference]]:
    """By session, where there are any; how many of each kind there are is printed."""
    found, held = {}, 0
    for ledger in outcome.ledgers:
        items = items_of(dynamodb, site, f"SESSION#{ledger.session}")
        found[ledger.session] = ledger.differences(items)
        held += len(list(answers(items)))
    kinds = Counter(difference.kind for differ in found.values() for difference in differ)
    print(f"\n{outcome.report()}\nstored {held}, " + ", ".join(f"{kind} {kinds[kind]}" for kind in KINDS))
    return {session: differ for session, differ in found.items() if differ}


def test_what_was_sent_is_what_the_table_holds(storm: Storms, site: Site, dynamodb: Any) -> None:
    outcome = asyncio.run(
        storm(answers=ANSWERS, seed=SEED, tablets=TABLETS, offline_seconds=OFFLINE, slow=SLOW).rage()
    )
    differ = differences(outcome, dynamodb, site)
    for session, trace in outcome.traces.items():
        if session in differ or any("BROKEN" in line for line in trace):
            print(session, *trace, sep="\n  ")
    assert differ == {}, f"seed {SEED}"
    assert outcome.broken == [], f"seed {SEED}"
    assert outcome.script_errors == []
    assert sum(len(ledger.sent) for ledger in outcome.ledgers) >= ANSWERS
    missing = {*SENDING, *MISHAPS} - {*outcome.network, *outcome.devices}
    assert missing == set(), "these faults never struck: choose another seed, or more answers"


def test_a_store_that_lies_is_found_out(
    storm: Storms, site: Site, dynamodb: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The journey can fail: where something in between acknowledges by our rules what nobody stored."""
    lying = {"send": {"forged": 1.0}, "page": {}, "asset": {}}
    outcome = asyncio.run(storm(answers=1, seed="lies", rates=lying, tablets=1).rage())
    assert {found.kind for found in outcome.broken} == {"asked again"}
    assert ": asked again: " in capsys.readouterr().out  # at once, beside the progress bar
    (differ,) = differences(outcome, dynamodb, site).values()
    assert "lost" in {found.kind for found in differ}
