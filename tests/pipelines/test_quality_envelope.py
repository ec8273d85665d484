"""An ETL run holds days against the history of their table: each when it is over, whatever way its rows came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from tests.monitoring.expectations.orders import START, order_days, orders

from orita.core.clock import ManualClock
from orita.core.errors import NotFound
from orita.core.home import Home
from orita.events.lake import Lake
from orita.monitoring.expectations.declaration import TableExpectation
from orita.monitoring.expectations.envelope import Envelope
from orita.monitoring.expectations.files import write_declarations
from orita.monitoring.expectations.history import by_time, envelope_of, inferred
from orita.monitoring.expectations.kept import write_envelope
from orita.pipelines.declared_quality import declared_quality
from orita.pipelines.quality_envelope import BesideHistory, beside_history
from orita.pipelines.workspace import Workspace
from orita.project import open_project

_ROWS = 300


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A project with two weeks of orders in the lake, and what they suggest to expect of the next days."""
    days = order_days(14, _ROWS)
    Lake(Home(tmp_path / "home")).append("orders", days.to_reader(), time="placed_at")
    _infer(tmp_path, days)
    return replace(open_project(tmp_path, home=tmp_path / "home").workspace(), clock=ManualClock(_day(40)))


def _infer(folder: Path, days: pa.Table) -> None:
    batches = by_time(days, "placed_at")
    table = inferred(batches, time="placed_at")
    write_envelope(folder / "quality.orders.parquet", envelope_of(batches, table))
    write_declarations(
        folder / "quality.yaml", {"orders": msgspec.structs.replace(table, envelope="quality.orders.parquet")}
    )


def _day(day: int) -> datetime:
    return START + timedelta(days=day)


def _times(rows: pa.Table, factor: float) -> pa.Table:
    """Return orders whose prices and totals are multiplied, so that every rule of rows holds."""
    for name in ("price", "total"):
        at = rows.column_names.index(name)
        rows = rows.set_column(at, name, pa.array(np.round(np.asarray(rows[name]) * factor, 2)))
    return rows


def _came(workspace: Workspace, rows: pa.Table) -> Mapping[str, Any]:
    Lake(workspace.home).append("orders", rows.to_reader(), time="placed_at")
    return declared_quality(workspace)["orders"]


def test_a_day_is_held_against_history_once_it_is_over(workspace: Workspace) -> None:
    """Prices times 100 break no rule; they are found when the next day begins, and that day by itself is sound."""
    first = declared_quality(workspace)["orders"]
    assert (first["rows"], first["tests"], first["failed"]) == (14 * _ROWS, 0, False)
    broken = _came(workspace, _times(orders(_ROWS, day=14), 100))
    assert not broken["failed"]  # the day before was judged, this one is not over
    assert broken["tests"] > 100
    after = _came(workspace, orders(_ROWS, day=15))
    assert after["failed"]
    prices = [finding for finding in after["findings"] if finding["column"] == "price"]
    assert [finding["what"] for finding in prices] == ["envelope"]
    assert prices[0]["sentence"].startswith("until 2024-03-19 00:00 UTC, column 'price', as if × 100: ")
    assert not _came(workspace, orders(_ROWS, day=16))["failed"]


def test_many_days_at_once_share_the_rate(workspace: Workspace) -> None:
    """A month that comes at once is judged day by day, its sound days do not add up to an alarm, a faulty one shows."""
    declared_quality(workspace)
    month = [orders(_ROWS, day=day) for day in range(14, 36)]
    assert not _came(workspace, pa.concat_tables(month[:11]))["failed"]
    month[15] = _times(month[15], 100)
    told = _came(workspace, pa.concat_tables(month[11:]))
    assert {finding["sentence"][:27] for finding in told["findings"]} == {"until 2024-04-03 00:00 UTC,"}


