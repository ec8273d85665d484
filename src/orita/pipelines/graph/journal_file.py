"""The file of the journal: SQLite in write-ahead mode: readers never wait, and a kill leaves whole transactions."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from orita.core.errors import Unavailable
from orita.core.files import sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["JournalFile"]

T = TypeVar("T")

_BUSY_SECONDS = 30.0
_TABLES = (
    """CREATE TABLE IF NOT EXISTS runs (
        seq INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, graph TEXT NOT NULL, status TEXT NOT NULL,
        owner TEXT NOT NULL, cause TEXT NOT NULL, parent TEXT, fingerprint TEXT NOT NULL, tasks TEXT NOT NULL,
        began INTEGER NOT NULL, touched INTEGER NOT NULL, ended INTEGER, error TEXT)""",
    "CREATE INDEX IF NOT EXISTS runs_of_graph ON runs (graph, seq)",
    """CREATE TABLE IF NOT EXISTS tasks (
        run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE, name TEXT NOT NULL, status TEXT NOT NULL,
        attempts INTEGER NOT NULL, began INTEGER NOT NULL, ended INTEGER, seconds REAL NOT NULL, key TEXT,
        result TEXT, error TEXT, PRIMARY KEY (run_id, name)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS tasks_by_key ON tasks (key, ended) WHERE key IS NOT NULL",
    """CREATE TABLE IF NOT EXISTS attempts (
        run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE, task TEXT NOT NULL, number INTEGER NOT NULL,
        status TEXT NOT NULL, began INTEGER NOT NULL, ended INTEGER, error TEXT,
        PRIMARY KEY (run_id, task, number)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, run_id TEXT NOT NULL, type TEXT NOT NULL,
        content TEXT NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS listeners (name TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS deliveries (
        listener TEXT NOT NULL, event INTEGER NOT NULL REFERENCES events (seq) ON DELETE CASCADE,
        status TEXT NOT NULL, attempts INTEGER NOT NULL, error TEXT,
        PRIMARY KEY (listener, event)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS requests (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, pipeline TEXT NOT NULL, cause TEXT NOT NULL UNIQUE,
        status TEXT NOT NULL, made INTEGER NOT NULL, ended INTEGER, note TEXT)""",
)


class JournalFile:
    """The tables in the file *path*, made by the first change; threads share one connection, processes the file.

    Both methods raise `Unavailable` where the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def read(self, read: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Return what *read* finds; *otherwise* where there never was a run, and then no file is made."""
        with self._lock, self._told():
            if self._connection is None and not self.path.exists():
                return otherwise
            return read(self._opened())

    def write(self, change: Callable[[sqlite3.Connection], T], *, durable: bool) -> T:
        """Return what *change* returns, done in one transaction, undone when it raises.

        Args:
            change: what is done.
            durable: whether it outlives a power cut when this returns, which costs a sync of the disk (3 to 4 ms here);
                otherwise it outlives the process, and a power cut once a later durable change has returned.
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
            message = f"the journal of runs {self.path} cannot be used ({error}): see whether its disk has room."
            raise Unavailable(message) from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _open(self.path)
        return self._connection


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            _enter_wal(connection)
        connection.execute("PRAGMA foreign_keys = ON")
        if connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'requests'").fetchone()[0] == 0:
            connection.execute("BEGIN IMMEDIATE")
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute("COMMIT")
            sync_directory(path.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Turn write-ahead mode on; SQLite does not wait for another process that does the same."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
