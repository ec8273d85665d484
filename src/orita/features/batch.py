"""Events of one source as arrays, ready to be aggregated: what `history` and `stream` both begin with.

Legend: N events; X pairs of an event and one of the several values of an attribute.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.events.schema import Column
from orita.features.declarations import Aggregate, Attribute, EventColumn, Residual, Source
from orita.features.declaring.conditions import Condition, columns_of
from orita.features.masks import condition_mask

__all__ = [
    "ID_BYTES",
    "Booleans",
    "EventBatch",
    "Floats",
    "Integers",
    "Many",
    "attribute_column",
    "attributes_of",
    "column_values",
    "event_batch",
    "id_bytes",
    "identities",
    "known_times",
    "times_of",
]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

ID_BYTES = 40
"""So many bytes of an event id order the events of one instant."""

_ORDERED = ("first", "last")
_DISTINCT = ("distinct", "approx_distinct")


@dataclass(frozen=True, slots=True)
class Many:
    """The values of an attribute that may have several: event ``row_X`` has the code ``code_X``."""

    row_X: Integers
    code_X: Integers


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events of one source, in any order.

    Attributes:
        source: whose they are.
        table: their columns as read, among them the event id and the keys.
        time_N: event times, microseconds since the Unix epoch.
        known_N: when each became known, never before its time.
        id_N: the first bytes of each event id (dtype ``S40``), where the order inside an instant counts; else None.
        values: by column, what aggregates read: numbers, NaN where missing (integers and flags without gaps as
            int64); a category as the number of its value.
        distinct: by column, what `count_distinct` tells apart: int64, of texts a 64-bit BLAKE2b hash.
        known: by column of `distinct`, where it is not missing.
        masks: by condition, where it holds.
        attributes: by name, numbers (a category's code), NaN where unknown; only attributes of one value.
        many: by name, the attributes of several values.
    """

    source: Source
    table: pa.Table
    time_N: Integers
    known_N: Integers
    id_N: npt.NDArray[np.bytes_] | None
    values: Mapping[str, npt.NDArray[np.generic]]
    distinct: Mapping[str, Integers]
    known: Mapping[str, Booleans]
    masks: Mapping[Condition, Booleans]
    attributes: Mapping[str, Floats]
    many: Mapping[str, Many]

    def __len__(self) -> int:
        return len(self.time_N)


def attribute_column(attribute: Attribute) -> str:
    """Return the name under which a table of events holds an attribute of their entities."""
    return f"@{attribute.name}"


def event_batch(
    source: Source,
    table: pa.Table,
    aggregates: Iterable[Aggregate],
    attributes: Iterable[Attribute],
    *,
    ids: bool = True,
) -> EventBatch:
    """Return the events of *table* as arrays.

    Args:
        source: whose events they are.
        table: the source's columns under their own names; a column that is absent is missing everywhere. Of every
            attribute, a column `attribute_column`, of numbers or, where it has several values, of lists of codes.
        aggregates: what will be computed of them; those of other sources are passed over.
        attributes: which attributes of their entities are needed.
        ids: whether to make ``id_N`` where the order inside an instant counts.
    """
    wanted = [aggregate for aggregate in aggregates if aggregate.source == source]
    single, many = attributes_of(table, attributes)
    schema = source.schema
    table = table.combine_chunks()
    apart = {v.column.name for a in wanted if a.function in _DISTINCT and (v := _column(a)) is not None}
    told = {
        v.column.name: v.column
        for a in wanted
        if a.function not in _DISTINCT
        for v in (_column(a), a.denominator)
        if v is not None
    }
    ordered = any(a.function in _ORDERED or a.window.cap for a in wanted)
    hashed = {name: identities(_declared(table, schema.column(name))) for name in sorted(apart)}
    return EventBatch(
        source=source,
        table=table,
        time_N=times_of(table, schema.time or ""),
        known_N=known_times(table, source),
        id_N=id_bytes(_read(table, schema.key)) if ordered and ids else None,
        values={name: column_values(table, column) for name, column in told.items()},
        distinct={name: value_N for name, (value_N, _) in hashed.items()},
        known={name: known_N for name, (_, known_N) in hashed.items()},
        masks=_masks(table, wanted),
        attributes=single,
        many=many,
    )


def attributes_of(table: pa.Table, attributes: Iterable[Attribute]) -> tuple[dict[str, Floats], dict[str, Many]]:
    """Return, from the columns `attribute_column`, the attributes of one value and those of several, by name."""
    held = list(attributes)
    return (
        {a.name: _floats(table[attribute_column(a)]) for a in held if not a.many},
        {a.name: _many(table[attribute_column(a)]) for a in held if a.many},
    )


