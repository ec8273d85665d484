"""The Spark engine gives the values of the batch engine, row by row; it needs Java."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.features.shapes_roles import roles_plan
from tests.features.spark.spark_data import (
    differing,
    every_window_plan,
    history_features,
    history_rows,
    rows_of,
    shown_tables,
    transfer_tables,
)

from orita.core.errors import UserError
from orita.events.lake import Snapshot
from orita.features.spark import SparkConfig, Table, offline_features, spark_session, training_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytest.importorskip("pyspark", reason="PySpark is not installed: pip install 'orita[spark]'")
pytestmark = [
    pytest.mark.skipif(
        shutil.which("java") is None, reason="Java is not installed: apt-get install openjdk-17-jre-headless"
    ),
    pytest.mark.timeout(600),
]

SHOWN_ASKS = ("user_id", "item_id", "shop_id", "till_id", "channel", "units")
TRANSFER_ASKS = ("payer_id", "payee_id", "bank", "branch")
SMALL = {
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.log.level": "OFF",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


@pytest.fixture(scope="module")
def session() -> Iterator[SparkSession]:
    """Return a session of two workers."""
    started = spark_session(SparkConfig(master="local[2]", driver_memory="1g", settings=SMALL))
    yield started
    started.stop()


def frames(session: SparkSession, tables: dict[str, pa.Table]) -> dict[str, Table]:
    """Return the tables as DataFrames."""
    return {name: session.createDataFrame(table) for name, table in tables.items()}


def test_every_function_over_every_window_is_that_of_history(session: SparkSession) -> None:
    """Known-as-of: all functions, windows, filters, keys, delays, caps, residuals and attributes; no row lost."""
    plan, tables = every_window_plan(), shown_tables()
    schema, rows = plan.system.schema(), rows_of(tables["shown"], SHOWN_ASKS, "at")
    found = offline_features(plan, session, frames(session, tables), session.createDataFrame(rows), schema)
    assert differing(found.toArrow(), history_features(plan, tables, rows, schema, "known"), "no") == []


def test_roles_and_sources_of_text_ids_are_those_of_history(session: SparkSession) -> None:
    """Payments: two roles of one entity, a key of two columns, a second source that names its keys otherwise."""
    plan, tables = roles_plan(), transfer_tables()
    schema, rows = plan.system.schema(), rows_of(tables["transfers"], TRANSFER_ASKS, "moment")
    found = offline_features(plan, session, frames(session, tables), session.createDataFrame(rows), schema)
    assert differing(found.toArrow(), history_features(plan, tables, rows, schema, "known"), "no") == []


def test_rows_may_see_what_had_happened_but_was_not_known(session: SparkSession) -> None:
    """As of event time, for a few of the features: what the others need is not computed, nor asked of the rows."""
    plan, tables = roles_plan(), transfer_tables()
    schema = plan.system.schema(["logins_2h", "payer_risk"])
    rows = rows_of(tables["transfers"], ["payer_id"], "moment")
    given = frames(session, {name: tables[name] for name in ("logins", "accounts")})
    found = offline_features(plan, session, given, session.createDataFrame(rows), schema, "event")
    whole = rows_of(tables["transfers"], TRANSFER_ASKS, "moment")
    expected = history_features(plan, tables, whole, schema, "event").drop_columns(["payee_id", "bank", "branch"])
    assert differing(found.toArrow(), expected, "no") == []
    known = history_features(plan, tables, whole, schema, "known")
    assert known["logins_2h"] != expected["logins_2h"]


def test_training_rows_are_those_of_history(session: SparkSession, tmp_path: Path) -> None:
    """Of every event of a lake snapshot, whose older file lacks a column: ids, time, label and features."""
    plan, tables = roles_plan(), transfer_tables()
    schema = plan.system.schema(["pair", "branch_fraud", "payee_risk", "got_by_payer"])
    paid = tables["transfers"]
    paid = paid.set_column(paid.column_names.index("amount"), "amount", pa.array([None] * 100 + [1.5] * 200))
    parts = {"month=2024-10/old": paid.slice(0, 100).drop_columns("amount"), "month=2024-11/new": paid.slice(100)}
    for name, part in parts.items():
        (tmp_path / name).parent.mkdir()
        pq.write_table(part, tmp_path / f"{name}.parquet")
    files = tuple(str(tmp_path / f"{name}.parquet") for name in parts)
    stored = {**frames(session, tables), "transfers": Snapshot("transfers", 1, files, len(paid), paid.schema)}
    found = training_rows(plan, session, stored, schema)
    assert differing(found.toArrow(), history_rows(plan, {**tables, "transfers": paid}, schema), "event_id") == []


def test_an_id_that_came_twice_counts_once(session: SparkSession, tmp_path: Path) -> None:
    """Of two rows of one id in a table that is no snapshot the first known counts; rows come from files."""
    plan, tables = roles_plan(), transfer_tables()
    schema = plan.system.schema(["logins_1d", "logins_failed", "payee_devices"])
    logins = tables["logins"]
    later = pa.compute.add(logins["entered"], pa.scalar(10**12, pa.duration("us")))
    again = logins.set_column(5, "noted", later).set_column(6, "failed", pa.array([1] * len(logins), pa.int8()))
    rows = rows_of(tables["transfers"], ["payer_id", "payee_id"], "moment")
    pq.write_table(rows, tmp_path / "rows.parquet")
    given = frames(session, {**tables, "logins": pa.concat_tables([again, logins])})
    found = offline_features(plan, session, given, [tmp_path / "rows.parquet"], schema)
    whole = rows_of(tables["transfers"], TRANSFER_ASKS, "moment")
    expected = history_features(plan, tables, whole, schema, "known").drop_columns(["bank", "branch"])
    assert differing(found.toArrow(), expected, "no") == []


def test_what_cannot_be_computed_is_said_before_anything_runs(session: SparkSession) -> None:
    """A missing table, a missing column, ids of two types and times that are none are sentences, at definition."""
    plan, tables = roles_plan(), transfer_tables()
    schema, given = plan.system.schema(["logins_2h"]), frames(session, tables)
    rows = session.createDataFrame(rows_of(tables["transfers"], ["payer_id"], "moment"))
    with pytest.raises(UserError, match="need the column 'payer_id'"):
        offline_features(plan, session, given, rows.drop("payer_id"), schema)
    with pytest.raises(UserError, match=r"'moment' of rows .* is of type bigint"):
        offline_features(plan, session, given, rows.withColumn("moment", rows.no), schema)
    with pytest.raises(UserError, match=r"payer_id.* one type"):
        offline_features(plan, session, given, rows.withColumn("payer_id", rows.no), schema)
    with pytest.raises(UserError, match="there is no table 'logins'"):
        offline_features(plan, session, {"transfers": given["transfers"]}, rows, schema)
    session.conf.set("spark.sql.session.timeZone", "Africa/Lagos")
    with pytest.raises(UserError, match="timeZone='Africa/Lagos'"):
        offline_features(plan, session, given, rows, schema)
    session.conf.set("spark.sql.session.timeZone", "UTC")


def test_an_event_without_a_time_stops_the_work(session: SparkSession) -> None:
    """What only the data can show is a sentence too, raised when the result is asked for."""
    plan, tables = roles_plan(), transfer_tables()
    logins = tables["logins"]
    timeless = logins.set_column(4, "entered", pa.nulls(len(logins), pa.timestamp("us")))
    rows = session.createDataFrame(rows_of(tables["transfers"], ["payer_id"], "moment"))
    given = frames(session, {"logins": timeless})
    found = offline_features(plan, session, given, rows, plan.system.schema(["logins_2h"]))
    with pytest.raises(Exception, match="table 'logins' has events without 'entered'"):
        found.toArrow()


@pytest.mark.slow
def test_workers_in_processes_of_their_own_give_the_same() -> None:
    """On a cluster of two workers that share nothing but files, payments have the values of history."""
    script = Path(__file__).with_name("on_a_cluster.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "differing: []"
