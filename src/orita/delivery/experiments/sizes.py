"""How many units were planned, how many there are, and how many days are left."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from orita.delivery.experiments.declarations import ExperimentPlan
from orita.delivery.experiments.exposures import UNITS, Exposed, Span
from orita.delivery.experiments.periods import DAY, closing_of
from orita.delivery.experiments.results import MetricResult, SampleRatio, Size
from orita.events.engine import one_row
from orita.stats.experiments.power import TestPlan, sample_size

if TYPE_CHECKING:
    import duckdb

__all__ = ["size_of"]

_POWER = 0.8
_LOOKS = 10  # more looks need a few percent fewer: it is an estimate
_RECENT = 7


def size_of(
    connection: duckdb.DuckDBPyConnection,
    plan: ExperimentPlan,
    primary: MetricResult,
    exposed: Exposed,
    ratio: SampleRatio,
    span: Span,
) -> Size:
    """Return planned against reached; without a declared size, what finds the effect with 80 % at the spread seen."""
    planned = plan.analysis.units or _computed(plan, primary)
    by_day_D = np.sum(list(ratio.by_day.values()), axis=0)
    elapsed = (span.end - span.start) / DAY
    days = len(by_day_D)
    recent = min(_RECENT, days)
    covered = max(elapsed - (days - recent), 1 / 24)  # the last day may not be over
    a_day = float(by_day_D[-recent:].sum()) / covered
    return Size(
        planned=planned,
        declared=plan.analysis.units is not None,
        exposed=exposed.total,
        closed=primary.closed,
        units_a_day=a_day,
        days_left=_days_left(connection, plan, planned, primary.closed, a_day, span),
    )


def _computed(plan: ExperimentPlan, primary: MetricResult) -> int | None:
    if primary.looked_for is None or not primary.effects:
        return None
    needed = []
    for effect in primary.effects:
        pair = plan.weights[effect.variant] + plan.weights[plan.baseline]
        if not effect.error > 0:
            return None
        # The error seen, brought back to the spread of one unit: the same in both arms.
        spread = effect.error / math.sqrt(1 / effect.n_control + 1 / effect.n_treatment)
        test = TestPlan(
            spread,
            share=plan.weights[effect.variant] / pair,
            level=primary.level,
            looks=_LOOKS if plan.analysis.kind == "sequential" else None,
        )
        needed.append(math.ceil(sample_size(test, primary.looked_for, _POWER) * 100 / pair))
    return max(needed)


def _days_left(
    connection: duckdb.DuckDBPyConnection,
    plan: ExperimentPlan,
    planned: int | None,
    closed: int,
    a_day: float,
    span: Span,
) -> int | None:
    """Return the days until as many as planned are closed, None where nobody comes any more."""
    if planned is None:
        return None
    if closed >= planned:
        return 0
    if span.final:
        return None
    window = closing_of(plan.primary)
    exposed, first = one_row(connection, f"SELECT count(*), max(first) FILTER (id = {planned - 1}) FROM {UNITS}")
    if first is not None:
        return math.ceil((int(first) + window - span.until) / DAY)
    if a_day <= 0 or span.end < span.until:
        return None
    return math.ceil((planned - int(exposed)) / a_day + window / DAY)
