"""Part 3: the processor time of the data layer against plain botocore for the same reads and writes."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from analytics_app.export import read
from analytics_app.statistics import queries, updates
from sessions_app import study as settings
from sessions_app.domain.models import Item, Session, connection
from sessions_app.domain.store import keys

from .environment import Bench
from .results import Figure, Outcome, Table
from .study import Study

GOAL: Final = 1.5
CONDITION: Final = keys.Condition.from_code("L1-I1-D")


@dataclass(frozen=True, slots=True)
class Path:
    """The same requests in two ways; each call returns how many items went through."""

    title: str
    ours: Callable[[], int]
    raw: Callable[[], int]


def measure(bench: Bench) -> Outcome:
    with bench.table() as name:
        study = Study.begin(bench, name, whole=True)
        study.grow_to(bench.pick(48, 480), with_contributions=True)
        found = {path.title: _compared(bench, path) for path in _paths(bench, study)}
    return Outcome([_figure(title, *both) for title, both in found.items()], [_table(found)])


def _paths(bench: Bench, study: Study) -> list[Path]:
    client, table = connection().client, study.table
    ids = [study.ids(place)[0] for place in range(bench.pick(24, 120))]
    days = read.range_of(read.Chosen(), zone=settings.zone())
    return [
        Path(
            "list: sessions of every condition",
            lambda: sum(sum(1 for _ in queries.sessions_of_condition(cell)) for cell in keys.CONDITIONS),
            lambda: sum(_count(client, _by(table, "GSI1", keys.condition(cell))) for cell in keys.CONDITIONS),
        ),
        Path(
            "export: whole sessions with their students",
            lambda: _exported(days),
            lambda: _export_raw(client, study),
        ),
        Path(
            "roll-up: whole sessions, one by one",
            lambda: sum(len(Session.whole(each)) for each in ids),
            lambda: sum(
                _count(client, _by(table, None, keys.session(each)) | {"ConsistentRead": True})
                for each in ids
            ),
        ),
        Path(
            "roll-up: contributions written", lambda: _put(study, ids), lambda: _put_raw(client, study, ids)
        ),
    ]


def _by(table: str, index: str | None, partition: str) -> dict[str, Any]:
    told = {
        "TableName": table,
        "KeyConditionExpression": "#pk = :pk",
        "ExpressionAttributeNames": {"#pk": f"{index}PK" if index else "PK"},
        "ExpressionAttributeValues": {":pk": {"S": partition}},
    }
    return told | ({"IndexName": index} if index else {})


def _count(client: Any, asked: dict[str, Any]) -> int:
    return sum(len(page["Items"]) for page in client.get_paginator("query").paginate(**asked))


def _exported(within: read.Range) -> int:
    found = read.found(within, (), lambda: None)
    return sum(len(whole.items) + 1 for whole in read.whole(found, lambda profile, session: None))


def _export_raw(client: Any, study: Study) -> int:
    """Day by day, then each session, and the profiles of 25 students at a time."""
    total = 0
    for number in range((study.last_day - study.first_day).days + 1):
        asked = _by(study.table, "GSI5", keys.day(study.first_day + number * read.DAY))
        pages = client.get_paginator("query").paginate(**asked)
        found = [item for page in pages for item in page["Items"]]
        for place in range(0, len(found), read.CHUNK):
            chunk = found[place : place + read.CHUNK]
            wanted = [{"PK": item["GSI2PK"], "SK": {"S": keys.PROFILE}} for item in chunk]
            answer = client.batch_get_item(RequestItems={study.table: {"Keys": wanted}})
            total += len(answer["Responses"][study.table])
        for item in found:
            asked = _by(study.table, None, item["PK"]["S"]) | {"ConsistentRead": True}
            total += _count(client, asked)
    return total


def _put(study: Study, ids: list[str]) -> int:
    with Item.batch_write() as batch:
        for place, _ in enumerate(ids):
            batch.save(updates.stored_share(study.share(place), settings.now()))
    return len(ids)


def _put_raw(client: Any, study: Study, ids: list[str]) -> int:
    """The same items, ready as DynamoDB's own maps."""
    items = study.contributions(len(ids))
    for place in range(0, len(items), 25):
        asked = [{"PutRequest": {"Item": item}} for item in items[place : place + 25]]
        client.batch_write_item(RequestItems={study.table: asked})
    return len(items)


# --- compared


def _compared(bench: Bench, path: Path) -> tuple[float, float]:
    """Processor seconds for 1,000 items, ours and raw: medians of runs that alternate."""
    path.ours(), path.raw()  # what is loaded once is loaded now
    ours, raw = [], []
    repeats = bench.pick(3, 15)
    with bench.bar(repeats, path.title, "run") as bar:
        for _ in range(repeats):
            ours.append(_seconds(path.ours))
            raw.append(_seconds(path.raw))
            bar.update()
    return median(ours), median(raw)


def _seconds(call: Callable[[], int]) -> float:
    gc.collect()
    begun = time.process_time()
    items = call()
    return (time.process_time() - begun) / items * 1000


def _figure(title: str, ours: float, raw: float) -> Figure:
    return Figure(
        what=title,
        value=ours / raw,
        unit="x",
        beside=f"{1000 * ours:.0f} ms instead of {1000 * raw:.0f} ms for 1,000 items",
        goal=GOAL,
    )


def _table(found: dict[str, tuple[float, float]]) -> Table:
    return Table(
        title="Processor milliseconds for 1,000 items",
        columns=("path", "ours, ms", "botocore, ms", "times"),
        rows=[
            (title, round(1000 * ours, 1), round(1000 * raw, 1), round(ours / raw, 2))
            for title, (ours, raw) in found.items()
        ],
        note=(
            "Botocore gives items as DynamoDB writes them, nested maps of type and text. Ours are typed "
            "objects with dates and numbers, checked when written; exports read past the models on purpose."
        ),
    )
