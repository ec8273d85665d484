"""Compares Spark on a cluster of two workers, each a process, with the batch engine; run by the slow test."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.features.shapes_roles import roles_plan
from tests.features.spark.spark_data import differing, history_features, rows_of, transfer_tables

from orita.features.spark import SparkConfig, offline_features, spark_session


def main() -> None:
    """Print the columns in which the engines differ on payments."""
    plan, tables = roles_plan(), transfer_tables()
    schema = plan.system.schema()
    rows = rows_of(tables["transfers"], ["payer_id", "payee_id", "bank", "branch"], "moment")
    settings = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    session = spark_session(SparkConfig(master="local-cluster[2,1,1024]", driver_memory="1g", settings=settings))
    frames = {name: session.createDataFrame(table) for name, table in tables.items()}
    found = offline_features(plan, session, frames, session.createDataFrame(rows), schema).toArrow()
    session.stop()
    sys.stdout.write(f"differing: {differing(found, history_features(plan, tables, rows, schema, 'known'), 'no')}")


if __name__ == "__main__":
    main()
