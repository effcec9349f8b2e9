"""What 1,000 sessions cost on AWS: units as measured here, times prices that you have to check.

    .venv/bin/python -m infra.costs                  the arithmetic, as docs/operations.md shows it
    .venv/bin/python -m infra.costs --measure 24     measures the units anew, into units.json

Measured are whole simulated sessions, enrolment included, of all conditions in turn, in a table of its own
on DynamoDB Local with ReturnConsumedCapacity=INDEXES, grading, statistics and seals included.
How transactions are counted, `bench/meter.py` says.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Final

from bench.meter import metered, size

UNITS: Final = Path(__file__).with_name("units.json")
PRICES: Final = {
    "million write units, on demand": 0.625,
    "million read units, on demand": 0.125,
    "GB of table a month": 0.25,
    "GB of backups (PITR) a month": 0.20,
    "million Lambda requests": 0.20,
    "GB-second of Lambda (arm64)": 0.0000133334,
    "million S3 PUT requests": 5.00,
}
"""US dollars, us-east-1, as assumed; compare them with the price list of the day and of your region."""
REPORTS: Final = 120
"""The player's, of 600 s every 5 s; a simulated student sends one for each of 4 segments."""
UNITS_A_REPORT: Final = 6
"""A transaction: twice 2 units to write up to 2 kB, twice 1 to check consent in a profile below 1 kB."""
BATCH: Final = 10
"""Records a call of a function, on a quiet day; on a busy one up to 100."""
LAMBDA: Final = (0.5, 0.5)
"""GB and seconds a call, assumed: nothing here runs Lambda."""


def costs(units: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """By name, how much there is of it in 1,000 sessions, and what it costs in US dollars."""
    session = units["a session"]
    writes = session["write"] + (REPORTS - 4) * UNITS_A_REPORT
    calls = 2 * session["stream records"] / BATCH
    gigabytes = 1000 * session["bytes"] / 1e9
    parts = {
        "million write units, on demand": 1000 * writes / 1e6,
        "million read units, on demand": 1000 * session["read"] / 1e6,
        "GB of table a month": gigabytes,
        "GB of backups (PITR) a month": gigabytes,
        "million Lambda requests": 1000 * calls / 1e6,
        "GB-second of Lambda (arm64)": 1000 * calls * LAMBDA[0] * LAMBDA[1],
        "million S3 PUT requests": 1000 * calls / 2 * 4 / 1e6,
    }
    return {name: (amount, amount * PRICES[name]) for name, amount in parts.items()}


def report(units: dict[str, Any]) -> str:
    """The table of docs/operations.md."""
    found = costs(units)
    lines = ["| of 1,000 sessions | amount | price assumed | US dollars |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {amount:,.3f} | {PRICES[name]:.10g} | {dollars:.2f} |"
        for name, (amount, dollars) in found.items()
    ]
    lines.append(
        f"| together, with one month of keeping | | | {sum(each for _, each in found.values()):.2f} |"
    )
    return "\n".join(lines)


# --- measuring


def measure(sessions: int) -> dict[str, Any]:
    """Units, stored bytes and stream records of one session, on average."""
    from socratic_site.local.dynamodb_local import engine_for_tests

    with tempfile.TemporaryDirectory() as folder, engine_for_tests(Path(folder)) as engine:
        os.environ |= engine.environment
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "socratic_site.settings",
            "SECRET_KEY": "for measuring only",
            "SOCRATIC_TABLE": "Measured",
            "SOCRATIC_VAR": folder,
        }
        return _measured(sessions)


def _measured(sessions: int) -> dict[str, Any]:
    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    from analytics_app.streams import dispatch
    from sessions_app.domain import models
    from sessions_app.domain.store import table

    client = table.connect(region=settings.AWS_REGION)
    table.create(client, name="Measured")
    with metered(models.connection().client, plain=client) as meter:
        call_command("simulate", students=sessions, workers=2)
        students = Counter(meter.used)
        poller = dispatch.Poller(
            client=dispatch.connect(region=settings.AWS_REGION), arn=dispatch.stream_of(client, "Measured")
        )
        records = 0
        while found := poller.poll():
            records += found
    worker = meter.used - students
    stored = [item for page in _pages(client) for item in page["Items"]]
    session = {
        **{name: round(value / sessions, 1) for name, value in sorted(meter.used.items())},
        "bytes": round(sum((size(item) + 100) * _copies(item) for item in stored) / sessions),
        "items": round(len(stored) / sessions, 1),
        "stream records": round(records / sessions, 1),
    }
    by_whom = {
        name: {kind: round(used[kind] / sessions, 1) for kind in ("read", "write")}
        for name, used in (("students", students), ("worker", worker))
    }
    return {"sessions": sessions, "a session": session, **by_whom}


def _pages(client: Any) -> Any:
    return client.get_paginator("scan").paginate(TableName="Measured")


def _copies(item: dict[str, Any]) -> int:
    """The table's and those of the indexes that hold it whole."""
    return 1 + sum(1 for number in range(1, 6) if f"GSI{number}PK" in item)


def main() -> int:
    parser = argparse.ArgumentParser(description="What 1,000 sessions cost.")
    parser.add_argument("--measure", type=int, metavar="N", help="with so many simulated sessions")
    number = parser.parse_args().measure
    if number:
        UNITS.write_text(json.dumps(measure(number), indent=2) + "\n", encoding="utf-8")
    print(report(json.loads(UNITS.read_text(encoding="utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
