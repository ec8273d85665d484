"""Where runs leave logs, and the locks that tell whether they are at work; the system lets go of a dead process's."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orita.core.errors import UserError
from orita.pipelines.workspace import Workspace

__all__ = ["at_work", "forget", "held", "log_of", "log_tail", "run_lock", "settle", "task_lock"]

_TAIL_BYTES = 16_384


def log_of(workspace: Workspace, run_id: str, task: str, number: int) -> Path:
    """Return the log of an attempt; there is none where it had nothing to say."""
    return _folder(workspace, run_id) / f"{task}.{number}.log"


def log_tail(workspace: Workspace, run_id: str, task: str, number: int, lines: int) -> list[str]:
    """Return the last lines of the log of an attempt."""
    path = log_of(workspace, run_id, task, number)
    if not path.exists():
        return []
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return log.read().decode(errors="replace").splitlines()[-lines:]


def run_lock(workspace: Workspace, run_id: str) -> Path:
    """Return the lock that the process of a run holds."""
    return _folder(workspace, run_id) / ".run.lock"


def task_lock(workspace: Workspace, run_id: str, task: str) -> Path:
    """Return the lock that whoever carries out a task holds: of a killed run a task's process may live a moment on."""
    return _folder(workspace, run_id) / f"{task}.lock"


def at_work(workspace: Workspace, run_id: str) -> bool:
    """Tell whether a process holds the lock of a run."""
    try:
        with run_lock(workspace, run_id).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def held(path: Path, seconds: float, what: str) -> Iterator[None]:
    """Hold a lock, waiting for it for at most so many seconds.

    Raises:
        UserError: another process has it still; *what* says of what.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + seconds
    with path.open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise UserError(f"{what} is at work in another process: wait until it ends, or stop it.") from None
                time.sleep(0.005)
        yield


def settle(workspace: Workspace, run_id: str, seconds: float) -> None:
    """Wait until no task that a killed run began is at work any more.

    Raises:
        UserError: a task is still at work after so many seconds.
    """
    own = run_lock(workspace, run_id)
    for lock in sorted(set(_folder(workspace, run_id).glob("*.lock")) - {own}):
        with held(lock, seconds, f"{lock.stem} of run {run_id}"):
            pass


def forget(workspace: Workspace, run_id: str) -> None:
    """Delete the logs and locks of a run."""
    shutil.rmtree(_folder(workspace, run_id), ignore_errors=True)


def _folder(workspace: Workspace, run_id: str) -> Path:
    return workspace.home.runs / workspace.system.name / run_id
