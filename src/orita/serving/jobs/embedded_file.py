"""The file of the embedded queue: SQLite in write-ahead mode, each change on the disk when it returns."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from orita.core.errors import Unavailable
from orita.core.files import sync_directory
from orita.serving.jobs.embedded_tables import TABLES

__all__ = ["QueueFile"]

T = TypeVar("T")

_BUSY_SECONDS = 10.0


class QueueFile:
    """The tables in the file *path*, made by the first change; threads share one connection, processes the file.

    Both methods raise `Unavailable` where the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def read(self, read: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Return what *read* finds; *otherwise* where there never was a job, and then no file is made."""
        with self._lock, self._told():
            if self._connection is None and not self._path.exists():
                return otherwise
            return read(self._opened())

    def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Return what *change* returns, done in one transaction: durable when this returns, undone when it raises."""
        with self._lock, self._told():
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                done = change(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return done

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            message = f"the queue of jobs {self._path} cannot be used ({error}): see whether its disk has room."
            raise Unavailable(message) from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _open(self._path)
        return self._connection


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _enter_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN IMMEDIATE")
        for statement in TABLES:
            connection.execute(statement)
        connection.execute("COMMIT")
        sync_directory(path.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def _enter_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait its time-out, but answers "locked" while another process makes the same change.
    for attempt in range(50):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or attempt == 49:
                raise
            time.sleep(0.02)
