"""A file of tables for state of one machine: SQLite in write-ahead mode; a kill leaves whole transactions.

Readers never wait. What is written is on the disk when the call returns, unless the caller can do without. Tables are
made by the first change, so that whoever only looks leaves nothing behind.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from orita.core.errors import Unavailable
from orita.core.files import sync_directory

__all__ = ["SqliteFile"]

T = TypeVar("T")

_AGAIN_SECONDS = 0.01


class SqliteFile:
    """The tables in the file *path*; threads share one connection, processes the file.

    `read` and `write` raise `Unavailable` where the file cannot be used.

    Args:
        path: of the file.
        tables: statements that make what is not there yet; the last of them makes a table or trigger named *last*.
        last: tells whether all of them were carried out.
        what: it is called in messages, such as ``the queue of jobs``.
        busy_seconds: how long to wait for other processes that write.
    """

    def __init__(self, path: Path, tables: Sequence[str], *, last: str, what: str, busy_seconds: float) -> None:
        self.path = path
        self._tables, self._last, self._what, self._busy_seconds = tables, last, what, busy_seconds
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def read(self, read: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Return what *read* finds; *otherwise* where there is no file, and then none is made."""
        with self._lock, self._told():
            if self._connection is None and not self.path.exists():
                return otherwise
            return read(self._opened())

    def write(self, change: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        """Return what *change* returns, done in one transaction, undone when it raises.

        Args:
            change: what is done.
            durable: whether it outlives a power cut when this returns, which costs a sync of the disk; otherwise it
                outlives the process, and a power cut once a later durable change has returned.
        """
        with self._lock, self._told():
            connection = self._opened()
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
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
            message = f"{self._what} {self.path} cannot be used ({error}): see whether its disk has room."
            raise Unavailable(message) from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                self._enter_wal(connection)
            connection.execute("PRAGMA foreign_keys = ON")
            known = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", (self._last,)).fetchone()[0]
            if not known:
                connection.execute("BEGIN IMMEDIATE")
                for statement in self._tables:
                    connection.execute(statement)
                connection.execute("COMMIT")
                sync_directory(self.path.parent)
        except BaseException:
            connection.close()
            raise
        return connection

    def _enter_wal(self, connection: sqlite3.Connection) -> None:
        """Turn write-ahead mode on; SQLite does not wait for another process that does the same."""
        until = time.monotonic() + self._busy_seconds
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(_AGAIN_SECONDS)
            else:
                return
