"""What may go wrong with a home, done on purpose."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.pipelines.replaying.online_home import Life

from orita.core.clock import ManualClock, from_micros
from orita.events.lake import Lake
from orita.events.log.embedded import EmbeddedLog
from orita.events.prediction_files import parquet_files
from orita.monitoring.profiles.stored import read_profiles, write_profiles
from orita.monitoring.profiles.table import TableProfile

__all__ = ["lake_changed", "log_changed", "predictions_changed", "profile_changed", "report_changed"]

Row = dict[str, Any]
Change = Callable[[Row], Row | None]
"""Returns the row as it is to be; None: it goes."""

_STREAM = "interactions"


def log_changed(life: Life, change: Change) -> None:
    """Write the event log anew with rows changed, each appended when it was."""
    home, kept = life.workspace.home, list[tuple[int, Row]]()
    with closing(EmbeddedLog(home)) as log:
        partitions, schema = log.partitions(_STREAM), log.schema(_STREAM)
        for partition in range(partitions):
            at = 0
            while at < log.end(_STREAM, partition):
                batch = log.read(_STREAM, partition, at, 1_000_000)
                kept += zip(batch.appended_at_N.tolist(), batch.rows.to_pylist(), strict=True)
                at = batch.next
    shutil.rmtree(home.events)
    clock = ManualClock()
    with closing(EmbeddedLog(home, clock)) as log:
        log.create(_STREAM, partitions)
        for at, row in sorted(kept, key=lambda each: each[0]):
            clock.at = from_micros(at)
            changed = change(row)
            if changed is not None:
                log.append(_STREAM, pa.Table.from_pylist([changed], schema), key=["user_id"])


def lake_changed(life: Life, change: Change) -> None:
    """Write the files of the lake's table anew, with rows changed."""
    for file in Lake(life.workspace.home).snapshot(_STREAM).files:
        _written(file, change)


def predictions_changed(life: Life, change: Change) -> None:
    """Write the prediction log anew, with rows changed."""
    for file in parquet_files(life.workspace.home):
        _written(file, change)


def profile_changed(life: Life, change: Callable[[TableProfile], None]) -> None:
    """Change the profile of the first slice that is kept."""
    folder = life.workspace.home.profiles / "streams" / _STREAM
    files = json.loads((folder / "state.json").read_text())["files"]
    path = folder / files[min(files)]
    parts, about = read_profiles(path)
    change(next(iter(parts.values())))
    write_profiles(path, parts, about)


def report_changed(life: Life, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the monitoring report."""
    (path,) = (life.workspace.home.reports / "monitoring").glob("*.json")
    report = json.loads(path.read_text())
    change(report)
    path.write_text(json.dumps(report))


def _written(file: Any, change: Change) -> None:
    table = pq.ParquetFile(file).read()
    rows = [changed for row in table.to_pylist() if (changed := change(row)) is not None]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), file)
