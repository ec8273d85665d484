"""The profile of a table: its rows, each column's profile, and how its numbers go together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from orita.monitoring.profiles.bins import Bins
from orita.monitoring.profiles.column import ColumnProfile, kind_of, numbers_of
from orita.monitoring.profiles.comoments import CoMoments

__all__ = ["MOST_CORRELATED", "TableProfile", "flattened", "merged"]

MOST_CORRELATED = 64
"""Correlations are kept of the first so many numeric columns: their room grows with the square."""

_WORTH_A_THREAD = 4096


@dataclass(slots=True)
class TableProfile:
    """What a table held so far.

    Attributes:
        rows: how many were seen.
        columns: the profile of each column, by name, in the order of the table.
        together: joint moments of the numeric columns, None before the first row.
        bins: by column, the bins of a reference to count in.
    """

    rows: int = 0
    columns: dict[str, ColumnProfile] = field(default_factory=dict)
    together: CoMoments | None = None
    bins: Mapping[str, Bins] = field(default_factory=dict)

    def update(self, batch: pa.RecordBatch, pool: Executor | None = None) -> None:
        """Add rows; columns are worked on side by side where there is a *pool*.

        Args:
            batch: columns of any type; fields of structs are columns of their own, see `flattened`.
            pool: threads.

        Raises:
            UserError: a column is of another kind than in earlier rows.
        """
        if not batch.num_rows:
            return
        columns = dict(flattened(batch))
        for name in columns:
            self.columns.setdefault(name, ColumnProfile.empty(name, self.bins.get(name)))
        jobs: list[Callable[[], None]] = [_job(self.columns[name], values) for name, values in columns.items()]
        if pool is None or batch.num_rows < _WORTH_A_THREAD:
            self._correlate(columns)
            for job in jobs:
                job()
        else:
            running = [pool.submit(job) for job in jobs]
            self._correlate(columns)
            for each in running:
                each.result()
        self.rows += batch.num_rows

    def count(self, batch: pa.RecordBatch) -> None:
        """Add rows that the profile has seen to the bins of the reference, which it did not have then."""
        for name, values in flattened(batch):
            if name in self.columns:
                self.columns[name].count(values)

    def merge(self, other: TableProfile) -> None:
        """Add the rows that *other* has seen.

        Raises:
            UserError: a column is of another kind there, or was counted in other bins.
        """
        for name, column in other.columns.items():
            mine = self.columns.setdefault(name, ColumnProfile.empty(name))
            mine.merge(column)
        if other.together is not None:
            self.together = other.together if self.together is None else self.together.merged(other.together)
        self.rows += other.rows

    def absent(self, name: str) -> int:
        """Return how many rows came without the column *name* at all."""
        return self.rows - self.columns[name].rows if name in self.columns else self.rows

    def strongest_correlations(self, most: int = 10) -> list[tuple[str, str, float]]:
        """Return pairs of numeric columns and Pearson's r, the strongest first; a constant has none."""
        if self.together is None:
            return []
        r_CC, names = self.together.correlations(), self.together.names
        pairs = [
            (names[i], names[j], float(r_CC[i, j]))
            for i in range(len(names))
            for j in range(i + 1, len(names))
            if np.isfinite(r_CC[i, j])
        ]
        return sorted(pairs, key=lambda pair: -abs(pair[2]))[:most]

    def _correlate(self, columns: Mapping[str, pa.Array]) -> None:
        known = self.together.names if self.together is not None else ()
        numeric = [name for name, values in columns.items() if kind_of(values.type) == "number"]
        new = [name for name in numeric if name not in known][: max(0, MOST_CORRELATED - len(known))]
        names = tuple(name for name in numeric if name in known or name in new)
        if not names:
            return
        here = CoMoments.of(names, np.stack([numbers_of(columns[name]) for name in names]))
        self.together = here if self.together is None else self.together.merged(here)


def flattened(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.Array]]:
    """Yield the columns of *batch*; the fields of a struct column ``features`` are ``features.<name>``."""
    yield from _fields(zip(batch.schema.names, batch.columns, strict=True))


def merged(profiles: Iterable[TableProfile]) -> TableProfile:
    """Return the profile of the rows of all *profiles*, which stay as they are."""
    whole = TableProfile()
    for profile in profiles:
        whole.merge(profile)
    return whole


def _fields(columns: Iterable[tuple[str, pa.Array]]) -> Iterator[tuple[str, pa.Array]]:
    for name, values in columns:
        if pa.types.is_struct(values.type):
            inner: Sequence[str] = [field.name for field in values.type]
            yield from _fields((f"{name}.{each}", part) for each, part in zip(inner, values.flatten(), strict=True))
        else:
            yield name, values


def _job(column: ColumnProfile, values: pa.Array) -> Callable[[], None]:
    return lambda: column.update(values)
