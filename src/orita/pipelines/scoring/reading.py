"""Rows of Parquet files by their number, read on from where the last were: memory holds what is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from orita.core.errors import UserError

__all__ = ["RowReader"]

_BATCH_ROWS = 1 << 16
_BUFFER = 1 << 20


class RowReader:
    """Reads rows of files as if they were one table.

    Args:
        files: Parquet files, in order.
        schema: the columns that are read; one that a file lacks is null there.

    Raises:
        UserError: a file is no Parquet that can be read.
    """

    def __init__(self, files: Sequence[str | Path], schema: pa.Schema) -> None:
        self._files, self._schema = [str(file) for file in files], schema
        self._counts: list[int] = [self._opened(file).metadata.num_rows for file in self._files]
        self._firsts = [0, *accumulate(self._counts)]
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._held: list[pa.RecordBatch] = []
        self._next = -1

    def __len__(self) -> int:
        return sum(self._counts)

    def read(self, start: int, stop: int) -> pa.Table:
        """Return the rows from number *start* up to *stop*, from 0, which is not among them."""
        if start != self._next:
            self._batches, self._held = self._from(start), []
        left, taken = stop - start, []
        while left:
            batch = self._held.pop() if self._held else next(self._batches)
            if len(batch) > left:
                self._held.append(batch.slice(left))
                batch = batch.slice(0, left)
            taken.append(batch)
            left -= len(batch)
        self._next = stop
        return pa.Table.from_batches(taken, self._schema)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read."""
        return tuple(Path(file) for file in self._files)

    def places(self, number_N: npt.NDArray[np.int64]) -> tuple[list[str], npt.NDArray[np.int64]]:
        """Return the file that holds each row, and ``row_N``, its number in it, from 1."""
        firsts = np.asarray(self._firsts[:-1])
        file_N = np.searchsorted(firsts, number_N, side="right") - 1  # of files without rows the last, which has some
        return [self._files[file] for file in file_N.tolist()], number_N - firsts[file_N] + 1

    @property
    def schema(self) -> pa.Schema:
        """The columns that are read."""
        return self._schema

    def spans(self, start: int, stop: int) -> Iterator[tuple[str, int]]:
        """Yield the files that hold rows from *start* up to *stop*, each with the number of its first row."""
        for file, first, count in zip(self._files, self._firsts, self._counts, strict=False):
            if first < stop and first + count > start:
                yield file, first

    def _from(self, start: int) -> Iterator[pa.RecordBatch]:
        for file, first, count in zip(self._files, self._firsts, self._counts, strict=False):
            if first + count > start:
                yield from self._of_file(file, max(0, start - first))

    def _of_file(self, file: str, skip: int) -> Iterator[pa.RecordBatch]:
        read = self._opened(file)
        groups = list(range(read.num_row_groups))
        while groups and skip >= (rows := read.metadata.row_group(groups[0]).num_rows):
            skip -= rows
            del groups[0]
        names = [name for name in self._schema.names if name in read.schema_arrow.names]
        try:
            for batch in read.iter_batches(_BATCH_ROWS, row_groups=groups, columns=names):
                if skip >= len(batch):
                    skip -= len(batch)
                    continue
                yield self._typed(batch.slice(skip), file)
                skip = 0
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"{file} is damaged, so it cannot be scored: {str(error).splitlines()[0]}.") from None

    def _typed(self, batch: pa.RecordBatch, file: str) -> pa.RecordBatch:
        columns = []
        for field in self._schema:
            there = field.name in batch.schema.names
            try:
                columns.append(batch[field.name].cast(field.type) if there else pa.nulls(len(batch), field.type))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise UserError(
                    f"{file} has {field.name!r} as {batch[field.name].type}, which does not go with the "
                    f"{field.type} of other files: {str(error).splitlines()[0]}."
                ) from None
        return pa.record_batch(columns, schema=self._schema)

    @staticmethod
    def _opened(file: str) -> pq.ParquetFile:
        try:
            # Read through a buffer: a row group need not fit memory, however large whoever wrote the file made it.
            return pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"{file} is no Parquet file that can be read: {str(error).splitlines()[0]}.") from None
