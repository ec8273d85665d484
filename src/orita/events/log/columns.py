"""Which columns a log stores, and how those of several appends go together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import pyarrow as pa
import pyarrow.types as pt

from orita.core.errors import UserError

__all__ = ["checked_against", "in_schema", "plain_batch", "united"]

_SIMPLE = (
    pt.is_null,
    pt.is_boolean,
    pt.is_integer,
    pt.is_float32,
    pt.is_float64,
    pt.is_string,
    pt.is_large_string,
    pt.is_binary,
    pt.is_large_binary,
    pt.is_timestamp,
    pt.is_date32,
    pt.is_duration,
)


def plain_batch(rows: pa.RecordBatch | pa.Table) -> pa.RecordBatch:
    """Return *rows* as one batch of storable columns: dictionaries as their values, without metadata.

    Raises:
        UserError: a name is there twice, or a type is not storable in every log.
    """
    schema = _plain_schema(rows.schema)
    if isinstance(rows, pa.Table):
        rows = _one_batch(rows)
    if rows.schema.equals(schema, check_metadata=True):
        return rows
    columns = [column.cast(field.type) for column, field in zip(rows.columns, schema, strict=True)]
    return _batch(columns, schema, rows.num_rows)


@lru_cache(maxsize=256)
def _plain_schema(schema: pa.Schema) -> pa.Schema:
    repeated = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if repeated:
        raise UserError(f"column {repeated[0]!r} is there twice: give each column a name of its own.")
    return pa.schema([(field.name, _plain_type(field.name, field.type)) for field in schema])


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.to_batches()
    if len(batches) == 1:
        return batches[0]
    columns = [pa.concat_arrays(c.chunks) if c.num_chunks else pa.array([], c.type) for c in table.columns]
    return _batch(columns, table.schema, table.num_rows)


def _batch(columns: Sequence[pa.Array], schema: pa.Schema, rows: int) -> pa.RecordBatch:
    if rows and not len(schema):
        raise UserError("the rows have no columns: append at least the columns of the key.")
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _plain_type(name: str, kind: pa.DataType) -> pa.DataType:
    if pt.is_dictionary(kind):
        return _plain_type(name, kind.value_type)
    if pt.is_list(kind) or pt.is_large_list(kind):
        return pa.list_(_plain_type(name, kind.value_type))
    if pt.is_struct(kind):
        return pa.struct([(each.name, _plain_type(name, each.type)) for each in kind])
    if any(is_one(kind) for is_one in _SIMPLE):
        return kind
    raise UserError(
        f"column {name!r} has the type {kind}, which a log does not store: cast it to a bool, integer, float32, "
        "float64, string, binary, timestamp, date32 or duration, or to a list or struct of these."
    )


def checked_against(known: pa.Schema, new: pa.Schema, stream: str) -> pa.Schema:
    """Return *known* with the columns that only *new* has; one of nothing but nulls has no type yet.

    Raises:
        UserError: a column that both have is of another type in *new*.
    """
    for field in new:
        at = known.get_field_index(field.name)
        if at < 0 or pt.is_null(field.type):
            continue
        if pt.is_null(known.field(at).type):
            known = known.set(at, field)
        elif known.field(at).type != field.type:
            raise UserError(
                f"column {field.name!r} of stream {stream!r} is {known.field(at).type}, and these rows have it as "
                f"{field.type}: cast it, or append it under another name."
            )
    added = [field for field in new if known.get_field_index(field.name) < 0]
    return pa.schema([*known, *added]) if added else known


def united(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Return *batches* as one: the union of their columns in order of appearance, null where a batch has none."""
    if not batches:
        return pa.RecordBatch.from_arrays([], schema=pa.schema([]))
    if len(batches) == 1:
        return batches[0]
    schema = batches[0].schema
    if all(batch.schema.equals(schema) for batch in batches):
        return pa.concat_batches(batches)
    schema = _union(batch.schema for batch in batches)
    return pa.concat_batches([in_schema(batch, schema) for batch in batches])


def _union(schemas: Iterable[pa.Schema]) -> pa.Schema:
    fields: dict[str, pa.Field] = {}
    for schema in dict.fromkeys(schemas):
        for field in schema:
            if field.name not in fields or pt.is_null(fields[field.name].type):
                fields[field.name] = field
    return pa.schema(list(fields.values()))


def in_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return *batch* with the columns of *schema*, which has all of its own; null where it has none."""
    if batch.schema.equals(schema):
        return batch
    have = {field.name for field in batch.schema if not pt.is_null(field.type)}
    columns = [
        batch.column(field.name) if field.name in have else pa.nulls(batch.num_rows, field.type) for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
