"""The journal of runs: which were begun, what became of each task, and what of that the world was told.

A task is *begun* in the journal before its body is called, and *ended* there, durably, in the same transaction as the
events that tell of it. So what a kill leaves is exact: a task that ended did so once, with its result; one that was
begun and has no end may have had its effect or not, and is begun again with the same token.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orita.core.clock import Clock, to_micros
from orita.core.home import Home
from orita.pipelines.graph.declaration import Result
from orita.pipelines.graph.events import CloudEvent
from orita.pipelines.graph.journal_file import journal_file

__all__ = ["ENDED_WELL", "AttemptRow", "Journal", "RunRow", "TaskRow", "open_journal"]

ENDED_WELL = ("success", "cached", "skipped")
"""How a task may have ended so that those that follow it can begin."""
_WELL = ", ".join(f"'{status}'" for status in ENDED_WELL)


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as the journal has it.

    Attributes:
        run_id: its id.
        graph: which graph.
        status: ``running``, ``success``, ``failed`` or ``cancelled``; who asks whether a running one was killed looks
            at its lock.
        owner: ``runner``: one process carries out all tasks; ``outside``: each task is asked for by itself.
        cause: who or what began it.
        parent: the run in which it was begun, if any.
        fingerprint: of code, configuration and source.
        tasks: names of its tasks, in order.
        began, touched, ended: microseconds since the Unix epoch; when a task last began or ended; None without an end.
        error: the sentence of the task that failed.
    """

    run_id: str
    graph: str
    status: str
    owner: str
    cause: str
    parent: str | None
    fingerprint: str
    tasks: tuple[str, ...]
    began: int
    touched: int
    ended: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task of a run as the journal has it; its times are microseconds since the Unix epoch."""

    name: str
    status: str
    attempts: int
    began: int
    ended: int | None
    seconds: float
    key: str | None
    result: Result
    error: str | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt of a task; one without an end was cut short."""

    task: str
    number: int
    status: str
    began: int
    ended: int | None
    error: str | None


def open_journal(home: Home, system: str, clock: Clock) -> Journal:
    """Return the journal of a system; who asks for it closes it."""
    return Journal(home.runs / f"{system}.db", clock)


