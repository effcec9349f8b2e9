"""What follows from a change in the table: one dispatch for DynamoDB Streams records.

The local poller (`manage.py run_worker`) and the Lambda handler both end in `_bring_up_to_date`, and in
`seals.seal` for new entries of the audit log. A record only says which session to look at; what counts is
read from the table. An entry is sealed as it was written. So records may come twice, late, or in any order.
The lake (`lake.writing`) reads the same stream by itself: while it is away, neither of these waits.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from sessions_app.domain import keys, seals
from sessions_app.domain.models import Contribution, Item, ShardCheckpoint, configure

from . import rollups

log = logging.getLogger(__name__)

# By entity, the attributes whose change can move a session's contribution.
WATCHED: dict[str, tuple[str, ...]] = {
    "session": ("state", "completion_status", "experimental_condition", "timeline"),
    "assessment": ("assessment_results", "learning_gain"),
    "intervention": ("intervention_summary", "ai_metadata", "grading"),
    "content_delivery": ("engagement_metrics",),
    "post_survey": ("location_experience", "intervention_experience", "learning_experience"),
    "contribution": (),  # only its removal matters: the session was erased with all that hung on it
}

Image = Mapping[str, Mapping[str, Any]]


def concerns(record: Mapping[str, Any]) -> str | None:
    """The id of the session whose figures the record may have moved; None when it moved none."""
    change = record["dynamodb"]
    new, old = change.get("NewImage") or {}, change.get("OldImage") or {}
    entity = _text(new or old, "entity_type")
    if entity not in WATCHED or not change["Keys"]["PK"]["S"].startswith(keys.SESSION_PREFIX):
        return None
    if entity == "contribution" and new:
        return None
    watched = WATCHED[entity]
    if new and old and all(new.get(name) == old.get(name) for name in watched):
        return None
    return str(change["Keys"]["PK"]["S"]).removeprefix(keys.SESSION_PREFIX)


def _text(image: Image, name: str) -> str:
    return str(image.get(name, {}).get("S", ""))


def _lost(record: Mapping[str, Any]) -> Contribution | None:
    """The contribution that a record says is gone."""
    change = record["dynamodb"]
    old = change.get("OldImage") or {}
    if change.get("NewImage") or _text(old, "entity_type") != "contribution":
        return None
    try:
        item = Item.from_raw_data(dict(old))
    except (ValueError, TypeError, KeyError, AttributeError) as fault:
        log.error(
            "a contribution that is gone cannot be read (%s); run rebuild_statistics", type(fault).__name__
        )
        return None
    return item if isinstance(item, Contribution) else None


def handle(record: Mapping[str, Any]) -> None:
    """Bring the statistics in line with what a stream record tells. Handling it again changes nothing.

    Raises rollups.Unreadable for a session that cannot be counted, PynamoDB's errors when the table is away.
    """
    session_id = concerns(record)
    if session_id is not None:
        _bring_up_to_date(session_id, _lost(record))


def _bring_up_to_date(session_id: str, lost: Contribution | None) -> None:
    rollups.apply(session_id, now=_now(), lost=lost)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(slots=True)
class Affected:
    """A session met in a batch of records: where first, and the contribution that went, if one did."""

    first_sequence: str
    lost: Contribution | None = None


def affected(records: Iterable[Mapping[str, Any]]) -> dict[str, Affected]:
    """Each session of a batch once, so that twenty answers cost one recount."""
    found: dict[str, Affected] = {}
    for record in records:
        session_id = concerns(record)
        if session_id is not None:
            entry = found.setdefault(session_id, Affected(record["dynamodb"]["SequenceNumber"]))
            entry.lost = _lost(record) or entry.lost
    return found


def is_new_entry(record: Mapping[str, Any]) -> bool:
    """Whether the record tells of an entry of the audit log that was written, not of one that was touched."""
    change = record["dynamodb"]
    pk, sk = change["Keys"]["PK"]["S"], change["Keys"]["SK"]["S"]
    is_entry = pk.startswith(keys.AUDIT_PREFIX) and not sk.startswith(keys.SEAL_PREFIX)
    return bool(is_entry and change.get("NewImage") and not change.get("OldImage") and _is_of_a_day(pk))


def _is_of_a_day(partition: str) -> bool:
    """What others put into a partition that no day has is no entry, and must not hold up those that are."""
    try:
        keys.audit_date(partition)
    except keys.BadKey as fault:
        log.error("not sealed: %s", fault)
        return False
    return True


def seal_new_entries(records: Iterable[Mapping[str, Any]]) -> int:
    """How many were sealed. Raises what `seals.seal` raises."""
    return seals.seal(
        (record["dynamodb"]["NewImage"] for record in records if is_new_entry(record)), now=_now()
    )


SWEPT_DAYS = 3


def sweep() -> int:
    """Seal what the stream has not brought in the last days: it forgets after one."""
    now = _now()
    return seals.sweep(seals.days_from(now.date() - timedelta(days=SWEPT_DAYS), now.date()), now=now)


def sweeper(event: Mapping[str, Any], context: object) -> dict[str, int]:
    """AWS Lambda's entry for a schedule, such as once an hour."""
    _bind_table()
    return {"sealed": sweep()}


