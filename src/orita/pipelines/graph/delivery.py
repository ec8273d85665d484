"""Handing events on: to the alerts of failed runs, to a file beside the history, to functions of the project.

Events are noted in the transaction that makes them true (an outbox), and handed on afterwards, at least once: who is
killed between a call and its note calls again with the same event id. What was noted is not handed over again. A
listener that fails is asked again at the next delivery, up to its number of attempts, and does not stop the others.
"""

from __future__ import annotations

import importlib.util
import json
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from orita.core.errors import UserError
from orita.pipelines.graph.events import CloudEvent
from orita.pipelines.graph.failed_runs import LISTENED_TO, take_event
from orita.pipelines.graph.failures import sentence_of
from orita.pipelines.graph.journal import Journal
from orita.pipelines.graph.places import held
from orita.pipelines.workspace import Workspace

__all__ = ["Listener", "deliver", "events_file", "greet", "listeners_of"]

_log = structlog.stdlib.get_logger("orita.pipelines")

_MOST_BYTES = 16 * 1024 * 1024
_LOCK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told of events.

    Attributes:
        name: unique; what was handed over is noted under it.
        take: called with an event; an exception means that it was not taken.
        types: which types, as shell patterns.
        attempts: how often one event is handed over; then it is given up.
    """

    name: str
    take: Callable[[CloudEvent], object]
    types: tuple[str, ...] = ("*",)
    attempts: int = 5


@dataclass(frozen=True, slots=True)
class _Owed:
    seq: int
    attempts: int
    event: CloudEvent


def events_file(workspace: Workspace) -> Path:
    """Return the file to which events are appended, JSON lines."""
    return workspace.home.runs / workspace.system.name / "events.jsonl"


def listeners_of(workspace: Workspace) -> tuple[Listener, ...]:
    """Return the alerts of failed runs, and those whom the configuration names."""
    path = events_file(workspace)
    alerts = Listener("alerts", lambda event: take_event(workspace, event), LISTENED_TO)
    file = [Listener("file", lambda event: _append(path, event))] if workspace.runs.events else []
    handlers = [
        Listener(each.call, _Handler(workspace.folder or Path(), each.call), each.types, each.attempts)
        for each in workspace.runs.handlers
    ]
    return (alerts, *file, *handlers)


def deliver(workspace: Workspace, journal: Journal, listeners: tuple[Listener, ...] | None = None) -> int:
    """Hand over what is owed, in the order in which it happened; return how many events were taken.

    Where another process does it already, nothing is done: what is owed then stays so until the next delivery.
    """
    taken, listeners = 0, listeners_of(workspace) if listeners is None else listeners
    greet(journal, listeners)
    try:
        with held(workspace.home.runs / workspace.system.name / "events.lock", _LOCK_SECONDS, "the delivery of events"):
            for listener in listeners:
                for owed in _owed(journal, listener):
                    taken += _hand_over(journal, listener, owed)
    except UserError as busy:
        _log.info("events_wait", error=str(busy))
    return taken


def greet(journal: Journal, listeners: tuple[Listener, ...]) -> None:
    """Note who listens from now on: a new listener is not told of what happened before."""
    none: list[sqlite3.Row] = []
    known = {
        row["name"] for row in journal.file.read(lambda db: db.execute("SELECT name FROM listeners").fetchall(), none)
    }
    new = [(listener.name,) for listener in listeners if listener.name not in known]
    if new:
        since = "(SELECT COALESCE(MAX(seq), 0) FROM events)"
        journal.file.write(
            lambda db: db.executemany(f"INSERT OR IGNORE INTO listeners VALUES (?, {since})", new), durable=False
        )


def _owed(journal: Journal, listener: Listener) -> list[_Owed]:
    matches = " OR ".join("type GLOB ?" for _ in listener.types)
    query = (
        "SELECT events.seq, content, COALESCE(attempts, 0) AS attempts FROM events LEFT JOIN deliveries "
        "ON deliveries.event = events.seq AND listener = ? "
        "WHERE (status IS NULL OR status = 'owed') AND events.seq > (SELECT since FROM listeners WHERE name = ?) "
        f"AND ({matches}) ORDER BY events.seq"
    )
    values = (listener.name, listener.name, *listener.types)
    none: list[sqlite3.Row] = []
    rows = journal.file.read(lambda db: db.execute(query, values).fetchall(), none)
    return [_Owed(row["seq"], row["attempts"], CloudEvent.from_dict(json.loads(row["content"]))) for row in rows]


def _hand_over(journal: Journal, listener: Listener, owed: _Owed) -> bool:
    status, attempts, sentence = "taken", owed.attempts + 1, None
    try:
        listener.take(owed.event)
    except Exception as error:  # whatever a handler raises: the others are told all the same
        sentence = sentence_of(error)
        status = "owed" if attempts < listener.attempts else "given up"
        told = {"handler": listener.name, "type": owed.event.type, "id": owed.event.id, "error": sentence}
        if status == "owed":
            _log.warning("event_not_taken", attempt=attempts, of=listener.attempts, **told)
        else:
            _log.error("event_given_up", alert=True, attempts=attempts, **told)
    row = (listener.name, owed.seq, status, attempts, sentence)
    journal.file.write(
        lambda db: db.execute("INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?)", row), durable=False
    )
    return status == "taken"


def _append(path: Path, event: CloudEvent) -> None:
    """Append an event; a file of 16 MiB becomes ``events.1.jsonl``, and the one of that name goes."""
    if path.exists() and path.stat().st_size > _MOST_BYTES:
        path.replace(path.with_suffix(".1.jsonl"))
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(event.to_dict(), default=str) + "\n")


class _Handler:
    """A function of the project, imported when the first event is handed to it."""

    def __init__(self, folder: Path, call: str) -> None:
        self._folder, self._call = folder, call
        self._function: Callable[[CloudEvent], Any] | None = None

    def __call__(self, event: CloudEvent) -> None:
        if self._function is None:
            self._function = self._found()
        self._function(event)

    def _found(self) -> Callable[[CloudEvent], Any]:
        name, _, function = self._call.rpartition(":")
        file = self._folder / name
        spec = importlib.util.spec_from_file_location(f"orita_handlers_{file.stem}", file)
        if spec is None or spec.loader is None or not file.exists():
            raise UserError(f"runs.handlers names {self._call}, and there is no {file}: write it, or mend the name.")
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found: Callable[[CloudEvent], Any] | None = getattr(module, function, None)
        if not callable(found):
            raise UserError(f"runs.handlers names {self._call}, and {file} has no function {function!r}.")
        return found
