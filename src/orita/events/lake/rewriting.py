"""Streams of rows that a commit is written from: the new ones, and the stored ones where all are written anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["chained", "stored_rows"]


def chained(rows: pa.RecordBatchReader, first: pa.RecordBatch | None) -> pa.RecordBatchReader:
    """Return *rows* with *first*, which was taken from them, before them."""

    def batches() -> Iterator[pa.RecordBatch]:
        if first is not None:
            yield first
        yield from rows

    return pa.RecordBatchReader.from_batches(rows.schema, batches())


def stored_rows(
    files: Sequence[str], schema: pa.Schema, month: str | None, *, then: pa.RecordBatchReader
) -> pa.RecordBatchReader:
    """Return the rows of *files* and *then* those, all in *schema*; what a row lacks is null.

    Args:
        files: Parquet files.
        schema: the columns and their types, which are as wide or wider.
        month: the column that holds the name of a file's folder, such as ``month=2024-03``.
        then: further rows.
    """

    def batches() -> Iterator[pa.RecordBatch]:
        for file in files:
            constant = Path(file).parent.name.partition("=")[2] if month else ""
            for batch in pq.ParquetFile(file).iter_batches():
                yield _fitted(batch, schema, {month: constant} if month else {})
        for batch in then:
            yield _fitted(batch, schema, {})

    return pa.RecordBatchReader.from_batches(schema, batches())


def _fitted(batch: pa.RecordBatch, schema: pa.Schema, constants: dict[str, str]) -> pa.RecordBatch:
    columns = []
    for field in schema:
        if field.name in batch.schema.names:
            columns.append(batch.column(field.name).cast(field.type))
        elif field.name in constants:
            columns.append(pa.repeat(pa.scalar(constants[field.name], field.type), batch.num_rows))
        else:
            columns.append(pa.nulls(batch.num_rows, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
