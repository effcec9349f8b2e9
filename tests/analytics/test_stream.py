"""Which changes matter, that a batch counts each session once, and that no end of a worker loses anything."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from analytics_app.statistics import queries, rebuild, updates
from analytics_app.streams import dispatch
from sessions_app.domain.models import Contribution, Item, Session, ShardCheckpoint
from sessions_app.domain.store import keys
from sessions_app.domain.stream_worker import dead_letters
from tests.analytics import cohort

ROOT = Path(__file__).parents[2]
CELL = keys.Condition.from_code("L1-I1-D")


@pytest.fixture
def table(own_table: str) -> str:
    """These tests follow the table's stream: it must hold nothing of others."""
    return own_table


def sessions_counted() -> int:
    return queries.condition_figures(CELL).sessions


def differences() -> list[str]:
    cell = rebuild.read(CELL, rebuild.sessions_of(CELL), lambda: None)
    return [str(difference) for difference in rebuild.differences(cell)]


def poller(table: str) -> dispatch.Poller:
    client = boto3.client("dynamodb", region_name="us-east-1")
    return dispatch.Poller(client=dispatch.connect(region="us-east-1"), arn=dispatch.stream_of(client, table))


def drain(reader: dispatch.Poller) -> int:
    total = 0
    while found := reader.poll():
        total += found
    return total


# --- which changes matter


def test_a_session_that_starts_matters() -> None:
    made = cohort.session()
    assert dispatch.concerns(cohort.record(new=made)) == made.session_id


def test_any_change_of_a_session_matters_since_it_may_have_mended_it() -> None:
    before, after = cohort.session(session_id="s"), cohort.session(session_id="s", version=2)
    assert dispatch.concerns(cohort.record(new=after, old=before)) == "s"
    assert dispatch.concerns(cohort.record(new=after, old=after)) is None


@pytest.mark.parametrize("state", ["completed", "stopped", "abandoned", "withdrawn"])
def test_a_session_that_ends_matters(state: str) -> None:
    before, after = cohort.session(session_id="s"), cohort.session(session_id="s", state=state)
    assert dispatch.concerns(cohort.record(new=after, old=before)) == "s"


def test_an_assessment_matters_when_it_is_graded_or_graded_again() -> None:
    made = cohort.session(session_id="s")
    ungraded, graded, again = (cohort.assessment(made, "final", score) for score in (None, 50.0, 60.0))
    assert dispatch.concerns(cohort.record(new=graded, old=ungraded)) == "s"
    assert dispatch.concerns(cohort.record(new=again, old=graded)) == "s"
    later = cohort.assessment(made, "final", None, version=7)
    assert dispatch.concerns(cohort.record(new=later, old=ungraded)) is None


def test_what_the_statistics_write_themselves_does_not_matter(table: str) -> None:
    items = cohort.whole()
    cohort.store(*items)
    updates.apply(items[0].session_id, now=cohort.NOON)
    written = [
        *Item.query(keys.statistics(CELL)),
        *Item.query(keys.statistics_by_month()),
        *Item.query(keys.statistics_by_day()),
        *Item.query(keys.counted(CELL)),
        Contribution.of_session(items[0].session_id),
    ]
    assert len(written) == 5
    assert [dispatch.concerns(cohort.record(new=item)) for item in written] == [None] * 5


def test_an_entity_that_this_version_does_not_know_does_not_matter() -> None:
    strange = cohort.record(new=cohort.session(session_id="s"))
    strange["dynamodb"]["NewImage"]["entity_type"] = {"S": "hologram"}
    assert dispatch.concerns(strange) is None


def test_a_batch_names_each_session_once_from_its_first_record_on() -> None:
    one, other = cohort.whole(), cohort.whole()
    records = [cohort.record(new=item, sequence=n) for n, item in enumerate([*one, *other, *one], 1)]
    found = dispatch.affected(records)
    assert list(found) == [one[0].session_id, other[0].session_id]
    assert [int(entry.first_sequence) for entry in found.values()] == [1, len(one) + 1]


