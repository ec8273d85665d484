"""From batches of rows to profiles: of all rows, of each segment, of each slice of time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.clock import from_micros
from orita.core.errors import NotFound, UserError, closest
from orita.monitoring.profiles.bins import Bins
from orita.monitoring.profiles.column import kind_of
from orita.monitoring.profiles.table import TableProfile, flattened, merged

__all__ = ["Key", "Profiler", "Slicing", "gathered", "profile_rows", "rolled_up", "slice_begin", "slice_shift"]

_MICROS = pa.timestamp("us")
_MOST_PARTS = 10_000
_THREADS = min(8, os.cpu_count() or 1)
_GATHERED_ROWS = 1 << 18
_DAY = 86_400_000_000
_WEEK, _MONDAY = 7 * _DAY, 4 * _DAY


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which rows a profile is of.

    Attributes:
        slice: microseconds since the Unix epoch at which the slice of time begins; None: all times, or none is known.
        segment: the value that the rows share, None: all rows, or they have none.
    """

    slice: int | None = None
    segment: str | None = None

    @property
    def at(self) -> datetime | None:
        """When the slice begins, in UTC."""
        return None if self.slice is None else from_micros(self.slice)


@dataclass(frozen=True, slots=True)
class Slicing:
    """How rows are parted.

    Attributes:
        by: the column whose values are segments, None: one for all.
        time: the column of times, needed for *every*.
        every: length of a slice of time; slices begin at multiples of it since the Unix epoch, in UTC, and those of
            whole weeks on Mondays.
    """

    by: str | None = None
    time: str | None = None
    every: timedelta | None = None

    def __post_init__(self) -> None:
        if self.every is not None and self.every < timedelta(seconds=1):
            raise UserError(f"every is {self.every}: give a slice of a second or more, such as 1h.")
        if self.every is not None and self.time is None:
            raise UserError("slices of time need the column of times: name it.")

    @property
    def every_micros(self) -> int | None:
        """The length of a slice in microseconds."""
        return None if self.every is None else round(self.every / timedelta(microseconds=1))


@dataclass(slots=True)
class Profiler:
    """Profiles of the rows given so far, one for each key.

    Attributes:
        slicing: how rows are parted.
        columns: what is profiled, None: every column.
        bins: by column, the bins of a reference to count in.
        parts: the profiles.
    """

    slicing: Slicing = field(default_factory=Slicing)
    columns: Sequence[str] | None = None
    bins: Mapping[str, Bins] = field(default_factory=dict)
    parts: dict[Key, TableProfile] = field(default_factory=dict)
    _pool: ThreadPoolExecutor | None = None

    @contextmanager
    def working(self, threads: int = _THREADS) -> Iterator[Profiler]:
        """Work on so many columns at once while the ``with`` block lasts."""
        with ThreadPoolExecutor(threads, thread_name_prefix="profile") as pool:
            self._pool = pool
            try:
                yield self
            finally:
                self._pool = None

    def update(self, batch: pa.RecordBatch) -> None:
        """Add rows.

        Raises:
            NotFound: they lack a column that is named; the sentence lists what there is.
            UserError: the column of times has none, or there are more than 10,000 segments and slices.
        """
        if not batch.num_rows:
            return
        batch = pa.record_batch(dict(flattened(batch)))
        wanted = batch if self.columns is None else batch.select([self._checked(batch, name) for name in self.columns])
        if self.slicing.by is None and self.slicing.every is None:
            self._part(Key()).update(wanted, self._pool)
            return
        parted = list(self._parted(batch, wanted))
        self._refuse_many({key for key, _ in parted})
        for key, rows in parted:
            self._part(key).update(rows, self._pool)

    def whole(self) -> TableProfile:
        """Return the profile of all rows."""
        return merged(self.parts.values())

    def _part(self, key: Key) -> TableProfile:
        return self.parts.setdefault(key, TableProfile(bins=self.bins))

    def _refuse_many(self, keys: set[Key]) -> None:
        if len(self.parts.keys() | keys) > _MOST_PARTS:
            by = f" of {self.slicing.by!r}" if self.slicing.by else ""
            raise UserError(
                f"there are more than {_MOST_PARTS:,} segments{by} and slices of time: choose a column with fewer "
                "values, or longer slices."
            )

    def _checked(self, batch: pa.RecordBatch, name: str) -> str:
        if name not in batch.schema.names:
            raise NotFound(f"there is no column {name!r} to profile. {closest(name, batch.schema.names)}")
        return name

    def _parted(self, batch: pa.RecordBatch, wanted: pa.RecordBatch) -> Iterator[tuple[Key, pa.RecordBatch]]:
        slices = self._slices(batch)
        segments = self._segments(batch)
        groups = slices.indices.to_numpy(zero_copy_only=False).astype(np.int64) * len(segments.dictionary)
        groups += segments.indices.to_numpy(zero_copy_only=False)
        order = np.argsort(groups, kind="stable")
        begins = np.flatnonzero(np.diff(groups[order], prepend=-1))
        rows = wanted.take(pa.array(order))
        for begin, end in zip(begins, np.append(begins[1:], len(groups)), strict=True):
            at, which = divmod(int(groups[order[begin]]), len(segments.dictionary))
            key = Key(slices.dictionary[at].as_py(), segments.dictionary[which].as_py())
            yield key, rows.slice(int(begin), int(end - begin))

    def _slices(self, batch: pa.RecordBatch) -> pa.DictionaryArray:
        every, name = self.slicing.every_micros, self.slicing.time
        if every is None or name is None:
            return _one_value(len(batch), pa.int64())
        times = batch.column(self._checked(batch, name))
        if kind_of(times.type) != "time":
            raise UserError(f"column {name!r} holds {times.type}, not times: name the column of times with --time.")
        micros = times.cast(pa.timestamp("us", getattr(times.type, "tz", None)), safe=False).cast(pa.int64())
        begun = slice_begin(micros.fill_null(0).to_numpy(zero_copy_only=False), every)
        known = pc.if_else(micros.is_valid(), pa.array(begun), pa.scalar(None, pa.int64()))
        return known.dictionary_encode(null_encoding="encode")

    def _segments(self, batch: pa.RecordBatch) -> pa.DictionaryArray:
        name = self.slicing.by
        if name is None:
            return _one_value(len(batch), pa.string())
        values = batch.column(self._checked(batch, name))
        encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
        texts = encoded.dictionary.cast(pa.string())
        return texts.take(encoded.indices).dictionary_encode(null_encoding="encode")


