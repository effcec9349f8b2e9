"""What follows from a change in the table: one dispatch for DynamoDB Streams records.

The local poller (`manage.py run_worker`) and the Lambda handler both end in `process`. A record only says
which session to look at; what counts is read from the table. An entry of the audit log is sealed as it was
written. So records may come twice, late, or in any order. A record that cannot be processed becomes a dead
letter, and the rest goes on; only while the table is away or busy does a batch come again. The lake
(`lake.writing`) reads the same stream by itself: while it is away, neither of these waits.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from sessions_app.domain.audit import published_heads, seals
from sessions_app.domain.audit.seal_keys import SealKeys
from sessions_app.domain.models import Contribution, DeadLetter, Item, ShardCheckpoint, configure
from sessions_app.domain.store import keys
from sessions_app.domain.store.transactions import Busy
from sessions_app.domain.stream_worker import dead_letters

from ..statistics import updates

log = logging.getLogger(__name__)

# By entity, the attributes whose change can move a session's contribution; None stands for all of them.
WATCHED: dict[str, tuple[str, ...] | None] = {
    "session": None,
    "assessment": ("assessment_results", "learning_gain"),
    "intervention": ("intervention_summary", "ai_metadata", "grading"),
    "content_delivery": ("engagement_metrics",),
    "post_survey": ("location_experience", "intervention_experience", "learning_experience"),
    "contribution": (),  # only its removal matters: the session was erased with all that hung on it
}
STATISTICS, SEALING = "statistics", "sealing"

Image = Mapping[str, Mapping[str, Any]]


def concerns(record: Mapping[str, Any]) -> str | None:
    """The id of the session whose figures the record may have moved; None when it moved none."""
    change = record["dynamodb"]
    new, old = change.get("NewImage") or {}, change.get("OldImage") or {}
    entity = text(new or old, "entity_type")
    session_id = _session_of(record)
    if entity not in WATCHED or session_id is None:
        return None
    if entity == "contribution" and new:
        return None
    if new and old and text(old, "entity_type") == entity and not _moved(entity, new, old):
        return None
    return session_id


def _moved(entity: str, new: Image, old: Image) -> bool:
    watched = WATCHED[entity]
    if watched is None:
        return new != old
    return any(new.get(name) != old.get(name) for name in watched)


def _session_of(record: Mapping[str, Any]) -> str | None:
    """The id of the session in whose partition the record lies."""
    partition = str(record["dynamodb"]["Keys"]["PK"]["S"])
    if not partition.startswith(keys.SESSION_PREFIX):
        return None
    return partition.removeprefix(keys.SESSION_PREFIX)


def text(image: Image, name: str) -> str:
    return str(image.get(name, {}).get("S", ""))


def _lost(record: Mapping[str, Any]) -> Contribution | None:
    """The contribution that a record says is gone. Raises what reading it raises."""
    change = record["dynamodb"]
    old = change.get("OldImage") or {}
    if change.get("NewImage") or text(old, "entity_type") != "contribution":
        return None
    item = Item.from_raw_data(dict(old))
    if not isinstance(item, Contribution):
        return None
    if item.faults:
        raise updates.Unreadable(str(item.session_id), f"{item.faults[0][0]} cannot be read")
    return item


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(slots=True)
class Affected:
    """A session met in a batch of records: where first, and the contribution that went, if one did."""

    first_sequence: str
    lost: Contribution | None = None


def affected(records: Iterable[Mapping[str, Any]]) -> dict[str, Affected]:
    """Each session of a batch once, so that twenty answers cost one recount.

    A session with a dead letter is affected by every change of its partition: any of them may have mended it.
    """
    found: dict[str, Affected] = {}
    for record in records:
        session_id = concerns(record)
        if session_id is None and text(record["dynamodb"].get("NewImage") or {}, "entity_type") in WATCHED:
            session_id = _session_of(record)
            if session_id is None or not LETTERS.holds(keys.SESSION_PREFIX + session_id):
                continue
        if session_id is not None:
            entry = found.setdefault(session_id, Affected(record["dynamodb"]["SequenceNumber"]))
            entry.lost = _lost_or_letter(record) or entry.lost
    return found


def _lost_or_letter(record: Mapping[str, Any]) -> Contribution | None:
    try:
        return _lost(record)
    except Exception as error:
        at = record["dynamodb"]["Keys"]
        give_up(STATISTICS, at["PK"]["S"], at["SK"]["S"], error, may_retry=False)
        return None


def is_new_entry(record: Mapping[str, Any]) -> bool:
    """Whether the record tells of an entry of the audit log that was written, not of one that was touched."""
    change = record["dynamodb"]
    pk, sk = change["Keys"]["PK"]["S"], change["Keys"]["SK"]["S"]
    is_entry = pk.startswith(keys.AUDIT_PREFIX) and not sk.startswith(keys.SEAL_PREFIX)
    return bool(is_entry and change.get("NewImage") and not change.get("OldImage"))


# --- dead letters


@dataclass(slots=True)
class OpenLetters:
    """The partitions with a dead letter, read at most every few seconds."""

    max_age: float = 10.0
    partitions: set[str] = field(default_factory=set)
    read_at: float = float("-inf")
    table: str = ""

    def holds(self, partition: str) -> bool:
        table = Item.Meta.table_name
        if table != self.table or time.monotonic() - self.read_at > self.max_age:
            self.partitions = {str(letter.record_pk) for letter in dead_letters.open_letters()}
            self.read_at, self.table = time.monotonic(), table
        return partition in self.partitions


LETTERS = OpenLetters()


def give_up(duty: str, pk: str, sk: str, error: Exception, *, may_retry: bool = True) -> None:
    dead_letters.write(duty, pk, sk, error, now=now(), may_retry=may_retry)
    LETTERS.partitions.add(pk)


def settled(duty: str, pk: str, sk: str) -> None:
    if LETTERS.holds(pk):
        dead_letters.clear(duty, pk, sk)


def retry(letter: DeadLetter) -> bool:
    """Process the record of a letter again; whether that succeeded, and the letter is gone.

    Raises the error of a table that is away or busy.
    """
    LETTERS.read_at = float("-inf")
    RETRIES[str(letter.duty)](str(letter.record_pk), str(letter.record_sk))
    return not dead_letters.exists(letter)


def retry_due(moment: datetime) -> int:
    """Try again what is due; how many letters that cleared."""
    due = [letter for letter in dead_letters.open_letters() if letter.retry_at and letter.retry_at <= moment]
    return sum(retry(letter) for letter in due if letter.duty in RETRIES)


def _retry_session(pk: str, sk: str) -> None:
    _count_session(pk.removeprefix(keys.SESSION_PREFIX), None)


def _retry_entry(pk: str, sk: str) -> None:
    entry = dead_letters.stored(pk, sk)
    if entry is None:
        dead_letters.clear(SEALING, pk, sk)
    else:
        _seal_one(entry)


RETRIES: dict[str, Callable[[str, str], None]] = {STATISTICS: _retry_session, SEALING: _retry_entry}
"""By duty, what processes a record again as it stands in the table."""


# --- one batch


@dataclass(frozen=True, slots=True)
class Failure:
    """From this record on a batch is to come again: the table is away or busy."""

    sequence: str
    error: Exception


def process(records: list[Mapping[str, Any]]) -> list[Failure]:
    """Seals and statistics of a batch. What cannot be processed becomes a dead letter."""
    failures = _seal_new(records)
    for session_id, entry in affected(records).items():
        try:
            _count_session(session_id, entry.lost)
        except Exception as error:
            log.warning("session %s failed (%s), to come again", session_id, type(error).__name__)
            failures.append(Failure(entry.first_sequence, error))
    return failures


def _count_session(session_id: str, lost: Contribution | None) -> None:
    """Raises only what waiting mends."""
    pk, sk = keys.SESSION_PREFIX + session_id, keys.METADATA
    try:
        updates.apply(session_id, now=now(), lost=lost)
    except Exception as error:
        if dead_letters.is_transient(error):
            raise
        if dead_letters.stored(pk, sk) is not None:
            give_up(STATISTICS, pk, sk, error)
            return
    settled(STATISTICS, pk, sk)


def _seal_new(records: list[Mapping[str, Any]]) -> list[Failure]:
    new = [record["dynamodb"] for record in records if is_new_entry(record)]
    try:
        _seal_all([change["NewImage"] for change in new])
    except Exception as error:
        log.warning("sealing failed (%s), to come again", type(error).__name__)
        return [Failure(new[0]["SequenceNumber"], error)]
    return []


def _seal_all(entries: list[Image]) -> int:
    """How many were sealed: all at once, or one by one where that fails, so that one entry holds up no other.

    Raises only what waiting mends.
    """
    try:
        return seals.seal(entries, now=now(), signing=signing())
    except Exception as error:
        if comes_again(error):
            raise
    return sum(_seal_one(entry) for entry in entries)


def _seal_one(entry: Image) -> int:
    pk, sk = str(entry["PK"]["S"]), str(entry["SK"]["S"])
    try:
        sealed = seals.seal([entry], now=now(), signing=signing())
    except Exception as error:
        if comes_again(error):
            raise
        give_up(SEALING, pk, sk, error)
        return 0
    settled(SEALING, pk, sk)
    return sealed


def comes_again(error: Exception) -> bool:
    return isinstance(error, Busy) or dead_letters.is_transient(error)


def signing() -> SealKeys | None:
    """Of this process alone: the settings of the web process hold no key. Raises BadSealKey."""
    return SealKeys.from_environment(os.environ)


SWEPT_DAYS = 3


def at_work() -> None:
    """Note that the sealer is at work: without the note its next pause counts as an outage."""
    seals.at_work(now=now(), signing=signing())


def sweep() -> int:
    """Seal what the stream has not brought the last days: it forgets after one."""
    today = now().date()
    found = seals.unsealed(seals.days_from(today - timedelta(days=SWEPT_DAYS), today))
    sealed = 0
    while batch := list(islice(found, seals.BATCH)):
        sealed += _seal_all(batch)
    return sealed


def publish_head(url: str, *, at_once: bool = False) -> bool:
    """Whether the head was published. Raises PublicationAway."""
    return published_heads.publish_when_due(now=now(), url=url, signing=signing(), at_once=at_once)


def sweeper(event: Mapping[str, Any], context: object) -> dict[str, int]:
    """AWS Lambda's entry for a schedule, every few minutes; it publishes the head once a day."""
    _bind_table()
    at_work()
    done = {"sealed": sweep(), "retried": retry_due(now()), "gone": dead_letters.forget_gone()}
    publish_head(os.environ.get("AUDIT_HEAD_URL", ""))
    return done


