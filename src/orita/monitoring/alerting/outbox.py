"""What is still to be told to whom: rows and messages in the book's file; each function is given its transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from orita.monitoring.sinks.sink import Notice

__all__ = ["TABLES", "make_messages", "notices_of", "queue_firing", "queue_recoveries"]

TABLES = (
    """CREATE TABLE IF NOT EXISTS notices (
        fingerprint TEXT NOT NULL, sink TEXT NOT NULL, kind TEXT NOT NULL, episode INTEGER NOT NULL,
        due INTEGER NOT NULL, number INTEGER NOT NULL, from_at TEXT NOT NULL, message TEXT,
        sent INTEGER NOT NULL DEFAULT 0, sent_at TEXT, error TEXT,
        PRIMARY KEY (fingerprint, sink, kind, episode))""",
    """CREATE TABLE IF NOT EXISTS messages (
        key TEXT PRIMARY KEY, sink TEXT NOT NULL, text TEXT NOT NULL, attempts INTEGER NOT NULL,
        from_at TEXT NOT NULL)""",
)
"""A notice has one row for an alert, a sink, a kind and an episode; ``number`` counts its repetitions."""

_OF_ONE = "fingerprint = ? AND sink = ? AND kind = 'firing' AND episode = ?"


def queue_firing(
    file: sqlite3.Connection,
    fingerprint: str,
    episode: int,
    repeats: Mapping[str, timedelta],
    now: datetime,
    wait: timedelta,
) -> None:
    """Queue what each sink is to hear of an alert that fires: once, and again when its time to repeat has passed."""
    start = (now + wait).isoformat()
    for sink, repeat in repeats.items():
        file.execute(
            "INSERT OR IGNORE INTO notices (fingerprint, sink, kind, episode, due, number, from_at) "
            "VALUES (?, ?, 'firing', ?, 1, 0, ?)",
            (fingerprint, sink, episode, start),
        )
        file.execute(
            "UPDATE notices SET due = 1, number = number + 1, from_at = ? "
            f"WHERE NOT due AND sent_at <= ? AND {_OF_ONE}",
            (start, (now - repeat).isoformat(), fingerprint, sink, episode),
        )


def queue_recoveries(file: sqlite3.Connection, fingerprint: str, episode: int, now: datetime, wait: timedelta) -> None:
    """Queue the good news for each sink that heard, may have heard, or is still to hear of the trouble.

    A sink that was tried and could not be told hears neither; what nobody tried to tell, since a process was killed
    before, is told with its end.
    """
    query = "SELECT * FROM notices WHERE fingerprint = ? AND kind = 'firing' AND episode = ?"
    for told in file.execute(query, (fingerprint, episode)).fetchall():
        message = file.execute("SELECT attempts FROM messages WHERE key = ?", (told["message"],)).fetchone()
        under_way = message is not None and message["attempts"] == 0  # perhaps its sender was killed once it was sent
        untried = message is None and told["error"] is None and told["from_at"] <= now.isoformat()
        place = (fingerprint, told["sink"], episode)
        if told["sent"] or under_way or untried:
            file.execute(
                "INSERT OR IGNORE INTO notices (fingerprint, sink, kind, episode, due, number, from_at) "
                "VALUES (?, ?, 'recovered', ?, 1, 0, ?)",
                (*place, (now + wait).isoformat()),
            )
        if told["due"] and not under_way and (told["sent"] or not untried):
            # What else the message held is put together anew.
            file.execute("DELETE FROM messages WHERE key = ?", (told["message"],))
            file.execute("UPDATE notices SET message = NULL WHERE message = ?", (told["message"],))
            file.execute(f"UPDATE notices SET due = 0, error = NULL WHERE {_OF_ONE}", place)


def make_messages(file: sqlite3.Connection, sink: str, now: datetime, group_by: Sequence[str]) -> None:
    """Put the notices that *sink* is due into messages, one a group: a key, and a text that stays as it is."""
    query = (
        "SELECT n.*, a.alert, a.labels, a.fired_at, a.resolved_at FROM notices n JOIN alerts a USING (fingerprint) "
        "WHERE n.sink = ? AND n.due AND n.message IS NULL AND n.from_at <= ?"
    )
    groups: dict[tuple[str, ...], list[sqlite3.Row]] = {}
    for row in file.execute(query, (sink, now.isoformat())).fetchall():
        labels = json.loads(row["alert"]) | json.loads(row["labels"])
        groups.setdefault(tuple(str(labels.get(name, "")) for name in group_by), []).append(row)
    for rows in groups.values():
        _make_message(file, sink, sorted(rows, key=_order), now)


def _make_message(file: sqlite3.Connection, sink: str, rows: list[sqlite3.Row], now: datetime) -> None:
    places = [(row["fingerprint"], row["kind"], row["episode"], row["number"]) for row in rows]
    key = sha256(json.dumps([sink, *places]).encode()).hexdigest()[:32]
    text = json.dumps([_frozen(row) for row in rows], ensure_ascii=False)
    file.execute("INSERT OR IGNORE INTO messages VALUES (?, ?, ?, 0, ?)", (key, sink, text, now.isoformat()))
    file.executemany(
        "UPDATE notices SET message = ? WHERE sink = ? AND fingerprint = ? AND kind = ? AND episode = ? AND number = ?",
        [(key, sink, *place) for place in places],
    )


def _order(row: sqlite3.Row) -> tuple[bool, bool, str, str]:
    alert = json.loads(row["alert"])
    # The worst first, good news last.
    return row["kind"] != "firing", alert["severity"] != "critical", alert["name"], alert["subject"]


def _frozen(row: sqlite3.Row) -> dict[str, Any]:
    over = row["kind"] == "recovered"
    return {
        "kind": row["kind"],
        "alert": json.loads(row["alert"]),
        "since": row["fired_at"],
        "labels": json.loads(row["labels"]),
        "ended": (row["resolved_at"] or row["from_at"]) if over else None,
    }


def notices_of(text: str) -> tuple[Notice, ...]:
    """Return the notices in a message's *text*."""
    return tuple(
        Notice(
            each["kind"],
            each["alert"],
            datetime.fromisoformat(each["since"]),
            each["labels"],
            None if each["ended"] is None else datetime.fromisoformat(each["ended"]),
        )
        for each in json.loads(text)
    )
