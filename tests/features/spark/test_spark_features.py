"""The Spark engine gives the values of the batch engine, row by row; it needs Java."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.features.case_files import case_groups, case_names, expect, load_united
from tests.features.engines_spark import spark_rows
from tests.features.shapes_roles import roles_plan
from tests.features.small_system import DECLARED, events, write_jsonl
from tests.features.spark.spark_data import (
    differing,
    every_window_plan,
    history_features,
    history_rows,
    rows_of,
    shown_tables,
    transfer_tables,
)
from tests.pipelines.two_versions import changed_home, latest
from typer.testing import CliRunner

from orita.cli import data, feature_values  # noqa: F401 - they register their commands
from orita.cli.app import app
from orita.core.errors import UserError
from orita.events.lake import Snapshot
from orita.features.plan import plan_of
from orita.features.spark import SparkConfig, Table, offline_features, spark_session, training_rows
from orita.pipelines.judged_rows import judged_rows

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


@pytest.mark.parametrize("in_turns", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_every_function_over_every_window_is_that_of_history(session: SparkSession, in_turns: bool) -> None:
    """Known-as-of: all functions, windows, filters, keys, delays, caps, residuals and attributes; no row lost."""
    plan, tables = every_window_plan(in_turns=in_turns), shown_tables()
    schema, rows = plan.system.schema(), rows_of(tables["shown"], SHOWN_ASKS, "at")
    found = offline_features(plan, session, frames(session, tables), session.createDataFrame(rows), schema)
    assert differing(found.toArrow(), history_features(plan, tables, rows, schema, "known"), "no") == []


@pytest.mark.slow
def test_roles_and_sources_of_text_ids_are_those_of_history(session: SparkSession) -> None:
    """Payments: two roles of one entity, a key of two columns, a second source that names its keys otherwise."""
    plan, tables = roles_plan(), transfer_tables()
    schema, rows = plan.system.schema(), rows_of(tables["transfers"], TRANSFER_ASKS, "moment")
    found = offline_features(plan, session, frames(session, tables), session.createDataFrame(rows), schema)
    assert differing(found.toArrow(), history_features(plan, tables, rows, schema, "known"), "no") == []


@pytest.mark.parametrize("names", case_groups(), ids=lambda names: "united" if len(names) > 1 else names[0])
def test_the_cases_of_every_engine_are_kept(session: SparkSession, names: tuple[str, ...]) -> None:
    """Spark has the values that were written by hand, row by row; most cases are asked at once, each by its own ids."""
    case = load_united(names)
    for position, values in enumerate(spark_rows(session, case.plan, case.scenario, case.as_of)):
        expect(case, position, values, "spark")


def test_no_case_is_left_out() -> None:
    """Every case that has rows is in one group, and a group has all rows of its cases."""
    groups = case_groups()
    assert sorted(name for names in groups for name in names) == case_names()
    for names in groups:
        united = load_united(names)
        rows = [row for name in names for row in load_united((name,)).expected]
        assert [len(row) for row in united.expected] == [len(row) for row in rows]
        assert sum(map(len, united.expected)) == sum(map(len, rows)) > 0


@pytest.mark.slow
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
    """Of every event of a lake snapshot, whose older file lacks a column: ids, time, label, outcomes and features."""
    plan, tables = roles_plan(), transfer_tables()
    plan = plan_of(replace(plan.system, outcomes={"paid": plan.system.source.column("amount")}))
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


def test_a_model_of_earlier_features_is_judged_on_rows_of_spark(session: SparkSession, tmp_path: Path) -> None:
    """Where Spark computes training rows, it computes earlier versions for the test rows too, to the same values."""
    workspace, schema, expected = changed_home(tmp_path)
    section = workspace.data.feature_engineering.model_copy(update={"engine": "spark"})
    workspace = replace(workspace, data=workspace.data.model_copy(update={"feature_engineering": section}))
    found = judged_rows(workspace, latest(workspace), "test", schema, "model v1.0.0")
    np.testing.assert_array_equal(found.x_NF, expected.x_NF)
    assert session.range(1).count() == 1, "a session that was running goes on"


@pytest.mark.slow
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


def test_the_command_reads_a_file_of_rows_by_both_engines_alike(session: SparkSession, tmp_path: Path) -> None:
    """`features read --rows` has the same table by Spark: rows, order, types, columns of one's own, missing ids."""

    def orita(*arguments: str) -> None:
        done = CliRunner().invoke(app, ["-q", "-p", str(tmp_path), *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output

    (tmp_path / "orita.yaml").write_text("system: features.py\n")
    (tmp_path / "features.py").write_text(DECLARED)
    orita("ingest", str(write_jsonl(tmp_path / "events.jsonl", events(60))))
    row = {"user_id": 3, "item_id": 101, "timestamp": "2024-11-20T10:00:00Z", "device": "mobile", "note": ["kept"]}
    asked = [row, {**row, "user_id": None, "device": "fax"}, {**row, "item_id": 7, "note": None}, row]
    asked += [{**row, "timestamp": "1990-01-01T00:00:00Z"}]
    rows = str(write_jsonl(tmp_path / "rows.jsonl", asked))
    found = {}
    for engine in ("history", "spark"):
        out = tmp_path / f"{engine}.parquet"
        orita("features", "read", "--rows", rows, "--engine", engine, "--out", str(out))
        found[engine] = pq.read_table(out)
    assert found["spark"] == found["history"]
    assert found["spark"]["note"].to_pylist() == [["kept"], ["kept"], None, ["kept"], ["kept"]]
    assert found["spark"]["recent"].to_pylist() == [11, 11, 0, 11, 0]
    assert session.range(1).count() == 1, "a session that was running goes on"


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


@pytest.mark.slow
def test_ids_of_which_only_nulls_were_seen_need_no_column(session: SparkSession) -> None:
    """A table without the column of ids of which none was seen yet has features as if all of them were null."""
    plan, tables = roles_plan(), transfer_tables()
    schema, rows = plan.system.schema(), rows_of(tables["transfers"], TRANSFER_ASKS, "moment")
    place, ids = tables["transfers"].column_names.index("payee_id"), tables["transfers"]["payee_id"]
    nulls = pa.nulls(len(ids), ids.type)
    of_null = {**tables, "transfers": tables["transfers"].set_column(place, "payee_id", nulls)}
    bare = {**tables, "transfers": tables["transfers"].drop_columns("payee_id")}
    expected = history_features(plan, of_null, rows, schema, "known")
    assert differing(history_features(plan, bare, rows, schema, "known"), expected, "no") == []
    found = offline_features(plan, session, frames(session, bare), session.createDataFrame(rows), schema)
    assert differing(found.toArrow(), expected, "no") == []
