"""`make run`: engine, table, accounts, web and worker under one supervisor, until Ctrl-C.

Whatever ends this process, kill -9 included, ends its children too (see process.py); data stay in var/.
"""

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from sessions_app.private_files import kept_secret
from socratic_site.local import child_process, files
from socratic_site.local.dynamodb_local import Engine, EngineError, is_free, kept_credentials, kept_port

TABLE = "SocraticBenchmarks-Demo"
MANAGE = [sys.executable, str(files.BASE / "manage.py")]
WORKERS, THREADS = 2, 16
STARTING = 90.0  # seconds for the web process to answer


class CannotRun(Exception):
    """The message says what is in the way."""


@dataclass(frozen=True, kw_only=True)
class Program:
    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    orphaned: signal.Signals = signal.SIGTERM


def web(host: str, port: int) -> Program:
    gunicorn = [
        sys.executable,
        "-m",
        "gunicorn",
        "socratic_site.wsgi:application",
        "--bind",
        f"{host}:{port}",
    ]
    shape = ["--worker-class", "gthread", "--workers", str(WORKERS), "--threads", str(THREADS)]
    # no access log: addresses carry the participants' tokens
    quiet = ["--no-control-socket", "--log-level", "warning", "--graceful-timeout", "10"]
    return Program(name="web", command=[*gunicorn, *shape, *quiet], orphaned=signal.SIGINT)


def reloading_web(host: str, port: int) -> Program:
    """Django's development server: it reloads changed code and shows errors with their stack."""
    command = [*MANAGE, "runserver", f"{host}:{port}"]
    return Program(name="web", command=command, environment={"DEBUG": "1"})


def lasting_programs(host: str, port: int, var: Path, *, reload: bool = False) -> list[Program]:
    """All that runs as long as `make run` does; when one ends, everything ends.

    The worker alone has the key that signs the audit log.
    """
    key = {"AUDIT_SEAL_KEY": kept_secret(var / files.SEAL_KEY, length=60)}
    pages = reloading_web(host, port) if reload else web(host, port)
    return [pages, Program(name="worker", command=[*MANAGE, "run_worker"], environment=key)]


# Runs once, beside the first pages; when it fails, the next start tries again.
DEMO = Program(
    name="demo",
    command=[
        *(*MANAGE, "simulate", "--students", "48", "--seed", "1", "--label", "demo"),
        *("--member", "facilitator"),
    ],
)


@dataclass(kw_only=True)
class Supervisor:
    environment: dict[str, str]
    logs: Path
    lasting: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    once: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def spawn(self, program: Program) -> subprocess.Popen[bytes]:
        self.log(program.name).unlink(missing_ok=True)
        return child_process.spawn(
            program.command,
            log=self.log(program.name),
            environment={**self.environment, **program.environment},
            cwd=files.BASE,
            orphaned=program.orphaned,
        )

    def start(self, program: Program) -> None:
        self.lasting[program.name] = self.spawn(program)

    def start_once(self, program: Program) -> None:
        self.once[program.name] = self.spawn(program)

    def ended(self) -> list[str]:
        return [name for name, child in self.lasting.items() if child.poll() is not None]

    def raise_if_ended(self) -> None:
        for name in self.ended():
            raise CannotRun(
                f"{name} ended by itself; {self.log(name)} says:\n{child_process.tail(self.log(name))}"
            )

    def stop(self) -> None:
        for child in [*self.once.values(), *reversed(self.lasting.values())]:
            child_process.stop(child)


@contextmanager
def only_one(var: Path) -> Iterator[None]:
    """Two runs in one folder would share its files; the kernel drops the lock with the process."""
    var.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (var / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotRun(
                f"`make run` is running in this folder already ({var / 'local.env'} says where)."
            ) from error
        yield


def require_free_port(host: str, port: int) -> None:
    """A web process orphaned a moment ago still needs a second or two to notice and leave."""
    for _ in range(30):
        if is_free(port, host):
            return
        time.sleep(0.1)
    raise CannotRun(f"Port {port} on {host} is taken by another program: try `make run PORT={port + 1}`.")


def environment_of(engine: Engine, *, var: Path, host: str, url: str) -> dict[str, str]:
    defaults = {
        "SECRET_KEY": kept_secret(var / "secret_key", length=60),
        "ALLOWED_HOSTS": ",".join(dict.fromkeys(["localhost", "127.0.0.1", "[::1]", host])),
        "BEHIND_TLS": "0",
        "LAKE_URL": str(var / "lake"),
        "AUDIT_HEAD_URL": str(var / "audit-heads"),
    }
    fixed = {
        **engine.environment,
        "AWS_REGION": engine.environment["AWS_DEFAULT_REGION"],
        "DJANGO_SETTINGS_MODULE": "socratic_site.settings",
        "SOCRATIC_TABLE": TABLE,
        "SOCRATIC_URL": url,
        "SOCRATIC_VAR": str(var),
        "SOCRATIC_BILLING": "PAY_PER_REQUEST",
    }
    inherited = files.without_aws(os.environ)
    for name in files.SEAL_KEY_VARIABLES:  # not for the web process
        inherited.pop(name, None)
    return {**defaults, **inherited, **fixed}


def write_local_env(engine: Engine, *, var: Path, url: str) -> None:
    told = {
        "SOCRATIC_TABLE": TABLE,
        "SOCRATIC_URL": url,
        "LAKE_URL": os.environ.get("LAKE_URL", str(var / "lake")),
        "AUDIT_HEAD_URL": os.environ.get("AUDIT_HEAD_URL", str(var / "audit-heads")),
    }
    files.write_env(var / "local.env", {**engine.environment, **told})


def prepare(supervisor: Supervisor) -> None:
    """SQL tables, the study's table, accounts."""
    log = supervisor.log("setup")
    setup = supervisor.spawn(Program(name="setup", command=[*MANAGE, "local_setup"]))
    if setup.wait() != 0:
        raise CannotRun(f"The set-up failed; {log} says:\n{child_process.tail(log)}")


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}readyz", timeout=5) as response:  # noqa: S310 - our own address
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait_until_ready(supervisor: Supervisor, url: str) -> None:
    deadline = time.monotonic() + STARTING
    while not answers(url):
        supervisor.raise_if_ended()
        if time.monotonic() > deadline:
            raise CannotRun(
                f"The web process does not get ready:\n{child_process.tail(supervisor.log('web'))}"
            )
        time.sleep(0.1)


