"""The profile of one column: what it holds, in little room, whatever the number of rows.

Legend: N rows, V values of them that are present and finite, U different ones.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.errors import UserError
from orita.monitoring.profiles.bins import BinCounts, Bins, CategoryBins, NumberBins
from orita.monitoring.profiles.distinct import DistinctSketch
from orita.monitoring.profiles.frequent import FrequentSketch
from orita.monitoring.profiles.moments import Moments
from orita.monitoring.profiles.quantiles import QuantileSketch

__all__ = ["ColumnProfile", "Kind", "kind_of", "numbers_of"]

Kind = Literal["number", "time", "text", "other", "nothing"]
"""``time`` is in microseconds since the Unix epoch, ``text`` also flags, ``other`` what only presence is told of
(lists, bytes), ``nothing`` a column that was null in every row."""

_MICROS = pa.timestamp("us")


def kind_of(type_: pa.DataType) -> Kind:
    """Return how a column of an Arrow type is profiled."""
    tests = pa.types
    if tests.is_dictionary(type_):
        return kind_of(type_.value_type)
    if tests.is_null(type_):
        return "nothing"
    if tests.is_integer(type_) or tests.is_floating(type_) or tests.is_decimal(type_) or tests.is_duration(type_):
        return "number"
    if tests.is_timestamp(type_) or tests.is_date(type_):
        return "time"
    if tests.is_string(type_) or tests.is_large_string(type_) or tests.is_boolean(type_):
        return "text"
    return "other"


@dataclass(slots=True)
class ColumnProfile:
    """What one column held so far.

    Attributes:
        name: of the column.
        kind: how it is profiled.
        type: its Arrow type when it was seen last.
        rows: how many were seen.
        nulls, nans, infinite: rows without a value; not a number; ∞ or −∞.
        moments: of finite numbers, and of times.
        quantiles: likewise.
        distinct: of finite numbers, times and texts.
        frequent: likewise; numbers as text.
        lengths: moments of the number of characters of texts.
        binned: counts in the bins of a reference, where one was given.
    """

    name: str
    kind: Kind = "nothing"
    type: str = "null"
    rows: int = 0
    nulls: int = 0
    nans: int = 0
    infinite: int = 0
    moments: Moments = field(default_factory=Moments)
    quantiles: QuantileSketch = field(default_factory=QuantileSketch)
    distinct: DistinctSketch = field(default_factory=DistinctSketch)
    frequent: FrequentSketch = field(default_factory=FrequentSketch)
    lengths: Moments = field(default_factory=Moments)
    binned: BinCounts | None = None
    _random: np.random.Generator | None = None

    @classmethod
    def empty(cls, name: str, bins: Bins | None = None) -> ColumnProfile:
        """Return the profile of no rows, to be counted in *bins* too."""
        return cls(name, binned=None if bins is None else BinCounts(bins))

    @property
    def missing(self) -> int:
        """Rows without a value, null or NaN."""
        return self.nulls + self.nans

    def update(self, values: pa.Array) -> None:
        """Add the rows of an array.

        Raises:
            UserError: it is of another kind than earlier rows.
        """
        self._become(kind_of(values.type), str(values.type))
        self.rows += len(values)
        nulls = values.null_count
        self.nulls += nulls
        match kind_of(values.type):
            case "number" | "time":
                self._add_numbers(numbers_of(values.drop_null() if nulls else values), nulls)
            case "text":
                self._add_texts(values, nulls)
            case _:
                self._count_missing(nulls)

    def count(self, values: pa.Array) -> None:
        """Add the rows of an array to the bins of the reference, and to nothing else."""
        counts, nulls = self.binned, values.null_count
        if counts is None:
            return
        if isinstance(counts.bins, NumberBins):
            sorted_V, below, above, nans = _in_order(numbers_of(values.drop_null() if nulls else values))
            counts.counts_B += counts.bins.counts(sorted_V, below=below, above=above)
            nulls += nans
        else:
            counts_B, unseen = counts.bins.counts(*_counted(values))
            counts.counts_B += counts_B
            counts.unseen += unseen
        counts.missing += nulls

    def merge(self, other: ColumnProfile) -> None:
        """Add the rows that *other* has seen.

        Raises:
            UserError: they are of another kind, or were counted in other bins.
        """
        self._become(other.kind, other.type)
        if (self.binned is None) != (other.binned is None) and self.rows and other.rows:
            raise UserError(
                f"column {self.name!r} was counted in the bins of a reference in one profile and not in the other: "
                "profile both against the same reference, or both without."
            )
        self.rows += other.rows
        self.nulls += other.nulls
        self.nans += other.nans
        self.infinite += other.infinite
        self.moments = self.moments.merged(other.moments)
        self.lengths = self.lengths.merged(other.lengths)
        self.quantiles.merge(other.quantiles)
        self.distinct.merge(other.distinct)
        self.frequent.merge(other.frequent)
        if other.binned is not None:
            self.binned = self.binned or BinCounts(other.binned.bins)
            self.binned.merge(other.binned)

    def _become(self, kind: Kind, type_: str) -> None:
        if kind == "nothing":
            return
        if self.kind not in ("nothing", kind):
            raise UserError(
                f"column {self.name!r} holds {kind} ({type_}) where it held {self.kind} ({self.type}): "
                "profile the rows before and after the change apart, or convert the column."
            )
        self.kind, self.type = kind, type_

    def _add_numbers(self, x_N: npt.NDArray[np.float64], nulls: int) -> None:
        # Sorted once: order tells what is infinite and what is no number, gives bins and runs of equal values, and what
        # the quantile sketch keeps.
        sorted_V, below, above, nans = _in_order(x_N)
        self.nans += nans
        self.infinite += below + above
        self._count_missing(nulls + nans)
        if self.binned is not None and isinstance(self.binned.bins, NumberBins):
            self.binned.counts_B += self.binned.bins.counts(sorted_V, below=below, above=above)
        if not len(sorted_V):
            return
        self.moments = self.moments.merged(Moments.of(sorted_V))
        self.quantiles.add_sorted(sorted_V, self._generator())
        begins_U = np.flatnonzero(np.concatenate([[True], sorted_V[1:] != sorted_V[:-1]]))
        values_U, counts_U = sorted_V[begins_U], np.diff(begins_U, append=len(sorted_V))
        self.distinct.add_numbers(values_U)
        least = self.frequent.least(len(values_U), len(sorted_V))
        often_U = counts_U >= least
        self.frequent.add(_texts_of(values_U[often_U], self.kind), counts_U[often_U], least=least)

    def _add_texts(self, values: pa.Array, nulls: int) -> None:
        texts, counts_U = _counted(values)
        rows = len(values) - nulls
        self._count_missing(nulls)
        if self.binned is not None and isinstance(self.binned.bins, CategoryBins):
            counts_B, unseen = self.binned.bins.counts(texts, counts_U)
            self.binned.counts_B += counts_B
            self.binned.unseen += unseen
        if not rows:
            return
        self.distinct.add_texts(texts)
        characters_U = pc.utf8_length(texts).to_numpy(zero_copy_only=False).astype(np.float64)
        self.lengths = self.lengths.merged(Moments.of(characters_U, counts_U))
        least = self.frequent.least(len(texts), rows)
        often_U = counts_U >= least
        self.frequent.add(texts.filter(pa.array(often_U)).to_pylist(), counts_U[often_U], least=least)

    def _count_missing(self, missing: int) -> None:
        if self.binned is not None:
            self.binned.missing += missing

    def _generator(self) -> np.random.Generator:
        if self._random is None:
            self._random = np.random.default_rng(zlib.crc32(self.name.encode()))
        return self._random


def numbers_of(values: pa.Array) -> npt.NDArray[np.float64]:
    """Return numbers and times as float64, without a copy where they are float64; NaN where null."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if kind_of(values.type) == "time":
        values = values.cast(pa.timestamp("us", getattr(values.type, "tz", None)), safe=False).cast(pa.int64())
    elif pa.types.is_duration(values.type):
        values = values.cast(pa.int64())
    elif pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)


