"""Small experiments on files: declarations, exposures and outcomes as a test needs them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from orita.core.home import Home
from orita.delivery.experiments import ExperimentPlan, KeptExperiment
from orita.delivery.experiments.report import report_on
from orita.delivery.experiments.results import ExperimentReport

__all__ = ["START", "clicks", "days_after", "plan_of", "reported", "write_events", "write_exposures"]

START = datetime(2024, 11, 4, tzinfo=UTC)
"""A Monday."""


def days_after(days: float) -> datetime:
    """Return the time so many days after the start."""
    return START + timedelta(days=days)


def clicks(**changes: Any) -> dict[str, Any]:
    """Return the declaration of a primary metric: clicks in two days."""
    usual = {
        "name": "clicks",
        "kind": "mean",
        "source": "events",
        "column": "click",
        "window": "2d",
        "direction": "up",
        "role": "primary",
        "effect": 0.5,
    }
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def plan_of(*metrics: dict[str, Any], **changes: Any) -> ExperimentPlan:
    """Return an experiment of two files, A against B."""
    declared = {
        "key": "colours",
        "variants": [{"name": "A", "weight": 50}, {"name": "B", "weight": 50}],
        "exposures": {"kind": "file", "path": "exposures.parquet"},
        "outcomes": {"events": {"kind": "file", "path": "events.parquet"}},
        "metrics": list(metrics) or [clicks()],
        **changes,
    }
    return msgspec.convert(declared, ExperimentPlan)


def write_exposures(folder: Path, rows: Sequence[tuple[Any, str | None, float | None]]) -> None:
    """Write exposures: unit, variant, days after the start."""
    units, variants, days = zip(*rows, strict=True) if rows else ((), (), ())
    times = [None if day is None else days_after(day) for day in days]
    table = pa.table(
        {"user_id": list(units), "variant": pa.array(list(variants), pa.string()), "timestamp": stamps(times)}
    )
    pq.write_table(table, folder / "exposures.parquet")


def write_events(
    folder: Path, rows: Sequence[tuple[Any, float, float | None]], known: list[float] | None = None
) -> None:
    """Write outcomes: unit, days after the start, clicks; and when each became known."""
    units, days, values = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {
        "user_id": pa.array(list(units)),
        "timestamp": stamps([days_after(day) for day in days]),
        "click": pa.array(list(values), pa.float64()),
    }
    if known is not None:
        columns["known_at"] = stamps([days_after(day) for day in known])
    pq.write_table(pa.table(columns), folder / "events.parquet")


def stamps(times: Sequence[datetime | None]) -> pa.Array:
    """Return times as a column."""
    return pa.array(times, pa.timestamp("us", tz="UTC"))


def reported(
    folder: Path, plan: ExperimentPlan, until: float, *, stopped: float | None = None, start: float = 0.0
) -> ExperimentReport:
    """Return the report of *plan* so many days after the start."""
    kept = KeptExperiment(
        plan=plan,
        status="running" if stopped is None else "stopped",
        started_at=days_after(start),
        stopped_at=None if stopped is None else days_after(stopped),
    )
    return report_on(kept, Home(folder / ".orita"), folder, until=days_after(until), memory_mb=256)