def screen(*, url: str, var: Path, first: bool, engine: Engine) -> str:
    accounts = files.read_json(var / "demo-accounts.json")
    shown = [
        f"    {role:<12} {entry['username']:<14} {entry['password']}" for role, entry in accounts.items()
    ]
    tutor = (
        "Claude"
        if os.environ.get("ANTHROPIC_API_KEY")
        else "scripted, offline (set ANTHROPIC_API_KEY for Claude)"
    )
    return "\n".join(
        [
            "",
            f"  Socratic Benchmarks   {url}",
            "",
            "  Sign in as   (username, password)"
            if first
            else f"  Accounts     see {var / 'demo-accounts.json'}",
            *(shown if first else []),
            "",
            f"  Table        {TABLE} in DynamoDB Local at {engine.endpoint}",
            f"  Data, logs   {var}   (connection for other programs: {var / 'local.env'})",
            f"  Tutor        {tutor}",
            "  Stop         Ctrl-C; the data stay",
            "",
        ]
    )


def load_demo(supervisor: Supervisor, stamp: Path) -> None:
    if not stamp.exists():
        print(
            "  Demo         a cohort of 48 simulated students is being loaded in the background\n", flush=True
        )
        supervisor.start_once(DEMO)


def settle_demo(supervisor: Supervisor, stamp: Path) -> None:
    demo = supervisor.once.get(DEMO.name)
    if demo is None or demo.poll() is None:
        return
    del supervisor.once[DEMO.name]
    if demo.returncode == 0:
        stamp.touch()
    else:
        print(f"  The demo cohort could not be loaded; see {supervisor.log(DEMO.name)}", flush=True)


def supervise(*, host: str, port: int, var: Path, reload: bool = False) -> NoReturn:
    """Returns only by an exception: Stopped when asked to, CannotRun when something fails."""
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/"  # noqa: S104 - compared, not bound
    logs, stamp = var / "log", var / "demo-loaded"
    first = not (var / "demo-accounts.json").exists()
    (logs / "engine.log").unlink(missing_ok=True)
    engine = Engine(
        db_path=var / "dynamodb",
        credentials=kept_credentials(var),
        port=kept_port(var),
        log=logs / "engine.log",
    )
    supervisor = Supervisor(environment=environment_of(engine, var=var, host=host, url=url), logs=logs)
    try:
        engine.start()
        prepare(supervisor)
        for program in lasting_programs(host, port, var, reload=reload):
            supervisor.start(program)
        wait_until_ready(supervisor, url)
        write_local_env(engine, var=var, url=url)
        print(screen(url=url, var=var, first=first, engine=engine), flush=True)
        load_demo(supervisor, stamp)
        while True:
            time.sleep(0.5)
            settle_demo(supervisor, stamp)
            supervisor.raise_if_ended()
            if not engine.running:
                raise CannotRun(
                    f"The engine ended by itself; {engine.log} says:\n{child_process.tail(engine.log)}"
                )
    finally:
        hold_signals()
        supervisor.stop()
        engine.stop()


class Stopped(BaseException):
    """Somebody asked for the end; not an Exception, so that nothing on the way takes it for a fault."""


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def obey_signals() -> None:
    def stop(number: int, frame: object) -> NoReturn:
        raise Stopped

    for number in STOPPING:
        signal.signal(number, stop)


def hold_signals() -> None:
    """A second Ctrl-C must not leave half of it running."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--reload", action="store_true", help="`make dev`: take up changed code and templates"
    )
    parser.add_argument("--die-with-parent", action="store_true", help="end when `make` itself is killed")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    obey_signals()
    if options.die_with_parent:
        child_process.die_with_parent(os.getppid(), signal.SIGTERM)
    var = files.var_directory().resolve()
    try:
        with only_one(var):
            require_free_port(options.host, options.port)
            supervise(host=options.host, port=options.port, var=var, reload=options.reload)
    except Stopped:
        print("\n  Stopped; the data stay.", flush=True)
        return 0
    except (CannotRun, EngineError) as error:
        print(f"\n  {error}", file=sys.stderr, flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
