"""How Arrow tables get to functions and back: a partition of a Spark DataFrame at a time, whole."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

__all__ = ["map_tables", "unpacked"]


def map_tables(frame: DataFrame, function: Callable[[pa.Table], pa.Table], schema: StructType) -> DataFrame:
    """Return *frame* with each partition, taken as one Arrow table, replaced by what *function* makes of it.

    Args:
        frame: what is mapped; a partition has to fit the memory of a worker.
        function: runs in the workers; it is not called for a partition without rows.
        schema: the columns that it returns, in order.
    """

    def of_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = [batch for batch in batches if len(batch)]
        if held:
            yield from function(pa.Table.from_batches(held)).to_batches()

    with warnings.catch_warnings():  # PySpark imports pandas here and warns of pandas 3; no value passes through it
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        return frame.mapInArrow(of_partition, schema)


def unpacked(table: pa.Table, column: str) -> pa.Table:
    """Return the fields of a column of structs as a table, without the rows that have no struct there."""
    structs = table[column].filter(pc.is_valid(table[column]))
    schema = pa.schema(list(structs.type))
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(chunk) for chunk in structs.chunks], schema)