def handler(event: Mapping[str, Any], context: object) -> dict[str, list[dict[str, str]]]:
    """AWS Lambda's entry, with ReportBatchItemFailures: names the records to be sent again."""
    _bind_table()
    failures = process(event["Records"])
    return {"batchItemFailures": [{"itemIdentifier": failure.sequence} for failure in failures]}


def _bind_table() -> None:
    """In Lambda the environment names the table; elsewhere the models are bound already."""
    name = os.environ.get("SOCRATIC_TABLE")
    if name and name != Item.Meta.table_name:
        configure(table_name=name, region=os.environ.get("AWS_REGION"))


# --- the local poller

Take = Callable[[list[dict[str, Any]], str], object]
"""What is done with some records of a shard. Raises where they are to come again."""


def count(records: list[dict[str, Any]], shard_id: str) -> None:
    """Seals and statistics."""
    for failure in process(list(records)):
        raise failure.error


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


def _type_empty_maps(change: dict[str, Any]) -> None:
    """DynamoDB Local streams an empty map as `{}`, without its type; nothing else looks like that."""
    for name in ("NewImage", "OldImage"):
        if name in change:
            change[name] = {attribute: _typed(value) for attribute, value in change[name].items()}


def _typed(value: dict[str, Any]) -> dict[str, Any]:
    if "M" in value or not value:
        return {"M": {name: _typed(inner) for name, inner in value.get("M", {}).items()}}
    if "L" in value:
        return {"L": [_typed(inner) for inner in value["L"]]}
    return value


