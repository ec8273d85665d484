"""What is known of each alert, and what is still to be told to whom: one SQLite file, whole after any kill.

A look and what follows from it are one transaction: the state of each alert, and a notice for each sink that is to
hear of it. A notice has one row for a sink, an alert and an episode, so it cannot be queued twice. Before it is sent it
becomes part of a message with a key and a text that stays; the message goes when it is known to have arrived. A process
that is killed in between leaves the message, and the next sends the same text with the same key: at least once, and
once for a receiver that remembers keys.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from orita.core.sqlite_file import SqliteFile
from orita.monitoring.alerting.outbox import TABLES, make_messages, notices_of, queue_firing, queue_recoveries
from orita.monitoring.alerting.states import Condition, Signal, State, step
from orita.monitoring.sinks.sink import Notice

__all__ = ["AlertBook", "HistoryLine", "KnownAlert", "Message"]

_TABLES = (
    """CREATE TABLE IF NOT EXISTS alerts (
        fingerprint TEXT PRIMARY KEY, name TEXT NOT NULL, subject TEXT NOT NULL, labels TEXT NOT NULL,
        state TEXT NOT NULL, since TEXT, fired_at TEXT, resolved_at TEXT, quiet_since TEXT, episode INTEGER NOT NULL,
        seen TEXT NOT NULL, alert TEXT NOT NULL)""",
    *TABLES,
    "CREATE TABLE IF NOT EXISTS history (at TEXT NOT NULL, fingerprint TEXT NOT NULL, event TEXT NOT NULL, note TEXT)",
    "CREATE INDEX IF NOT EXISTS history_of ON history (fingerprint, at)",
)
_BUSY_SECONDS = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 3600.0
_MOST_HISTORY = 10_000
_KEPT = timedelta(days=90)
_TIMES = ("since", "fired_at", "resolved_at", "quiet_since")


@dataclass(frozen=True, slots=True)
class KnownAlert:
    """An alert as the book has it.

    Attributes:
        fingerprint: what it is known by.
        condition: its state, and since when.
        labels: what makes it what it is.
        alert: its latest form, as plain values.
        seen: when it was last looked at.
    """

    fingerprint: str
    condition: Condition
    labels: dict[str, str]
    alert: dict[str, Any]
    seen: datetime

    @property
    def name(self) -> str:
        """Kind of alert."""
        return str(self.alert["name"])

    @property
    def subject(self) -> str:
        """What it is about."""
        return str(self.alert["subject"])

    @property
    def firing(self) -> bool:
        """It fired and is not over."""
        return self.condition.state == "firing"


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One thing that happened to an alert: ``pending``, ``firing``, ``resolved``, ``sent``, ``failed``."""

    at: datetime
    event: str
    note: str


@dataclass(frozen=True, slots=True)
class Message:
    """Notices to be sent to a sink as one.

    Attributes:
        key: the same at every attempt.
        notices: the worst first, good news last.
        attempts: how often it failed so far.
    """

    key: str
    notices: tuple[Notice, ...]
    attempts: int


