"""The queue on one machine: an SQLite file in the home, shared by the server processes.

Requests and results lie in a table of their own, so that a lease is renewed without writing them again.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Literal

from orita.core.clock import Clock, to_micros
from orita.core.sqlite_file import SqliteFile
from orita.serving.jobs.embedded_tables import TABLES
from orita.serving.jobs.queue import LOST, Job, KeyReused, Lease, NewJob, QueueBounds, QueueFull, QueueSize, Stage

__all__ = ["EmbeddedQueue"]

_BUSY_SECONDS = 10.0
_OVERHEAD = 1024  # bytes of a job beside its requests and results, roughly
_FORGOTTEN_AT_ONCE = 1000
_JOB = "SELECT j.id, state, count, attempts, submitted, ended, {content}, callback, callback_url FROM jobs j {where}"
_WHOLE = _JOB.format(content="coalesce(content, x'')", where="LEFT JOIN contents c ON c.id = j.id WHERE j.id = ?")
_BRIEF = _JOB.format(content="x''", where="ORDER BY submitted DESC, j.id DESC LIMIT ?")
_DUE = "SELECT id FROM jobs WHERE stage = ? AND leased = ? AND due <= ? ORDER BY due, id LIMIT 1"
_SIZES = (
    "SELECT open, ended, bytes, (SELECT count(*) FROM jobs WHERE stage = 'answer' AND leased = 1), "
    "(SELECT min(submitted) FROM jobs WHERE ended IS NULL) FROM totals"
)
_HELD = "WHERE id = ? AND token = ? AND stage = ? AND leased"


class EmbeddedQueue:
    """A `JobQueue` in the file *path*, which is made with its first job.

    Args:
        path: the file.
        bounds: what it holds.
        clock: the time; processes that share the file share the machine's.
    """

    def __init__(self, path: Path, bounds: QueueBounds, clock: Clock) -> None:
        self._file = SqliteFile(path, TABLES, last="traces", what="the queue of jobs", busy_seconds=_BUSY_SECONDS)
        self._bounds = bounds
        self._clock = clock

    def submit(self, new: NewJob, /) -> Job:
        """Take in *new*; see the protocol."""

        def take_in(connection: sqlite3.Connection) -> Job:
            if new.key is not None:
                found = connection.execute("SELECT id, digest FROM jobs WHERE key = ?", (new.key,)).fetchone()
                if found is not None:
                    return _known(connection, found[0], found[1] == new.digest, new.key)
            size = len(new.requests) + _OVERHEAD
            self._make_room(connection, size)
            now = self._now()
            connection.execute(
                "INSERT INTO jobs (id, state, stage, leased, due, token, attempts, calls, count, key, digest, "
                "callback_url, submitted, size) VALUES (?, 'queued', 'answer', 0, ?, 0, 0, 0, ?, ?, ?, ?, ?, ?)",
                (new.id, now, new.count, new.key, new.digest, new.callback_url, now, size),
            )
            connection.execute("INSERT INTO contents (id, requests) VALUES (?, ?)", (new.id, new.requests))
            if new.trace:
                connection.execute("INSERT INTO traces (id, trace) VALUES (?, ?)", (new.id, new.trace))
            return Job(new.id, "queued", new.count, 0, now, None, b"", None, new.callback_url)

        return self._file.write(take_in)

    def find(self, job: str, /) -> Job | None:
        """Return a job; see the protocol."""
        return self._file.read(lambda connection: _found(connection, job), None)

    def latest(self, count: int, /) -> list[Job]:
        """Return the last jobs; see the protocol."""
        return self._file.read(lambda connection: [Job(*row) for row in connection.execute(_BRIEF, (count,))], [])

    def cancel(self, job: str, /) -> Job | None:
        """Cancel a job that waits; see the protocol."""
        if self.find(job) is None:
            return None

        def cancelled(connection: sqlite3.Connection) -> Job | None:
            connection.execute(
                "UPDATE jobs SET state = 'cancelled', stage = NULL, ended = ? WHERE id = ? AND state = 'queued'",
                (self._now(), job),
            )
            return _found(connection, job)

        return self._file.write(cancelled)

    def take(self, stage: Stage, /) -> Lease | None:
        """Lend what is due; see the protocol."""
        if self._file.read(lambda connection: self._due(connection, stage), None) is None:
            return None  # the usual answer, without waiting for whoever writes

        def lent(connection: sqlite3.Connection) -> Lease | None:
            while (job := self._due(connection, stage)) is not None:
                column = "attempts" if stage == "answer" else "calls"
                (begun,) = connection.execute(f"SELECT {column} FROM jobs WHERE id = ?", (job,)).fetchone()
                if begun < self._bounds.leases(stage):
                    return self._lend(connection, job, stage, column)
                self._give_up(connection, job, stage)
            return None

        return self._file.write(lent)

    def renew(self, lease: Lease, /) -> bool:
        """Lengthen *lease*; see the protocol."""
        return self._changed(f"UPDATE jobs SET due = ? {_HELD}", (self._lease_end(),), lease)

    def finish(self, lease: Lease, state: Literal["succeeded", "failed"], content: bytes, /) -> bool:
        """End a job; see the protocol."""

        def finished(connection: sqlite3.Connection) -> bool:
            held = f"{_HELD} AND stage = 'answer'"
            values = (lease.job, lease.token, lease.stage)
            if connection.execute(f"SELECT 1 FROM jobs {held}", values).fetchone() is None:
                return False
            self._end(connection, lease.job, state, content)
            return True

        return self._file.write(finished)

    def settle(self, lease: Lease, outcome: Literal["delivered", "failed"], /) -> bool:
        """End the stage ``callback``; see the protocol."""
        change = f"UPDATE jobs SET stage = NULL, leased = 0, callback = ? {_HELD} AND stage = 'callback'"
        return self._changed(change, (outcome,), lease)

    def give_back(self, lease: Lease, seconds: float, /, *, counted: bool = True) -> bool:
        """Let a job be taken again; see the protocol."""
        column = "attempts" if lease.stage == "answer" else "calls"
        change = (
            f"UPDATE jobs SET leased = 0, due = ?, {column} = {column} - ?, "
            f"state = iif(stage = 'answer', 'queued', state) {_HELD}"
        )
        return self._changed(change, (self._now() + round(seconds * 1e6), not counted), lease)

    def forget(self) -> int:
        """Drop old jobs; see the protocol."""
        before = self._now() - round(self._bounds.keep_seconds * 1e6)
        old = "SELECT id FROM jobs WHERE stage IS NULL AND ended <= ? ORDER BY ended LIMIT ?"
        forgotten = 0
        while self._file.read(lambda connection: connection.execute(old, (before, 1)).fetchone(), None) is not None:
            gone = self._file.write(lambda connection: _dropped(connection, old, before, _FORGOTTEN_AT_ONCE))
            forgotten += gone
        return forgotten

    def size(self) -> QueueSize:
        """Return how much is kept; see the protocol."""

        def sizes(connection: sqlite3.Connection) -> QueueSize:
            number, ended, size, running, oldest = connection.execute(_SIZES).fetchone()
            waited = 0.0 if oldest is None else max(0, self._now() - oldest) / 1e6
            return QueueSize(number, ended, size, running, waited)

        return self._file.read(sizes, QueueSize(0, 0, 0, 0, 0.0))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _due(self, connection: sqlite3.Connection, stage: Stage) -> str | None:
        now = self._now()
        for leased in (1, 0):  # a job whose worker is lost has waited for longest
            row = connection.execute(_DUE, (stage, leased, now)).fetchone()
            if row is not None:
                return str(row[0])
        return None

    def _lend(self, connection: sqlite3.Connection, job: str, stage: Stage, column: str) -> Lease:
        token, attempt = connection.execute(
            f"UPDATE jobs SET leased = 1, due = ?, token = token + 1, {column} = {column} + 1, "
            f"state = iif(stage = 'answer', 'running', state) WHERE id = ? RETURNING token, {column}",
            (self._lease_end(), job),
        ).fetchone()
        requests = b""
        if stage == "answer":
            (requests,) = connection.execute("SELECT requests FROM contents WHERE id = ?", (job,)).fetchone()
        trace = connection.execute("SELECT trace FROM traces WHERE id = ?", (job,)).fetchone()
        return Lease(job, stage, token, attempt, requests, trace[0] if trace else "")

    def _give_up(self, connection: sqlite3.Connection, job: str, stage: Stage) -> None:
        if stage == "answer":
            self._end(connection, job, "failed", LOST)
        else:
            change = "UPDATE jobs SET stage = NULL, leased = 0, callback = 'failed' WHERE id = ?"
            connection.execute(change, (job,))

    def _end(self, connection: sqlite3.Connection, job: str, state: str, content: bytes) -> None:
        now = self._now()
        connection.execute("UPDATE contents SET requests = NULL, content = ? WHERE id = ?", (content, job))
        connection.execute(
            "UPDATE jobs SET state = ?, ended = ?, leased = 0, due = ?, size = ?, "
            "stage = iif(callback_url IS NULL, NULL, 'callback'), "
            "callback = iif(callback_url IS NULL, NULL, 'pending') WHERE id = ?",
            (state, now, now, len(content) + _OVERHEAD, job),
        )

    def _make_room(self, connection: sqlite3.Connection, size: int) -> None:
        bounds = self._bounds
        number, _, bytes_ = connection.execute("SELECT open, ended, bytes FROM totals").fetchone()
        if number >= bounds.most_open:
            raise QueueFull(f"{number} jobs wait or run, as many as may be: send this one again later.")
        while bytes_ + size > bounds.most_bytes:
            oldest = "SELECT id FROM jobs WHERE stage IS NULL AND ended <= ? ORDER BY ended LIMIT ?"
            if not _dropped(connection, oldest, self._now(), 1):
                raise QueueFull(f"the jobs that wait or run have {bytes_} bytes, as many as may be: send it later.")
            (bytes_,) = connection.execute("SELECT bytes FROM totals").fetchone()

    def _changed(self, change: str, values: tuple[object, ...], lease: Lease) -> bool:
        held = (lease.job, lease.token, lease.stage)
        return self._file.write(lambda connection: connection.execute(change, (*values, *held)).rowcount == 1)

    def _now(self) -> int:
        return to_micros(self._clock.now())

    def _lease_end(self) -> int:
        return self._now() + round(self._bounds.lease_seconds * 1e6)


def _found(connection: sqlite3.Connection, job: str) -> Job | None:
    row: Any = connection.execute(_WHOLE, (job,)).fetchone()
    return None if row is None else Job(*row)


def _known(connection: sqlite3.Connection, job: str, same: bool, key: str) -> Job:
    if not same:
        raise KeyReused(
            f"the header Idempotency-Key has the value {key!r}, which names job {job}, and that has another body: "
            "use a new key for a new job."
        )
    found = _found(connection, job)
    assert found is not None
    return found


def _dropped(connection: sqlite3.Connection, which: str, before: int, most: int) -> int:
    return connection.execute(f"DELETE FROM jobs WHERE id IN ({which})", (before, most)).rowcount
