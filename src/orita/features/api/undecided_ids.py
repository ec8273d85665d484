"""Ids of which nobody knows yet whether they are numbers or texts: what the first that arrive decide.

Whole numbers that fit, also written as text, are numbers; one that is none makes all of them texts. The lake takes
over what the log decided. A column without any id says nothing: it goes into the log as nulls of no type.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow as pa

from orita.events.schema import TableSchema
from orita.events.whole_ids import are_whole

__all__ = ["decided_ids", "of_one_type", "suggested_types"]


def suggested_types(schema: TableSchema, rows: pa.Table, id_types: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
    """Return the types that *rows* suggest for ids that have none yet: int64 or string, by column.

    Args:
        schema: what the columns are.
        rows: events.
        id_types: by column, the types that are decided already.
    """
    found = {}
    for column in schema.columns:
        name = column.name
        if column.type != "id" or name in id_types or name not in rows.column_names:
            continue
        ids = rows[name]
        if ids.null_count < len(ids):
            found[name] = pa.int64() if are_whole(ids) else pa.string()
    return found


def of_one_type(suggested: Mapping[str, pa.DataType], alike: Mapping[str, Collection[str]]) -> dict[str, pa.DataType]:
    """Return *suggested* types, those of columns that are *alike* the same: texts, where one of them has some."""
    texts = {name for name, kind in suggested.items() if pa.types.is_string(kind)}
    return {name: pa.string() if texts & {name, *alike.get(name, ())} else kind for name, kind in suggested.items()}


def decided_ids(
    schema: TableSchema,
    rows: pa.Table,
    id_types: Mapping[str, pa.DataType],
    alike: Mapping[str, Collection[str]] | None = None,
) -> pa.Table:
    """Return *rows* with ids that have a type, of nulls alone none; arguments as there.

    Columns that are *alike*, by name, have one type.
    """
    found = of_one_type(suggested_types(schema, rows, id_types), alike or {})
    for name in (column.name for column in schema.columns if column.type == "id" and column.name != schema.key):
        if name in rows.column_names and name not in id_types and name not in found:
            found[name] = pa.null()
    for name, kind in found.items():
        ids = pa.chunked_array([pa.nulls(len(rows))]) if pa.types.is_null(kind) else rows[name].cast(kind)
        rows = rows.set_column(rows.column_names.index(name), name, ids)
    return rows
