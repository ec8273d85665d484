"""Rows as Kafka messages: a JSON object a row, which any consumer can read, and exact when it comes back.

JSON has no times, bytes or numbers that are not finite: times, dates and durations travel as integers of their unit,
bytes as base64, and NaN and the infinities as their names. The schema, by its number in a header, tells them apart. The
message's key is the JSON array of the key's values, so that (1, 11) and (11, 1) differ.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.types as pt

__all__ = ["decode_messages", "encode_messages"]

_encode = msgspec.json.Encoder().encode


def encode_messages(rows: pa.RecordBatch, key: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """Return key and value of each row's message."""
    columns = {field.name: _to_wire(rows.column(at), field.type) for at, field in enumerate(rows.schema)}
    names = list(columns)
    values = [_encode(dict(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True)]
    keys = [_encode(row) for row in zip(*(columns[name] for name in key), strict=True)]
    return list(zip(keys, values, strict=True))


def decode_messages(values: Sequence[bytes], schema: pa.Schema) -> pa.RecordBatch:
    """Return the rows of messages that have the same *schema*."""
    rows = msgspec.json.decode(b"[" + b",".join(values) + b"]", type=list[dict[str, Any]])
    columns = [_from_wire([row[field.name] for row in rows], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _to_wire(column: pa.Array, kind: pa.DataType) -> list[Any]:
    wire = _wire_type(kind)
    values: list[Any] = (column if wire == kind else column.cast(wire)).to_pylist()
    return values if _plain(kind) else [_walked(value, kind, _leaf_to_wire) for value in values]


def _from_wire(values: list[Any], kind: pa.DataType) -> pa.Array:
    if not _plain(kind):
        values = [_walked(value, kind, _leaf_from_wire) for value in values]
    wire = _wire_type(kind)
    column = pa.array(values, wire)
    return column if wire == kind else column.cast(kind)


def _wire_type(kind: pa.DataType) -> pa.DataType:
    """Return *kind* with integers for times."""
    if pt.is_timestamp(kind) or pt.is_duration(kind):
        return pa.int64()
    if pt.is_date32(kind):
        return pa.int32()
    if pt.is_list(kind):
        return pa.list_(_wire_type(kind.value_type))
    if pt.is_struct(kind):
        return pa.struct([(each.name, _wire_type(each.type)) for each in kind])
    return kind


def _plain(kind: pa.DataType) -> bool:
    """Return whether all values of *kind*, once times are integers, are JSON as they are."""
    if pt.is_list(kind):
        return _plain(kind.value_type)
    if pt.is_struct(kind):
        return all(_plain(each.type) for each in kind)
    return not (pt.is_floating(kind) or pt.is_binary(kind) or pt.is_large_binary(kind))


def _walked(value: Any, kind: pa.DataType, leaf: Callable[[Any, pa.DataType], Any]) -> Any:
    if value is None:
        return None
    if pt.is_list(kind):
        return [_walked(each, kind.value_type, leaf) for each in value]
    if pt.is_struct(kind):
        return {each.name: _walked(value[each.name], each.type, leaf) for each in kind}
    return leaf(value, kind)


def _leaf_to_wire(value: Any, kind: pa.DataType) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


def _leaf_from_wire(value: Any, kind: pa.DataType) -> Any:
    if pt.is_floating(kind):
        return float(value)
    return base64.b64decode(value) if pt.is_binary(kind) or pt.is_large_binary(kind) else value
