"""Rows of the event log, ready to be judged as those of a file are: a row may be bad, a batch never is.

What a file is refused for as a whole (a column that is missing, or of a type that cannot hold what is declared) is
here told of each row, as the rows are in the log for good.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from orita.core.sql import literal, quoted
from orita.events.config import Timestamps, ValidationConfig
from orita.events.log.columns import united
from orita.events.log.log import Batch
from orita.events.schema import Column, TableSchema
from orita.events.sources.opened import FAULT, NESTED, ROW, TEXT, Opened, with_natural_key

if TYPE_CHECKING:
    import duckdb

__all__ = ["OFFSET", "PARTITION", "misplaced", "open_batches", "plain_value"]

PARTITION, OFFSET = "_partition", "_offset"
"""Columns beside the rows' own: where in the log a row is; quarantine keeps them with the row."""

_APPENDED = "_appended_at"
_OWN = (ROW, FAULT, TEXT, NESTED, PARTITION, OFFSET, _APPENDED)
_RELATION = "log_rows"


def open_batches(
    connection: duckdb.DuckDBPyConnection,
    stream: str,
    batches: Sequence[Batch],
    schema: TableSchema,
    config: ValidationConfig,
    before: Mapping[int, int],
) -> Opened:
    """Return the rows of *batches* as one source of the table of *schema*.

    Args:
        connection: the engine that will read it.
        stream: where the rows are from.
        batches: one row or more.
        schema: what a row must look like.
        config: how times are written.
        before: up to where the table holds the stream; it names the source, so that what is read again after a kill
            is the same source.
    """
    rows = _numbered(batches)
    connection.register(_RELATION, rows)
    values, nested = _values(rows.schema, schema, config)
    nests = [f"CASE WHEN {quoted(name)} IS NOT NULL THEN {literal(name)} END" for name in nested]
    parts = [ROW, _APPENDED, f"NULL::VARCHAR AS {FAULT}", f"NULL::VARCHAR AS {TEXT}"]
    if nested:
        parts.append(f"list_filter([{', '.join(nests)}], lambda name: name IS NOT NULL) AS {NESTED}")
    sql = f"(SELECT {', '.join(parts + [f'{value} AS {quoted(name)}' for name, value in values.items()])} "
    sql += f"FROM {_RELATION})"
    described = connection.execute(f"DESCRIBE SELECT * FROM {sql}").fetchall()
    columns = {row[0]: row[1] for row in described if row[0] in values}
    digest = hashlib.sha256(repr((stream, sorted(before.items()))).encode()).hexdigest()
    opened = Opened(
        schema.name, Path("log") / stream, digest, sql, columns, schema, config.timestamps, nested=bool(nested),
        came=f"epoch_us({_APPENDED})",
    )  # fmt: skip
    return with_natural_key(opened)


def _numbered(batches: Sequence[Batch]) -> pa.Table:
    """Return all rows with their number, their place in the log, and when they came there."""
    parts = []
    for batch in batches:
        n = batch.rows.num_rows
        offsets_N = np.arange(batch.first, batch.first + n, dtype=np.int64)
        own = {name: batch.rows.column(name) for name in batch.rows.schema.names if name not in _OWN}
        own[PARTITION] = pa.array(np.full(n, batch.partition, np.int32))
        own[OFFSET] = pa.array(offsets_N)
        own[_APPENDED] = pa.array(batch.appended_at_N, pa.timestamp("us", tz="UTC"))
        parts.append(pa.RecordBatch.from_pydict(own))
    rows = pa.Table.from_batches([united(parts)])
    return rows.append_column(ROW, pa.array(np.arange(1, rows.num_rows + 1, dtype=np.int64)))


def _values(rows: pa.Schema, schema: TableSchema, config: ValidationConfig) -> tuple[dict[str, str], list[str]]:
    """Return SQL of each column's value by name, and the columns with objects, lists or bytes where none belong."""
    declared = {column.name: column for column in schema.columns}
    values, nested = {}, []
    for field in rows:
        if field.name in (ROW, _APPENDED):
            continue
        values[field.name] = plain_value(field, declared.get(field.name), config.timestamps)
        if field.name in declared and misplaced(field.type, declared[field.name]):
            nested.append(field.name)
    for column in schema.columns:
        derived = column.name == schema.key and schema.natural_key
        needed = schema.requires(column) or column.name in schema.natural_key
        if column.name not in values and needed and not derived:
            values[column.name] = "CAST(NULL AS VARCHAR)"
    return values, nested


def misplaced(kind: pa.DataType, column: Column) -> bool:
    """Return whether values of a type are objects, lists or bytes, and *column* is of none such."""
    if pt.is_list(kind) or pt.is_large_list(kind):
        return column.type != "list"
    return bool(pt.is_nested(kind) or pt.is_binary(kind) or pt.is_large_binary(kind))


def plain_value(field: pa.Field, column: Column | None, timestamps: Timestamps) -> str:
    """Return SQL of the values of *field* as the rules of *column* read them; those of no rule stay as they are."""
    raw, kind = quoted(field.name), field.type
    if column is None:
        return raw
    if misplaced(kind, column):
        if pt.is_nested(kind):
            return f"CAST(to_json({raw}) AS VARCHAR)"
        return f"hex({raw})" if column.type == "list" else f"CAST({raw} AS VARCHAR)"
    number = pt.is_integer(kind) or pt.is_floating(kind)
    if pt.is_duration(kind) or (column.type == "time" and number and timestamps == "iso"):
        value = f"CAST({raw} AS VARCHAR)"
        return f"CASE WHEN NOT isnan({raw}) THEN {value} END" if pt.is_floating(kind) else value
    return raw