def _column(aggregate: Aggregate) -> EventColumn | None:
    value = aggregate.value
    return value.column if isinstance(value, Residual) else value


def _read(table: pa.Table, name: str) -> pa.ChunkedArray:
    return table[name] if name in table.column_names else pa.chunked_array([pa.nulls(len(table))])


def _declared(table: pa.Table, column: Column) -> pa.ChunkedArray:
    """Return a column, missing where a category has a value that is not among its choices."""
    values = _read(table, column.name)
    if column.type != "category" or not column.choices:
        return values
    return pc.if_else(pc.is_in(values.cast(pa.string()), pa.array(column.choices, pa.string())), values, None)


def times_of(table: pa.Table, name: str) -> Integers:
    """Return a column of times, none of them missing, as microseconds since the Unix epoch."""
    column = _read(table, name)
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
    return _integers(column)


def known_times(table: pa.Table, source: Source) -> Integers:
    """Return when each event of *table* became known, microseconds since the Unix epoch, never before its time."""
    time_N = times_of(table, source.schema.time or "")
    declared = time_N + source.delay_micros if source.delay_micros else time_N
    if source.schema.ingested is None or source.schema.ingested not in table.column_names:
        return declared
    said = table[source.schema.ingested]
    if said.null_count == len(said):
        return declared
    missing_N = np.asarray(pc.is_null(said).to_numpy())
    epoch = pa.scalar(0, pa.int64()).cast(pa.timestamp("us")).cast(said.type)
    ingested_N = times_of(pa.table({"known": pc.fill_null(said, epoch)}), "known")
    return np.maximum(np.where(missing_N, declared, ingested_N), time_N)


def id_bytes(column: pa.ChunkedArray) -> npt.NDArray[np.bytes_]:
    """Return the first bytes of event ids as UTF-8, padded with zeros."""
    raw = column.cast(pa.string()).cast(pa.binary()).to_numpy()
    return np.asarray(raw, f"S{ID_BYTES}")


def column_values(table: pa.Table, declared: Column) -> npt.NDArray[np.generic]:
    """Return a column as numbers, [N], NaN where missing: int64 where there are no gaps, categories as their codes."""
    column = _read(table, declared.name)
    if declared.type == "category":
        codes = pc.index_in(column.cast(pa.string()), pa.array(declared.choices, pa.string()))
        return _floats(codes)
    whole = pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)
    return _integers(column) if whole and not column.null_count else _floats(column)


def _masks(table: pa.Table, aggregates: Iterable[Aggregate]) -> dict[Condition, Booleans]:
    conditions = {a.condition for a in aggregates if a.condition is not None}
    operands = {name: _read(table, name) for condition in conditions for name in columns_of(condition)}
    return {condition: condition_mask(condition, operands) for condition in conditions}


def identities(column: pa.ChunkedArray) -> tuple[Integers, Booleans]:
    """Return numbers that are equal where values are, and where there is one."""
    known_N = np.asarray(pc.is_valid(column).to_numpy())
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return _integers(pc.fill_null(column.cast(pa.int64()), 0)), known_N
    if pa.types.is_floating(column.type):
        value_N = _floats(column)
        return (value_N + 0.0).view(np.int64), known_N & ~np.isnan(value_N)  # -0.0 + 0.0 is 0.0
    encoded = pc.dictionary_encode(column.cast(pa.string())).combine_chunks()
    chunk = encoded if isinstance(encoded, pa.DictionaryArray) else encoded.chunk(0)
    digests = (hashlib.blake2b(text.encode(), digest_size=8).digest() for text in chunk.dictionary.to_pylist())
    hashed_D = np.append(np.frombuffer(b"".join(digests), np.int64), np.int64(0))
    code_N = _integers(pa.chunked_array([pc.fill_null(chunk.indices, len(chunk.dictionary))]))
    return hashed_D[code_N], known_N


def _many(column: pa.ChunkedArray) -> Many:
    lists = column.combine_chunks()
    return Many(
        np.asarray(pc.list_parent_indices(lists).cast(pa.int64()).to_numpy(zero_copy_only=False)),
        np.asarray(pc.list_flatten(lists).cast(pa.int64()).to_numpy(zero_copy_only=False)),
    )


def _integers(column: pa.ChunkedArray) -> Integers:
    return np.asarray(column.cast(pa.int64()).to_numpy())


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy())