def handler(event: Mapping[str, Any], context: object) -> dict[str, list[dict[str, str]]]:
    """AWS Lambda's entry, with ReportBatchItemFailures: names the records to be sent again.

    A session that cannot be read is logged and passed by, so that it does not hold up the stream.
    """
    _bind_table()
    failed = _unsealed(event["Records"])
    for session_id, entry in affected(event["Records"]).items():
        try:
            _bring_up_to_date(session_id, entry.lost)
        except rollups.Unreadable as fault:
            log.error("session %s is not counted: %s", session_id, fault.reason)
        except Exception as fault:
            log.warning("session %s failed (%s), to be sent again", session_id, type(fault).__name__)
            failed.append({"itemIdentifier": entry.first_sequence})
    return {"batchItemFailures": failed}


def _unsealed(records: list[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The first new entry where sealing failed: sent again from there on, each is still sealed once."""
    try:
        seal_new_entries(records)
    except Exception as fault:
        log.warning("sealing failed (%s), to be sent again", type(fault).__name__)
        first = next(record for record in records if is_new_entry(record))
        return [{"itemIdentifier": first["dynamodb"]["SequenceNumber"]}]
    return []


def _bind_table() -> None:
    """In Lambda the environment names the table; elsewhere the models are bound already."""
    name = os.environ.get("SOCRATIC_TABLE")
    if name and name != Item.Meta.table_name:
        configure(table_name=name, region=os.environ.get("AWS_REGION"))


# --- the local poller

Take = Callable[[list[dict[str, Any]], str], object]
"""What is done with some records of a shard. Raises where they are to come again."""


def count(records: list[dict[str, Any]], shard_id: str) -> None:
    """Seals and statistics; a session that cannot be read is logged and passed by."""
    seal_new_entries(records)
    for session_id, entry in affected(records).items():
        try:
            _bring_up_to_date(session_id, entry.lost)
        except rollups.Unreadable as fault:
            log.error("session %s is not counted: %s", session_id, fault.reason)


class NoStream(LookupError):
    """The table has no stream to read."""


def connect(*, region: str) -> Any:
    """A streams client. DynamoDB Local serves streams at its one endpoint, so that of the table stands in."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_DYNAMODB_STREAMS") or os.environ.get(
        "AWS_ENDPOINT_URL_DYNAMODB"
    )
    config = Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 2})
    return boto3.client("dynamodbstreams", region_name=region, endpoint_url=endpoint, config=config)


def stream_of(table_client: Any, table: str) -> str:
    """The ARN of the table's stream. Raises NoStream."""
    arn = table_client.describe_table(TableName=table)["Table"].get("LatestStreamArn")
    if not arn:
        raise NoStream(f"table {table} has no stream; `manage.py create_table` makes one with its table")
    return str(arn)


def _is_checkpoint(record: Mapping[str, Any]) -> bool:
    return str(record["dynamodb"]["Keys"]["PK"]["S"]).startswith(keys.WORKER_PREFIX)


