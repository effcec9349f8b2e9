"""One export in a process of its own, ours or the schema document's: `-m bench.exporting WAY TABLE FOLDER`.

Prints what it took as JSON. Its environment leads to the engine of the bench.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import django
import pandas as pd  # type: ignore[import-untyped]

from sessions_app.domain import models
from sessions_app.domain.store import keys
from socratic_site.local.dynamodb_local import REGION


def main() -> None:
    way, table, folder = sys.argv[1:]
    django.setup()
    from django.conf import settings

    settings.SOCRATIC_TABLE = table
    models.configure(table_name=table, region=REGION)
    call = {"ours": ours, "naive": naive}[way]
    prepared = call(table, Path(folder))
    before, begun = _peak(), time.perf_counter()
    sessions, rows = prepared()
    told = {"sessions": sessions, "rows": rows, "seconds": time.perf_counter() - begun}
    print(json.dumps({**told, "megabytes": _peak(), "grown": _peak() - before}))


def _peak() -> float:
    """Megabytes. What `getrusage` tells begins, on Linux, at what the process that started this one held."""
    status = Path("/proc/self/status")
    if status.exists():
        return float(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ours(table: str, folder: Path) -> Callable[[], tuple[int, int]]:
    from analytics_app.export import bundle
    from analytics_app.export.request import Choice
    from sessions_app import study

    def export() -> tuple[int, int]:
        with bundle.workshop(folder) as shop:
            built = bundle.build(Choice(simulated=True), shop, zone=study.zone())
        return built.sessions, sum(built.rows.values())

    return export


def naive(table: str, folder: Path) -> Callable[[], tuple[int, int]]:
    """`export_condition_to_s3` of every condition into one file, following LastEvaluatedKey."""
    from . import schema_examples

    here = boto3.resource("dynamodb", region_name=REGION).Table(table)
    folder.mkdir(parents=True, exist_ok=True)

    def export() -> tuple[int, int]:
        rows = []
        for cell in keys.CONDITIONS:
            for session in list(schema_examples.by_index(here, "GSI1", keys.condition(cell))):
                items = schema_examples.whole_session(here, session["session_id"])
                rows.append(schema_examples.flatten_session_data(items))
        frame = pd.DataFrame(rows)
        frame.astype({name: float for name in frame.columns if _is_number(frame[name])}).to_parquet(
            folder / "naive.parquet", engine="pyarrow", compression="snappy"
        )
        return len(rows), len(rows)

    return export


def _is_number(column: Any) -> bool:
    """pyarrow takes no Decimals of different precision in one column."""
    return bool(column.map(lambda value: not isinstance(value, str | bool)).all())


if __name__ == "__main__":
    main()
