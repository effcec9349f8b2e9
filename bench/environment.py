"""What the parts stand on: an engine of their own, Django with an empty SQL database, fresh tables."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import boto3
import django
from botocore.config import Config
from tqdm import tqdm

from sessions_app.domain import models
from sessions_app.domain.store import table as tables
from socratic_site.local.dynamodb_local import REGION, Engine, engine_for_tests

_T = TypeVar("_T")


@dataclass
class Bench:
    """`series` are figures by number of sessions, which part 7 fits: (group, line) -> {n: value}."""

    engine: Engine
    folder: Path
    quick: bool
    seed: int
    plot: Path
    series: dict[tuple[str, str], dict[int, float]] = field(default_factory=dict)
    originals: list[Any] = field(default_factory=list)
    variants: dict[bool, Any] = field(default_factory=dict)

    def pick(self, quick: _T, full: _T) -> _T:
        return quick if self.quick else full

    def keep(self, group: str, line: str, n: int, value: float) -> None:
        self.series.setdefault((group, line), {})[n] = value

    @property
    def plain(self) -> Any:
        """A boto3 client with nothing of ours on it, of the engine to which the environment leads now."""
        return _client(os.environ["AWS_ENDPOINT_URL_DYNAMODB"])

    @contextmanager
    def table(self, *, stream: bool = False) -> Iterator[str]:
        """An empty table to which models and settings are bound; then they are bound as before.

        Only what is about the stream has one: the engine goes through the older records of all streams at
        each write to one.
        """
        name, client, before = f"Bench-{uuid.uuid4().hex[:12]}", self.plain, models.Item.Meta.table_name
        definition = tables.definition(name)
        if not stream:
            del definition["StreamSpecification"]
        client.create_table(**definition)
        client.get_waiter("table_exists").wait(TableName=name)
        _bind(name)
        yield name
        client.delete_table(TableName=name)
        _bind(before)

    def bar(self, total: int, what: str, unit: str = "it") -> Any:
        return tqdm(total=total, desc=what, unit=unit, file=sys.stderr, leave=False, disable=None)


@cache
def _client(endpoint: str) -> Any:
    config = Config(max_pool_connections=20)
    return boto3.client("dynamodb", region_name=REGION, endpoint_url=endpoint, config=config)


def _bind(table: str) -> None:
    from django.conf import settings

    settings.SOCRATIC_TABLE = table
    models.configure(table_name=table, region=REGION)


@contextmanager
def prepared(*, quick: bool, seed: int, plot: Path) -> Iterator[Bench]:
    """The environment is set before Django reads it; nothing of it leads off this machine."""
    with tempfile.TemporaryDirectory(prefix="bench-") as kept:
        folder = Path(kept)
        # The machine's disk is not what is measured, nor an engine short of memory at 24,000 sessions.
        with engine_for_tests(folder, in_memory=True, heap_mb=3072) as engine:
            for name in [n for n in os.environ if n.startswith(("AWS_", "ANTHROPIC_", "SOCRATIC_"))]:
                del os.environ[name]
            os.environ |= environment(engine, folder)
            django.setup()
            _migrate()
            yield Bench(engine, folder, quick, seed, plot)


def environment(engine: Engine, folder: Path) -> dict[str, str]:
    return engine.environment | {
        "DJANGO_SETTINGS_MODULE": "socratic_site.settings",
        "SOCRATIC_VAR": str(folder / "var"),
        "DATABASE_URL": f"sqlite:///{folder / 'staff.sqlite3'}",
        "SECRET_KEY": secrets.token_hex(20),
        "DEBUG": "0",
        "BEHIND_TLS": "0",
        "REQUIRE_MFA": "0",
        "ALLOWED_HOSTS": "localhost,127.0.0.1,testserver",
        "EXPORT_UNREVIEWED": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _migrate() -> None:
    import logging

    from django.core.management import call_command

    logging.getLogger().setLevel(logging.ERROR)
    logging.getLogger("django").setLevel(logging.ERROR)
    call_command("migrate", verbosity=0)