# --- Lambda


def test_the_handler_counts_a_batch(table: str) -> None:
    items = cohort.whole()
    cohort.store(*items)
    event = {"Records": [cohort.record(new=item, sequence=n) for n, item in enumerate(items)]}
    assert dispatch.handler(event, None) == {"batchItemFailures": []}
    assert sessions_counted() == 1


def test_the_handler_asks_again_for_what_failed_and_counts_the_rest(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = cohort.session(), cohort.session()
    cohort.store(bad, good)
    real = updates.apply

    def failing(session_id: str, **rest: Any) -> bool:
        if session_id == bad.session_id:
            throttled()
        return real(session_id, **rest)

    monkeypatch.setattr(updates, "apply", failing)
    records = [cohort.record(new=bad, sequence=7), cohort.record(new=good, sequence=8)]
    assert dispatch.handler({"Records": records}, None) == {
        "batchItemFailures": [{"itemIdentifier": "7".zfill(21)}]
    }
    assert sessions_counted() == 1


def test_an_unreadable_session_does_not_hold_up_the_handler(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(session_id: str, **rest: Any) -> bool:
        raise updates.Unreadable(session_id, "KeyError")

    monkeypatch.setattr(updates, "apply", failing)
    made = cohort.session()
    cohort.store(made)
    assert dispatch.handler({"Records": [cohort.record(new=made)]}, None) == {"batchItemFailures": []}
    (letter,) = dead_letters.open_letters()
    assert (letter.record_pk, letter.reason) == (made.PK, "KeyError")


def test_a_lost_contribution_that_cannot_be_read_harms_no_other_session(table: str) -> None:
    items = cohort.whole()
    cohort.store(*items)
    updates.apply(items[0].session_id, now=cohort.NOON)
    gone = cohort.record(erased=Contribution.of_session(items[0].session_id))
    gone["dynamodb"]["OldImage"]["updated_at"] = {"S": "some day"}
    other = cohort.session()
    cohort.store(other)
    assert dispatch.handler({"Records": [gone, cohort.record(new=other)]}, None) == {"batchItemFailures": []}
    assert sessions_counted() == 2
    assert [letter.record_sk for letter in dead_letters.open_letters()] == [keys.CONTRIBUTION]


def test_what_is_of_no_day_of_the_audit_log_holds_up_no_seal(table: str) -> None:
    told = cohort.record(new=cohort.session())
    at = {"PK": {"S": "AUDIT#someday"}, "SK": {"S": "x"}}
    told["dynamodb"]["Keys"] = at
    told["dynamodb"]["NewImage"] |= at
    assert dispatch.handler({"Records": [told]}, None) == {"batchItemFailures": []}
    (letter,) = dead_letters.open_letters()
    assert (letter.duty, letter.record_pk, letter.record_sk) == ("sealing", "AUDIT#someday", "x")


# --- the poller


def test_the_poller_follows_the_tables_stream_and_goes_on_where_it_was(table: str) -> None:
    first, second = cohort.whole(), cohort.whole(final=90.0)
    cohort.store(*first)
    drain(poller(table))
    assert sessions_counted() == 1
    cohort.store(*second)
    read = poller(table).poll()
    assert sessions_counted() == 2
    assert len(second) <= read < len(first) + len(second) + 10  # not the first session once more
    assert differences() == []


def test_its_own_checkpoints_give_it_nothing_to_do(table: str) -> None:
    cohort.store(cohort.session())
    drain(poller(table))
    before = ShardCheckpoint.of_worker("statistics")
    assert before
    drain(poller(table))
    after = ShardCheckpoint.of_worker("statistics")
    assert {key: item.sequence_number for key, item in after.items()} == {
        key: item.sequence_number for key, item in before.items()
    }


def test_a_table_without_a_stream_is_said_to_have_none(dynamodb: Any) -> None:
    name = f"Test-{cohort.new_id()[:8]}"
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with pytest.raises(dispatch.NoStream, match="create_table"):
        dispatch.stream_of(dynamodb, name)
    dynamodb.delete_table(TableName=name)


def throttled(*_: Any, **__: Any) -> bool:
    raise ClientError({"Error": {"Code": "ThrottlingException"}}, "Query")


class Shards:
    """A streams client over a parent that is closed and its child; iterators are `shard:place`."""

    def __init__(self, records: dict[str, list[dict[str, Any]]], expires: bool = False) -> None:
        self.records = records
        self.expires = expires
        self.asked: list[str] = []

    def describe_stream(self, **_: Any) -> dict[str, Any]:
        child = {"ShardId": "child", "ParentShardId": "parent"}
        return {"StreamDescription": {"Shards": [child, {"ShardId": "parent", "ParentShardId": "gone"}]}}

    def get_shard_iterator(self, *, ShardId: str, ShardIteratorType: str, **rest: Any) -> dict[str, str]:
        if ShardIteratorType == "TRIM_HORIZON":
            return {"ShardIterator": f"{ShardId}:0"}
        known = [record["dynamodb"]["SequenceNumber"] for record in self.records[ShardId]]
        return {"ShardIterator": f"{ShardId}:{known.index(rest['SequenceNumber']) + 1}"}

    def get_records(self, *, ShardIterator: str) -> dict[str, Any]:
        if self.expires:
            self.expires = False
            raise ClientError({"Error": {"Code": "ExpiredIteratorException"}}, "GetRecords")
        shard, place = ShardIterator.split(":")
        self.asked.append(ShardIterator)
        found = self.records[shard][int(place) :][:1]
        ended = shard == "parent" and int(place) + len(found) == len(self.records[shard])
        answer: dict[str, Any] = {"Records": found}
        return answer if ended else answer | {"NextShardIterator": f"{shard}:{int(place) + len(found)}"}


def shards(**rest: Any) -> Shards:
    made = [cohort.session() for _ in range(3)]
    cohort.store(*made)
    records = [cohort.record(new=item, sequence=n) for n, item in enumerate(made, 1)]
    return Shards({"parent": records[:2], "child": records[2:]}, **rest)


def test_a_child_shard_is_read_after_its_parent_has_ended(table: str) -> None:
    client = shards()
    drain(dispatch.Poller(client=client, arn="arn"))
    assert client.asked[:3] == ["parent:0", "parent:1", "child:0"]
    checkpoints = ShardCheckpoint.of_worker("statistics")
    assert {key: bool(item.finished) for key, item in checkpoints.items()} == {
        "parent": True,
        "child": False,
    }
    assert sessions_counted() == 3


def test_another_poller_reads_on_from_the_checkpoint(table: str) -> None:
    client = shards()
    dispatch.Poller(client=client, arn="arn").poll()
    client.asked.clear()
    drain(dispatch.Poller(client=client, arn="arn"))
    assert client.asked[0] == "parent:1"


def test_an_iterator_that_expired_is_made_anew(table: str) -> None:
    client = shards(expires=True)
    drain(dispatch.Poller(client=client, arn="arn"))
    assert sessions_counted() == 3


def test_a_checkpoint_waits_until_its_batch_is_counted(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = shards()
    monkeypatch.setattr(updates, "apply", throttled)
    with pytest.raises(ClientError):
        dispatch.Poller(client=client, arn="arn").poll()
    assert ShardCheckpoint.of_worker("statistics") == {}


def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(table: str) -> None:
    made = [cohort.whole(final=50.0 + number) for number in range(12)]
    for items in made:
        cohort.store(*items)
    environment = os.environ | {"SOCRATIC_TABLE": table, "DJANGO_SETTINGS_MODULE": "socratic_site.settings"}
    command = [sys.executable, str(ROOT / "manage.py"), "run_worker"]
    worker = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not sessions_counted() and worker.poll() is None and time.monotonic() < deadline:
            pass
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert sessions_counted() >= 1
    drain(poller(table))
    assert sessions_counted() == 12
    assert differences() == []
    assert len(list(Session.of_condition(CELL))) == 12
