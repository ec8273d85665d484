"""A scenario as the tables that engines read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from tests.features.scenarios import Scenario

from orita.events.schema import Column
from orita.features.declarations import Source
from orita.features.plan import Plan

__all__ = ["entity_tables", "event_table", "row_table", "sources_of"]

_TYPES = {
    "int": pa.int64(), "float": pa.float64(), "flag": pa.int8(), "str": pa.string(), "category": pa.string(),
    "list": pa.list_(pa.string()),
}  # fmt: skip


def sources_of(plan: Plan) -> dict[str, Source]:
    """Return the sources of a plan by name."""
    return {plan.system.source.name: plan.system.source} | {a.source.name: a.source for a in plan.aggregates}


def event_table(
    source: Source, events: Iterable[Mapping[str, Any]], scenario: Scenario, zone: str | None = None
) -> pa.Table:
    """Return *events* with every declared column that the scenario has; times in *zone*, None: without one."""
    columns = [column for column in source.schema.columns if column.name not in scenario.absent]
    return _table(columns, list(events), scenario.text_ids, zone)


def row_table(plan: Plan, scenario: Scenario, zone: str | None = None) -> pa.Table:
    """Return the scenario's rows: keys, the time as of which each asks, and what requests bring."""
    schema = plan.system.source.schema
    rows = [{**row, schema.time: at} for row, at in scenario.rows]
    given = {name for row in rows for name in row}
    return _table([c for c in schema.columns if c.name in given], rows, scenario.text_ids, zone)


def entity_tables(plan: Plan, scenario: Scenario, zone: str | None = None) -> dict[str, pa.Table]:
    """Return the attribute tables of the plan's entities, by name; one without rows is not there yet."""
    tables = {}
    for attribute in plan.attributes:
        schema = attribute.entity.schema
        key = scenario.keys.get(schema.name, schema.key)
        columns = (Column(key, "id"), *(column for column in schema.columns if column.name != schema.key))
        rows = [{**row, key: value} for value, row in scenario.tables.get(schema.name, {}).items()]
        if rows:
            tables[schema.name] = _table(columns, rows, scenario.text_ids, zone)
    return tables


def _table(columns: Iterable[Column], rows: Sequence[Mapping[str, Any]], text_ids: bool, zone: str | None) -> pa.Table:
    def array(column: Column) -> pa.Array:
        values = [row.get(column.name) for row in rows]
        match column.type:
            case "id":
                return pa.array(values, pa.string() if text_ids else pa.int64())
            case "time":
                return pa.array(values, pa.int64()).cast(pa.timestamp("us", tz=zone))
            case kind:
                return pa.array(values, _TYPES[kind])

    return pa.table({column.name: array(column) for column in columns})
