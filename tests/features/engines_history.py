"""The history engine, as the parity tests ask it: float64 values of rows and of events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tests.features.scenario_tables import entity_tables, event_table, row_table, sources_of
from tests.features.scenarios import Scenario

from orita.features.history import compute_history, feature_values
from orita.features.history.keyed import AsOf
from orita.features.plan import Plan

__all__ = ["AsOf", "history_events", "history_rows", "registered"]

Values = dict[str, float]


@contextmanager
def registered(
    plan: Plan, scenario: Scenario, zone: str | None = None
) -> Iterator[tuple[duckdb.DuckDBPyConnection, dict[str, str]]]:
    """Open a connection that holds the scenario's tables."""
    sources = sources_of(plan)
    tables = {
        name: event_table(source, scenario.events.get(name, ()), scenario, zone) for name, source in sources.items()
    }
    tables |= entity_tables(plan, scenario, zone)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, table in tables.items():
            connection.register(f"{name}_arrow", table)
        yield connection, {name: f'"{name}_arrow"' for name in tables}


def history_rows(plan: Plan, scenario: Scenario, as_of: AsOf = "known", zone: str | None = None) -> list[Values]:
    """Return the features of the scenario's rows, in their order."""
    with registered(plan, scenario, zone) as (connection, relations):
        rows = row_table(plan, scenario, zone)
        history = compute_history(plan, connection, relations, rows=rows, as_of=as_of)
        values = feature_values(plan, history, plan.system.schema())
    return _by_row(values, len(rows))


def history_events(plan: Plan, scenario: Scenario, as_of: AsOf = "known", zone: str | None = None) -> dict[str, Values]:
    """Return the features of the events of the system's source, by id, each as of its own time."""
    with registered(plan, scenario, zone) as (connection, relations):
        history = compute_history(plan, connection, relations, as_of=as_of)
        values = feature_values(plan, history, plan.system.schema())
        ids: pa.ChunkedArray = history.rows.column(plan.system.source.schema.key)
    named = dict(zip(ids.to_pylist(), _by_row(values, len(ids)), strict=True))
    assert len(named) == len(ids), "an event has several rows"
    return named


def _by_row(values: Mapping[str, npt.NDArray[np.float64]], size: int) -> list[Values]:
    columns = {name: value_N.tolist() for name, value_N in values.items()}
    return [{name: column[row] for name, column in columns.items()} for row in range(size)]