def test_a_day_whose_rest_came_late_is_judged_again(workspace: Workspace) -> None:
    """A fifth of a day is too few rows; with the rest of them it is a day like others."""
    declared_quality(workspace)
    day = orders(_ROWS, day=14)
    _came(workspace, day.slice(0, _ROWS // 5))
    few = _came(workspace, orders(_ROWS, day=15))
    assert [finding["column"] for finding in few["findings"] if "rows" in finding["sentence"]]
    assert few["failed"]
    assert not _came(workspace, day.slice(_ROWS // 5))["failed"]


def test_a_new_history_is_another_declaration(workspace: Workspace) -> None:
    """What was inferred anew judges the last batch again: what it knows to be usual is no finding any more."""
    assert workspace.folder is not None
    declared_quality(workspace)
    dear = [_times(orders(_ROWS, day=day), 100) for day in range(14, 26)]
    assert _came(workspace, pa.concat_tables(dear))["failed"]
    _infer(workspace.folder, pa.concat_tables(dear))
    told = declared_quality(workspace)["orders"]
    assert (told["rows"], told["failed"]) == (12 * _ROWS, False)


def test_what_is_not_over_or_has_no_times_is_not_judged(workspace: Workspace) -> None:
    """By the clock a day ends too; rows of the future end none, nor does history that was cut by rows."""
    lake, days = Lake(workspace.home), order_days(14, _ROWS)
    batches = by_time(days, "placed_at")
    table = inferred(batches, time="placed_at")
    envelope = envelope_of(batches, table)
    snapshot = lake.snapshot("orders")
    lake.append(
        "orders", pa.concat_tables([orders(_ROWS, day=14), orders(_ROWS, day=30)]).to_reader(), time="placed_at"
    )

    def judged(now: datetime, of: Envelope = envelope) -> BesideHistory:
        rows = pa.concat_tables([orders(_ROWS, day=14)])
        return beside_history(lake.snapshot("orders"), rows, table, of, after=None, now=now)

    assert beside_history(snapshot, days, table, envelope, after=None, now=_day(40)).slices == 0
    assert judged(_day(14)).slices == 1
    assert judged(_day(15)).until == _day(15)
    assert judged(_day(40)).slices == 2
    by_rows = replace(envelope, outlook=msgspec.structs.replace(envelope.outlook, time=""))
    assert judged(_day(40), by_rows) == BesideHistory()


def test_slices_are_as_long_as_those_of_history(tmp_path: Path) -> None:
    """History in slices of 12 hours, one of them without rows: the next are as long, in times without a zone too."""
    days = order_days(9, 600)
    naive = days.set_column(1, "placed_at", days["placed_at"].cast(pa.timestamp("us")))
    keep = [not 2000 <= row < 2300 for row in range(days.num_rows)]
    table = TableExpectation(columns=inferred(by_time(days, "placed_at")).columns, time="placed_at")
    envelope = envelope_of(by_time(days.filter(pa.array(keep)), "placed_at", timedelta(hours=12)), table)
    lake = Lake(Home(tmp_path))
    lake.append("orders", pa.concat_tables([naive, _naive(9), _naive(10)]).to_reader())
    found = beside_history(lake.snapshot("orders"), _naive(9), table, envelope, after=_day(9), now=_day(40))
    assert found.until == datetime(2024, 3, 14, 12, tzinfo=UTC)
    assert (found.slices, found.findings) == (3, ())


def _naive(day: int) -> pa.Table:
    rows = orders(600, day=day)
    return rows.set_column(1, "placed_at", rows["placed_at"].cast(pa.timestamp("us")))


def test_an_envelope_that_is_gone_is_said(workspace: Workspace) -> None:
    """The sentence names the file."""
    assert workspace.folder is not None
    (workspace.folder / "quality.orders.parquet").unlink()
    with pytest.raises(NotFound, match=r"the envelope .*quality\.orders\.parquet does not exist"):
        declared_quality(workspace)
