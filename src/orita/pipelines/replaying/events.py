"""Log and lake held against each other, and the events that features are rebuilt from.

The log is read once, from where the span may begin, into a file; DuckDB does the rest and spills what does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orita.core.sql import literal, quoted
from orita.events.arriving import arrived
from orita.events.engine import one_row
from orita.events.id_types import stored_id_types
from orita.events.lake import Lake, Snapshot
from orita.events.lake.commits import read_commit
from orita.events.lake.lifetimes import lifetimes
from orita.events.log.log import EventLog
from orita.features.api.relations import Tables
from orita.features.declarations import Source
from orita.pipelines.replaying.findings import MOST_EXAMPLES, Part
from orita.pipelines.replaying.span import Span
from orita.pipelines.workspace import Workspace

__all__ = ["Replayed", "replay_events", "source_of_system"]

_ROWS = 1 << 16
_DAY = 86_400_000_000
_FROM_LOG = "log/"
_SOUND, _STORED = "@sound", "@stored"
UNSOUND = "rows of the log that break a rule: quarantine has them"
WAITING = "rows of the log that the lake does not have yet: 'orita features stream' brings them"
BY_FILES = "events of the lake that came by files, or that the log has let go of"


@dataclass(frozen=True, slots=True)
class Replayed:
    """The events that features are rebuilt from.

    Attributes:
        relations: SQL of each table: the lake's rows, and those of the log that the lake does not have yet.
        with_lost: likewise, with the rows that the lake should have and has not; None where there are none.
        without_unlogged: likewise, without the rows that came from the log and are there no more; None without any.
    """

    relations: Mapping[str, str]
    with_lost: Mapping[str, str] | None = None
    without_unlogged: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Staged:
    """Rows of the log in a table of the connection, and which rows of the lake can be held against them."""

    source: Source
    table: str
    columns: tuple[str, ...]
    lake: str
    of_log: str


def source_of_system(workspace: Workspace) -> dict[str, Source]:
    """Return the sources that features are computed from, by name."""
    found = {record.source.name: record.source for record in workspace.plan.records}
    return {**found, workspace.system.source.name: workspace.system.source}


def replay_events(
    workspace: Workspace,
    log: EventLog,
    tables: Tables,
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    span: Span,
) -> tuple[Part, Replayed]:
    """Compare the events of *span* in the log with those in the lake; return also what features are rebuilt from.

    Args:
        workspace: whose log and lake.
        log: the event log.
        tables: the lake's tables.
        connection: where they can be read.
        folder: for what is read of the log.
        span: of event times.
    """
    part = Part("events", "events")
    relations, lost, unlogged = dict(tables.relations), dict[str, str](), dict[str, str]()
    for source in source_of_system(workspace).values():
        if source.name not in log.streams() or source.name not in tables.snapshots:
            continue
        staged = _stage(workspace, log, tables.snapshots[source.name], source, connection, folder, span)
        _compare(part, staged, connection, span)
        base = _with_rows(connection, staged, f"{quoted(_SOUND)} AND NOT {quoted(_STORED)}", "tail")
        if base is not None:
            relations[source.name] = base
        more = _with_rows(connection, staged, quoted(_SOUND), "lost")
        if more is not None and part.kinds.get("not_in_lake"):
            lost[source.name] = more
        if part.kinds.get("not_in_log"):
            gone, key = quoted(f"gone_{source.name}"), quoted(source.schema.key)
            connection.execute(f"CREATE OR REPLACE TABLE {gone} AS SELECT k FROM judged WHERE kind = 'not_in_log'")
            unlogged[source.name] = (
                f"(SELECT * FROM {relations[source.name]} WHERE {key} NOT IN (SELECT k FROM {gone}))"
            )
    return part, Replayed(
        relations,
        {**relations, **lost} if lost else None,
        {**relations, **unlogged} if unlogged else None,
    )


def _stage(
    workspace: Workspace,
    log: EventLog,
    snapshot: Snapshot,
    source: Source,
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    span: Span,
) -> _Staged:
    """Read what the log has of *source* into a table, judged as the stream and the lake judge it."""
    file, schema = folder / f"{source.name}.parquet", source.schema
    columns = tuple(name for name in schema.names if name in snapshot.schema.names)
    kinds = pa.schema(
        [*((name, snapshot.schema.field(name).type) for name in columns), (_SOUND, pa.bool_()), (_STORED, pa.bool_())]
    )
    with pq.ParquetWriter(file, kinds) as writer:
        for rows in _rows_of_log(workspace, log, source, columns, kinds, span):
            writer.write_table(rows)
    table = quoted(f"replayed_{source.name}")
    connection.execute(f"CREATE OR REPLACE TABLE {table} AS FROM read_parquet({literal(str(file))})")
    file.unlink()
    begun = _kept_from(log, source.name)
    return _Staged(source, table, columns, snapshot.sql, _of_log(Lake(workspace.home), snapshot, source, max(begun, 0)))


def _rows_of_log(
    workspace: Workspace, log: EventLog, source: Source, columns: tuple[str, ...], kinds: pa.Schema, span: Span
) -> Iterator[pa.Table]:
    lake, name = Lake(workspace.home), source.name
    stored = lake.offsets(source.schema.name)
    ids = {c.name for c in source.schema.columns if c.type == "id"}
    id_types = stored_id_types(lake, ids, first=source.schema.name)
    ahead = int(workspace.data.validation.future_days * _DAY)
    with workspace.progress.bar(f"Read the log of {name}") as bar:
        for partition in range(log.partitions(name)):
            at, end = _first_offset(log, name, partition, span.micros[0] - ahead), log.end(name, partition)
            at = min(at, max(stored.get(partition, at), log.start(name, partition)))
            while at < end:
                batch = log.read(name, partition, at, min(_ROWS, end - at))
                judged = arrived(
                    source.schema,
                    pa.Table.from_batches([batch.rows]),
                    id_types,
                    workspace.data.validation,
                    batch.appended_at_N,
                )
                offset_N = np.arange(batch.first, batch.next)
                rows = {
                    each: judged.table[each].cast(kinds.field(each).type)
                    if each in judged.table.column_names
                    else pa.nulls(len(offset_N), kinds.field(each).type)
                    for each in columns
                }
                rows |= {
                    _SOUND: pa.array(judged.sound_N),
                    _STORED: pa.array(offset_N < stored.get(partition, 0)),
                }
                yield pa.table(rows, kinds)
                at = batch.next
                bar.advance(len(offset_N))


def _first_offset(log: EventLog, stream: str, partition: int, micros: int) -> int:
    """Return the first kept offset of what was appended at *micros* or later: times of appending never decrease."""
    low, high = log.start(stream, partition), log.end(stream, partition)
    while low < high:
        middle = (low + high) // 2
        if int(log.read(stream, partition, middle, 1).appended_at_N[0]) < micros:
            low = middle + 1
        else:
            high = middle
    return low


def _kept_from(log: EventLog, stream: str) -> int:
    """Return from when of appending on the log is whole, microseconds since the Unix epoch; 0: from its beginning."""
    found = 0
    for partition in range(log.partitions(stream)):
        start = log.start(stream, partition)
        if start and start < log.end(stream, partition):
            found = max(found, int(log.read(stream, partition, start, 1).appended_at_N[0]))
        elif start:
            found = max(found, np.iinfo(np.int64).max)
    return found


def _of_log(lake: Lake, snapshot: Snapshot, source: Source, begun: int) -> str:
    """Return SQL of the rows of the lake that came from the log, and that it still has.

    A file that a compaction made holds rows of either origin, so its rows are not among them.
    """
    folder = lake.home.table(source.schema.name)
    first = {file: life.first for file, life in lifetimes(folder).items()}
    commits = {number: read_commit(folder, number) for number in {first[f] for f in snapshot.files if f in first}}
    came = {n for n, each in commits.items() if each.properties.get("source", "").startswith(_FROM_LOG)}
    files = tuple(file for file in snapshot.files if first.get(file) in came)
    relation = replace(snapshot, files=files).sql
    time = quoted(source.schema.time or "")
    return f"(SELECT * FROM {relation} WHERE epoch_us({time}) >= {begun})"


def _compare(part: Part, staged: _Staged, connection: duckdb.DuckDBPyConnection, span: Span) -> None:
    """Count the events of *span* that are in both with the same values, and those that are not."""
    _judge(staged, connection, span)
    source, time = staged.source, quoted(staged.source.schema.time or "")
    query = f"SELECT {_day('moment')}, kind, count(*) FROM judged GROUP BY ALL ORDER BY ALL"
    for day, kind, count in connection.execute(query).fetchall():
        part.compared(source.name, day, count, count if kind else 0)
        if kind:
            part.differs(kind, count)
    chosen = f"row_number() OVER (PARTITION BY kind ORDER BY k) <= {MOST_EXAMPLES}"
    query = f"SELECT kind, k FROM judged WHERE kind NOT NULL QUALIFY {chosen} ORDER BY ALL"
    for kind, key in connection.execute(query).fetchall():
        if sum(each["kind"] == kind for each in part.examples) < MOST_EXAMPLES:
            part.examples.append({"kind": kind, "table": source.name, source.schema.key: str(key)})
    inside, sound, stored = _inside(span, time), quoted(_SOUND), quoted(_STORED)
    for reason, relation, condition in (
        (WAITING, staged.table, f"{inside} AND {sound} AND NOT {stored}"),
        (UNSOUND, staged.table, f"NOT {sound} AND ({inside} OR {time} IS NULL)"),
        (BY_FILES, staged.lake, f"{inside} AND {quoted(source.schema.key)} NOT IN (SELECT k FROM judged)"),
    ):
        part.leave_out(reason, int(one_row(connection, f"SELECT count(*) FROM {relation} WHERE {condition}")[0]))


def _judge(staged: _Staged, connection: duckdb.DuckDBPyConnection, span: Span) -> None:
    """Make the table ``judged``: each event of *span* of the log, its time, and how log and lake differ in it."""
    key, time = quoted(staged.source.schema.key), quoted(staged.source.schema.time or "")
    inside = _inside(span, time)
    same = " AND ".join(f"l.{quoted(name)} IS NOT DISTINCT FROM s.{quoted(name)}" for name in staged.columns)
    held = f"SELECT {key} AS k, min({time}) AS moment FROM {staged.table} WHERE {{}} AND {inside} GROUP BY k"
    stored = held.format(f"{quoted(_SOUND)} AND {quoted(_STORED)}")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE judged AS WITH held AS ({stored}), "
        f"there AS (SELECT DISTINCT {key} AS k FROM {staged.lake} WHERE {key} IN (SELECT k FROM held)), "
        f"alike AS (SELECT DISTINCT l.{key} AS k FROM {staged.lake} l JOIN {staged.table} s ON {same}), "
        f"unlogged AS (SELECT {key} AS k, {time} AS moment FROM {staged.of_log} WHERE {inside} "
        f"AND {key} NOT IN (SELECT {key} FROM {staged.table} WHERE {key} NOT NULL)) "
        "SELECT k, moment, CASE WHEN k NOT IN (SELECT k FROM there) THEN 'not_in_lake' "
        "WHEN k NOT IN (SELECT k FROM alike) THEN 'other_values' END AS kind FROM held "
        "UNION ALL SELECT k, moment, 'not_in_log' FROM unlogged"
    )


def _inside(span: Span, time: str) -> str:
    start, end = span.micros
    return f"epoch_us({time}) >= {start} AND epoch_us({time}) < {end}"


def _day(time: str) -> str:
    return f"strftime({time} AT TIME ZONE 'UTC', '%Y-%m-%d')"


def _with_rows(connection: duckdb.DuckDBPyConnection, staged: _Staged, condition: str, name: str) -> str | None:
    """Return SQL of the lake with the rows of the log that are *condition* and that it has not; None without any."""
    key = quoted(staged.source.schema.key)
    table = quoted(f"{name}_{staged.source.name}")
    listed = ", ".join(map(quoted, staged.columns))
    connection.execute(
        f"CREATE OR REPLACE TABLE {table} AS SELECT DISTINCT ON ({key}) {listed} FROM {staged.table} "
        f"WHERE {condition} AND {key} NOT IN (SELECT {key} FROM {staged.lake})"
    )
    if not one_row(connection, f"SELECT count(*) FROM {table}")[0]:
        return None
    return f"(SELECT {listed} FROM {staged.lake} UNION ALL SELECT {listed} FROM {table})"
