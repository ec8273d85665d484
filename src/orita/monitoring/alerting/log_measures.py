"""What the prediction log says: how many requests there were, how long they took, what they scored."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.home import Home
from orita.events.predictions import prediction_log
from orita.monitoring.alerting.measures import Measure
from orita.monitoring.alerting.readings import Reading

__all__ = ["read_log"]


def read_log(measure: Measure, home: Home, system: str, now: float, over: float | None = None) -> list[Reading]:
    """Return what *measure*, of source ``log``, is at *now*; nothing where no row says.

    Args:
        measure: of ``requests``, ``rows``, ``latency_ms`` (each request once) or ``score``.
        home: whose log.
        system: whose requests.
        now: Unix seconds.
        over: another window than the measure's own, seconds.
    """
    window = over or measure.over
    start, end = (datetime.fromtimestamp(at, UTC) for at in (now - window, now))
    columns = ["request_id", *([measure.metric] if measure.metric in ("latency_ms", "score") else [])]
    rows = prediction_log(home, start=start, end=end, system=system, columns=columns)
    value = _counted(measure, rows, window) if len(columns) == 1 else _distributed(measure, rows)
    return [] if value is None else [Reading({}, value)]


def _counted(measure: Measure, rows: pa.Table, window: float) -> float:
    count = len(rows) if measure.metric == "rows" else pc.count_distinct(rows.column("request_id")).as_py()
    return {"rate": count / window, "per_minute": 60 * count / window}.get(measure.kind, float(count))


def _distributed(measure: Measure, rows: pa.Table) -> float | None:
    if measure.metric == "latency_ms":
        rows = (
            rows.group_by("request_id")
            .aggregate([("latency_ms", "max")])
            .rename_columns({"latency_ms_max": "latency_ms"})
        )
    values = pc.cast(rows.column(measure.metric), pa.float64()).to_numpy(zero_copy_only=False)
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return None
    if measure.quantile is not None:
        return float(np.quantile(values, measure.quantile, method="inverted_cdf"))
    return float(values.mean())
