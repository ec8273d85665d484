"""Do the variants hold the shares of units that were declared? Looked at each day, by a test valid at all looks.

Legend: K variants, D days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from orita.core.clock import from_micros
from orita.delivery.experiments.declarations import ExperimentPlan
from orita.delivery.experiments.exposures import UNITS, Span
from orita.delivery.experiments.periods import DAY
from orita.delivery.experiments.results import SampleRatio
from orita.stats.sequential.sample_ratio import SampleRatioTest, sample_ratio_p

if TYPE_CHECKING:
    import duckdb

__all__ = ["sample_ratio_of"]

_LEVEL = 0.001


def sample_ratio_of(connection: duckdb.DuckDBPyConnection, plan: ExperimentPlan, span: Span) -> SampleRatio:
    """Return the units of each variant by day of the experiment, and whether they fit the declared weights."""
    names, weights = list(plan.weights), list(plan.weights.values())
    found = connection.execute(
        f"SELECT (first - {span.start}) // {DAY} AS day, arm, count(*) FROM {UNITS} GROUP BY day, arm ORDER BY day"
    ).fetchall()
    days = max(1, -(-(span.end - span.start) // DAY))
    new_DK = np.zeros((days, len(names)), np.int64)
    for day, arm, count in found:
        new_DK[int(day), int(arm)] = count
    test = SampleRatioTest.start(weights, level=_LEVEL)
    for new_K in new_DK:
        test = test.updated(new_K.tolist())
    total_K = new_DK.sum(axis=0)
    return SampleRatio(
        counts=dict(zip(names, total_K.tolist(), strict=True)),
        expected={name: float(total_K.sum() * share) for name, share in zip(names, test.shares, strict=True)},
        p_value=sample_ratio_p(total_K.tolist(), weights),
        sequential_p_value=test.p_value,
        level=_LEVEL,
        mismatch=test.rejected,
        days=tuple(from_micros(span.start + day * DAY) for day in range(days)),
        by_day={name: tuple(new_DK[:, place].tolist()) for place, name in enumerate(names)},
    )
