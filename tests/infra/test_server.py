"""The container's files and the server's units: what they name is there, and what they run, runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from infra.lambda_package import ROOT
from socratic_site import healthcheck

UNITS = sorted((ROOT / "infra" / "systemd").iterdir())
SERVICES = [path for path in UNITS if path.suffix == ".service"]
TIMERS = [path for path in UNITS if path.suffix == ".timer"]
KEY = "kP3v_9sTq2LmXz7RbYw1NcHd8FgJ5uAe4oVi6Bt0WnQyEaSlDp-RhUj"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "CapabilityBoundingSet": "",
    "RestrictSUIDSGID": "yes",
    "StateDirectoryMode": "0700",
    "UMask": "0077",
    "User": "socratic",
}


def documented_gunicorn() -> list[str]:
    (line,) = re.findall(r"^\.venv/bin/(gunicorn(?:.*\\\n)*.*)$", OPERATIONS, re.MULTILINE)
    return shlex.split(line.replace("\\\n", " "))


def on_any_address(line: list[str]) -> list[str]:
    return ["0.0.0.0:8000" if word == "127.0.0.1:8000" else word for word in line]


# --- the container


def instructions() -> list[tuple[str, str]]:
    """Each with what follows it, in order; comments and line ends are taken out."""
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    whole = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in whole.splitlines() if line)]


def told(word: str) -> list[str]:
    return [rest for each, rest in instructions() if each == word]


def copied() -> list[tuple[list[str], str]]:
    """What is copied out of the repository, and where to."""
    words = [rest.split() for rest in told("COPY") if not rest.startswith("--from")]
    return [(sources, target) for *sources, target in words]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the image has in its working directory, and no others."""
    folder = tmp_path_factory.mktemp("image")
    for sources, target in copied():
        for source in sources:
            place = folder / target.removeprefix("/")
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, place)
    return folder


def environment(var: Path) -> dict[str, str]:
    """What the image sets, and what whoever runs it has to."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "SOCRATIC_ENVIRONMENT": "production",
        "SOCRATIC_VAR": str(var),
        "SECRET_KEY": KEY,
        "ALLOWED_HOSTS": "study.example.org",
        "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }


@pytest.fixture(scope="module")
def served(
    image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, int, dict[str, str]]]:
    """The image's own command in its own files, on a free port: folder, port and environment."""
    variables = environment(tmp_path_factory.mktemp("var"))
    migrate = [sys.executable, "manage.py", "migrate", "--no-input", "-v0"]
    subprocess.run(migrate, cwd=image, env=variables, check=True, timeout=120)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [f"127.0.0.1:{port}" if word.endswith(":8000") else word for word in json.loads(told("CMD")[0])]
    running = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=image, env=variables, stderr=subprocess.DEVNULL
    )
    try:
        yield image, port, variables
    finally:
        running.terminate()
        running.wait(timeout=30)


def check_of_health(folder: Path, port: int, variables: dict[str, str]) -> int:
    words = json.loads(told("HEALTHCHECK")[0].partition("CMD ")[2])
    line = [sys.executable, *words[1:], str(port)]
    return subprocess.run(line, cwd=folder, env=variables, timeout=60, check=False).returncode


def test_the_image_serves_out_of_what_it_copies_and_knows_that_it_lives(
    served: tuple[Path, int, dict[str, str]],
) -> None:
    folder, port, variables = served
    for _ in range(60):
        if check_of_health(folder, port, variables) == 0:
            break
        time.sleep(0.5)
    else:
        pytest.fail("the image's command does not answer under /healthz")


def test_a_process_that_is_gone_is_not_healthy() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert healthcheck.lives(free.getsockname()[1]) is False


