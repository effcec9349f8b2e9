"""The arithmetic of the bench: measuring is for `make bench`, what is computed of it is tested here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import parts, peers, report
from bench.growth import Fit, fit
from bench.lower_bound import least, new_bytes
from bench.meter import charged, metered, size, written
from bench.parts import Part
from bench.results import Figure, Measured, Outcome, Table
from sessions_app.domain import models

PROFILE = {"PK": {"S": "STUDENT#1"}, "SK": {"S": "PROFILE"}, "entity_type": {"S": "student_profile"}}


def stored(*items: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(item["PK"]["S"], item["SK"]["S"]): item for item in items}


def item(letters: int, **more: Any) -> dict[str, Any]:
    return {"PK": {"S": "P"}, "SK": {"S": "S"}, "a": {"S": "x" * letters}, **more}


AT_1 = {"GSI1PK": {"S": "a"}, "GSI1SK": {"S": "1"}}
AT_2 = AT_1 | {"GSI1SK": {"S": "2"}}
OTHER = {"GSI2PK": {"S": "b"}, "GSI2SK": {"S": "1"}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"S": "é"}, 2),
        ({"N": "150"}, 2),
        ({"N": "-12.5"}, 3),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"L": [{"S": "ab"}]}, 3 + 2 + 1),
        ({"M": {"k": {"S": "ab"}}}, 3 + 1 + 2 + 1),
    ],
)
def test_a_value_is_as_large_as_dynamodb_counts_it(value: dict[str, Any], expected: int) -> None:
    assert size({"a": value}) == 1 + expected


def test_only_what_changed_counts_as_new() -> None:
    before = {"a": {"S": "x" * 500}, "m": {"M": {"k": {"S": "one"}, "l": {"S": "x" * 500}}}}
    after = {**before, "m": {"M": {"k": {"S": "other"}, "l": {"S": "x" * 500}}}, "b": {"S": "yy"}}
    assert new_bytes(before, after) == len("m") + len("k") + len("other") + len("b") + len("yy")


def test_a_list_that_grew_counts_by_its_new_elements() -> None:
    before = {"l": {"L": [{"S": "x" * 500}]}}
    after = {"l": {"L": [{"S": "x" * 500}, {"S": "new"}]}}
    assert new_bytes(before, after) == len("l") + len("new")


def test_one_new_item_costs_its_size_and_a_copy_for_each_index() -> None:
    indexed = item(1500, GSI1PK={"S": "a"}, GSI1SK={"S": "b"})
    assert least({}, stored(item(1500)), consent=None, needed=(), latest=True).write == 2
    assert least({}, stored(indexed), consent=None, needed=(), latest=True).write == 4


def test_an_index_key_that_moves_costs_a_removal_too() -> None:
    before, after = (item(10, GSI1PK={"S": "a"}, GSI1SK={"S": at}) for at in ("1", "2"))
    assert least(stored(before), stored(after), consent=None, needed=(), latest=True).write == 3


def test_a_transaction_costs_twice_and_its_check_of_consent_two_units() -> None:
    before, after = stored(PROFILE), stored(PROFILE, item(10))
    assert least(before, after, consent="STUDENT#1", needed=(), latest=True).write == 4
    other = {**item(10), "SK": {"S": "T"}}
    assert least({}, stored(item(10), other), consent=None, needed=(), latest=True).write == 4


def test_what_changes_nothing_writes_nothing() -> None:
    same = stored(PROFILE)
    assert least(same, same, consent="STUDENT#1", needed=[item(5000)], latest=True).write == 0


@pytest.mark.parametrize(("latest", "units"), [(True, 2), (False, 1)])
def test_a_read_of_what_must_be_the_latest_costs_twice(latest: bool, units: float) -> None:
    assert least({}, {}, consent=None, needed=[item(5000)], latest=latest).read == units


def test_sizes_are_counted_as_dynamodb_does() -> None:
    item = {"PK": {"S": "ab"}, "n": {"N": "-12.5"}, "m": {"M": {"k": {"L": [{"BOOL": True}]}}}}
    assert size(item) == (2 + 2) + (1 + 3) + (1 + 3 + 1 + (1 + 3 + 1 + 1))


@pytest.mark.parametrize(
    ("before", "after", "of_index"),
    [
        ({}, item(1500, **AT_1), 2),  # put
        (item(10), item(1500, **AT_1), 2),
        (item(1500, **AT_1), {}, 2),  # removed
        (item(1500, **AT_1), item(10), 2),
        (item(2500, **AT_1), item(10, **AT_2), 3 + 1),  # the old one removed, the new one put
        (item(10, **AT_1), item(2500, **AT_1), 3),
        (item(2500, **AT_1), item(10, **AT_1), 3),
        (item(1500, **AT_1), item(1500, **AT_1), 0),
        (item(10, GSI1PK={"S": "a"}), item(20, GSI1PK={"S": "a"}), 0),  # half a key
        (item(10, **AT_1, **OTHER), item(10, **AT_2, **OTHER), 2),
    ],
)
def test_an_index_is_charged_as_the_engine_charges_a_single_write(
    table: str, dynamodb: Any, before: dict[str, Any], after: dict[str, Any], of_index: int
) -> None:
    """DynamoDB Local tells what AWS documents of indexes, keys that move included."""
    if before:
        dynamodb.put_item(TableName=table, Item=before)
    if after:
        told = dynamodb.put_item(TableName=table, Item=after, ReturnConsumedCapacity="INDEXES")
    else:
        key = {name: before[name] for name in ("PK", "SK")}
        told = dynamodb.delete_item(TableName=table, Key=key, ReturnConsumedCapacity="INDEXES")
    used = told["ConsumedCapacity"]
    indexes = used.get("GlobalSecondaryIndexes", {})
    assert written(before, after) == {
        "of the table": used["Table"]["CapacityUnits"],
        **{f"of {index}": inner["CapacityUnits"] for index, inner in indexes.items()},
    }
    assert written(before, after)["of GSI1"] == of_index


def test_a_part_of_a_transaction_costs_twice() -> None:
    before, after = item(2500, **AT_1), item(10, **AT_2)
    assert charged(before, after) == {"write": 14, "write of the table": 6, "write of GSI1": 8}
    assert charged(before, before) == {"write": 6, "write of the table": 6}  # a condition, or nothing new


def test_the_engine_here_still_tells_too_little_of_transactions(table: str, dynamodb: Any) -> None:
    """When this fails, the units of transactions can be taken as they are told."""
    puts = [
        {"Put": {"TableName": table, "Item": {"PK": {"S": f"X{number}"}, "SK": {"S": "x"}}}}
        for number in range(5)
    ]
    told = dynamodb.transact_write_items(TransactItems=puts, ReturnConsumedCapacity="TOTAL")
    assert [each["CapacityUnits"] for each in told["ConsumedCapacity"]] == [2.0]


def test_the_meter_tells_reads_from_writes_and_works_transactions_out(table: str, dynamodb: Any) -> None:
    client = models.connection().client
    key = {"PK": {"S": "STUDENT#1"}, "SK": {"S": "PROFILE"}}
    parts = [
        {
            "Put": {
                "TableName": table,
                "Item": {"PK": {"S": f"X{n}"}, "SK": {"S": "x"}, "b": {"S": "b" * 1500}},
            }
        }
        for n in "12"
    ]
    with metered(client, plain=dynamodb) as meter:
        client.put_item(TableName=table, Item=key | {"GSI1PK": {"S": "a"}, "GSI1SK": {"S": "b"}})
        client.get_item(TableName=table, Key=key, ConsistentRead=True)
        client.transact_write_items(TransactItems=parts)
        client.describe_table(TableName=table)
    assert (meter.requests, meter.read, meter.write) == (3, 1, 2 + 2 * 4)


@pytest.mark.parametrize("power", [0, 0.5, 1])
def test_a_power_law_is_found_exactly(power: float) -> None:
    assert fit({n: 3.0 * n**power for n in (60, 240, 960)}) == Fit(power, 0.0)


def test_nothing_is_fitted_to_two_sizes_or_to_a_zero() -> None:
    assert fit({1: 1.0, 2: 2.0}) is None
    assert fit({1: 0.0, 2: 2.0, 3: 3.0}) is None


FIGURE = Figure(what="cost", value=7, unit="units", goal=6, why="It grew.")


@pytest.mark.parametrize(("sense", "met"), [("at most", False), ("at least", True)])
def test_a_goal_is_a_bound_from_above_or_below(sense: Any, met: bool) -> None:
    assert Figure(what="cost", value=7, unit="units", goal=6, sense=sense).met is met
    assert Figure(what="cost", value=7, unit="units").met is None


def test_a_part_comes_back_from_its_json() -> None:
    table = Table(title="T", columns=("a", "b"), rows=[["x", 1.5]], note="how")
    part = Measured(1, "One", 2.0, Outcome([FIGURE], [table], ["No peer."]))
    assert Measured.from_json(part.as_json()) == part


def test_a_part_that_fails_is_told_and_the_table_is_printed() -> None:
    broken = parts.run(Part(9, "no_such_module", "Nine"), bench=None)  # type: ignore[arg-type]
    told = {
        **{"kind": "quick", "date": "2026-11-24", "seed": 1, "versions": {"Python": "3.11"}},
        "machine": {"cores": 2, "processor": "P", "memory_gb": 4, "system": "Linux"},
        "parts": [
            Measured(1, "One", 2.0, Outcome([FIGURE], left_out=["No peer."])).as_json(),
            broken.as_json(),
        ],
    }
    printed = report.printed(told)
    assert "MISSED" in printed
    assert "NOT MEASURED  No peer." in printed
    assert "FAILED  ModuleNotFoundError" in printed
    assert printed.endswith("0 of 1 goals met; parts that failed: 9")


def test_a_peer_that_cannot_be_fetched_is_told_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "KEPT", tmp_path / "peers")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(peers.NotThere, match="dynamodb-admin needs node and npm"):
        peers._fetched()
    for name in ("node", "npm"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(
        peers.NotThere, match=r"dynamodb-admin could not be installed: npm ended with status 1"
    ):
        peers._fetched()
