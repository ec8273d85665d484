"""What is all that names a holdout worth together? Units that it keeps out against the others.

Who is held out is never exposed, so exposure cannot say who counts: it is who was there in the four weeks before the
experiment began, which nothing of it can have touched. Counted is what they did from its start until now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from orita.delivery.experiments.declarations import ExperimentPlan, Metric
from orita.delivery.experiments.exposures import Span
from orita.delivery.experiments.periods import DAY
from orita.delivery.experiments.results import HoldoutEffect
from orita.stats.experiments.means import compare_moments
from orita.stats.sequential.moments import Moments

if TYPE_CHECKING:
    import duckdb

__all__ = ["holdout_effect"]

_BEFORE = 28 * DAY
_BATCH = 100_000
_FEWEST = 2


def holdout_effect(
    connection: duckdb.DuckDBPyConnection, plan: ExperimentPlan, metric: Metric, view: str, span: Span
) -> HoldoutEffect | None:
    """Return the primary metric outside against inside the holdouts; None without holdouts, or where it is no mean."""
    if not plan.holdouts or metric.kind != "mean":
        return None
    value = "CAST(coalesce(bool_or(value > 0) FILTER (inside), false) AS DOUBLE)"
    if metric.aggregate == "sum":
        value = "coalesce(sum(value) FILTER (inside), 0)"
    rows = (
        f"SELECT unit, value, at_us < {span.start} AS before, at_us >= {span.start} AS inside FROM {view} "
        f"WHERE unit IS NOT NULL AND value IS NOT NULL AND at_us >= {span.start - _BEFORE} AND at_us < {span.end} "
        f"AND known <= {span.until}"
    )
    found = connection.execute(f"SELECT unit, {value} FROM ({rows}) GROUP BY unit HAVING bool_or(before)")
    held, free = Moments(), Moments()
    while batch := found.fetchmany(_BATCH):
        inside_N = np.zeros(len(batch), bool)
        for holdout in plan.holdouts:
            inside_N |= holdout.held([unit for unit, _ in batch])
        values_N = np.array([value for _, value in batch], np.float64)
        held, free = held.merged(Moments.of(values_N[inside_N])), free.merged(Moments.of(values_N[~inside_N]))
    if min(held.n, free.n) < _FEWEST:
        return None
    compared = compare_moments(held, free, level=plan.alpha)
    return HoldoutEffect(
        held=int(held.n),
        free=int(free.n),
        held_mean=held.mean,
        free_mean=free.mean,
        estimate=compared.estimate,
        low=compared.low,
        high=compared.high,
        p_value=compared.p_value,
    )
