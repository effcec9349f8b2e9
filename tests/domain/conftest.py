"""One table for all tests of the domain, emptied after each, and what is really stored in it.

Making a table takes longer than most of these tests do. What is stored is read with plain boto3 and none of
the models.
"""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Key

from sessions_app.domain import models
from sessions_app.domain import table as tables
from socratic_site.engine import REGION, Engine


@pytest.fixture(scope="session")
def lasting_table(engine: Engine) -> Any:
    """boto3's view of a table that is made once."""
    resource = boto3.resource("dynamodb", region_name=REGION, endpoint_url=engine.endpoint)
    name = f"Domain-{uuid.uuid4().hex[:12]}"
    tables.create(resource.meta.client, name=name)
    return resource.Table(name)


@pytest.fixture
def table(lasting_table: Any, settings: Any) -> Iterator[str]:
    """The name of an empty table to which the models and the settings are bound."""
    settings.SOCRATIC_TABLE = lasting_table.name
    if models.Item.Meta.table_name != lasting_table.name:
        models.configure(table_name=lasting_table.name, region=REGION)
    yield lasting_table.name
    with lasting_table.batch_writer() as batch:
        for key in _all_keys(lasting_table):
            batch.delete_item(Key=key)


def _all_keys(table: Any) -> list[dict[str, Any]]:
    answer = table.scan(ProjectionExpression="PK, SK", ConsistentRead=True)
    found: list[dict[str, Any]] = answer["Items"]
    while "LastEvaluatedKey" in answer:
        start = answer["LastEvaluatedKey"]
        answer = table.scan(ProjectionExpression="PK, SK", ConsistentRead=True, ExclusiveStartKey=start)
        found += answer["Items"]
    return found


@pytest.fixture
def raw(table: str, lasting_table: Any) -> Any:
    """boto3's view of the table."""
    return lasting_table


@pytest.fixture
def stored(raw: Any) -> Callable[..., list[dict[str, Any]]]:
    """The items of a partition, by sort key prefix if asked for."""

    def items(pk: str, prefix: str = "") -> list[dict[str, Any]]:
        where = Key("PK").eq(pk)
        if prefix:
            where &= Key("SK").begins_with(prefix)
        found: list[dict[str, Any]] = raw.query(KeyConditionExpression=where, ConsistentRead=True)["Items"]
        return found

    return items


@pytest.fixture
def everything(raw: Any) -> Callable[[], list[dict[str, Any]]]:
    """All items of the table, which is small in tests, in a fixed order."""

    def items() -> list[dict[str, Any]]:
        answer = raw.scan(ConsistentRead=True)
        found = answer["Items"]
        while "LastEvaluatedKey" in answer:
            answer = raw.scan(ConsistentRead=True, ExclusiveStartKey=answer["LastEvaluatedKey"])
            found += answer["Items"]
        return sorted(found, key=lambda item: (item["PK"], item["SK"]))

    return items


@pytest.fixture
def withdraw(raw: Any) -> Callable[[str], None]:
    """Consent withdrawn behind the application's back."""

    def change(student_id: str) -> None:
        raw.update_item(
            Key={"PK": f"STUDENT#{student_id}", "SK": "PROFILE"},
            UpdateExpression="SET consent_data.withdrawn_at = :at",
            ExpressionAttributeValues={":at": "2026-03-03T17:00:30Z"},
        )

    return change
