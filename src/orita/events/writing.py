"""How sound rows come into a table: interactions are added once, entities take the place of their earlier selves.

Both are one commit, and none where nothing is new.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from orita.core.progress import Progress
from orita.core.sql import quoted
from orita.events.engine import one_row
from orita.events.judging import Judged
from orita.events.lake import Lake, LogSpans, Snapshot
from orita.events.sources.opened import ROW

__all__ = ["Change", "apply_change", "count_change"]

_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Change:
    """What a source would change, or changed, in its table.

    Attributes:
        new: rows that the table did not have.
        updated: rows of entities whose attributes differ.
        version: the version that holds the change, None where nothing changed.
        sql: the rows of the change, for measuring; empty where there are none.
        whole: whether those are all rows of the table, as it was written anew.
    """

    new: int
    updated: int
    version: int | None
    sql: str
    whole: bool = False


def count_change(connection: duckdb.DuckDBPyConnection, lake: Lake, judged: Judged) -> Change:
    """Return what `apply_change` would do, without doing it."""
    if judged.opened.schema.time is None:
        new, updated = _count_entities(connection, lake, judged)
        return Change(new, updated, None, judged.sound)
    table = judged.opened.table
    sql = _unseen(judged, lake.snapshot(table) if lake.exists(table) else None)
    return Change(int(one_row(connection, f"SELECT count(*) FROM {sql}")[0]), 0, None, sql)


def apply_change(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    judged: Judged,
    properties: Mapping[str, str],
    origin: Mapping[str, str],
    progress: Progress,
    offsets: LogSpans | None = None,
) -> Change:
    """Bring the sound rows of *judged* into its table in one commit, if there is anything new.

    Rows of the log bring their *offsets*, and are a commit also where none of them is new; entities have none.
    """
    if judged.opened.schema.time is None:
        return _upsert(connection, lake, judged, properties, origin)
    return _add(connection, lake, judged, properties, origin, progress, offsets)


def _add(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    judged: Judged,
    properties: Mapping[str, str],
    origin: Mapping[str, str],
    progress: Progress,
    offsets: LogSpans | None,
) -> Change:
    table, time = judged.opened.table, judged.opened.schema.time
    stored = lake.snapshot(table) if lake.exists(table) else None
    version = None
    columns = ", ".join(quoted(name) for name in judged.columns)
    rows = connection.sql(f"SELECT {columns} FROM {_unseen(judged, stored)}").to_arrow_reader(_BATCH_ROWS)
    written = _Counted()
    with progress.bar(f"Store {table}", judged.sound_rows) as bar:

        def counted() -> Iterator[pa.RecordBatch]:
            for batch in rows:
                written.rows += batch.num_rows
                bar.advance(batch.num_rows)
                yield batch

        reader = pa.RecordBatchReader.from_batches(rows.schema, counted())
        if judged.sound_rows or offsets:
            version = lake.append(table, reader, properties, time=time, origin=origin, offsets=offsets)
    if not written.rows:
        return Change(0, 0, version if offsets else None, "")
    before, after = set(stored.files if stored else ()), lake.snapshot(table)
    added = Snapshot(table, after.version, tuple(sorted(set(after.files) - before)), written.rows, after.schema)
    return Change(written.rows, 0, after.version, added.sql, whole=not before & set(after.files))


@dataclass(slots=True)
class _Counted:
    rows: int = 0


def _unseen(judged: Judged, stored: Snapshot | None) -> str:
    """Return SQL of the sound rows whose key the table does not have."""
    if stored is None:
        return judged.sound
    key = quoted(judged.opened.schema.key)
    return f"(SELECT * FROM {judged.sound} s WHERE NOT EXISTS (SELECT 1 FROM {stored.sql} t WHERE t.{key} = s.{key}))"


def _upsert(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    judged: Judged,
    properties: Mapping[str, str],
    origin: Mapping[str, str],
) -> Change:
    table = judged.opened.table
    new, updated = _count_entities(connection, lake, judged)
    missing = lake.exists(table) and set(_brought(judged)) - set(lake.snapshot(table).schema.names)
    if not new and not updated and not missing:
        return Change(0, 0, None, "")
    reader = connection.sql(f"SELECT * FROM {_united(lake, judged)}").to_arrow_reader(_BATCH_ROWS)
    version = lake.replace(table, reader, properties, origin=origin)
    return Change(new, updated, version, lake.snapshot(table).sql)


def _count_entities(connection: duckdb.DuckDBPyConnection, lake: Lake, judged: Judged) -> tuple[int, int]:
    """Return how many entities are new, and how many differ in an attribute that the source has."""
    table, key = judged.opened.table, quoted(judged.opened.schema.key)
    if not lake.exists(table):
        return judged.sound_rows, 0
    stored = lake.snapshot(table)
    shared = [name for name in _brought(judged) if name in stored.schema.names]
    differ = " OR ".join(f"s.{quoted(name)} IS DISTINCT FROM t.{quoted(name)}" for name in shared)
    extra = [f"s.{quoted(name)} IS NOT NULL" for name in _brought(judged) if name not in stored.schema.names]
    new, updated = one_row(
        connection,
        f"SELECT count(*) FILTER (t.{key} IS NULL), count(*) FILTER (t.{key} IS NOT NULL AND "
        f"({' OR '.join([differ, *extra])})) FROM {judged.sound} s LEFT JOIN {stored.sql} t ON t.{key} = s.{key}",
    )
    return int(new), int(updated)


def _brought(judged: Judged) -> tuple[str, ...]:
    """Return the stored columns that the source has."""
    return tuple(name for name in judged.opened.declared if name in judged.columns)


def _united(lake: Lake, judged: Judged) -> str:
    """Return SQL of the whole table after the change: each attribute as the source has it, else as stored."""
    table, schema = judged.opened.table, judged.opened.schema
    if not lake.exists(table):
        return f"(SELECT * EXCLUDE ({ROW}) FROM {judged.sound})"
    stored = lake.snapshot(table)
    columns = []
    for name in dict.fromkeys((*judged.columns, *stored.schema.names)):
        new, old = f"s.{quoted(name)}", f"t.{quoted(name)}"
        if name == schema.key:
            columns.append(f"coalesce({new}, {old}) AS {quoted(name)}")
        elif name not in stored.schema.names:
            columns.append(f"{new} AS {quoted(name)}")
        elif name in judged.opened.declared:
            columns.append(f"CASE WHEN s.{ROW} IS NOT NULL THEN {new} ELSE {old} END AS {quoted(name)}")
        else:
            columns.append(f"{old} AS {quoted(name)}")
    key = quoted(schema.key)
    return f"(SELECT {', '.join(columns)} FROM {judged.sound} s FULL JOIN {stored.sql} t ON t.{key} = s.{key})"
