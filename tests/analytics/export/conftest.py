"""One table for each module of tests about exports: making one takes longer than most tests do."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import boto3
import pytest
from django.test import override_settings

from sessions_app.domain import models
from sessions_app.domain.store import keys
from sessions_app.domain.store import table as tables
from socratic_site.local.dynamodb_local import REGION, Engine


@pytest.fixture(scope="module")
def module_table(engine: Engine) -> Iterator[str]:
    client = boto3.client("dynamodb", region_name=REGION, endpoint_url=engine.endpoint)
    name = f"Test-{uuid.uuid4().hex[:12]}"
    tables.create(client, name=name)
    models.configure(table_name=name, region=REGION)
    with override_settings(SOCRATIC_TABLE=name, EXPORT_KEY="the study's"):
        yield name
    client.delete_table(TableName=name)


@pytest.fixture
def fresh_queue(module_table: str) -> Iterator[str]:
    """The module's table; what a test leaves of jobs, departures and erasures is gone after it."""
    yield module_table
    for partition in (keys.EXPORT_JOBS, keys.EXPORTS, keys.TOMBSTONES, keys.ERASURES):
        for item in models.Item.query(partition):
            item.delete()
