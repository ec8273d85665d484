"""Profiles of a Spark DataFrame: each partition is profiled where it lies, as a stream, and only profiles travel."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from orita.monitoring.profiles.bins import Bins
from orita.monitoring.profiles.profiler import Key, Slicing, profile_rows
from orita.monitoring.profiles.stored import About, tabled, untabled
from orita.monitoring.profiles.table import TableProfile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["spark_profiles"]

_COLUMN = "profiles"


def spark_profiles(
    frame: DataFrame,
    *,
    slicing: Slicing | None = None,
    columns: Sequence[str] | None = None,
    bins: Mapping[str, Bins] | None = None,
) -> dict[Key, TableProfile]:
    """Return the profiles of all rows of *frame*; arguments as `orita.monitoring.profiles.profiler.profile_rows`.

    A worker needs room for the profiles of one partition and for a batch of rows, not for the partition. A column that
    is refused (see there) fails the job.
    """

    def of_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found = profile_rows(batches, slicing=slicing, columns=columns, bins=bins, threads=1)
        yield pa.record_batch({_COLUMN: pa.array([_packed(tabled(found.parts, About("spark")))], pa.binary())})

    with warnings.catch_warnings():  # PySpark imports pandas here and warns of pandas 3; no value passes through it
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        rows = frame.mapInArrow(of_partition, f"{_COLUMN} binary").collect()
    parts: dict[Key, TableProfile] = {}
    for row in rows:
        for key, part in untabled(pa.ipc.open_stream(row[_COLUMN]).read_all())[0].items():
            parts.setdefault(key, TableProfile()).merge(part)
    return parts


def _packed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