def _is_own_note(record: Mapping[str, Any]) -> bool:
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
    waits_for: tuple[type[Exception], ...] = ()
    """Further errors of `take` after which the batch is to come again."""
    as_of: datetime | None = None
    """Every change of the table up to this moment is taken."""
    checkpoints: dict[str, ShardCheckpoint] = field(default_factory=dict)
    _iterators: dict[str, str] = field(default_factory=dict)
    _shards: list[dict[str, Any]] = field(default_factory=list)
    _rounds: int = 0

    def poll(self) -> int:
        """Read what each shard that may be read holds next. 0 when all are read to their present end."""
        if self._rounds % 30 == 0 or not self._readable():
            self._look_for_shards()
        self._rounds += 1
        begun = now()
        total = sum(self._read(shard_id) for shard_id in self._readable())
        if not total:
            self.as_of = begun
        return total

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
            self._take(records, shard_id)
            self._move_as_of(records[-1])
        following = answer.get("NextShardIterator")
        others = sum(1 for record in records if not _is_own_note(record))
        if others or not following:  # a checkpoint is a change too: keeping one for it would never end
            self._remember(shard_id, records, finished=not following)
        if following:
            self._iterators[shard_id] = following
        return others + (0 if following else 1)  # a shard that ends opens the way to its children

    def _take(self, records: list[Any], shard_id: str) -> None:
        """One by one where a batch fails for another reason than an outage: one record holds up no other."""
        try:
            self.take(records, shard_id)
            return
        except Exception as error:
            if isinstance(error, self.waits_for) or comes_again(error):
                raise
        for record in records:
            try:
                self.take([record], shard_id)
            except Exception as error:
                if isinstance(error, self.waits_for) or comes_again(error):
                    raise
                at = record["dynamodb"]["Keys"]
                give_up(self.worker, at["PK"]["S"], at["SK"]["S"], error, may_retry=False)

    def _move_as_of(self, record: Mapping[str, Any]) -> None:
        changed = record["dynamodb"].get("ApproximateCreationDateTime")
        if isinstance(changed, datetime):
            self.as_of = max(changed.astimezone(UTC), self.as_of or changed)

    def _remember(self, shard_id: str, records: list[Any], *, finished: bool) -> None:
        known = self.checkpoints.get(shard_id)
        last = known.sequence_number if known else None
        if records:
            last = records[-1]["dynamodb"]["SequenceNumber"]
        checkpoint = ShardCheckpoint.new(
            worker=self.worker, shard_id=shard_id, sequence_number=last, finished=finished, now=now()
        )
        checkpoint.save()  # a checkpoint is all our own: nothing unknown on it to lose
        self.checkpoints[shard_id] = checkpoint
        self._iterators.pop(shard_id, None)

    def _records(self, shard_id: str) -> Any:
        iterator = self._iterators.pop(shard_id, None) or self._iterator(shard_id)
        try:
            answer = self.client.get_records(ShardIterator=iterator)
        except ClientError as error:
            if error.response["Error"]["Code"] not in (
                "ExpiredIteratorException",
                "TrimmedDataAccessException",
            ):
                raise
            answer = self.client.get_records(ShardIterator=self._iterator(shard_id))
        for record in answer["Records"]:
            _type_empty_maps(record["dynamodb"])
        return answer

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
        except ClientError as error:
            if error.response["Error"]["Code"] != "TrimmedDataAccessException":
                raise
            log.warning("%s: the stream no longer holds what was missed; see docs/operations.md", self.worker)
            return self._get_iterator(shard_id, {"ShardIteratorType": "TRIM_HORIZON"})

    def _get_iterator(self, shard_id: str, where: dict[str, str]) -> str:
        answer = self.client.get_shard_iterator(StreamArn=self.arn, ShardId=shard_id, **where)
        return str(answer["ShardIterator"])
