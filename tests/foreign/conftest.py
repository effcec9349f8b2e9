"""A table by moto: how pages read odd items does not depend on the engine, and there are many requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from django.conf import settings
from moto import mock_aws

from sessions_app.domain import models
from sessions_app.domain.store import table as tables
from socratic_site.local.dynamodb_local import REGION
from support.cast import brought_to, enrolled, started
from tests.foreign import kinds

TABLE = "Foreign"


@pytest.fixture(scope="module")
def moto_table() -> Iterator[Any]:
    """A plain client; the models are bound to its empty table."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.delenv("AWS_ENDPOINT_URL_DYNAMODB")
        patch.setattr(settings, "SOCRATIC_TABLE", TABLE)
        client = boto3.client("dynamodb", region_name=REGION)
        tables.create(client, name=TABLE)
        models.configure(table_name=TABLE, region=REGION)
        yield client


@pytest.fixture(scope="module")
def populated(moto_table: Any) -> dict[str, list[kinds.Typed]]:
    """Good sessions of our own, every odd kind, and beside one item of each entity what is left of it."""
    brought_to(started("L1-I1-D", student=enrolled()), "questions-1/2")
    brought_to(started("L4-I3-S"), "survey")
    odd = kinds.from_file() | kinds.invented()
    pages = moto_table.get_paginator("scan").paginate(TableName=TABLE)
    own = [item for page in pages for item in page["Items"]]
    odd |= {name: [item] for name, item in kinds.wrecks(own)}
    for items in odd.values():
        for item in items:
            moto_table.put_item(TableName=TABLE, Item=item)
    return odd
