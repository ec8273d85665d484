"""The events of a plan's sources, with the attributes by which they are grouped, and with residuals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from orita.features.declarations import Attribute, Residual, Source
from orita.features.history.keyed import AsOf
from orita.features.plan import Plan
from orita.features.spark.asked import asked_by_events, packed
from orita.features.spark.attributes import with_attributes
from orita.features.spark.exchange import ROW, aggregate_columns
from orita.features.spark.names import column
from orita.features.spark.tables import Tables, read_events

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["events_with_attributes", "told_events"]


def told_events(plan: Plan, session: SparkSession, tables: Tables, as_of: AsOf) -> dict[str, DataFrame]:
    """Return, by source, the events of *plan*, each id once, with the columns that aggregates read.

    Events with residuals are kept by the session once they are computed, as several exchanges read them:
    ``session.catalog.clearCache()`` lets go of them.
    """
    told = {}
    for source in dict.fromkeys(aggregate.source for aggregate in plan.aggregates):
        keys = [a.attribute for a in plan.aggregates if a.source == source and a.attribute is not None]
        events = events_with_attributes(session, tables, source, keys)
        residuals = [residual for residual in plan.residuals if residual.column.source == source]
        told[source.name] = _with_residuals(plan, source, events, residuals, as_of) if residuals else events
    return told


def events_with_attributes(
    session: SparkSession, tables: Tables, source: Source, attributes: Sequence[Attribute]
) -> DataFrame:
    """Return the events of *source*, each id once, with a column `batch.attribute_column` for each of *attributes*."""
    key_of = {attribute.entity: source.key_columns(attribute.entity)[0] for attribute in attributes}
    return with_attributes(session, read_events(session, tables, source), attributes, key_of, tables)


def _with_residuals(
    plan: Plan, source: Source, events: DataFrame, residuals: Sequence[Residual], as_of: AsOf
) -> DataFrame:
    """Return *events* with what is left of a value once its mean as of the event is subtracted: the event is a row."""
    expected = tuple(dict.fromkeys(residual.expected for residual in residuals))
    means = replace(plan, aggregates=expected, residuals=())
    entities = [entity for mean in expected for entity in mean.looked_up]
    attributes = [mean.attribute for mean in expected if mean.attribute is not None]
    asked = asked_by_events(source, plan.system.source.schema.time or "", entities, attributes)
    rows = aggregate_columns(means, packed(events, events.columns, asked), {source.name: events}, as_of)
    left = [
        (column(ROW)[r.column.column.name].cast("double") - column(means.name(r.expected))).alias(plan.residual(r))
        for r in residuals
    ]
    return rows.select(*(column(ROW)[name].alias(name) for name in events.columns), *left).persist()
