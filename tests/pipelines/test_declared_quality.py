"""What came into the lake is held against ``quality.yaml``: all of it, each row once, where something is declared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.monitoring.expectations.orders import orders

from orita.core.errors import NotFound
from orita.core.home import Home
from orita.events.lake import Lake
from orita.pipelines.attempt import Attempt
from orita.pipelines.declared_quality import declared_quality
from orita.pipelines.workspace import Workspace
from orita.project import open_project

_DECLARED = (
    "tables: {orders: {other_columns: ignore, time: placed_at, columns: {price: {maximum: 1}, age: {key_of: ages.age}, "
    "order_id: {unique: true}, placed_at: {}}}}"
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A project whose lake got a day of orders, and declares what they have to be like."""
    lake = Lake(Home(tmp_path / "home"))
    _came(lake, 0)
    lake.append("ages", pa.table({"age": [float(age) for age in range(200)]}).to_reader(), time=None)
    (tmp_path / "quality.yaml").write_text(_DECLARED)
    return open_project(tmp_path, home=tmp_path / "home").workspace()


def _came(lake: Lake, day: int, **retyped: pa.DataType) -> None:
    rows = orders(100 + day, day=day)
    for name, kind in retyped.items():
        rows = rows.set_column(rows.column_names.index(name), name, rows[name].cast(kind))
    lake.append("orders", rows.to_reader(), time="placed_at")


def _rows(workspace: Workspace) -> dict[str, Any]:
    return {name: told["rows"] for name, told in declared_quality(workspace).items()}


def test_rows_that_came_are_held_against_their_rules(workspace: Workspace) -> None:
    """Rules, and keys of other tables; what is found is told, and the rows are not checked again."""
    told = declared_quality(workspace)
    assert list(told) == ["orders"]
    assert told["orders"]["rows"] == 100
    assert told["orders"]["failed"]
    assert [finding["what"] for finding in told["orders"]["findings"]] == ["maximum"]
    assert declared_quality(workspace) == {}


def test_all_rows_since_the_last_check_are_checked(workspace: Workspace) -> None:
    """Commits of before the run, of an attempt that was killed, of the event log: not the last alone."""
    assert _rows(workspace) == {"orders": 100}
    lake = Lake(workspace.home)
    for day in (1, 2, 3):
        _came(lake, day)
    assert _rows(workspace) == {"orders": 101 + 102 + 103}


def test_rows_that_were_written_anew_did_not_come(workspace: Workspace) -> None:
    """A compaction rewrites files: rows in them that are known are not checked again, and none are no batch of 0."""
    lake = Lake(workspace.home)
    _came(lake, 1)
    assert _rows(workspace) == {"orders": 201}
    _came(lake, 2)
    lake.compact("orders", time="placed_at")
    assert _rows(workspace) == {"orders": 102}
    _came(lake, 3)
    assert _rows(workspace) == {"orders": 103}
    version = lake.version("orders")
    lake.compact("orders", time="placed_at")
    assert lake.version("orders") > version
    assert _rows(workspace) == {}
    _came(lake, 4)
    assert _rows(workspace) == {"orders": 104}


def test_an_attempt_after_a_killed_one_tells_what_that_found(workspace: Workspace) -> None:
    """The check is kept before the journal has the task's end: the next attempt of the task returns the same."""
    first, second, other = (
        replace(workspace, attempt=Attempt(run, "etl_and_feature_engineering", "validate_data", number))
        for run, number in (("a", 1), ("a", 2), ("b", 1))
    )
    told = declared_quality(first)
    assert told["orders"]["failed"]
    assert declared_quality(second) == told
    assert declared_quality(other) == {}


def test_a_table_of_wider_type_brings_its_new_rows_alone(tmp_path: Path, workspace: Workspace) -> None:
    """Where the whole table was rewritten, rows are told apart by their key."""
    lake = Lake(Home(tmp_path / "other"))
    _came(lake, 0, quantity=pa.int32())
    other = open_project(tmp_path, home=tmp_path / "other").workspace()
    lake.append("ages", pa.table({"age": [float(age) for age in range(200)]}).to_reader(), time=None)
    assert _rows(other) == {"orders": 100}
    before = lake.snapshot("orders").files
    _came(lake, 1)
    assert not set(before) & set(lake.snapshot("orders").files)
    assert _rows(other) == {"orders": 101}


def test_another_declaration_checks_the_same_rows_again(workspace: Workspace) -> None:
    """Who mends the declaration sees whether the last batch is as it says."""
    assert workspace.folder is not None
    assert declared_quality(workspace)["orders"]["failed"]
    _came(Lake(workspace.home), 1)
    assert declared_quality(workspace)["orders"]["failed"]
    (workspace.folder / "quality.yaml").write_text(_DECLARED.replace("maximum: 1", "maximum: 1000000"))
    told = declared_quality(workspace)["orders"]
    assert not told["failed"]
    assert told["rows"] == 101
    lake = Lake(workspace.home)
    lake.compact("orders", time="placed_at")
    (workspace.folder / "quality.yaml").write_text(_DECLARED)
    told = declared_quality(workspace)["orders"]
    assert told["failed"]
    assert told["rows"] == 101
    (workspace.folder / "quality.yaml").write_text(_DECLARED.replace("ages.age", "ages.years"))
    with pytest.raises(NotFound, match=r"ages has no such column\. Known: age"):
        declared_quality(workspace)


def test_rows_of_which_the_log_knows_no_more_are_all_checked(workspace: Workspace) -> None:
    """After a vacuum that took the files of a rewritten version, the whole table is checked rather than nothing."""
    _rows(workspace)
    lake = Lake(workspace.home)
    _came(lake, 1)
    added = set(lake.snapshot("orders").files)
    lake.compact("orders", time="placed_at")
    for file in added - set(lake.snapshot("orders").files):
        Path(file).unlink()
    assert _rows(workspace) == {"orders": 201}


def test_nothing_is_told_where_nothing_is_declared(workspace: Workspace) -> None:
    """No file; a table that the lake does not have."""
    assert workspace.folder is not None
    (workspace.folder / "quality.yaml").write_text("tables: {others: {}}")
    assert declared_quality(workspace) == {}
    (workspace.folder / "quality.yaml").unlink()
    assert declared_quality(workspace) == {}
