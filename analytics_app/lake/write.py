"""Batches of stream records into the lake: one object for each table and day that a batch touches.

An object's name and bytes follow from the batch alone, so that one that comes again overwrites itself. A
batch cut in another way (by Lambda after a failure, by the local worker when more had come) makes other
objects with the same versions of the same entities, which the compaction counts once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Final

from ..export.pseudonyms import Coder
from . import storage
from .records import Line, Poison, convert
from .storage import Store
from .tables import PROFILE

log = logging.getLogger(__name__)

DEAD_LETTERS: Final = "dead-letters"

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Lake:
    """`on_poison` is told of each record that goes to the lake's dead letters."""

    store: Store
    coder: Coder
    on_poison: Callable[[Record, Poison], object] = lambda record, error: None

    def append(self, records: Sequence[Record], *, stream: str, source: str) -> int:
        """Write what the records complete; how many lines that were. Doing it again changes nothing.

        A record that cannot be converted goes to the dead letters with the reason, and the rest goes on.
        Raises stores.LakeAway: then the batch is to be sent again.
        """
        files: dict[str, list[bytes]] = {}
        numbers = [_sequence(record) for record in records]
        name = f"{source}-{numbers[0]}-{numbers[-1]}.jsonl" if numbers else ""
        for record in records:
            for folder, row in self._rows(record, stream):
                line = json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
                files.setdefault(f"{folder}/{name}", []).append(line.encode())
        for path, lines in sorted(files.items()):
            self.store.put(path, b"".join(lines))
        return sum(map(len, files.values()))

    def _rows(self, record: Record, stream: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        try:
            lines = convert(record, stream=stream, coder=self.coder)
        except Poison as error:
            log.error("record %s is not in the lake: %s", _sequence(record), error)
            self.on_poison(record, error)
            yield f"{DEAD_LETTERS}/date={_day_of_change(record)}", self._letter(record, stream, str(error))
            return
        for line in lines:
            yield _folder(line), line.row

    def _letter(self, record: Record, stream: str, reason: str) -> dict[str, Any]:
        """What says which record it was, and nothing of what it held: nobody could erase it from here."""
        told = _texts(record, ("dynamodb", "Keys"))
        where = [_texts(told, (name,)).get("S") for name in ("PK", "SK")]
        letter = {
            "reason": reason,
            "event_id": record.get("eventID"),
            "event_name": record.get("eventName"),
            "sequence_number": _sequence(record),
            "stream": stream.rpartition("/")[2],
        }
        if all(isinstance(each, str) for each in where):
            pk, sk = map(str, where)
            letter["entity_key"] = f"{self.coder.code('session_id', pk.partition('#')[2])}/{sk}"
        return letter


def _folder(line: Line) -> str:
    return f"{line.table}/date={line.day:%Y-%m-%d}"


def _texts(container: Any, path: tuple[str, ...]) -> Mapping[str, Any]:
    """A map inside of what may be anything; empty where there is none."""
    for name in path:
        container = container.get(name) if isinstance(container, Mapping) else None
    return container if isinstance(container, Mapping) else {}


def _sequence(record: Record) -> str:
    number = str(_texts(record, ("dynamodb",)).get("SequenceNumber", ""))
    return number if number.isascii() and number.isdigit() else "unknown"


def _day_of_change(record: Record) -> date | str:
    """As DynamoDB told it, never by our clock."""
    at = _texts(record, ("dynamodb",)).get("ApproximateCreationDateTime")
    if isinstance(at, int | float):  # in Lambda; boto3 makes a datetime of it
        at = datetime.fromtimestamp(at, UTC)
    return at.astimezone(UTC).date() if isinstance(at, datetime) else "unknown"


# --- AWS Lambda


class NotSetUp(RuntimeError):
    """A variable is missing that the function needs."""


@cache
def lake_of_environment() -> Lake:
    """Raises NotSetUp, stores.BadUrl."""
    missing = [name for name in ("LAKE_URL", "EXPORT_KEY") if not os.environ.get(name)]
    if missing:
        raise NotSetUp(f"{' and '.join(missing)} must be set for the lake")
    return Lake(storage.of_url(os.environ["LAKE_URL"]), Coder(os.environ["EXPORT_KEY"].encode(), PROFILE))


def handler(event: Mapping[str, Any], context: object) -> dict[str, list[dict[str, str]]]:
    """AWS Lambda's entry, with ReportBatchItemFailures: a lake that is away asks for the batch again."""
    records = event["Records"]
    if not records:
        return {"batchItemFailures": []}
    lake, first = lake_of_environment(), records[0]
    try:
        lake.append(records, stream=str(first.get("eventSourceARN", "")), source=source_of(first))
    except storage.LakeAway as error:
        log.error("%s; the batch is to be sent again", error)
        return {"batchItemFailures": [{"itemIdentifier": _sequence(first)}]}
    return {"batchItemFailures": []}


def source_of(record: Record) -> str:
    """Stands for the shard, which Lambda does not tell: sequence numbers are unique in a shard only.

    DynamoDB gives a record one id, whenever and however often it is delivered.
    """
    return hashlib.sha256(str(record.get("eventID", "")).encode()).hexdigest()[:16]
