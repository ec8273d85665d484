"""Where control state is kept: a SQLite file, or a PostgreSQL database; shared by processes and tenants."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from orita.control.log_index import read_log_index
from orita.control.migrations import LATEST, migrate, schema_of
from orita.core.clock import SystemClock
from orita.core.errors import Unavailable, UserError
from orita.core.extras import require

__all__ = ["ControlDatabase", "Fingerprint"]

_BUSY_SECONDS = 5.0
_WRITERS = 0x6F726974  # the lock that writers to one PostgreSQL database take, one after the other
_POSTGRES = ("postgresql://", "postgres://")

_TICK_NANOSECONDS = 100_000_000  # some ticks of the clock by which files are dated

_OPEN: weakref.WeakSet[sa.Engine] = weakref.WeakSet()


class Fingerprint(NamedTuple):
    """What tells one state of a SQLite file from another: node, size and time of its files; its log's index."""

    files: tuple[tuple[int, int, int], ...]
    log_index: bytes


class ControlDatabase:
    """Control state in the SQLite file *where*, made at the first write, or in the PostgreSQL database of that URL.

    Writers wait for one another: what a write reads cannot change before it commits. Its schema is brought up to date
    by the first who uses it. Threads and forks may share it.

    Raises:
        UserError: *where* is no address.
    """

    def __init__(self, where: Path | str) -> None:
        self._file = Path(where) if not str(where).startswith(_POSTGRES) else None
        self._engine = _file_engine(self._file) if self._file is not None else _server_engine(str(where))
        self._prepared = False
        weakref.finalize(self, self._engine.dispose)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Open one write transaction; it is durable when the block ends, undone when the block raises.

        Raises:
            Unavailable: the database is away, or busy for five seconds.
            OritaError: a later Orita wrote it.
        """
        with self._told():
            self._prepare()
            with self._transaction() as connection:
                if schema_of(connection) != LATEST:  # since this process looked
                    self._prepared = False
                    raise Unavailable(f"control state ({self.name}) was upgraded or replaced meanwhile: try again.")
                yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection | None]:
        """Open one state for reading; None when nothing was ever written, and then no file is made.

        Raises:
            Unavailable, OritaError: as `writing`.
        """
        if self._file is not None and not self._file.exists():
            yield None
            return
        with self._told():
            self._prepare()
            with self._engine.connect() as connection:
                if self._file is not None:
                    connection.exec_driver_sql("BEGIN")
                else:
                    connection.execution_options(isolation_level="REPEATABLE READ")
                yield connection

    def now(self, connection: sa.Connection) -> datetime:
        """Return the time that all have who share the database: the server's; of a file, that of its machine."""
        if self._file is not None:
            return SystemClock().now()
        # now() would be the beginning of the transaction, before it waited for other writers.
        told: datetime = connection.execute(sa.func.clock_timestamp()).scalar_one()
        return told.astimezone(UTC)

    def fingerprint(self) -> Fingerprint | None:
        """Return what is another after every commit, for who looks often whether there was one; it costs microseconds.

        A commit is in the header of the index of SQLite's log (``-shm``; "WAL-mode File Format", 2.1), which is there
        while anybody has the file open; whoever closes it last writes what is in the log to the file itself.

        None: a database server is to be asked itself. And so is a file that was written a moment ago: the next commit
        may leave the same size in the same tick of its clock.
        """
        if self._file is None:
            return None
        files = [found for path in (self._file, Path(f"{self._file}-wal")) if (found := _written(path)) is not None]
        settled = time.time_ns() - max((changed for _, _, changed in files), default=0) > _TICK_NANOSECONDS
        return Fingerprint(tuple(files), read_log_index(Path(f"{self._file}-shm"))) if settled else None

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection:
            if self._file is None:
                with connection.begin():
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")
                    yield connection
                return
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")

    def _prepare(self) -> None:
        """Bring the schema up to date."""
        if self._prepared:
            return
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._engine.connect() as connection:
                _enter_wal(connection)
        with self._engine.connect() as connection:
            schema = schema_of(connection)
        if schema != LATEST:
            with self._transaction() as connection:
                migrate(connection, self.name)
        self._prepared = True

    @property
    def name(self) -> str:
        """Where it is, for people: no password."""
        return str(self._file) if self._file is not None else self._engine.url.render_as_string(hide_password=True)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise Unavailable(f"control state ({self.name}) cannot be used now: {_line(error)}") from error


def _file_engine(file: Path) -> sa.Engine:
    # A connection lives for one operation only, so nothing stays open.
    engine = sa.create_engine(
        f"sqlite:///{file}",
        poolclass=NullPool,
        connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
    )
    sa.event.listen(engine, "connect", _leave_transactions_to_us)
    return engine


def _server_engine(url: str) -> sa.Engine:
    require("psycopg", extra="postgres")
    try:
        address = sa.make_url(url).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):
        raise UserError("control.url is no address: give postgresql://USER@HOST:PORT/DATABASE.") from None
    seconds = int(_BUSY_SECONDS)
    engine = sa.create_engine(
        address,
        isolation_level="READ COMMITTED",  # a writer sees what was committed while it waited for the others
        pool_size=2,
        pool_pre_ping=True,
        connect_args={"connect_timeout": seconds, "options": f"-c lock_timeout={seconds}s -c statement_timeout=60s"},
    )
    _OPEN.add(engine)
    return engine


def _forget_connections() -> None:
    """Leave a fork's connections to the process that it came from: two would read one another's answers."""
    for engine in _OPEN:
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_forget_connections)


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


def _written(path: Path) -> tuple[int, int, int] | None:
    """Return what tells the content of a file from that of before; None where nothing is in it."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns) if found.st_size else None


def _line(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())
