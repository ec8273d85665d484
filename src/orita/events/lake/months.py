"""How rows are parted: a folder a month of their event time, which is derived and not read back.

Legend: N rows.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["MONTH", "with_months"]

MONTH = "month"
"""Name of the partition column; derived from the event time, not part of the rows that are read back."""


def with_months(reader: pa.RecordBatchReader, time: str) -> pa.RecordBatchReader:
    """Return the rows with the month of their column *time*, such as ``2024-03``."""
    schema = reader.schema.append(pa.field(MONTH, pa.string()))
    batches = (batch.append_column(schema.field(MONTH), months_of(batch[time])) for batch in reader)
    return pa.RecordBatchReader.from_batches(schema, batches)


def months_of(times_N: pa.Array) -> pa.Array:
    """Return ``YYYY-MM`` of each time; text is made once a month, not once a row."""
    starts = pc.dictionary_encode(pc.floor_temporal(times_N, unit="month"))
    names = pa.array([start.as_py().strftime("%Y-%m") for start in starts.dictionary], pa.string())
    return names.take(starts.indices)