@dataclass(slots=True)
class Poller:
    """Reads every shard from where its checkpoint stands, parents before children.

    The checkpoint is written after a batch is taken: killed in between, the batch comes again. `worker` names
    the checkpoints: who takes something else from the stream has a name, and a pace, of their own.
    """

    client: Any
    arn: str
    worker: str = "statistics"
    take: Take = count
    checkpoints: dict[str, ShardCheckpoint] = field(default_factory=dict)
    _iterators: dict[str, str] = field(default_factory=dict)
    _shards: list[dict[str, Any]] = field(default_factory=list)
    _rounds: int = 0

    def poll(self) -> int:
        """Read what each shard that may be read holds next. 0 when all are read to their present end."""
        if self._rounds % 30 == 0 or not self._readable():
            self._look_for_shards()
        self._rounds += 1
        return sum(self._read(shard_id) for shard_id in self._readable())

    def _look_for_shards(self) -> None:
        self._shards = list(self._described())
        self.checkpoints = ShardCheckpoint.of_worker(self.worker)
        known = {shard["ShardId"] for shard in self._shards}
        for shard_id in self.checkpoints.keys() - known:  # trimmed from the stream after a day
            self.checkpoints.pop(shard_id).delete()

    def _described(self) -> Iterator[dict[str, Any]]:
        start: dict[str, str] = {}
        while True:
            answer = self.client.describe_stream(StreamArn=self.arn, **start)["StreamDescription"]
            yield from answer["Shards"]
            if "LastEvaluatedShardId" not in answer:
                return
            start = {"ExclusiveStartShardId": answer["LastEvaluatedShardId"]}

    def _is_finished(self, shard_id: str) -> bool:
        checkpoint = self.checkpoints.get(shard_id)
        return checkpoint is not None and bool(checkpoint.finished)

    def _readable(self) -> list[str]:
        """Shards that are not read to their end and whose parent is, or is gone."""
        known = {shard["ShardId"] for shard in self._shards}
        waiting = {shard_id for shard_id in known if not self._is_finished(shard_id)}
        return [
            shard["ShardId"]
            for shard in self._shards
            if shard["ShardId"] in waiting and shard.get("ParentShardId") not in waiting
        ]

    def _read(self, shard_id: str) -> int:
        answer = self._records(shard_id)
        records = answer["Records"]
        if records:
            self.take(records, shard_id)
        following = answer.get("NextShardIterator")
        others = sum(1 for record in records if not _is_checkpoint(record))
        if others or not following:  # a checkpoint is a change too: keeping one for it would never end
            self._remember(shard_id, records, finished=not following)
        if following:
            self._iterators[shard_id] = following
        return others + (0 if following else 1)  # a shard that ends opens the way to its children

    def _remember(self, shard_id: str, records: list[Any], *, finished: bool) -> None:
        known = self.checkpoints.get(shard_id)
        last = known.sequence_number if known else None
        if records:
            last = records[-1]["dynamodb"]["SequenceNumber"]
        checkpoint = ShardCheckpoint.new(
            worker=self.worker, shard_id=shard_id, sequence_number=last, finished=finished, now=_now()
        )
        checkpoint.save()  # a checkpoint is all our own: nothing unknown on it to lose
        self.checkpoints[shard_id] = checkpoint
        self._iterators.pop(shard_id, None)

    def _records(self, shard_id: str) -> Any:
        iterator = self._iterators.pop(shard_id, None) or self._iterator(shard_id)
        try:
            return self.client.get_records(ShardIterator=iterator)
        except ClientError as fault:
            if fault.response["Error"]["Code"] not in (
                "ExpiredIteratorException",
                "TrimmedDataAccessException",
            ):
                raise
            return self.client.get_records(ShardIterator=self._iterator(shard_id))

    def _iterator(self, shard_id: str) -> str:
        known = self.checkpoints.get(shard_id)
        where = {"ShardIteratorType": "TRIM_HORIZON"}
        if known is not None and known.sequence_number:
            where = {
                "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                "SequenceNumber": str(known.sequence_number),
            }
        try:
            return self._get_iterator(shard_id, where)
        except ClientError as fault:
            if fault.response["Error"]["Code"] != "TrimmedDataAccessException":
                raise
            log.warning("%s: the stream no longer holds what was missed; see docs/operations.md", self.worker)
            return self._get_iterator(shard_id, {"ShardIteratorType": "TRIM_HORIZON"})

    def _get_iterator(self, shard_id: str, where: dict[str, str]) -> str:
        answer = self.client.get_shard_iterator(StreamArn=self.arn, ShardId=shard_id, **where)
        return str(answer["ShardIterator"])
