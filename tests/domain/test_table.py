"""The table's definition, made on the real engine and compared with what is there."""

import json
from io import StringIO
from typing import Any

import pytest
from botocore.exceptions import ClientError
from django.core.management import call_command
from django.core.management.base import CommandError

from sessions_app.domain.store import table as tables
from sessions_app.domain.store.table import NOT_AVAILABLE, definition, differences


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "UpdateContinuousBackups")


class Backups:
    """An endpoint that answers UpdateContinuousBackups with these refusals, then with success."""

    def __init__(self, *refusals: str) -> None:
        self.refusals = list(refusals)

    def update_continuous_backups(self, **_: Any) -> None:
        if self.refusals:
            raise refusal(self.refusals.pop(0))


def test_the_definition_has_the_schemas_keys_and_indexes() -> None:
    made = definition("T")
    indexes = {index["IndexName"]: index for index in made["GlobalSecondaryIndexes"]}
    assert [key["AttributeName"] for key in made["KeySchema"]] == ["PK", "SK"]
    assert list(indexes) == ["GSI1", "GSI2", "GSI3", "GSI4", "GSI5"]
    assert [key["AttributeName"] for key in indexes["GSI3"]["KeySchema"]] == ["GSI3PK", "GSI3SK"]
    assert {index["Projection"]["ProjectionType"] for index in indexes.values()} == {"ALL"}


def test_on_demand_names_no_capacity() -> None:
    assert "ProvisionedThroughput" not in json.dumps(definition("T", "PAY_PER_REQUEST"))


def test_provisioned_has_ten_for_the_table_and_five_for_each_index() -> None:
    made = definition("T", "PROVISIONED")
    assert made["ProvisionedThroughput"] == {"ReadCapacityUnits": 10, "WriteCapacityUnits": 10}
    assert all(
        index["ProvisionedThroughput"] == {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
        for index in made["GlobalSecondaryIndexes"]
    )


@pytest.mark.parametrize("billing", ["PAY_PER_REQUEST", "PROVISIONED"])
def test_a_table_made_by_the_definition_does_not_differ_from_it(moto_dynamodb: Any, billing: Any) -> None:
    tables.create(moto_dynamodb, name="Study", billing=billing)
    described = tables.describe(moto_dynamodb, "Study")
    assert described is not None
    assert differences(described, definition("Study", billing)) == []


def test_each_difference_is_named() -> None:
    other = definition("T", "PROVISIONED")
    other["KeySchema"] = other["KeySchema"][:1]
    other["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    other["GlobalSecondaryIndexes"].pop(4)
    other["GlobalSecondaryIndexes"][0]["Projection"] = {"ProjectionType": "KEYS_ONLY"}
    other["AttributeDefinitions"][2]["AttributeType"] = "N"
    assert differences(other, definition("T")) == [
        "attribute GSI1PK: is N, should be S",
        "billing: is PROVISIONED, should be PAY_PER_REQUEST",
        "index GSI1: is GSI1PK (HASH) + GSI1SK (RANGE), projection KEYS_ONLY, "
        "should be GSI1PK (HASH) + GSI1SK (RANGE), projection ALL",
        "index GSI5: is absent, should be GSI5PK (HASH) + GSI5SK (RANGE), projection ALL",
        "key: is PK (HASH), should be PK (HASH) + SK (RANGE)",
        "stream: is KEYS_ONLY, should be NEW_AND_OLD_IMAGES",
    ]


def test_an_index_of_somebody_else_is_named() -> None:
    other = definition("T")
    other["GlobalSecondaryIndexes"].append({**other["GlobalSecondaryIndexes"][0], "IndexName": "Mine"})
    assert differences(other, definition("T")) == [
        "index Mine: is GSI1PK (HASH) + GSI1SK (RANGE), projection ALL, should be absent"
    ]


def test_recovery_is_said_to_be_missing_where_the_endpoint_does_not_know_it() -> None:
    assert tables.turn_on_recovery(Backups("UnknownOperationException"), "T") == NOT_AVAILABLE


def test_recovery_waits_for_a_table_that_is_seconds_old() -> None:
    waits: list[float] = []
    client = Backups("ContinuousBackupsUnavailableException", "ContinuousBackupsUnavailableException")
    assert tables.turn_on_recovery(client, "T", wait=waits.append) == "on"
    assert len(waits) == 2


def test_any_other_refusal_of_recovery_is_an_error() -> None:
    with pytest.raises(ClientError, match="AccessDeniedException"):
        tables.turn_on_recovery(Backups("AccessDeniedException"), "T")


def test_tags_are_set_where_the_endpoint_knows_them(moto_dynamodb: Any) -> None:
    tables.create(moto_dynamodb, name="Study")
    assert tables.tag(moto_dynamodb, "Study", {"Project": "P"}) == "Project=P"
    arn = moto_dynamodb.describe_table(TableName="Study")["Table"]["TableArn"]
    listed = moto_dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"]
    assert listed == [{"Key": "Project", "Value": "P"}]


def test_the_real_engine_has_every_index_and_the_stream_with_both_images(
    own_table: str, dynamodb: Any
) -> None:
    described = tables.describe(dynamodb, own_table)
    assert described is not None
    assert differences(described, definition(own_table)) == []
    assert described["StreamSpecification"] == {
        "StreamEnabled": True,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    assert {index["IndexStatus"] for index in described["GlobalSecondaryIndexes"]} == {"ACTIVE"}


def test_the_real_engine_has_neither_recovery_nor_tags(table: str, dynamodb: Any) -> None:
    assert tables.turn_on_recovery(dynamodb, table) == NOT_AVAILABLE
    assert tables.tag(dynamodb, table, {"Project": "P"}) == NOT_AVAILABLE


def test_there_is_no_description_of_a_missing_table(dynamodb: Any) -> None:
    assert tables.describe(dynamodb, "Nowhere") is None


# --- manage.py create_table


def create_table(**options: Any) -> str:
    out = StringIO()
    call_command("create_table", stdout=out, **options)
    return out.getvalue()


def test_the_command_prints_the_definition_and_makes_nothing(settings: Any) -> None:
    settings.SOCRATIC_TABLE = "OnlyPrinted"  # no engine runs here: a request would fail
    assert json.loads(create_table(print=True)) == definition("OnlyPrinted")


def test_the_command_twice_makes_one_table(engine: Any, dynamodb: Any, settings: Any) -> None:
    settings.SOCRATIC_TABLE = "MadeTwice"
    assert "Table MadeTwice: made" in create_table()
    again = create_table()
    assert "is there and as it should be" in again
    assert f"point-in-time recovery: {NOT_AVAILABLE}" in again
    assert tables.describe(dynamodb, "MadeTwice") is not None


def test_the_command_reports_a_table_of_another_shape_and_leaves_it(
    engine: Any, dynamodb: Any, settings: Any
) -> None:
    settings.SOCRATIC_TABLE = "OtherShape"
    dynamodb.create_table(
        TableName="OtherShape",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    before = tables.describe(dynamodb, "OtherShape")
    with pytest.raises(CommandError, match="key: is id") as refused:
        create_table()
    assert "stream: is off" in str(refused.value)
    assert tables.describe(dynamodb, "OtherShape") == before
