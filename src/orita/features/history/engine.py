"""Every aggregate of a plan for every row that asks: events read, residuals first, then what is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from orita.features.batch import Floats, Integers
from orita.features.declarations import Aggregate, Residual, Source
from orita.features.frame import Relations, attribute_tables, grouping_attributes, load_events, with_attributes
from orita.features.history.asking import Asking, asking_events, asking_rows
from orita.features.history.keyed import AsOf, aggregate_values, batch_of, residual_values
from orita.features.plan import Plan

__all__ = ["History", "compute_history"]


@dataclass(frozen=True, slots=True)
class History:
    """Rows and what each saw.

    Attributes:
        rows: those that asked, in their order.
        values: of every aggregate its value for each row, [N], NaN where it is missing.
    """

    rows: Asking
    values: Mapping[Aggregate, Floats]

    @property
    def at(self) -> Integers:
        """Time of each row, [N], microseconds since the Unix epoch."""
        return self.rows.at


def compute_history(
    plan: Plan,
    connection: duckdb.DuckDBPyConnection,
    relations: Relations,
    *,
    rows: pa.Table | None = None,
    as_of: AsOf = "known",
    unique: bool = False,
) -> History:
    """Compute every aggregate of *plan* for every row, as of the row's own time; not one row is lost or added.

    Args:
        plan: what to compute.
        connection: where *relations* can be read.
        relations: SQL of each table.
        rows: the rows that ask: key columns as entities name them, the time column of the system's source, what
            requests bring. By default the events of the system's source, none of which sees its own instant.
        as_of: whether an event is seen once it is known (what serving would have seen), or from its time on.
        unique: whether *relations* hold every event id once, as the lake does; otherwise that is checked.

    Raises:
        UserError: a column that is needed is missing, or ids are of two types.
    """
    known = attribute_tables(plan, connection, relations)
    system = plan.system
    sources = dict.fromkeys(aggregate.source for aggregate in plan.aggregates)
    if rows is None:
        sources[system.source] = None
    events: dict[str, pa.Table] = {}
    for source in sources:
        attributes = grouping_attributes(plan, source)
        key_of = {attribute.entity: source.key_columns(attribute.entity)[0] for attribute in attributes}
        table = load_events(plan, source, connection, relations, unique=unique)
        events[source.name] = with_attributes(table, attributes, key_of, known)
    residuals = residual_values(plan, events, as_of)
    if rows is None:
        entities = [*plan.entities, system.user, system.item]
        asking = asking_events(system.source, events[system.source.name], entities, plan.attributes)
    else:
        key_of = {attribute.entity: attribute.entity.columns[0] for attribute in plan.attributes}
        entities = [*plan.entities, *key_of]
        asking_rows(rows, system.source.schema.time or "", entities)
        rows = with_attributes(rows, plan.attributes, key_of, known)
        asking = asking_rows(rows, system.source.schema.time or "", entities, plan.attributes)
    return History(asking, _values(plan, events, residuals, asking, as_of))


def _values(
    plan: Plan, events: Mapping[str, pa.Table], residuals: Mapping[Residual, Floats], asking: Asking, as_of: AsOf
) -> dict[Aggregate, Floats]:
    by_source: dict[Source, list[Aggregate]] = {}
    for aggregate in plan.aggregates:
        by_source.setdefault(aggregate.source, []).append(aggregate)
    values: dict[Aggregate, Floats] = {}
    for source, aggregates in by_source.items():
        batch = batch_of(plan, source, events[source.name])
        values.update(aggregate_values(aggregates, batch, residuals, asking, as_of))
    return values
