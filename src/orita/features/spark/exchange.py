"""One exchange: the rows that ask and the events that they may see come to one worker, which runs the kernel on both.

A row travels as a struct of what it brought and a struct of what it asks by, and gains a column an aggregate; the rows
are never numbered, joined or counted, so that none is lost or added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from orita.core.errors import UserError
from orita.features.batch import attribute_column
from orita.features.declarations import Aggregate, Residual, Source
from orita.features.declaring.conditions import columns_of
from orita.features.history import values_of_read
from orita.features.history.keyed import AsOf
from orita.features.plan import Plan, Read
from orita.features.spark.names import column, common_type, present
from orita.features.spark.partitions import map_tables, unpacked
from orita.features.spark.steps import Step, steps_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructType

__all__ = ["ASKED", "ROW", "aggregate_columns"]

ROW, ASKED = "row", "asked"
_BUCKET = "bucket"


def aggregate_columns(plan: Plan, rows: DataFrame, events: Mapping[str, DataFrame], as_of: AsOf) -> DataFrame:
    """Return *rows* with every aggregate of *plan* as a column of doubles, named as `Plan.name` does.

    Args:
        plan: what is computed.
        rows: ``row``, a struct that is passed through, and ``asked``, a struct of key columns as entities name them,
            the time, and the attributes that aggregates are keyed by.
        events: by source, each id once, with those attributes and with residuals.
        as_of: whether events are seen once they are known, or from their time on.
    """
    for step in steps_of(plan):
        rows = _stepped(plan, step, rows, events, as_of)
    return rows


def _stepped(plan: Plan, step: Step, rows: DataFrame, events: Mapping[str, DataFrame], as_of: AsOf) -> DataFrame:
    from pyspark.sql import functions

    time = plan.system.source.schema.time or ""
    kinds = _kinds(step, rows, events)
    keys = [functions.col(ASKED)[name].cast(kind) for name, kind in kinds.items()]
    both = rows.withColumn(_BUCKET, _bucket(keys, functions.col(ASKED)[time]))
    places: list[tuple[str, list[Read]]] = []
    for number, ((source, columns), reads) in enumerate(step.events.items()):
        keys = [column(name).cast(kind) for name, kind in zip(columns, kinds.values(), strict=True)]
        seen = events[source.name]
        for name in columns:
            seen = seen.where(column(name).isNotNull())
        fields = present(seen, [name for read in reads for name in _needed(plan, read)])
        packed = seen.select(functions.struct(*fields).alias(f"events{number}"), _bucket(keys, None).alias(_BUCKET))
        both = both.unionByName(packed, allowMissingColumns=True)
        places.append((f"events{number}", reads))
    met = both.repartition(_BUCKET) if step.columns else both.repartition(1)
    names = [plan.name(a) for _, reads in places for read in reads for a in _wanted(plan, read)]
    return map_tables(met, _Worker(plan, places, rows.columns, as_of), _with_doubles(rows.schema, names))


class _Worker:
    """What a worker does with the rows and events of a partition."""

    def __init__(
        self, plan: Plan, places: Sequence[tuple[str, Sequence[Read]]], carried: Sequence[str], as_of: AsOf
    ) -> None:
        self.plan, self.places, self.carried, self.as_of = plan, places, list(carried), as_of

    def __call__(self, table: pa.Table) -> pa.Table:
        rows = table.select(self.carried).filter(pc.is_valid(table[ROW]))
        asked = unpacked(rows, ASKED)
        for place, reads in self.places:
            events = unpacked(table, place)
            _check_times(events, reads[0].record.source)
            for read in reads:
                values = values_of_read(self.plan, read, events, asked, self.as_of)
                for aggregate in _wanted(self.plan, read):
                    name = self.plan.name(aggregate)
                    rows = rows.append_column(name, values[name])
        return rows


def _check_times(events: pa.Table, source: Source) -> None:
    missing = events[source.schema.time or ""].null_count
    if missing:
        raise UserError(f"table {source.name!r} has events without {source.schema.time!r}: give them one.")


def _kinds(step: Step, rows: DataFrame, events: Mapping[str, DataFrame]) -> dict[str, str]:
    """Return the type in which each column of a step's key is compared."""
    asked = rows.schema[ASKED].dataType
    found = {}
    for position, name in enumerate(step.columns):
        told = [events[source.name].schema[columns[position]].dataType for source, columns in step.events]
        found[name] = common_type(name, asked[name].dataType, *told)  # type: ignore[index]
    return found


def _bucket(keys: Sequence[Column], otherwise: Column | None) -> Column:
    """Return what events and rows of one key share; rows that lack a part of it, which see nothing, are spread."""
    from pyspark.sql import functions

    if not keys:
        return functions.lit(0).cast("bigint")
    hashed = functions.xxhash64(*keys)
    if otherwise is None:
        return hashed
    missing = functions.lit(False)
    for key in keys:
        missing = missing | key.isNull()
    return functions.when(missing, functions.xxhash64(otherwise)).otherwise(hashed)


def _wanted(plan: Plan, read: Read) -> list[Aggregate]:
    return [a for a in plan.aggregates if plan.reads[plan.place(a)[0]] == read]


def _needed(plan: Plan, read: Read) -> list[str]:
    """Return the columns of events from which a read is computed."""
    schema, source = read.record.source.schema, read.record.source
    wanted = _wanted(plan, read)
    names = [schema.time or "", *([schema.ingested] if schema.ingested else [])]
    names += [name for entity in read.record.entities for name in source.key_columns(entity)]
    if any(a.function in ("first", "last") or a.window.cap for a in wanted):
        names.append(schema.key)
    for aggregate in wanted:
        names += [attribute_column(aggregate.attribute)] if aggregate.attribute else []
        names += columns_of(aggregate.condition)
        for value in (aggregate.value, aggregate.denominator):
            if value is not None:
                names.append(plan.residual(value) if isinstance(value, Residual) else value.column.name)
    return names


def _with_doubles(schema: StructType, names: Sequence[str]) -> StructType:
    from pyspark.sql.types import DoubleType, StructField, StructType

    return StructType([*schema.fields, *(StructField(name, DoubleType()) for name in names)])
