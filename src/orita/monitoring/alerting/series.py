"""The values of metrics over time, in one small file: what a rule needs of the past outlives the process.

Legend: N samples of one series, in order of time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orita.core.sqlite_file import SqliteFile
from orita.monitoring.alerting.scraping import Scrape

__all__ = ["Series", "SeriesFile"]

_TABLES = (
    """CREATE TABLE IF NOT EXISTS series (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, target TEXT NOT NULL, labels TEXT NOT NULL,
        UNIQUE (name, target, labels))""",
    """CREATE TABLE IF NOT EXISTS samples (
        series INTEGER NOT NULL, at REAL NOT NULL, value REAL NOT NULL, PRIMARY KEY (series, at)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS points (
        rule TEXT NOT NULL, labels TEXT NOT NULL, at REAL NOT NULL, value REAL NOT NULL,
        PRIMARY KEY (rule, labels, at)) WITHOUT ROWID""",
)
_BUSY_SECONDS = 30.0
_FINE = 3 * 3_600.0
_COARSE = 300.0
_MOST_SERIES = 5_000


@dataclass(frozen=True, slots=True)
class Series:
    """One series of one server.

    Attributes:
        labels: its own, and ``instance``, the server.
        at_N: when, Unix seconds, rising.
        value_N: what it was.
        before: when the server was read last before the series began; None: the series is as old as what is kept.
    """

    labels: dict[str, str]
    at_N: NDArray[np.float64]
    value_N: NDArray[np.float64]
    before: float | None = None


class SeriesFile:
    """Samples in the file *path*; every sample for three hours, then one in five minutes, as long as rules look back.

    Args:
        path: of the file.
        keep_seconds: how far back rules look.
    """

    def __init__(self, path: Path, keep_seconds: float) -> None:
        self._file = SqliteFile(path, _TABLES, last="points", what="the file of metrics", busy_seconds=_BUSY_SECONDS)
        self._keep = keep_seconds

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def add(self, scrapes: Iterable[Scrape], at: float) -> int:
        """Keep what was read at *at*, and ``up`` of each server; return how many series had no room.

        At most 5,000 series are kept: a label with a value a request must not fill the disk.
        """

        def change(file: sqlite3.Connection) -> int:
            known = {
                (row["name"], row["target"], row["labels"]): row["id"] for row in file.execute("SELECT * FROM series")
            }
            rows, refused = [], 0
            for name, target, labels, value in _values(scrapes):
                number = known.get((name, target, labels))
                if number is None and len(known) >= _MOST_SERIES:
                    refused += 1
                    continue
                if number is None:
                    insert = "INSERT INTO series (name, target, labels) VALUES (?, ?, ?)"
                    number = known[name, target, labels] = file.execute(insert, (name, target, labels)).lastrowid
                rows.append((number, at, value))
            file.executemany("INSERT OR REPLACE INTO samples VALUES (?, ?, ?)", rows)
            return refused

        return self._file.write(change, durable=False)

    def select(self, name: str, labels: Mapping[str, str], start: float, end: float) -> list[Series]:
        """Return the series of *name* that have *labels*, from the last sample up to *start* to *end*."""

        def read(file: sqlite3.Connection) -> list[Series]:
            found = []
            for row in file.execute("SELECT * FROM series WHERE name = ?", (name,)).fetchall():
                own = {**json.loads(row["labels"]), "instance": row["target"]}
                if labels.items() <= own.items() and (series := _series(file, row, own, start, end)) is not None:
                    found.append(series)
            return found

        return self._file.read(read, [])

    def add_points(self, rule: str, points: Iterable[tuple[str, float, float]]) -> None:
        """Keep what *rule* measured: for each the labels as JSON, when, and the value."""
        rows = [(rule, *point) for point in points]
        insert = "INSERT OR IGNORE INTO points VALUES (?, ?, ?, ?)"
        if rows:
            self._file.write(lambda file: file.executemany(insert, rows), durable=False)

    def points(self, rule: str) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return by labels when *rule* measured what, in order of time."""
        query = "SELECT labels, at, value FROM points WHERE rule = ? ORDER BY labels, at"
        rows: list[sqlite3.Row] = self._file.read(lambda file: file.execute(query, (rule,)).fetchall(), [])
        found: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            found.setdefault(row["labels"], []).append((row["at"], row["value"]))
        return {labels: tuple(np.array(each, dtype=np.float64).T) for labels, each in found.items()}

    def prune(self, now: float, keep_points: float) -> None:
        """Forget what no rule looks back to, thin out what is older than three hours, and forget empty series."""

        def change(file: sqlite3.Connection) -> None:
            file.execute("DELETE FROM samples WHERE at < ?", (now - self._keep,))
            file.execute(
                "DELETE FROM samples WHERE at < ? AND EXISTS (SELECT 1 FROM samples s WHERE s.series = samples.series "
                "AND s.at > samples.at AND CAST(s.at / ? AS INTEGER) = CAST(samples.at / ? AS INTEGER))",
                (now - _FINE, _COARSE, _COARSE),
            )
            file.execute("DELETE FROM series WHERE id NOT IN (SELECT DISTINCT series FROM samples)")
            file.execute("DELETE FROM points WHERE at < ?", (now - keep_points,))

        self._file.write(change, durable=False)


def _values(scrapes: Iterable[Scrape]) -> Iterable[tuple[str, str, str, float]]:
    for scrape in scrapes:
        yield "up", scrape.target, "{}", 1.0 if scrape.error is None else 0.0
        for sample in scrape.samples:
            if np.isfinite(sample.value):
                yield sample.name, scrape.target, json.dumps(dict(sample.labels), sort_keys=True), sample.value


def _series(
    file: sqlite3.Connection, row: sqlite3.Row, labels: dict[str, str], start: float, end: float
) -> Series | None:
    query = (
        "SELECT at, value FROM samples WHERE series = ? AND at <= ? AND at >= coalesce((SELECT max(at) FROM samples "
    )
    query += "WHERE series = ? AND at <= ?), ?) ORDER BY at"
    found = file.execute(query, (row["id"], end, row["id"], start, start)).fetchall()
    if not found:
        return None
    at_N, value_N = np.array([tuple(each) for each in found], dtype=np.float64).T
    return Series(labels, at_N, value_N, _before(file, row, float(at_N[0])))


def _before(file: sqlite3.Connection, row: sqlite3.Row, began: float) -> float | None:
    """Return when the series' server was read with success, last before *began*, where *began* is its first sample."""
    query = "SELECT 1 FROM samples WHERE series = ? AND at < ? LIMIT 1"
    if file.execute(query, (row["id"], began)).fetchone():
        return None
    query = (
        "SELECT max(at) FROM samples WHERE series = (SELECT id FROM series WHERE name = 'up' AND target = ?) "
        "AND at < ? AND value = 1"
    )
    found = file.execute(query, (row["target"], began)).fetchone()[0]
    return None if found is None else float(found)
