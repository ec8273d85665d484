"""The keys of a batch: which events belong to which key, and the bytes of each.

Legend: N events, E events that have a key, K keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.features.batch import EventBatch
from orita.features.keys import encode_rows
from orita.features.plan import Record
from orita.features.state.ordering import lengths, segments, stable_order

__all__ = ["Keyed", "id_array", "id_values", "keyer_of"]

Integers = npt.NDArray[np.int64]
_LARGEST = 1 << 62

_Ranked = tuple[Integers, npt.NDArray[np.generic], npt.NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Keyed:
    """The events of a batch by key.

    Attributes:
        row_E: which event, key after key.
        key_E: the number of its key, never decreasing.
        ids: the columns of the keys' ids, [K] each: int64, or objects of str.
        count: K.
    """

    row_E: Integers
    key_E: Integers
    ids: tuple[npt.NDArray[np.generic], ...]
    count: int

    def encoded(self, prefix: bytes) -> list[bytes]:
        """Return the bytes of each key behind *prefix*."""
        return encode_rows(prefix, self.ids, self.count)


def keyer_of(batch: EventBatch) -> Callable[[Record], Keyed]:
    """Return how the records of *batch* find its events by key; each column of ids is looked at once."""
    found: dict[str, _Ranked] = {}

    def ranked(name: str) -> _Ranked:
        if name not in found:
            found[name] = _ranks(id_array(batch.table, name))
        return found[name]

    return lambda record: _keyed(record, batch, ranked)


def _keyed(record: Record, batch: EventBatch, ranked: Callable[[str], _Ranked]) -> Keyed:
    """Return the events of *batch* by the keys of *record*; those that lack a part of it are left out."""
    columns = [name for entity in record.entities for name in record.source.key_columns(entity)]
    if not columns:
        count = 1 if len(batch) else 0
        return Keyed(np.arange(len(batch)), np.zeros(len(batch), np.int64), (), count)
    code_N = np.zeros(len(batch), np.int64)
    known_N = np.ones(len(batch), np.bool_)
    bound = 1
    parts = [ranked(name) for name in columns]
    for rank_N, ids_D, has_N in parts:
        if bound * len(ids_D) >= _LARGEST:
            code_N, bound = _dense(code_N)
        code_N, bound = code_N * len(ids_D) + rank_N, bound * max(len(ids_D), 1)
        known_N &= has_N
    row_E = np.flatnonzero(known_N)
    row_E = row_E[stable_order(code_N[row_E], bound)]
    start_K = segments(code_N[row_E])
    key_E = np.repeat(np.arange(len(start_K)), lengths(start_K, len(row_E)))
    first_K = row_E[start_K]
    return Keyed(row_E, key_E, tuple(ids_D[rank_N[first_K]] for rank_N, ids_D, _ in parts), len(start_K))


def id_array(table: pa.Table, name: str) -> pa.Array:
    """Return a column of ids as int64 or strings, null where an event has none."""
    if name not in table.column_names:
        return pa.nulls(len(table), pa.int64())
    column = table[name]
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    column = column.cast(pa.int64() if pa.types.is_integer(kind) else pa.string())
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def id_values(ids: pa.Array) -> npt.NDArray[np.generic]:
    """Return ids without gaps as int64, or as objects of str."""
    if pa.types.is_integer(ids.type):
        return np.asarray(ids.to_numpy(zero_copy_only=False), np.int64)
    return np.array(ids.to_pylist(), object)


def _ranks(column: pa.Array) -> _Ranked:
    """Return the rank of each id among the different ones, these in order, and where there is one."""
    encoded = column.dictionary_encode()
    order = pc.sort_indices(encoded.dictionary)
    size = len(order)
    rank_D = np.zeros(size + 1, np.int64)
    rank_D[np.asarray(order)] = np.arange(size)
    code_N = np.asarray(pc.fill_null(encoded.indices, size).to_numpy(zero_copy_only=False)).astype(np.int64)
    return rank_D[code_N], id_values(encoded.dictionary.take(order)), code_N < size


def _dense(code_N: Integers) -> tuple[Integers, int]:
    different_D, dense_N = np.unique(code_N, return_inverse=True)
    return dense_N.astype(np.int64), len(different_D)
