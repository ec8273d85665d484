"""What an ingest brought is held against ``quality.yaml``: new rows alone, and only where something is declared."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from tests.monitoring.expectations.orders import orders

from orita.core.errors import NotFound
from orita.core.home import Home
from orita.events.lake import Lake
from orita.pipelines.declared_quality import declared_quality
from orita.pipelines.workspace import Workspace
from orita.project import open_project

_DECLARED = "tables: {orders: {other_columns: ignore, columns: {price: {maximum: 1}, age: {key_of: ages.age}}}}"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A project whose lake got two days of orders, one after the other."""
    lake = Lake(Home(tmp_path / "home"))
    for day in (0, 1):
        lake.append("orders", orders(100 + day, day=day).to_reader(), time="placed_at")
    lake.append("ages", pa.table({"age": [float(age) for age in range(200)]}).to_reader(), time=None)
    return open_project(tmp_path, home=tmp_path / "home").workspace()


def test_rows_that_came_are_held_against_their_rules(workspace: Workspace) -> None:
    """The rows of the last commit alone; keys of other tables are read from the lake."""
    assert workspace.folder is not None
    (workspace.folder / "quality.yaml").write_text(_DECLARED)
    told = declared_quality(workspace, {"orders": {"version": 1}, "ages": {"version": 0}})
    assert list(told) == ["orders"]
    assert told["orders"]["rows"] == 101
    assert told["orders"]["failed"]
    assert [finding["what"] for finding in told["orders"]["findings"]] == ["maximum"]
    assert declared_quality(workspace, {"orders": {"version": 0}})["orders"]["rows"] == 100
    (workspace.folder / "quality.yaml").write_text(_DECLARED.replace("ages.age", "ages.years"))
    with pytest.raises(NotFound, match=r"ages has no such column\. Known: age"):
        declared_quality(workspace, {"orders": {"version": 1}})


def test_nothing_is_told_where_nothing_came_or_is_declared(workspace: Workspace) -> None:
    """No file, no new version, another table."""
    assert workspace.folder is not None
    assert declared_quality(workspace, {"orders": {"version": 1}}) == {}
    (workspace.folder / "quality.yaml").write_text(_DECLARED)
    assert declared_quality(workspace, {"orders": {"version": None}}) == {}
