"""Rows that ask for features of the past: typed like the events that they are to be matched with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.clock import to_micros
from orita.core.errors import UserError, closest
from orita.events.arriving import ALLOWED
from orita.events.arrow_rows import as_table
from orita.events.lake import Snapshot
from orita.events.schema import Column
from orita.events.typed_columns import absent, typed
from orita.features.plan import Plan

__all__ = ["asked_rows"]

_EARLIEST, _LATEST = to_micros(datetime(1, 1, 1, tzinfo=UTC)), to_micros(datetime(9999, 12, 31, tzinfo=UTC))


def asked_rows(
    plan: Plan, snapshots: Mapping[str, Snapshot], rows: pa.Table | Iterable[Mapping[str, object]]
) -> pa.Table:
    """Return *rows* with keys of the type that the events have, and times in UTC; other columns stay as they are.

    Raises:
        UserError: the time column or a key is missing, a row has no time, or a value is none of its column: an id that
            is no whole number where the events have whole numbers, a time that is none, and so on.
    """
    source = plan.system.source
    given = as_table(rows)
    needed = dict.fromkeys([source.schema.time or "", *(c for entity in plan.entities for c in entity.columns)])
    for name in needed:
        if name not in given.column_names:
            raise UserError(f"rows that ask for features need the column {name!r}. {closest(name, given.column_names)}")
    stored = snapshots[source.name].schema
    columns = {name: given[name] for name in given.column_names}
    for column in source.schema.columns:
        if column.name in columns:
            kind = stored.field(column.name).type if column.type == "id" and column.name in stored.names else None
            columns[column.name] = _typed(columns[column.name], column, kind)
    missing = _first(pc.is_null(columns[source.schema.time or ""]))
    if missing is not None:
        raise UserError(
            f"row {missing} has no {source.schema.time!r}: features are as of a time, such as 2024-11-15T10:30:00Z."
        )
    return pa.table(columns)


def _typed(given: pa.ChunkedArray, column: Column, kind: pa.DataType | None) -> pa.ChunkedArray:
    """Return values in the type of their column, of ids in *kind*, where that is decided."""
    made = typed(given, column, kind)
    broken = pc.is_null(made)
    if column.type == "id" and pa.types.is_floating(given.type) and not pa.types.is_integer(made.type):
        broken = pc.is_valid(made)  # 9.0 is no text
    elif column.type == "time":
        micros = made.cast(pa.int64())
        broken = pc.or_(broken, pc.fill_null(pc.or_(pc.less(micros, _EARLIEST), pc.greater(micros, _LATEST)), False))
    missing = absent(given, column)
    row = _first(broken if missing is None else pc.and_(broken, pc.invert(missing)))
    if row is not None:
        value = given[row]
        if pa.types.is_temporal(value.type):  # Python has no years beyond 9999
            value = value.cast(pa.string())
        allowed = _allowed(column, made.type)
        raise UserError(f"row {row}: {column.name!r} is {value.as_py()!r}; allowed is {allowed}, or nothing.")
    return made


def _allowed(column: Column, kind: pa.DataType) -> str:
    if column.type == "id":
        return "a whole number, as the events have" if pa.types.is_integer(kind) else "text, or a whole number"
    return ALLOWED[column.type]


def _first(said: pa.ChunkedArray) -> int | None:
    found_N = np.flatnonzero(said.to_numpy())
    return int(found_N[0]) if len(found_N) else None
