"""What is to run: a durable queue in the journal, each request once for its cause."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from orita.core.clock import Clock, to_micros
from orita.pipelines.graph.journal import Journal

__all__ = ["Request", "Requests"]

_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Request:
    """A pipeline that is to run.

    Attributes:
        seq: its place in the queue.
        pipeline: which one.
        cause: why, and of what time or run: unique, so that nothing is asked for twice.
        status: ``waiting``, ``running``, ``done``, ``failed`` or ``skipped``.
        note: what there is to say of its end.
    """

    seq: int
    pipeline: str
    cause: str
    status: str
    note: str | None = None


class Requests:
    """The queue in a journal."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._file, self._clock = journal.file, clock

    def ask(self, pipeline: str, cause: str) -> bool:
        """Ask for a pipeline, unless it waits already or was asked for by the same cause; return whether it was."""
        return self._file.write(lambda db: self._ask(db, pipeline, cause), durable=True)

    def next(self) -> Request | None:
        """Return what is to be done now: what a killed process had begun, else the first that waits."""
        found = self._found("status IN ('running', 'waiting') ORDER BY status = 'waiting', seq LIMIT 1")
        return found[0] if found else None

    def waiting(self) -> list[Request]:
        """Return all that runs or waits, in order."""
        return self._found("status IN ('running', 'waiting') ORDER BY seq")

    def begin(self, request: Request) -> None:
        """Note that a request is carried out."""
        self._file.write(
            lambda db: db.execute("UPDATE requests SET status = 'running' WHERE seq = ?", (request.seq,)), durable=True
        )

    def end(self, request: Request, status: str, note: str = "", then: Iterable[tuple[str, str]] = ()) -> None:
        """Note how a request ended and, in the same transaction, what it gives rise to: pipelines with their causes."""
        now, following = to_micros(self._clock.now()), list(then)

        def change(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE requests SET status = ?, ended = ?, note = ? WHERE seq = ?", (status, now, note, request.seq)
            )
            for pipeline, cause in following:
                self._ask(db, pipeline, cause)
            db.execute("DELETE FROM requests WHERE ended IS NOT NULL AND seq <= ?", (request.seq - _KEPT,))

        self._file.write(change, durable=True)

    def _ask(self, db: sqlite3.Connection, pipeline: str, cause: str) -> bool:
        if db.execute("SELECT 1 FROM requests WHERE pipeline = ? AND status = 'waiting'", (pipeline,)).fetchone():
            return False
        made = db.execute(
            "INSERT OR IGNORE INTO requests (pipeline, cause, status, made) VALUES (?, ?, 'waiting', ?)",
            (pipeline, cause, to_micros(self._clock.now())),
        )
        return made.rowcount > 0

    def _found(self, where: str) -> list[Request]:
        none: list[sqlite3.Row] = []
        query = f"SELECT seq, pipeline, cause, status, note FROM requests WHERE {where}"
        return [Request(**dict(row)) for row in self._file.read(lambda db: db.execute(query).fetchall(), none)]
