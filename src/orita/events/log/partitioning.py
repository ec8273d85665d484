"""Which partition a row belongs to: the same for the same key, in every process, on every machine, in every version.

The key's columns are hashed one after the other, each into 64 bits, and folded in order, so that (1, 11) and (11, 1)
differ. Of one value:

- an integer, bool, timestamp, date or duration by the finaliser of SplitMix64 (Steele, Lea and Flood, 2014), as int64;
- a string or bytes by CRC-32 and length, then the same finaliser; each distinct value of a batch once;
- null by a constant: a null key is a key like any other, all of whose rows share one partition.

The fold is mix(31 · h + value's hash), from h = 0, and the partition is h modulo the number of partitions.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from orita.core.errors import UserError, closest

__all__ = ["key_hashes", "part_rows"]

_Hashes = npt.NDArray[np.uint64]

_NUMBER = np.uint64(0x9E3779B97F4A7C15)
_TEXT = np.uint64(0xD1B54A32D192ED03)
_NULL = np.uint64(0x8CB92BA72F3D8DD7)
_FACTOR = np.uint64(31)


def part_rows(rows: pa.RecordBatch, key: Sequence[str], partitions: int) -> list[tuple[int, pa.RecordBatch]]:
    """Return *rows* by partition, those of each in their order; partitions without rows are left out.

    Raises:
        UserError: the key is empty, or names a column that is missing or of a type that keys cannot have.
    """
    if partitions == 1 and rows.num_rows:
        key_hashes(rows.slice(0, 0), key)
        return [(0, rows)]
    hashes_N = key_hashes(rows, key)
    if not rows.num_rows:
        return []
    partition_N = (hashes_N % np.uint64(partitions)).astype(np.int64)
    counts = np.bincount(partition_N, minlength=partitions)
    taken = np.flatnonzero(counts)
    if len(taken) == 1:
        return [(int(taken[0]), rows)]
    ordered = rows.take(pa.array(np.argsort(partition_N, kind="stable")))
    starts = np.cumsum(counts) - counts
    return [(int(p), ordered.slice(int(starts[p]), int(counts[p]))) for p in taken]


def key_hashes(rows: pa.RecordBatch, key: Sequence[str]) -> _Hashes:
    """Return the 64-bit hash of each row's key, uint64 of N."""
    if not key:
        raise UserError("the key has no columns: name those by which rows belong together, such as ['user_id'].")
    folded_N = np.zeros(rows.num_rows, np.uint64)
    for name in key:
        at = rows.schema.get_field_index(name)
        if at < 0:
            raise UserError(
                f"the key column {name!r} is not among the rows' columns. {closest(name, rows.schema.names)}"
            )
        folded_N = _mixed(folded_N * _FACTOR + _column_hashes(name, rows.column(at)))
    return folded_N


def _mixed(x_N: _Hashes) -> _Hashes:
    x_N = (x_N ^ (x_N >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x_N = (x_N ^ (x_N >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x_N ^ (x_N >> np.uint64(31)))


def _column_hashes(name: str, column: pa.Array) -> _Hashes:
    kind = column.type
    if pt.is_string(kind) or pt.is_large_string(kind) or pt.is_binary(kind) or pt.is_large_binary(kind):
        return _text_hashes(column)
    if pt.is_null(kind):
        return np.full(len(column), _NULL)
    hashes_N = _mixed(_as_words(name, column) + _NUMBER)
    return np.where(_nulls(column), _NULL, hashes_N) if column.null_count else hashes_N


def _as_words(name: str, column: pa.Array) -> _Hashes:
    kind = column.type
    if pt.is_boolean(kind) or pt.is_integer(kind):
        wide = column if kind in (pa.int64(), pa.uint64()) else column.cast(pa.int64())
    elif pt.is_date32(kind):
        wide = column.cast(pa.int32()).cast(pa.int64())
    elif pt.is_timestamp(kind) or pt.is_duration(kind):
        wide = column.cast(pa.int64())
    else:
        raise UserError(
            f"the key column {name!r} is {kind}: keys are integers, bools, strings, bytes, times, dates or durations."
        )
    whole = wide.fill_null(0) if wide.null_count else wide
    return np.asarray(whole.to_numpy(zero_copy_only=False)).view(np.uint64)


def _text_hashes(column: pa.Array) -> _Hashes:
    encoded = column.dictionary_encode()
    raws = encoded.dictionary.cast(pa.large_binary()).to_pylist()
    crcs_D = np.array([zlib.crc32(raw) | len(raw) << 32 for raw in raws], np.uint64)
    hashes_D = np.append(_mixed(crcs_D ^ _TEXT), _NULL)
    return np.asarray(hashes_D[encoded.indices.fill_null(len(raws)).to_numpy(zero_copy_only=False)])


def _nulls(column: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.is_null(column).to_numpy(zero_copy_only=False))