def _in_order(x_N: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], int, int, int]:
    """Return finite values in ascending order, and how many −∞, ∞ and NaN there are."""
    sorted_N = np.sort(x_N)
    below, end = np.searchsorted(sorted_N, -np.inf, side="right"), np.searchsorted(sorted_N, np.inf, side="left")
    numbers = np.searchsorted(sorted_N, np.nan, side="left")
    return sorted_N[below:end], int(below), int(numbers - end), len(sorted_N) - int(numbers)


def _counted(values: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Return the different texts of an array, and how many rows have each."""
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.string())
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    dictionary = encoded.dictionary.cast(pa.large_string())
    codes_N = encoded.indices.drop_null().to_numpy(zero_copy_only=False)
    if len(dictionary) > 4 * len(codes_N):
        used_U, counts_U = np.unique(codes_N, return_counts=True)
    else:
        counts = np.bincount(codes_N, minlength=len(dictionary))
        used_U = np.flatnonzero(counts)
        counts_U = counts[used_U]
    texts = dictionary if len(used_U) == len(dictionary) else dictionary.take(pa.array(used_U))
    return texts, counts_U.astype(np.int64)


def _texts_of(values_U: npt.NDArray[np.float64], kind: Kind) -> list[str]:
    if kind == "time":
        return [str(text) for text in pa.array(values_U.astype(np.int64)).cast(_MICROS).cast(pa.string()).to_pylist()]
    return [f"{value:.17g}" if value % 1 else f"{value:.0f}" for value in (values_U + 0.0).tolist()]  # -0 is 0