class Journal:
    """The journal in the file *path*."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.file = journal_file(path)
        self._clock = clock

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def begin_run(self, row: RunRow, events: Iterable[CloudEvent] = ()) -> None:
        """Note that a run begins, or is gone on with."""
        now, told = self._now(), list(events)
        asked = (row.run_id, row.graph, row.owner, row.cause, row.parent, row.fingerprint)

        def change(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO runs (run_id, graph, status, owner, cause, parent, fingerprint, tasks, began, touched) "
                "VALUES (?, ?, 'running', ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (run_id) DO UPDATE SET status = 'running', ended = NULL, error = NULL, touched = ?",
                (*asked, json.dumps(row.tasks), row.began, now, now),
            )
            _tell(db, row.run_id, told)

        self.file.write(change, durable=False)

    def begin_task(self, run_id: str, task: str) -> int:
        """Note that an attempt of a task begins; return its number, from 1; one that a kill cut short was lost."""
        now = self._now()

        def change(db: sqlite3.Connection) -> int:
            db.execute("UPDATE runs SET touched = ? WHERE run_id = ?", (now, run_id))
            db.execute(
                "INSERT INTO tasks (run_id, name, status, attempts, began, seconds) VALUES (?, ?, 'running', 1, ?, 0) "
                "ON CONFLICT DO UPDATE SET status = 'running', attempts = attempts + 1, ended = NULL, error = NULL",
                (run_id, task, now),
            )
            row = db.execute("SELECT attempts FROM tasks WHERE run_id = ? AND name = ?", (run_id, task)).fetchone()
            number: int = row["attempts"]
            db.execute(
                "UPDATE attempts SET status = 'lost' WHERE run_id = ? AND task = ? AND status = 'running'",
                (run_id, task),
            )
            db.execute("INSERT INTO attempts VALUES (?, ?, ?, 'running', ?, NULL, NULL)", (run_id, task, number, now))
            return number

        return self.file.write(change, durable=False)

    def end_attempt(self, run_id: str, task: str, number: int, status: str, error: str, seconds: float) -> None:
        """Note that an attempt failed, after so many seconds, and that there will be another."""

        def change(db: sqlite3.Connection) -> None:
            self._end_attempt(db, run_id, task, number, status, error)
            db.execute(
                "UPDATE tasks SET status = 'waiting', error = ?, seconds = seconds + ? WHERE run_id = ? AND name = ?",
                (error, seconds, run_id, task),
            )

        self.file.write(change, durable=False)

    def end_task(self, run_id: str, row: TaskRow, events: Iterable[CloudEvent] = ()) -> None:
        """Note durably how a task ended, and what there is to tell of it; one that was found has no attempt."""
        now, told = self._now(), list(events)
        result = json.dumps(row.result, default=str) if row.status in ENDED_WELL else None

        def change(db: sqlite3.Connection) -> None:
            db.execute("UPDATE runs SET touched = ? WHERE run_id = ?", (now, run_id))
            if row.attempts:
                self._end_attempt(db, run_id, row.name, row.attempts, row.status, row.error)
            db.execute(
                "INSERT INTO tasks VALUES (:run_id, :name, :status, :attempts, :now, :now, :seconds, :key, :result, "
                ":error) ON CONFLICT DO UPDATE SET status = :status, ended = :now, seconds = seconds + :seconds, "
                "key = :key, result = :result, error = :error",
                {
                    "run_id": run_id,
                    "name": row.name,
                    "status": row.status,
                    "attempts": row.attempts,
                    "now": now,
                    "seconds": row.seconds,
                    "key": row.key,
                    "result": result,
                    "error": row.error,
                },
            )
            _tell(db, run_id, told)

        # What was found without work is found again: it need not outlive a power cut.
        self.file.write(change, durable=row.attempts > 0)

    def end_run(self, run_id: str, status: str, error: str | None, events: Iterable[CloudEvent] = ()) -> None:
        """Note durably how a run ended."""
        now, told = self._now(), list(events)

        def change(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE runs SET status = ?, error = ?, ended = ? WHERE run_id = ?", (status, error, now, run_id)
            )
            _tell(db, run_id, told)

        self.file.write(change, durable=True)

    def run(self, run_id: str) -> RunRow | None:
        """Return the run of that id, or None."""
        found = self._runs("WHERE run_id = ?", (run_id,))
        return found[0] if found else None

    def runs(self, graph: str | None = None, *, most: int = 20) -> list[RunRow]:
        """Return the last runs, of one graph or of all, the latest first."""
        if graph is None:
            return self._runs("ORDER BY seq DESC LIMIT ?", (most,))
        return self._runs("WHERE graph = ? ORDER BY seq DESC LIMIT ?", (graph, most))

    def tasks(self, run_id: str) -> dict[str, TaskRow]:
        """Return the tasks of a run that were begun or found, by name."""
        rows: list[sqlite3.Row] = self.file.read(
            lambda db: db.execute("SELECT * FROM tasks WHERE run_id = ? ORDER BY began", (run_id,)).fetchall(), []
        )
        return {row["name"]: _task(row) for row in rows}

    def attempts(self, run_id: str) -> list[AttemptRow]:
        """Return every attempt of a run, in the order in which they began."""
        rows: list[sqlite3.Row] = self.file.read(
            lambda db: db.execute(
                "SELECT task, number, status, began, ended, error FROM attempts WHERE run_id = ? "
                "ORDER BY began, number",
                (run_id,),
            ).fetchall(),
            [],
        )
        return [AttemptRow(**dict(row)) for row in rows]

    def recall(self, key: str) -> tuple[str, Result] | None:
        """Return the run and the result of the latest task that ended well under *key*, or None."""
        row = self.file.read(
            lambda db: db.execute(
                f"SELECT run_id, result FROM tasks WHERE key = ? AND status IN ({_WELL}) ORDER BY ended DESC LIMIT 1",
                (key,),
            ).fetchone(),
            None,
        )
        return (row["run_id"], json.loads(row["result"])) if row else None

    def latest_with(self, graph: str, tasks: Sequence[str]) -> tuple[str, dict[str, Result]] | None:
        """Return the latest run of *graph* in which all of *tasks* ended well, with their results; or None."""
        for run in self.runs(graph, most=1000):
            rows = self.tasks(run.run_id)
            if all(name in rows and rows[name].status in ENDED_WELL for name in tasks):
                return run.run_id, {name: rows[name].result for name in tasks}
        return None

    def _runs(self, where: str, values: tuple[Any, ...]) -> list[RunRow]:
        columns = ", ".join(RunRow.__dataclass_fields__)
        none: list[sqlite3.Row] = []
        rows = self.file.read(lambda db: db.execute(f"SELECT {columns} FROM runs {where}", values).fetchall(), none)
        return [RunRow(**{**dict(row), "tasks": tuple(json.loads(row["tasks"]))}) for row in rows]

    def _end_attempt(
        self, db: sqlite3.Connection, run_id: str, task: str, number: int, status: str, error: str | None
    ) -> None:
        db.execute(
            "UPDATE attempts SET status = ?, ended = ?, error = ? WHERE run_id = ? AND task = ? AND number = ?",
            (status, self._now(), error, run_id, task, number),
        )

    def _now(self) -> int:
        return to_micros(self._clock.now())


def _tell(db: sqlite3.Connection, run_id: str, events: Iterable[CloudEvent]) -> None:
    db.executemany(
        "INSERT INTO events (id, run_id, type, content) VALUES (?, ?, ?, ?)",
        [(event.id, run_id, event.type, json.dumps(event.to_dict(), default=str)) for event in events],
    )


def _task(row: sqlite3.Row) -> TaskRow:
    values = {name: row[name] for name in TaskRow.__dataclass_fields__}
    return TaskRow(**{**values, "result": json.loads(values["result"]) if values["result"] else {}})
