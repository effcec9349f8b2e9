"""What all tests share: no way out of this machine, a real engine, a fresh table, a list of requests."""

import ipaddress
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from sessions_app.domain import models
from sessions_app.domain.consent import form_texts
from sessions_app.domain.store import table as tables
from socratic_site.local.dynamodb_local import REGION, Credentials, Engine, EngineError, engine_for_tests
from support import chromium as chromiums

CHROMIUM = chromiums.find()
NO_CHROMIUM = "no Chromium on this machine"


# --- no way out of this machine


class OutsideWorld(RuntimeError):
    """A test tried to reach an address that is not of this machine."""


def _is_local(host: object) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _guarded(name: str) -> Any:
    original = getattr(socket.socket, name)

    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
            raise OutsideWorld(f"a test tried to reach {address[0]}")
        return original(self, address)

    return connect


def _guarded_lookup(host: Any, *arguments: Any, _original: Any = socket.getaddrinfo, **options: Any) -> Any:
    if not _is_local(host):
        raise OutsideWorld(f"a test tried to look up {host}")
    return _original(host, *arguments, **options)


socket.socket.connect = _guarded("connect")  # type: ignore[method-assign]
socket.socket.connect_ex = _guarded("connect_ex")  # type: ignore[method-assign]
socket.getaddrinfo = _guarded_lookup


# --- what is skipped, and said


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Marks come before the others' choice by them, the order after the others'."""
    for item in items:
        if "engine" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.engine)
        if item.get_closest_marker("browser") and not CHROMIUM:
            item.add_marker(pytest.mark.skip(reason=NO_CHROMIUM))
    yield
    # Journeys take minutes each: begun last, they would leave the other processes without work.
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    # Out of the reports, since with xdist other processes have collected the tests.
    skipped = terminalreporter.stats.get("skipped", [])
    not_run = [report.nodeid for report in skipped if NO_CHROMIUM in str(report.longrepr)]
    if not_run:
        terminalreporter.section(
            "NOT RUN: browser journeys, as there is no Chromium on this machine", red=True
        )
        for name in not_run:
            terminalreporter.write_line(f"NOT RUN  {name}", red=True)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program, for `executable_path`; tests that ask for it carry the marker `browser`."""
    if not CHROMIUM:
        pytest.skip(NO_CHROMIUM)
    return CHROMIUM


# --- the real engine


def own_credentials() -> Credentials:
    """Of this process alone: the key names the database, so processes that share an engine share no data."""
    return Credentials(
        access_key=os.environ["AWS_ACCESS_KEY_ID"], secret_key=os.environ["AWS_SECRET_ACCESS_KEY"]
    )


@contextmanager
def pointing_to(engine: Engine) -> Iterator[Engine]:
    """Every client of this process asks this engine."""
    before = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = engine.endpoint
    try:
        yield engine
    finally:
        os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = before


@contextmanager
def leading_engine(folder: Path) -> Iterator[Engine]:
    """A DynamoDB Local, its data in memory, to which every client of this process is led."""
    try:
        with (
            engine_for_tests(folder, credentials=own_credentials(), in_memory=True, brief=True) as running,
            pointing_to(running),
        ):
            yield running
    except EngineError as error:
        pytest.fail(str(error), pytrace=False)


class SharedEngine:
    """One engine for all processes of xdist: a JVM takes more processor time to warm up than most files take.

    It lasts longer than one of a single process, so that its second compiler pays off. Where it cannot start,
    each test that needs it says so.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config, self.engine = config, ExitStack()
        self.port: int | None = None
        config.add_cleanup(self.engine.close)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        needed = "not engine" not in self.config.option.markexpr
        if self.port is None and needed:
            folder = Path(self.engine.enter_context(TemporaryDirectory()))
            started = engine_for_tests(folder, credentials=own_credentials(), in_memory=True, heap_mb=1024)
            with suppress(EngineError):
                self.port = self.engine.enter_context(started).port
        node.workerinput["engine_port"] = self.port


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SharedEngine(config))


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One for the whole session."""
    folder = tmp_path_factory.mktemp("engine")
    port = getattr(request.config, "workerinput", {}).get("engine_port")
    if port is None:
        with leading_engine(folder) as running:
            yield running
    else:
        shared = Engine(
            db_path=folder,
            credentials=own_credentials(),
            port=port,
            log=folder / "engine.log",
            in_memory=True,
        )
        with pointing_to(shared):
            yield shared


@pytest.fixture
def dynamodb(engine: Engine) -> Any:
    """A plain boto3 client on the engine."""
    return boto3.client("dynamodb", region_name=REGION, endpoint_url=engine.endpoint)


@pytest.fixture(scope="session")
def shared_table(engine: Engine) -> Any:
    """boto3's view of a table that is made once: making one takes longer than most tests do.

    Without its stream: the engine goes through the older records of all streams at each write to one.
    """
    resource = boto3.resource("dynamodb", region_name=REGION, endpoint_url=engine.endpoint)
    name = f"Test-{uuid.uuid4().hex[:12]}"
    client = resource.meta.client
    tables.create(client, name=name)
    client.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
    return resource.Table(name)


@pytest.fixture
def table(shared_table: Any, settings: Any) -> Iterator[str]:
    """The name of an empty table to which the models and the settings are bound."""
    settings.SOCRATIC_TABLE = shared_table.name
    if models.Item.Meta.table_name != shared_table.name:
        models.configure(table_name=shared_table.name, region=REGION)
    yield shared_table.name
    form_texts.KEPT.clear()
    with shared_table.batch_writer() as batch:
        for key in keys_in(shared_table):
            batch.delete_item(Key=key)


def keys_in(table: Any) -> list[dict[str, Any]]:
    answer = table.scan(ProjectionExpression="PK, SK", ConsistentRead=True)
    found: list[dict[str, Any]] = answer["Items"]
    while "LastEvaluatedKey" in answer:
        start = answer["LastEvaluatedKey"]
        answer = table.scan(ProjectionExpression="PK, SK", ConsistentRead=True, ExclusiveStartKey=start)
        found += answer["Items"]
    return found


@pytest.fixture
def own_table(engine: Engine, dynamodb: Any, settings: Any) -> Iterator[str]:
    """A table, and a stream, that no other test has written to."""
    name = f"Test-{uuid.uuid4().hex[:12]}"
    tables.create(dynamodb, name=name)
    settings.SOCRATIC_TABLE = name
    models.configure(table_name=name, region=REGION)
    yield name
    dynamodb.delete_table(TableName=name)


@pytest.fixture
def requests_made(table: str) -> Iterator[list[str]]:
    """The operations that the models asked for, by name, in order; `.clear()` it before what is counted."""
    made: list[str] = []

    def note(model: Any, **_: Any) -> None:
        made.append(model.name)

    events = models.connection().client.meta.events
    events.register("before-call.dynamodb", note)
    yield made
    events.unregister("before-call.dynamodb", note)


# --- the quick stand-in


@pytest.fixture
def moto_dynamodb() -> Iterator[Any]:
    """moto's DynamoDB: for function only, never for concurrency, capacity, limits or speed."""
    with mock_aws():
        yield boto3.client(
            "dynamodb", region_name=REGION, config=Config(ignore_configured_endpoint_urls=True)
        )


@pytest.fixture
def var(tmp_path: Path, settings: Any) -> Path:
    """A var/ of the test's own."""
    settings.VAR_DIR = tmp_path / "var"
    return settings.VAR_DIR