@pytest.mark.parametrize(
    ("names", "host"),
    [
        ("study.example.org,b.example", "study.example.org"),
        (".example.org", "example.org"),
        ("", "localhost"),
    ],
)
def test_it_asks_under_a_name_that_the_site_answers_to(
    names: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", names)
    assert healthcheck.host() == host


def test_what_it_copies_is_there_and_not_ignored() -> None:
    let_in = (ROOT / ".containerignore").read_text(encoding="utf-8").splitlines()
    sources = [source for each, _ in copied() for source in each]
    assert len(sources) > 8
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in let_in
    assert let_in[0] == "*"


def test_its_command_is_the_documented_one() -> None:
    (command,) = told("CMD")
    assert json.loads(command) == on_any_address(documented_gunicorn())


def test_it_runs_as_nobody_in_particular_on_a_slim_python_and_holds_no_secret() -> None:
    assert {rest.split()[0] for rest in told("FROM")} == {"python:3.11-slim-bookworm"}
    assert told("USER") == ["10001"]
    words = [word for word, _ in instructions()]
    assert words.index("USER") > max(place for place, word in enumerate(words) if word in ("COPY", "RUN"))
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    assert not re.search(r"SECRET|_KEY|PASSWORD|TOKEN", text)
    assert "ARG" not in words


# --- units


class Unit(ConfigParser):
    """What is said of a name last; systemd itself adds up lists."""

    def __init__(self, path: Path) -> None:
        super().__init__(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
        self.optionxform = str  # type: ignore[assignment, method-assign]
        self.read(path)


def test_there_are_units_for_pages_worker_retention_and_lake() -> None:
    assert [path.name for path in UNITS] == [
        "socratic-compact.service",
        "socratic-compact.timer",
        "socratic-expired.service",
        "socratic-expired.timer",
        "socratic-web.service",
        "socratic-worker.service",
    ]


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_services_are_locked_in_and_told_their_settings(path: Path) -> None:
    service = Unit(path)["Service"]
    assert {name: service.get(name) for name in HARDENED} == HARDENED
    files = re.findall("^EnvironmentFile=(.*)$", path.read_text(encoding="utf-8"), re.M)
    # The worker alone signs the audit log: its key is in a file of its own.
    own = ["-/etc/socratic/worker"] if path.name == "socratic-worker.service" else []
    assert files == ["/etc/socratic/environment", *own]
    assert "SOCRATIC_VAR=/var/lib/socratic" in service["Environment"].split()
    assert service["StateDirectory"] == "socratic"
    assert "SOCRATIC_ENVIRONMENT=production" in service["Environment"].split()


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_services_run_commands_that_exist_with_options_that_they_take(path: Path) -> None:
    service = Unit(path)["Service"]
    lines = [service[name] for name in ("ExecStartPre", "ExecStart") if name in service]
    for program, *words in map(shlex.split, lines):
        assert (ROOT / program.removeprefix("/srv/socratic/")).exists()
        if words[0] == "manage.py":
            app = get_commands()[words[1]]
            parser = load_command_class(str(app), words[1]).create_parser("manage.py", words[1])
            assert parser.parse_args(words[2:])
        else:
            assert [Path(program).name, *words] == documented_gunicorn()


@pytest.mark.parametrize("path", TIMERS, ids=lambda path: path.name)
def test_timers_wake_a_service_that_runs_once(path: Path) -> None:
    service = Unit(path.with_suffix(".service"))["Service"]
    assert service["Type"] == "oneshot"
    assert Unit(path)["Timer"]["Persistent"] == "yes"


@pytest.mark.parametrize(
    ("until", "runs"), [("2001-01-01", True), ("2999-12-31", False), (None, False), ("", False)]
)
def test_nobody_is_erased_before_the_retention_date_is_over(until: str | None, runs: bool) -> None:
    condition = Unit(ROOT / "infra/systemd/socratic-expired.service")["Service"]["ExecCondition"]
    variables = {"PATH": os.environ["PATH"], **({"RETENTION_UNTIL": until} if until is not None else {})}
    ran = subprocess.run(shlex.split(condition.replace("%%", "%")), env=variables, check=False)
    assert (ran.returncode == 0) is runs


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_takes_the_units_as_they_are(tmp_path: Path) -> None:
    """The programs are looked for in this folder instead of /srv/socratic."""
    copies = []
    for path in UNITS:
        copies.append(tmp_path / path.name)
        copies[-1].write_text(path.read_text(encoding="utf-8").replace("/srv/socratic", str(ROOT)))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, copies)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    for unit in (path for path in copies if path.suffix == ".service"):
        exposed = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)]
        assert subprocess.run(exposed, capture_output=True, check=False, timeout=60).returncode == 0
