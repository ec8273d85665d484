"""A batch's columns as arrays, each worked out once when it is first asked for.

Legend: N rows, U different texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.errors import NotFound, closest
from orita.monitoring.profiles.column import Kind, kind_of, numbers_of

__all__ = ["Frame", "View"]

_MIX = np.uint64(0x9E3779B97F4A7C15)
_FINAL = np.uint64(0xBF58476D1CE4E5B9)
_NULL_HASH = np.uint64(0x94D049BB133111EB)


@dataclass(slots=True)
class View:
    """One column.

    Attributes:
        name: of the column.
        values: its rows, in one piece.
        kind: how it is looked at; a list or bytes are ``other``, of which only presence is told.
    """

    name: str
    values: pa.Array
    kind: Kind
    _numbers: npt.NDArray[np.float64] | None = None
    _texts: tuple[pa.Array, npt.NDArray[np.int64]] | None = None
    _missing: npt.NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, name: str, values: pa.ChunkedArray | pa.Array) -> View:
        """Return the view of a column; a dictionary stands for its values, flags are numbers 0 and 1."""
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        if isinstance(values, pa.ChunkedArray):  # of no chunks
            values = pa.array([], values.type)
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.int8())
        return cls(name, values, kind_of(values.type))

    @property
    def numbers(self) -> npt.NDArray[np.float64]:
        """Each row's number, or time in microseconds; NaN where it is missing, or a text that is none."""
        if self._numbers is None:
            self._numbers = _numbers(self.values, self.kind)
        return self._numbers

    @property
    def texts(self) -> pa.Array:
        """The different texts; numbers and times as text."""
        return self._encoded()[0]

    @property
    def codes(self) -> npt.NDArray[np.int64]:
        """Each row's place in `texts`, −1 where it is missing."""
        return self._encoded()[1]

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Which rows have no value: null or NaN."""
        if self._missing is None:
            if not self.values.null_count and not pa.types.is_floating(self.values.type):
                self._missing = np.zeros(len(self.values), dtype=np.bool_)
            elif self.kind in ("number", "time"):
                self._missing = np.isnan(self.numbers)
            else:
                self._missing = pc.is_null(self.values).to_numpy(zero_copy_only=False).astype(np.bool_)
        return self._missing

    def _encoded(self) -> tuple[pa.Array, npt.NDArray[np.int64]]:
        if self._texts is None:
            encoded = _texts(self.values, self.kind).dictionary_encode()
            codes_N = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
            self._texts = encoded.dictionary, codes_N
        return self._texts


@dataclass(slots=True)
class Frame:
    """A batch by column.

    Attributes:
        rows: how many there are.
        columns: the view of each, in the order of the table.
    """

    rows: int
    columns: Mapping[str, View]
    _hashes: dict[tuple[str, ...], npt.NDArray[np.uint64]] = field(default_factory=dict)

    @classmethod
    def of(cls, table: pa.Table) -> Frame:
        """Return the batch that *table* holds."""
        views = {name: View.of(name, table.column(at)) for at, name in enumerate(table.column_names)}
        return cls(table.num_rows, views)

    def column(self, name: str) -> View:
        """Return a column.

        Raises:
            NotFound: there is none; the sentence names those that there are.
        """
        if name not in self.columns:
            raise NotFound(f"there is no column {name!r}. {closest(name, self.columns)}")
        return self.columns[name]

    def numbers(self, names: Iterable[str]) -> dict[str, npt.NDArray[np.float64]]:
        """Return the numbers of those columns that there are; NaN for the others."""
        nothing_N = np.full(self.rows, np.nan)
        return {name: self.columns[name].numbers if name in self.columns else nothing_N for name in names}

    def hashes(self, names: tuple[str, ...]) -> npt.NDArray[np.uint64]:
        """Return a hash of each row's values in some columns; equal rows of one batch have equal ones."""
        if names not in self._hashes:
            mixed_N = np.zeros(self.rows, dtype=np.uint64)
            for name in names:
                mixed_N = _mixed(mixed_N ^ _hashed(self.columns[name]))
            self._hashes[names] = mixed_N
        return self._hashes[names]


def _numbers(values: pa.Array, kind: Kind) -> npt.NDArray[np.float64]:
    if kind in ("number", "time"):
        return numbers_of(values)
    if kind == "text":
        return _parsed(values)
    return np.full(len(values), np.nan)


def _texts(values: pa.Array, kind: Kind) -> pa.Array:
    if kind == "other":
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def _parsed(values: pa.Array) -> npt.NDArray[np.float64]:
    """Return texts as numbers, each different one read once."""
    encoded = values.dictionary_encode()
    trimmed = pc.utf8_trim_whitespace(encoded.dictionary.cast(pa.string()))
    number = pc.match_substring_regex(trimmed, r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")
    readable = pc.if_else(number, trimmed, pa.scalar(None, pa.string()))
    read_U = readable.cast(pa.float64()).to_numpy(zero_copy_only=False)
    codes_N = encoded.indices.cast(pa.int64()).fill_null(len(read_U)).to_numpy(zero_copy_only=False)
    return np.asarray(np.append(read_U.astype(np.float64), np.nan)[codes_N])


def _hashed(view: View) -> npt.NDArray[np.uint64]:
    if view.kind in ("number", "time"):
        return _mixed((view.numbers + 0.0).view(np.uint64))
    hashes_N = _mixed(view.codes.astype(np.uint64))
    return np.where(view.codes < 0, _NULL_HASH, hashes_N)


def _mixed(x_N: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        x_N = (x_N + _MIX) * _FINAL
        x_N = (x_N ^ (x_N >> np.uint64(31))) * _MIX
        return x_N ^ (x_N >> np.uint64(29))
