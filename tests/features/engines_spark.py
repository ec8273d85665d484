"""The Spark engine, as the parity tests ask it: float64 values of rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from tests.features.scenario_tables import entity_tables, event_table, row_table, sources_of
from tests.features.scenarios import Scenario

from orita.features.history.keyed import AsOf
from orita.features.plan import Plan
from orita.features.schema import FeatureSchema
from orita.features.spark import Table, offline_features

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["spark_rows"]

_PLACE = "@place"


def spark_rows(
    session: SparkSession, plan: Plan, scenario: Scenario, as_of: AsOf = "known", zone: str | None = None
) -> list[dict[str, float]]:
    """Return the features of the scenario's rows, in their order, which Spark does not keep."""
    given = {
        name: event_table(source, scenario.events.get(name, ()), scenario, zone)
        for name, source in sources_of(plan).items()
    }
    given |= entity_tables(plan, scenario, zone)
    tables: dict[str, Table] = {name: session.createDataFrame(table) for name, table in given.items()}
    rows = row_table(plan, scenario, zone)
    asked = session.createDataFrame(rows.append_column(_PLACE, pa.array(range(len(rows)), pa.int64())))
    doubles = FeatureSchema(tuple(replace(column, arrow="double") for column in plan.system.schema().columns))
    found = offline_features(plan, session, tables, asked, doubles, as_of).toArrow().sort_by(_PLACE)
    assert found[_PLACE].to_pylist() == list(range(len(rows))), "a row was lost or added"
    columns = {name: found[name].fill_null(np.nan).to_pylist() for name in doubles.names}
    return [{name: column[row] for name, column in columns.items()} for row in range(len(rows))]
