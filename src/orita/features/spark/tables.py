"""Lake tables as Spark DataFrames: the columns that are asked for, and every event once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias, Union

import pyarrow as pa

from orita.core.errors import UserError, closest
from orita.events.lake import Snapshot
from orita.features.declarations import Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["Table", "Tables", "read_events", "read_table"]

Table: TypeAlias = Union[Snapshot, "DataFrame"]
"""A snapshot of a lake table, or any other DataFrame with its columns."""

Tables = Mapping[str, Table]
"""By name; an entity's table that is absent has no attributes yet."""


def read_table(session: SparkSession, table: Table) -> DataFrame:
    """Return *table* as a DataFrame."""
    return _snapshot(session, table) if isinstance(table, Snapshot) else table


def _snapshot(session: SparkSession, snapshot: Snapshot) -> DataFrame:
    """Return the rows of a snapshot; a column that an older file lacks is null there.

    Spark reads the snapshot's own files, so that each worker has to see them under the same paths.
    """
    from pyspark.sql.pandas.types import from_arrow_schema

    schema = from_arrow_schema(pa.schema([pa.field(f.name, _plain(f.type)) for f in snapshot.schema]))
    if not snapshot.files:
        return session.createDataFrame([], schema)
    # Otherwise Spark makes columns of what the names of folders say.
    reader = session.read.schema(schema).option("recursiveFileLookup", "true")
    return reader.parquet(*snapshot.files)


def read_events(session: SparkSession, tables: Tables, source: Source) -> DataFrame:
    """Return the events of *source*, each id once: of several rows of one id, the one that became known first.

    In a snapshot of the lake an id is there once; elsewhere that costs an exchange of all events.

    Raises:
        UserError: there is no such table, or it has no time column.
    """
    if source.name not in tables:
        raise UserError(f"there is no table {source.name!r} to read events from. {closest(source.name, tables)}")
    table = tables[source.name]
    frame, time = read_table(session, table), source.schema.time or ""
    if time not in frame.columns:
        raise UserError(
            f"table {source.name!r} has no column {time!r}, the time of its events. {closest(time, frame.columns)}"
        )
    frame = _with_every_id(frame, source)
    unique = isinstance(table, Snapshot) or source.schema.key not in frame.columns
    return frame if unique else _first_known(frame, source)


def _with_every_id(frame: DataFrame, source: Source) -> DataFrame:
    """Return the events with all columns of ids: one of which only nulls were seen is not stored, and has no type."""
    from pyspark.sql import functions

    ids = [column.name for column in source.schema.columns if column.type == "id"]
    return frame.withColumns({name: functions.lit(None) for name in ids if name not in frame.columns})


def _first_known(frame: DataFrame, source: Source) -> DataFrame:
    from pyspark.sql import Window, functions

    schema, place = source.schema, "@place"
    micros = functions.unix_micros(frame[schema.time or ""].cast("timestamp"))
    known = micros + source.delay_micros
    if schema.ingested in frame.columns:
        known = functions.greatest(
            functions.coalesce(functions.unix_micros(frame[schema.ingested].cast("timestamp")), known), micros
        )
    key = frame[schema.key]
    numbered = frame.where(key.isNotNull()).withColumn(
        place, functions.row_number().over(Window.partitionBy(key).orderBy(known))
    )
    return numbered.where(functions.col(place) == 1).drop(place).unionByName(frame.where(key.isNull()))


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
