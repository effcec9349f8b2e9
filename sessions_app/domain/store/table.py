"""The one table: its definition, how an existing one differs from it, and how it is made. Never alters one.

Table: PK (hash), SK (range). Five overloaded indexes GSI1..GSI5 on GSInPK (hash) and GSInSK (range), which
project everything. All keys are strings. The stream carries new and old images, for the statistics.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

Billing = Literal["PAY_PER_REQUEST", "PROVISIONED"]

INDEXES = ("GSI1", "GSI2", "GSI3", "GSI4", "GSI5")
STREAM_VIEW = "NEW_AND_OLD_IMAGES"
TABLE_CAPACITY = {"ReadCapacityUnits": 10, "WriteCapacityUnits": 10}
INDEX_CAPACITY = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}

NOT_RESTORED = ("stream", "billing")
"""Parts of `differences` that a table restored from a backup lacks or may have otherwise."""

NOT_AVAILABLE = "not available here"
UNKNOWN_OPERATION = "UnknownOperationException"
BACKUPS_NOT_READY = "ContinuousBackupsUnavailableException"


def connect(*, region: str) -> Any:
    """A client whose endpoint and credentials come from botocore's own variables, with short timeouts."""
    config = Config(connect_timeout=2, read_timeout=5, retries={"max_attempts": 2})
    return boto3.client("dynamodb", region_name=region, config=config)


def definition(name: str, billing: Billing = "PAY_PER_REQUEST") -> dict[str, Any]:
    """The arguments of CreateTable."""
    return {
        "TableName": name,
        "KeySchema": _key_schema("PK", "SK"),
        "AttributeDefinitions": _string_attributes(),
        "GlobalSecondaryIndexes": [_index(index, billing) for index in INDEXES],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": STREAM_VIEW},
        "BillingMode": billing,
        **_capacity(billing, TABLE_CAPACITY),
    }


def _key_schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


def _string_attributes() -> list[dict[str, str]]:
    names = ["PK", "SK", *(f"{index}{key}" for index in INDEXES for key in ("PK", "SK"))]
    return [{"AttributeName": name, "AttributeType": "S"} for name in names]


def _index(name: str, billing: Billing) -> dict[str, Any]:
    return {
        "IndexName": name,
        "KeySchema": _key_schema(f"{name}PK", f"{name}SK"),
        "Projection": {"ProjectionType": "ALL"},
        **_capacity(billing, INDEX_CAPACITY),
    }


def _capacity(billing: Billing, units: Mapping[str, int]) -> dict[str, Any]:
    return {"ProvisionedThroughput": dict(units)} if billing == "PROVISIONED" else {}


def describe(client: Any, name: str) -> dict[str, Any] | None:
    """DescribeTable's answer, None when there is no such table."""
    try:
        table: dict[str, Any] = client.describe_table(TableName=name)["Table"]
    except ClientError as error:
        if _code(error) == "ResourceNotFoundException":
            return None
        raise
    return table


def differences(description: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What an existing table has otherwise, one line each; capacities may differ, autoscaling moves them."""
    have, want = _shape(description), _shape(wanted)
    return [
        f"{part}: is {have.get(part, 'absent')}, should be {want.get(part, 'absent')}"
        for part in sorted(have.keys() | want.keys())
        if have.get(part) != want.get(part)
    ]


def _shape(table: Mapping[str, Any]) -> dict[str, str]:
    stream = table.get("StreamSpecification") or {}
    mode = (
        table.get("BillingMode")
        or (table.get("BillingModeSummary") or {}).get("BillingMode")
        or "PROVISIONED"
    )
    shape = {
        "key": _keys(table["KeySchema"]),
        "stream": str(stream.get("StreamViewType")) if stream.get("StreamEnabled") else "off",
        "billing": str(mode),
    }
    for attribute in table["AttributeDefinitions"]:
        shape[f"attribute {attribute['AttributeName']}"] = str(attribute["AttributeType"])
    for index in table.get("GlobalSecondaryIndexes") or []:
        projection = index["Projection"]["ProjectionType"]
        shape[f"index {index['IndexName']}"] = f"{_keys(index['KeySchema'])}, projection {projection}"
    for index in table.get("LocalSecondaryIndexes") or []:
        shape[f"local index {index['IndexName']}"] = _keys(index["KeySchema"])
    return shape


def _keys(schema: list[Mapping[str, str]]) -> str:
    return " + ".join(f"{key['AttributeName']} ({key['KeyType']})" for key in schema)


def create(client: Any, *, name: str, billing: Billing = "PAY_PER_REQUEST") -> None:
    """Makes the table and returns when it is active. Raises ResourceInUseException when it exists."""
    client.create_table(**definition(name, billing))
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})


def turn_on_recovery(client: Any, name: str, *, wait: Callable[[float], None] = time.sleep) -> str:
    """Point-in-time recovery: 35 days back, to the second. Returns "on", or NOT_AVAILABLE."""
    for attempt in range(30):
        try:
            client.update_continuous_backups(
                TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
            )
        except ClientError as error:
            if _code(error) == UNKNOWN_OPERATION:
                return NOT_AVAILABLE
            if _code(error) != BACKUPS_NOT_READY or attempt == 29:
                raise
            wait(2)  # a table seconds old cannot be backed up yet
        else:
            break
    return "on"


def recovery(client: Any, name: str) -> str:
    """Whether point-in-time recovery is "on" or "off", or NOT_AVAILABLE."""
    try:
        told = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    except ClientError as error:
        if _code(error) == UNKNOWN_OPERATION:
            return NOT_AVAILABLE
        raise
    state = told.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
    return "on" if state == "ENABLED" else "off"


def tag(client: Any, name: str, tags: Mapping[str, str]) -> str:
    """Returns the tags as text, or NOT_AVAILABLE."""
    arn = client.describe_table(TableName=name)["Table"]["TableArn"]
    try:
        client.tag_resource(
            ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
        )
    except ClientError as error:
        if _code(error) == UNKNOWN_OPERATION:
            return NOT_AVAILABLE
        raise
    return ", ".join(f"{key}={value}" for key, value in tags.items())


def _code(fault: ClientError) -> str:
    return str(fault.response.get("Error", {}).get("Code", ""))
