"""What is known of entities, joined to events and rows by the cluster; its codes are made by the SQL of `frame`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from orita.core.sql import quoted
from orita.features.batch import attribute_column
from orita.features.declarations import Attribute, Entity
from orita.features.frame import attribute_sql
from orita.features.spark.names import column, common_type
from orita.features.spark.partitions import map_tables
from orita.features.spark.tables import Tables, read_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructField

__all__ = ["with_attributes"]

_ID = "@id"


def with_attributes(
    session: SparkSession,
    frame: DataFrame,
    attributes: Iterable[Attribute],
    key_of: Mapping[Entity, str],
    tables: Tables,
) -> DataFrame:
    """Return *frame* with a column `batch.attribute_column` for each of *attributes*: a number, or a list of codes.

    Args:
        session: where the tables are read.
        frame: events or rows; each stays, once.
        attributes: which are needed.
        key_of: the column of *frame* that holds the id of each entity.
        tables: of what is known of entities.

    Raises:
        UserError: ids are numbers in one table and text in the other.
    """
    from pyspark.sql import functions

    held: dict[Entity, list[Attribute]] = {}
    for attribute in dict.fromkeys(attributes):
        held.setdefault(attribute.entity, []).append(attribute)
    for entity, wanted in held.items():
        table = tables.get(entity.table or "")
        if table is None:
            fields = [_field(attribute) for attribute in wanted]
            frame = frame.withColumns({f.name: functions.lit(None).cast(f.dataType) for f in fields})
            continue
        known = _coded(read_table(session, table), entity, wanted)
        key = key_of[entity]
        kind = common_type(f"{entity.name} ({key})", known.schema[_ID].dataType, frame.schema[key].dataType)
        frame = frame.join(known, known[_ID].cast(kind) == column(key).cast(kind), "left").drop(_ID)
    return frame


def _coded(table: DataFrame, entity: Entity, attributes: Sequence[Attribute]) -> DataFrame:
    """Return ids, each once, and attributes as features use them."""
    from pyspark.sql import functions
    from pyspark.sql.types import StructType

    names = dict.fromkeys(a.column.name for a in attributes)
    told = [column(n) if n in table.columns else functions.lit(None).cast("string").alias(n) for n in names]
    raw = table.select(column(entity.table_column).alias(_ID), *told)
    raw = raw.where(functions.col(_ID).isNotNull()).dropDuplicates([_ID])
    parts = ", ".join(f"{attribute_sql(a)} AS {quoted(attribute_column(a))}" for a in attributes)
    query = f"SELECT {quoted(_ID)}, {parts} FROM known"

    def of_partition(known: pa.Table) -> pa.Table:
        with duckdb.connect(config={"threads": 1}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("known", known)
            made = connection.sql(query).to_arrow_table()
        numbers = [pa.field(attribute_column(a), pa.list_(pa.int32()) if a.many else pa.float64()) for a in attributes]
        return made.cast(pa.schema([known.schema.field(_ID), *numbers]))

    return map_tables(raw, of_partition, StructType([raw.schema[_ID], *(_field(a) for a in attributes)]))


def _field(attribute: Attribute) -> StructField:
    from pyspark.sql.types import ArrayType, DoubleType, IntegerType, StructField

    kind = ArrayType(IntegerType()) if attribute.many else DoubleType()
    return StructField(attribute_column(attribute), kind)
