"""Part 5: how fast exports and the stream worker are, and what an export holds in memory.

The export runs as `manage.py export` does, in a process of its own, beside the schema document's way: every
session's items in a list, `flatten_session_data`, one data frame. The worker gets the planned peak four times
over: up to 100 sessions at once (facts of the study), each of 42 minutes (the schema's example) with as many
changed items as a session of the busiest condition leaves in the stream.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from analytics_app.streams import dispatch
from sessions_app.domain.models import Item, Session
from sessions_app.domain.store import keys
from socratic_site.local.dynamodb_local import REGION

from .environment import Bench
from .results import Figure, Outcome, Table
from .study import Study, original

BASE: Final = Path(__file__).parents[1]
SESSIONS_AT_ONCE, SECONDS_A_SESSION = 100, 2520
BUSIEST: Final = keys.Condition.from_code("L3-I1-D")
TIMES_PEAK: Final = 4
WAYS: Final = ("ours", "naive")


@dataclass(frozen=True, slots=True)
class Exported:
    sessions: int
    rows: int
    seconds: float
    megabytes: float
    """The peak of the process; `grown` is how much more that is than its peak before it began."""
    grown: float


def measure(bench: Bench) -> Outcome:
    exported = _exports(bench)
    worked = _worker(bench)
    most = max(size for _, size in exported)
    figures = [*_export_figures(exported[WAYS[0], most], exported[WAYS[1], most]), *worked]
    return Outcome(figures, [_table(exported)])


# --- exports


def _exports(bench: Bench) -> dict[tuple[str, int], Exported]:
    found: dict[tuple[str, int], Exported] = {}
    with bench.table() as name:
        study = Study.begin(bench, name, whole=True)
        for size in bench.pick((12, 24, 48), (120, 240, 480, 960)):
            study.grow_to(size)
            for way in WAYS:
                found[way, size] = one = _in_a_process(bench, way, name)
                bench.keep("seconds of an export", way, size, one.seconds)
                bench.keep("MB of an export", way, size, one.megabytes)
    return found


def _in_a_process(bench: Bench, way: str, table: str) -> Exported:
    told = [sys.executable, "-m", "bench.exporting", way, table, str(bench.folder / "exports")]
    ended = subprocess.run(told, cwd=BASE, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"the {way} export failed: {ended.stderr.strip().splitlines()[-1:]}")
    return Exported(**json.loads(ended.stdout.splitlines()[-1]))


def _export_figures(ours: Exported, naive: Exported) -> Iterator[Figure]:
    yield Figure(
        what=f"export of {ours.sessions:,} sessions, rows a second",
        value=ours.rows / ours.seconds,
        unit="rows/s",
        beside=f"naive {naive.rows / naive.seconds:,.0f} rows/s of its one table",
    )
    yield Figure(
        what="export, seconds over those of the naive way",
        value=ours.seconds / naive.seconds,
        unit="x",
        beside=f"{ours.seconds:.1f} s for {ours.rows:,} rows, {naive.seconds:.1f} s for {naive.rows:,}",
    )
    yield Figure(
        what="export, peak memory over that of the naive way",
        value=ours.megabytes / naive.megabytes,
        unit="x",
        beside=f"{ours.megabytes:.0f} MB, {ours.grown:.0f} of them for the export; {naive.megabytes:.0f} MB",
    )


def _table(found: dict[tuple[str, int], Exported]) -> Table:
    return Table(
        title="Exports, each in a process of its own",
        columns=("way", "sessions", "rows", "seconds", "rows a second", "MB at the peak", "of them grown"),
        rows=[
            (
                way,
                size,
                one.rows,
                round(one.seconds, 2),
                round(one.rows / one.seconds),
                round(one.megabytes),
                round(one.grown),
            )
            for (way, size), one in sorted(found.items(), reverse=True)
        ],
        note=(
            "Ours is the coded profile: all tables as Parquet and CSV with a code book, consent judged for "
            "each session, simulated ones let in. The naive way makes one row a session, in one file. "
            "What grew is the peak less that at which all modules were loaded."
        ),
    )


# --- the stream worker


def _worker(bench: Bench) -> list[Figure]:
    seconds, events, moving = bench.pick(5, 30), *_records_of_a_session(bench)
    pace = TIMES_PEAK * SESSIONS_AT_ONCE * events / SECONDS_A_SESSION
    with bench.table(stream=True) as name:
        study = Study.begin(bench, name, whole=True)
        study.grow_to(bench.pick(12, SESSIONS_AT_ONCE))
        poller = _poller(bench, name)
        backlog, took = _drained(poller)  # what loading the table left in its stream: sessions from nothing
        lags = sorted(_at_pace(poller, study, pace, seconds, moving / events))
    return [
        Figure(
            what="stream worker, events a second of a backlog",
            value=backlog / took,
            unit="events/s",
            beside=f"{backlog:,} events of {study.size} sessions; the goal: {TIMES_PEAK} x the planned peak",
            goal=round(pace, 1),
            sense="at least",
        ),
        Figure(
            what=f"stream worker, p95 of its lag at {TIMES_PEAK} x the planned peak",
            value=lags[min(len(lags) - 1, int(len(lags) * 0.95))],
            unit="s",
            beside=f"{len(lags)} changes in {seconds} s; p50 {lags[len(lags) // 2]:.2f}, most {lags[-1]:.2f}",
        ),
    ]


def _records_of_a_session(bench: Bench) -> tuple[int, int]:
    """How many records a whole session leaves in the stream, and how many of them can move a figure."""
    with bench.table(stream=True) as name:
        original(bench.seed, BUSIEST)
        records = list(_all_records(bench, name))
    return len(records), sum(1 for record in records if dispatch.concerns(record))


def _all_records(bench: Bench, table: str) -> Iterator[dict[str, Any]]:
    poller = _poller(bench, table)
    shards = poller.client.describe_stream(StreamArn=poller.arn)["StreamDescription"]["Shards"]
    for shard in shards:
        iterator = poller.client.get_shard_iterator(
            StreamArn=poller.arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while iterator:
            answer = poller.client.get_records(ShardIterator=iterator)
            yield from answer["Records"]
            iterator = answer.get("NextShardIterator") if answer["Records"] else None


def _poller(bench: Bench, table: str) -> dispatch.Poller:
    arn = dispatch.stream_of(bench.plain, table)
    return dispatch.Poller(client=dispatch.connect(region=REGION), arn=arn, worker="bench")


def _drained(poller: dispatch.Poller) -> tuple[int, float]:
    begun, events = time.perf_counter(), 0
    while found := poller.poll():
        events += found
    return events, time.perf_counter() - begun


def _at_pace(poller: dispatch.Poller, study: Study, pace: float, seconds: int, moving: float) -> list[float]:
    """Seconds from each change until the worker is past it, while changes come at an even pace."""
    wanted, written, lags = int(pace * seconds), list[float](), list[float]()
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(_change, study, wanted, seconds, moving, written)
        while not writing.done() or len(lags) < len(written):
            before = len(written)
            poller.poll()
            now = time.perf_counter()
            lags += [now - at for at in written[len(lags) : before]]
        writing.result()
    return lags


def _change(study: Study, wanted: int, seconds: int, moving: float, written: list[float]) -> None:
    """Every few change moves figures: a session's duration; the others are of no concern to them."""
    begun, moved = time.perf_counter(), 0
    for number in range(wanted):
        time.sleep(max(0.0, begun + number * seconds / wanted - time.perf_counter()))
        moves = int((number + 1) * moving) > moved
        moved += moves
        session_id, _ = study.ids(number % study.size)
        item = Session(PK=keys.session(session_id), SK=keys.METADATA)
        told: Any = Session.timeline.total_duration_seconds if moves else Session.facilitator
        item.update(actions=[told.set(2000 + number if moves else f"f{number}")], condition=Item.PK.exists())
        written.append(time.perf_counter())
