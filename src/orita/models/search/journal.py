"""Where a study is kept: a journal of JSON lines, which several processes append to.

Optuna's journal takes 5 ms a line where its SQLite tables take 40 ms and seconds to be made. What is added here is a
lock that ends with its process, and a cure for a line that a crash cut short: nobody was told that it is written.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orita.core.errors import OritaError
from orita.core.extras import require

if TYPE_CHECKING:
    from optuna.storages import JournalStorage

__all__ = ["JOURNAL", "is_held", "journal_storage", "locked"]

JOURNAL = "journal.jsonl"
_TAIL = 1 << 16


def journal_storage(folder: Path) -> JournalStorage:
    """Return the storage in *folder*, which is made where it is missing.

    Raises:
        OritaError: the journal is damaged.
    """
    journal = require("optuna.storages.journal", extra="train")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / JOURNAL
    lock = _JournalLock(path)
    with locked(folder / "journal.lock"):
        _mend(path)
    try:
        storage: JournalStorage = journal.JournalStorage(journal.JournalFileBackend(str(path), lock_obj=lock))
    except ValueError as error:
        raise OritaError(
            f"the journal {path} cannot be read ({error}): restore it from a copy, or remove the folder {folder} to "
            "begin that search anew."
        ) from None
    return storage


class _JournalLock:
    """Optuna's protocol of a lock, by ``flock``: a killed process lets go of it at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: IO[str] | None = None

    def acquire(self) -> bool:
        """Wait for the lock; then end the journal with a whole line, whoever was cut short."""
        self._held = (self._path.parent / "journal.lock").open("a")
        fcntl.flock(self._held, fcntl.LOCK_EX)
        _mend(self._path)
        return True

    def release(self) -> None:
        """Let go."""
        assert self._held is not None
        self._held.close()
        self._held = None


def _mend(path: Path) -> None:
    """Cut an unfinished last line from the journal."""
    size = path.stat().st_size if path.exists() else 0
    if size == 0:
        return
    with path.open("r+b") as opened:
        start = max(0, size - _TAIL)
        opened.seek(start)
        tail = opened.read()
        if not tail.endswith(b"\n"):
            opened.truncate(start + tail.rfind(b"\n") + 1)
            os.fsync(opened.fileno())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock in the file *path*; others wait, and have it when this process ends, however."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_held(path: Path) -> bool:
    """Tell whether some process holds the lock in the file *path*; several may ask at once."""
    if not path.exists():
        return False
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # exclusive, askers would take one another for holders
        except BlockingIOError:
            return True
    return False
