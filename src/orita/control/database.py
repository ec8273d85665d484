"""How control state is kept: one SQLite file, write-ahead logged, shared by processes and tenants."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

__all__ = ["ControlDatabase"]

_BUSY_SECONDS = 5.0


class ControlDatabase:
    """The tables of *metadata* in the SQLite file *path*, made at the first write.

    A connection lives for one operation only, so nothing stays open, and threads, forks and other processes
    may use the same file. A write is one ``BEGIN IMMEDIATE`` transaction: what it reads cannot change before
    it commits.
    """

    def __init__(self, path: Path, metadata: sa.MetaData) -> None:
        self._path = path
        self._metadata = metadata
        self._prepared = False
        self._engine = sa.create_engine(
            f"sqlite:///{path}",
            poolclass=NullPool,
            connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
        )
        sa.event.listen(self._engine, "connect", _leave_transactions_to_us)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Open one write transaction; it is durable when the block ends, undone when the block raises."""
        self._prepare()
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sa.Connection | None]:
        """Open the state for reading; None when nothing was ever written, and then no file is made."""
        if not self._path.exists():
            yield None
            return
        self._prepare()
        with self._engine.connect() as connection:
            yield connection

    def _prepare(self) -> None:
        if self._prepared:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._engine.connect() as connection:
            _enter_wal(connection)
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            self._metadata.create_all(connection, checkfirst=True)
            for table in self._metadata.tables.values():
                for statement in _append_only(table.name):
                    connection.exec_driver_sql(statement)
            connection.exec_driver_sql("COMMIT")
        self._prepared = True


def _leave_transactions_to_us(dbapi_connection: Any, _record: object) -> None:
    dbapi_connection.isolation_level = None  # the driver would begin them late, as readers
    dbapi_connection.execute("PRAGMA synchronous=FULL")


def _enter_wal(connection: sa.Connection) -> None:
    # SQLite does not wait its time-out, but answers "locked" while another process makes the same change.
    for attempt in range(50):
        try:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            return
        except OperationalError as error:
            if "locked" not in str(error) or attempt == 49:
                raise
            time.sleep(0.02)


def _append_only(table: str) -> tuple[str, str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    return (
        f"CREATE TRIGGER IF NOT EXISTS {table}_no_update BEFORE UPDATE ON {table} {refuse}",
        f"CREATE TRIGGER IF NOT EXISTS {table}_no_delete BEFORE DELETE ON {table} {refuse}",
    )
