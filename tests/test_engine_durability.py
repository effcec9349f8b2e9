"""What a power cut may not take: acknowledged writes; and may not leave: an engine without a supervisor."""

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sessions_app.domain.store import table as tables
from socratic_site.local import files
from socratic_site.local.dynamodb_local import REGION, Engine, engine_for_tests, kept_credentials

pytestmark = pytest.mark.engine

WRITERS = 4
ENOUGH = 200  # acknowledged writes before the kill


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder whose keys are those of this process, as they are for the application's processes."""
    keys = kept_credentials(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_key)
    return tmp_path


def client_of(engine: Engine) -> Any:
    return boto3.session.Session().client(
        "dynamodb",
        endpoint_url=engine.endpoint,
        region_name=REGION,
        config=Config(retries={"max_attempts": 0}, connect_timeout=2, read_timeout=5),
    )


class Load:
    """Threads that write items, single and three in a transaction, until the engine answers no more."""

    def __init__(self, engine: Engine) -> None:
        self.client = client_of(engine)
        self.acknowledged: set[tuple[str, str]] = set()
        self.enough = threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(n,)) for n in range(WRITERS)]

    def write(self, writer: int) -> None:
        for number in range(100_000):
            try:
                written = self.put(f"WRITER#{writer}", number)
            except (BotoCoreError, ClientError):
                return
            self.acknowledged.update(written)
            if len(self.acknowledged) >= ENOUGH:
                self.enough.set()

    def put(self, partition: str, number: int) -> list[tuple[str, str]]:
        if number % 5:
            keys = [(partition, f"{number:06}")]
            self.client.put_item(TableName="Kill", Item=item(*keys[0]))
            return keys
        keys = [(partition, f"{number:06}#{part}") for part in range(3)]
        puts = [{"Put": {"TableName": "Kill", "Item": item(*key)}} for key in keys]
        self.client.transact_write_items(TransactItems=puts)
        return keys


def item(partition: str, sort: str) -> dict[str, Any]:
    day = {"GSI5PK": {"S": "DATE#2026-01-05"}, "GSI5SK": {"S": sort}}
    return {"PK": {"S": partition}, "SK": {"S": sort}, **day}


def stored(client: Any, **index: str) -> set[tuple[str, str]]:
    pages = client.get_paginator("scan").paginate(TableName="Kill", **index)
    return {(found["PK"]["S"], found["SK"]["S"]) for page in pages for found in page["Items"]}


def test_every_acknowledged_write_survives_kill_9(folder: Path) -> None:
    with engine_for_tests(folder) as engine:
        tables.create(client_of(engine), name="Kill")
        load = Load(engine)
        for thread in load.threads:
            thread.start()
        assert load.enough.wait(60)
        engine.kill()
        for thread in load.threads:
            thread.join(30)

    with engine_for_tests(folder) as engine:
        found = stored(client_of(engine))
        assert len(load.acknowledged) >= ENOUGH
        assert load.acknowledged - found == set()
        assert stored(client_of(engine), IndexName="GSI5") == found
        transactions: dict[tuple[str, str], int] = {}
        for partition, sort in found:
            if "#" in sort:
                number = (partition, sort.split("#")[0])
                transactions[number] = transactions.get(number, 0) + 1
        assert set(transactions.values()) == {3}, "a transaction was stored in part"


def test_a_transaction_acknowledged_at_the_last_moment_survives_kill_9(folder: Path) -> None:
    """The engine alone acknowledges it before the commit; see socratic_site/local/commit_wait.py."""
    keys = [("LAST", f"{part}") for part in range(3)]
    puts = [{"Put": {"TableName": "Kill", "Item": item(*key)}} for key in keys]
    with engine_for_tests(folder) as engine:
        client = client_of(engine)
        tables.create(client, name="Kill")
        client.transact_write_items(TransactItems=puts)
        engine.kill()
    with engine_for_tests(folder) as engine:
        assert stored(client_of(engine)) == set(keys)


SUPERVISOR = """
import sys, time
from pathlib import Path
from socratic_site.local.dynamodb_local import Engine, free_port, kept_credentials
folder = Path(sys.argv[1])
engine = Engine(db_path=folder / "dynamodb", credentials=kept_credentials(folder), port=free_port(),
                log=folder / "engine.log").start()
print(engine.process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel of Linux ends orphans")
def test_a_killed_supervisor_leaves_no_engine_behind(tmp_path: Path) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(tmp_path)], cwd=files.BASE, stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout is not None
    engine = os.pidfd_open(int(supervisor.stdout.readline()))
    try:
        supervisor.send_signal(signal.SIGKILL)
        supervisor.wait()
        ended, _, _ = select.select([engine], [], [], 30)
        assert ended == [engine]
    finally:
        supervisor.stdout.close()
        os.close(engine)
