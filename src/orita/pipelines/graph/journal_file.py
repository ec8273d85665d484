"""The file of the journal, and its tables."""

from __future__ import annotations

from pathlib import Path

from orita.core.sqlite_file import SqliteFile

__all__ = ["journal_file"]

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


def journal_file(path: Path) -> SqliteFile:
    """Return the journal at *path*, which is made by the first run."""
    return SqliteFile(path, _TABLES, last="requests", what="the journal of runs", busy_seconds=_BUSY_SECONDS)