class AlertBook:
    """The alerts in the file *path*."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = SqliteFile(path, _TABLES, last="history_of", what="the file of alerts", busy_seconds=_BUSY_SECONDS)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def alerts(self) -> list[KnownAlert]:
        """Return every alert that ever was pending or fired, as it is now: firing first, then the latest."""
        rows: list[sqlite3.Row] = self._file.read(
            lambda file: file.execute(
                "SELECT * FROM alerts ORDER BY state = 'firing' DESC, seen DESC, name"
            ).fetchall(),
            [],
        )
        return [_known(row) for row in rows]

    def history(self, fingerprint: str) -> list[HistoryLine]:
        """Return what happened to an alert, oldest first."""
        query = "SELECT at, event, note FROM history WHERE fingerprint = ? ORDER BY at, rowid"
        rows: list[sqlite3.Row] = self._file.read(lambda file: file.execute(query, (fingerprint,)).fetchall(), [])
        return [HistoryLine(datetime.fromisoformat(row["at"]), row["event"], row["note"] or "") for row in rows]

    def undelivered(self) -> dict[str, str]:
        """Return the latest failure of each sink that has a notice to be sent again."""
        query = "SELECT sink, error FROM notices WHERE due AND error IS NOT NULL"
        return self._file.read(lambda file: {row["sink"]: row["error"] for row in file.execute(query)}, {})

    def observe(
        self,
        signals: Iterable[Signal],
        repeats: Mapping[str, timedelta],
        now: datetime,
        *,
        wait: timedelta = timedelta(),
    ) -> list[tuple[State, KnownAlert]]:
        """Take what a look found, and queue what follows from it; return the alerts whose state became another.

        Args:
            signals: of everything that was judged; what is not among them stays as it is.
            repeats: the sinks, and after how long each hears again of what still fires.
            now: of the look, aware.
            wait: notices wait so long for others to share a message with.
        """
        taken = list(signals)

        def change(file: sqlite3.Connection) -> list[tuple[State, KnownAlert]]:
            changed = []
            for signal in taken:
                row = file.execute("SELECT * FROM alerts WHERE fingerprint = ?", (signal.fingerprint,)).fetchone()
                before = _condition(row) if row else Condition()
                after = step(before, signal, now)
                if after.state == "inactive" and row is None:
                    continue
                known = _store(file, signal, after, row, now)
                if after.state != before.state:
                    _remember(file, now, signal.fingerprint, after.state, signal.alert.summary)
                    changed.append((before.state, known))
                if after.state == "firing" and after.quiet_since is None:
                    queue_firing(file, known.fingerprint, after.episode, _told(signal, repeats), now, wait)
                elif (before.state, after.state) == ("firing", "resolved"):
                    queue_recoveries(file, known.fingerprint, after.episode, now, wait)
            return changed

        return self._file.write(change) if taken else []

    def claim(self, sink: str, now: datetime, group_by: Sequence[str] = ()) -> list[Message]:
        """Return the messages that *sink* is to be sent now; whoever calls holds the sink alone.

        Messages that were claimed before and never accounted for come first, as they were.
        """

        def change(file: sqlite3.Connection) -> list[Message]:
            make_messages(file, sink, now, group_by)
            query = "SELECT key, text, attempts FROM messages WHERE sink = ? AND from_at <= ? ORDER BY rowid"
            rows = file.execute(query, (sink, now.isoformat())).fetchall()
            return [Message(row["key"], notices_of(row["text"]), row["attempts"]) for row in rows]

        due = "SELECT 1 FROM notices WHERE sink = ? AND due AND from_at <= ? LIMIT 1"
        nothing = self._file.read(lambda file: file.execute(due, (sink, now.isoformat())).fetchone() is None, True)
        return [] if nothing else self._file.write(change)

    def sent(self, message: Message, sink: str, now: datetime) -> None:
        """Note that *message* arrived."""

        def change(file: sqlite3.Connection) -> None:
            for row in file.execute(
                "SELECT fingerprint, kind FROM notices WHERE message = ?", (message.key,)
            ).fetchall():
                _remember(file, now, row["fingerprint"], "sent", f"{row['kind']} to {sink}")
            file.execute(
                "UPDATE notices SET due = 0, sent = sent + 1, sent_at = ?, error = NULL, message = NULL "
                "WHERE message = ?",
                (now.isoformat(), message.key),
            )
            file.execute("DELETE FROM messages WHERE key = ?", (message.key,))

        self._file.write(change)

    def failed(self, message: Message, sink: str, error: str, now: datetime) -> None:
        """Note that *message* did not arrive; it is sent again after a pause that doubles."""
        again = now + timedelta(seconds=min(_FIRST_PAUSE * 2**message.attempts, _LONGEST_PAUSE))

        def change(file: sqlite3.Connection) -> None:
            for row in file.execute("SELECT fingerprint FROM notices WHERE message = ?", (message.key,)).fetchall():
                _remember(file, now, row["fingerprint"], "failed", f"{sink}: {error}")
            update = "UPDATE notices SET error = ?, from_at = ? WHERE message = ?"
            file.execute(update, (error, again.isoformat(), message.key))
            update = "UPDATE messages SET attempts = attempts + 1, from_at = ? WHERE key = ?"
            file.execute(update, (again.isoformat(), message.key))

        self._file.write(change)

    def prune(self, now: datetime) -> None:
        """Forget alerts that have not fired for 90 days, and history beyond its latest 10,000 lines."""
        long_ago = (now - _KEPT).isoformat()

        def change(file: sqlite3.Connection) -> None:
            old = "SELECT fingerprint FROM alerts WHERE state IN ('resolved', 'inactive') AND seen < ?"
            file.execute(f"DELETE FROM notices WHERE NOT due AND fingerprint IN ({old})", (long_ago,))
            file.execute("DELETE FROM alerts WHERE state IN ('resolved', 'inactive') AND seen < ?", (long_ago,))
            kept = "SELECT coalesce(max(rowid), 0) - ? FROM history"
            file.execute(f"DELETE FROM history WHERE rowid <= ({kept})", (_MOST_HISTORY,))

        self._file.write(change, durable=False)


def _told(signal: Signal, repeats: Mapping[str, timedelta]) -> dict[str, timedelta]:
    return {name: repeat for name, repeat in repeats.items() if not signal.sinks or name in signal.sinks}


def _store(
    file: sqlite3.Connection, signal: Signal, after: Condition, row: sqlite3.Row | None, now: datetime
) -> KnownAlert:
    # What is over keeps the words it was told with: why it fired, not that it fires no more.
    alert = signal.alert.to_dict() if row is None or signal.active else json.loads(row["alert"])
    known = KnownAlert(signal.fingerprint, after, signal.all_labels, alert, now)
    times = [_text(getattr(after, name)) for name in _TIMES]
    file.execute(
        "INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(known.fingerprint, known.name, known.subject, json.dumps(known.labels, sort_keys=True)),
            *(after.state, *times, after.episode, now.isoformat(), json.dumps(alert, ensure_ascii=False)),
        ),
    )
    return known


def _remember(file: sqlite3.Connection, now: datetime, fingerprint: str, event: str, note: str) -> None:
    file.execute("INSERT INTO history VALUES (?, ?, ?, ?)", (now.isoformat(), fingerprint, event, note))


def _condition(row: sqlite3.Row) -> Condition:
    times = [None if row[name] is None else datetime.fromisoformat(row[name]) for name in _TIMES]
    since, fired_at, resolved_at, quiet_since = times
    return Condition(row["state"], since, fired_at, resolved_at, quiet_since, row["episode"])


def _known(row: sqlite3.Row) -> KnownAlert:
    labels, alert = json.loads(row["labels"]), json.loads(row["alert"])
    return KnownAlert(row["fingerprint"], _condition(row), labels, alert, datetime.fromisoformat(row["seen"]))


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
