"""Rows with their features, on a cluster: those of history, to the last bit, as the kernel is the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from orita.core.errors import UserError, closest
from orita.features.batch import attribute_column
from orita.features.declaring.parts import context_in
from orita.features.history import History
from orita.features.history.asking import asking_rows
from orita.features.history.keyed import AsOf
from orita.features.history.rows import feature_arrays, feature_rows
from orita.features.plan import Plan
from orita.features.schema import FeatureSchema
from orita.features.spark.asked import asked_by_events, packed
from orita.features.spark.attributes import with_attributes
from orita.features.spark.exchange import ASKED, ROW, aggregate_columns
from orita.features.spark.partitions import map_tables, unpacked
from orita.features.spark.tables import Tables
from orita.features.spark.told import events_with_attributes, told_events
from orita.features.system import OUTCOME

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructField

__all__ = ["offline_features", "training_rows"]


def offline_features(
    plan: Plan,
    session: SparkSession,
    tables: Tables,
    rows: DataFrame | Sequence[str | Path],
    schema: FeatureSchema,
    as_of: AsOf = "known",
) -> DataFrame:
    """Return *rows* with *schema*'s columns, each as of the row's own time; not one row is lost or added, in no order.

    Nothing is computed before the result is written or collected.

    Args:
        plan: what is declared; only what *schema* needs of it is computed.
        session: where.
        tables: snapshots of lake tables, or DataFrames, by name.
        rows: key columns as entities name them, the time column of the system's source, and what requests bring; or the
            Parquet files that hold them. A row may lack an id, and be there twice.
        schema: which features.
        as_of: ``known``, from what was known at the row's time; ``event``, from what had happened by then.

    Raises:
        UserError: a column that is needed is missing, ids are of two types, or the session is not in UTC.
    """
    _require_utc(session)
    plan = plan.narrowed(schema.names)
    given = _read(session, rows)
    names = list(given.columns)
    time = plan.system.source.schema.time or ""
    entities = [*plan.entities, *(a.entity for a in plan.attributes)]
    needed = list(dict.fromkeys([time, *(c for entity in entities for c in entity.columns)]))
    _check(given, needed, time)
    key_of = {a.entity: a.entity.columns[0] for a in plan.attributes}
    held = with_attributes(session, given, plan.attributes, key_of, tables)
    asked = [*needed, *(attribute_column(a) for a in plan.attributes), *_context(plan, names)]
    packs = packed(held, names, {name: name for name in asked})
    computed = aggregate_columns(plan, packs, told_events(plan, session, tables, as_of), as_of)

    def finished(table: pa.Table, history: History) -> pa.Table:
        row = unpacked(table, ROW)
        return pa.table({name: row[name] for name in names} | feature_arrays(plan, history, schema))

    fields = {field.name: field for field in given.schema.fields} | {f.name: f for f in _fields(schema)}
    return _finish(plan, computed, finished, list(fields.values()))


def training_rows(
    plan: Plan, session: SparkSession, tables: Tables, schema: FeatureSchema, as_of: AsOf = "known"
) -> DataFrame:
    """Return one row an event of the system, as `history.feature_rows` does: the row, and *schema*'s columns.

    Args:
        plan, session, tables, schema, as_of: as of `offline_features`.
    """
    _require_utc(session)
    plan = plan.narrowed(schema.names)
    system, source = plan.system, plan.system.source
    events = events_with_attributes(session, tables, source, plan.attributes)
    entities = [*plan.entities, system.user, system.item]
    asked = asked_by_events(source, source.schema.time or "", entities, plan.attributes)
    outcomes = [told.column.name for told in system.outcomes.values() if told.column.name in events.columns]
    more = [source.schema.key, system.label.column.name, *outcomes, *_context(plan, events.columns)]
    packs = packed(events, [source.schema.key], asked | {name: name for name in more})
    computed = aggregate_columns(plan, packs, told_events(plan, session, tables, as_of), as_of)

    def finished(table: pa.Table, history: History) -> pa.Table:
        return feature_rows(plan, history, schema)

    return _finish(plan, computed, finished, [*_row_fields(plan, events), *_fields(schema)])


def _require_utc(session: SparkSession) -> None:
    zone = session.conf.get("spark.sql.session.timeZone")
    if zone not in ("UTC", "Etc/UTC", "GMT", "Z"):
        raise UserError(
            f"the Spark session has spark.sql.session.timeZone={zone!r}, which moves times without a zone: "
            "set it to 'UTC'."
        )


def _context(plan: Plan, there: Sequence[str]) -> list[str]:
    wanted = dict.fromkeys(name for expression in plan.system.kept.values() for name in context_in(expression))
    return [name for name in wanted if name in there]


def _read(session: SparkSession, rows: DataFrame | Sequence[str | Path]) -> DataFrame:
    if isinstance(rows, Sequence):
        return session.read.option("recursiveFileLookup", "true").parquet(*(str(file) for file in rows))
    return rows


def _check(rows: DataFrame, needed: Sequence[str], time: str) -> None:
    for name in needed:
        if name not in rows.columns:
            raise UserError(f"rows that ask for features need the column {name!r}. {closest(name, rows.columns)}")
    kind = rows.schema[time].dataType.simpleString()
    if not kind.startswith(("timestamp", "date")):
        raise UserError(f"the column {time!r} of rows that ask for features is of type {kind}: give it timestamps.")


def _finish(
    plan: Plan, computed: DataFrame, finished: Callable[[pa.Table, History], pa.Table], fields: Sequence[StructField]
) -> DataFrame:
    """Return what *finished* makes of rows and of what they saw."""
    from pyspark.sql.pandas.types import to_arrow_schema
    from pyspark.sql.types import StructType

    made = StructType(list(fields))
    time = plan.system.source.schema.time or ""
    zone = computed.sparkSession.conf.get("spark.sql.session.timeZone")
    kinds = to_arrow_schema(made, timezone=zone)

    def of_partition(table: pa.Table) -> pa.Table:
        asking = asking_rows(unpacked(table, ASKED), time, plan.entities, plan.attributes)
        values = {a: table[plan.name(a)].fill_null(float("nan")).to_numpy() for a in plan.aggregates}
        return finished(table, History(asking, values)).cast(kinds)

    return map_tables(computed, of_partition, made)


def _fields(schema: FeatureSchema) -> list[StructField]:
    from pyspark.sql.pandas.types import from_arrow_type
    from pyspark.sql.types import StructField

    return [StructField(c.name, from_arrow_type(pa.type_for_alias(c.arrow))) for c in schema.columns]


def _row_fields(plan: Plan, events: DataFrame) -> list[StructField]:
    """Return the columns that a training row begins with."""
    from pyspark.sql.types import ByteType, FloatType, StringType, StructField, TimestampNTZType

    system, source = plan.system, plan.system.source
    ids = []
    for name, entity in (("user_id", system.user), ("item_id", system.item)):
        columns = source.key_columns(entity)
        ids.append(StructField(name, events.schema[columns[0]].dataType if len(columns) == 1 else StringType()))
    event = StructField("event_id", events.schema[source.schema.key].dataType)
    outcomes = [StructField(f"{OUTCOME}{name}", FloatType()) for name in system.outcomes]
    return [event, *ids, StructField("timestamp", TimestampNTZType()), StructField("target", ByteType()), *outcomes]
