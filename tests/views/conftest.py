"""For pages of sessions, which do not mind other sessions in the table: one table for a whole module."""

import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from sessions_app import study
from sessions_app.domain import models
from sessions_app.domain.store import table as tables
from socratic_site.local.dynamodb_local import REGION, Engine
from support.fake_anthropic import FakeAnthropic


@pytest.fixture(scope="module")
def lasting_dynamodb(engine: Engine) -> Any:
    return boto3.client("dynamodb", region_name=REGION, endpoint_url=engine.endpoint)


@pytest.fixture(scope="module")
def lasting_table(lasting_dynamodb: Any) -> Iterator[str]:
    """A module that overrides `table` with this is three times as fast: no table and no client a test."""
    name = f"Test-{uuid.uuid4().hex[:12]}"
    tables.create(lasting_dynamodb, name=name)
    models.configure(table_name=name, region=REGION)
    yield name
    lasting_dynamodb.delete_table(TableName=name)


@pytest.fixture
def claude(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAnthropic]:
    """The model on loopback that the application asks during a test."""
    with FakeAnthropic() as fake:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        settings.ANTHROPIC_API_KEY = "a-key-for-nobody"
        study.tutor.cache_clear()
        yield fake
        # Left open, its connections would fail whatever test they are collected in.
        study.tutor().tutor.close()
        study.tutor.cache_clear()
