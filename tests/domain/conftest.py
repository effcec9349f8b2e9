"""What is really stored, read with plain boto3 and none of the models."""

from collections.abc import Callable
from typing import Any

import pytest
from boto3.dynamodb.conditions import Key


@pytest.fixture
def raw(table: str, shared_table: Any) -> Any:
    """boto3's view of the table."""
    return shared_table


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
