"""Work in progress: a folder of its own for each run, and one writer at a time.

Both rest on file locks, which the system lets go when a process ends, however it ends; so what a killed run
left is known by its free lock and swept by the next run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orita.core.errors import UserError
from orita.core.home import Home

__all__ = ["one_writer", "sweep_staging", "work_folder"]

_PREFIX = "ingest-"
_LOCK = ".lock"
_POLL_SECONDS = 0.05


@contextmanager
def work_folder(home: Home) -> Iterator[Path]:
    """Yield an empty folder in the home's staging that is gone afterwards."""
    home.staging.mkdir(parents=True, exist_ok=True)
    with _held(home.staging, fcntl.LOCK_SH):
        folder = Path(tempfile.mkdtemp(dir=home.staging, prefix=_PREFIX))
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def sweep_staging(home: Home) -> int:
    """Delete what killed runs left in staging; return how many there were."""
    if not home.staging.is_dir():
        return 0
    # Held while looking, so that no folder is met between its creation and its lock.
    with _held(home.staging, fcntl.LOCK_EX):
        return sum(_swept(folder) for folder in home.staging.glob(f"{_PREFIX}*"))


def _swept(folder: Path) -> bool:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        shutil.rmtree(folder, ignore_errors=True)
        return True
    finally:
        os.close(descriptor)


@contextmanager
def _held(folder: Path, kind: int) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def one_writer(home: Home, wait_seconds: float) -> Iterator[None]:
    """Hold the home's ingest lock; another ingest into the same home waits.

    Raises:
        UserError: another ingest still holds it after *wait_seconds*.
    """
    path = home.table(_LOCK).with_name(".ingest.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(descriptor, home, wait_seconds)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, home: Home, wait_seconds: float) -> None:
    # The wait is of this process, not of the data: the machine's own clock, not the injected one.
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace") or "unknown"
                raise UserError(
                    f"another ingest (process {holder}) is writing into {home.root}: wait until it ends, "
                    f"or raise validation.lock_wait_seconds (now {wait_seconds:g})."
                ) from None
            time.sleep(_POLL_SECONDS)
        else:
            return