def profile_rows(
    batches: Iterable[pa.RecordBatch],
    *,
    slicing: Slicing | None = None,
    columns: Sequence[str] | None = None,
    bins: Mapping[str, Bins] | None = None,
    threads: int = _THREADS,
) -> Profiler:
    """Return the profiles of all rows of *batches*; their room does not grow with the rows.

    Args:
        batches: of some ten thousand rows each; more columns may come on the way.
        slicing: how rows are parted, by default not.
        columns: what is profiled, by default every column.
        bins: by column, the bins of a reference to count in.
        threads: columns that are worked on at once.

    Raises:
        UserError, NotFound: as `Profiler.update`.
    """
    profiler = Profiler(slicing or Slicing(), columns, bins or {})
    with profiler.working(threads):
        for batch in gathered(batches, profiler.slicing):
            profiler.update(batch)
    return profiler


def gathered(batches: Iterable[pa.RecordBatch], slicing: Slicing) -> Iterator[pa.RecordBatch]:
    """Yield the rows of *batches*, many at a time where they are parted: each part of a batch has its own cost."""
    if slicing.by is None and slicing.every is None:
        yield from batches
        return
    held: list[pa.RecordBatch] = []
    for batch in batches:
        full = sum(each.num_rows for each in held) >= _GATHERED_ROWS
        if held and (full or not batch.schema.equals(held[0].schema)):
            yield pa.concat_batches(held)
            held = []
        held.append(batch)
    if held:
        yield pa.concat_batches(held)


def rolled_up(
    parts: Mapping[Key, TableProfile], *, every: timedelta | None = None, segments: bool = True
) -> dict[Key, TableProfile]:
    """Return coarser profiles: hours to days to weeks, and all segments together where *segments* is false.

    Args:
        parts: profiles of slices that each lie within one of *every*.
        every: the longer slice, None: all times together.
        segments: keep segments apart.
    """
    micros = None if every is None else round(every / timedelta(microseconds=1))
    coarse: dict[Key, list[TableProfile]] = {}
    for key in sorted(parts, key=lambda key: (key.slice is None, key.slice or 0, key.segment or "")):
        at = slice_begin(key.slice, micros) if micros and key.slice is not None else None
        coarse.setdefault(Key(at, key.segment if segments else None), []).append(parts[key])
    return {key: merged(several) for key, several in coarse.items()}


_Micros = TypeVar("_Micros", int, npt.NDArray[np.int64])


def slice_begin(at: _Micros, every: int) -> _Micros:
    """Return when the slice of *every* microseconds begins that holds *at*, in microseconds since the Unix epoch."""
    shift = slice_shift(every)
    return (at - shift) // every * every + shift


def slice_shift(every: int) -> int:
    """Return how long after the Unix epoch, a Thursday, slices begin: those of whole weeks on the Monday after."""
    return 0 if every % _WEEK else _MONDAY


def _one_value(rows: int, type_: pa.DataType) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.nulls(1, type_))
