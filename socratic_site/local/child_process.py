"""Child processes that do not outlive their parent, whatever ends it. Imports no Django."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, by: signal.Signals) -> None:
    """Asks the kernel to send `by` to this process when its parent is gone, kill -9 included (Linux only).

    The kernel watches the parent's thread that started this process, so start children from a thread that
    lives as long as the parent itself: the main one.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(by), 0, 0, 0)
    if os.getppid() != parent:  # it went away before the kernel was asked
        os.kill(os.getpid(), by)


def _tied(by: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()
    return lambda: die_with_parent(parent, by)


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    orphaned: signal.Signals = signal.SIGTERM,
    keep_open: Sequence[IO[str]] = (),
) -> subprocess.Popen[bytes]:
    """Starts a command whose output goes to `log`, which gets `orphaned` when this process ends.

    It has a session of its own, so that Ctrl-C reaches the supervisor alone, which ends the rest in order.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_tied(orphaned),
            pass_fds=[file.fileno() for file in keep_open],
        )


def stop(child: subprocess.Popen[bytes], *, by: signal.Signals = signal.SIGTERM, patience: float = 10) -> int:
    """Ends a child: politely, after `patience` seconds with kill. Returns its exit code."""
    if child.poll() is None:
        child.send_signal(by)
    try:
        return child.wait(patience)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def tail(log: Path, lines: int = 15) -> str:
    if not log.exists():
        return ""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
