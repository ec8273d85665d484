"""A metric measured: its outcomes from the engine, its effects by the statistic that fits it and the analysis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from orita.core.home import Home
from orita.delivery.experiments.declarations import INTERACTIONS, ExperimentPlan, Metric, TableSource
from orita.delivery.experiments.effects_of_means import fixed_effect, sequential_effect
from orita.delivery.experiments.effects_of_quantiles import (
    fixed_quantile,
    fixed_quantile_of_rows,
    sequential_quantile,
)
from orita.delivery.experiments.exposures import Span, stratum_column
from orita.delivery.experiments.outcomes import Outcomes, outcome_view, outcomes_of, row_outcomes_of
from orita.delivery.experiments.results import Effect, MetricResult
from orita.delivery.experiments.sources import rows_of
from orita.delivery.experiments.verdicts import guarded
from orita.stats.sequential.confidence_sequences import LEAST_UNITS

if TYPE_CHECKING:
    import duckdb

__all__ = ["Data", "may_be_seen", "measured"]

_USUAL_UNITS = 10_000
"""For which bounds of a quantile are narrowest, where no size is planned."""


@dataclass(frozen=True, slots=True)
class Data:
    """Where everything is: the open engine with the table of units, and the home and folder of the sources."""

    connection: duckdb.DuckDBPyConnection
    plan: ExperimentPlan
    home: Home
    folder: Path
    span: Span

    def view(self, metric: Metric) -> str:
        """Return SQL of the rows of a metric."""
        interactions = TableSource(table=INTERACTIONS, known="ingested_at")
        source = self.plan.outcomes.get(metric.source, interactions)
        rows = rows_of(self.connection, source, self.home, self.folder)
        if metric.source not in self.plan.outcomes and "ingested_at" not in rows.types:
            source = TableSource(table=INTERACTIONS)
        return outcome_view(self.connection, rows, source, metric)

    def outcomes(self, metric: Metric, view: str) -> Outcomes:
        """Return a metric's outcomes; with a fixed analysis those of the planned first units only."""
        stratum = None if metric.strata is None else stratum_column(self.plan, metric.strata)
        units = self.plan.analysis.units if self.plan.analysis.kind == "fixed" else None
        return outcomes_of(self.connection, metric, view, until=self.span.until, units=units, stratum=stratum)


def may_be_seen(data: Data, closed: int) -> bool:
    """Return whether effects may be looked at: at any time, or once the planned units are closed."""
    return data.plan.analysis.kind == "sequential" or closed >= (data.plan.analysis.units or 0)


def measured(data: Data, metric: Metric) -> MetricResult:
    """Return the effects of each treatment on a metric, as far as they may be seen."""
    plan, view = data.plan, data.view(metric)
    found = data.outcomes(metric, view)
    level = plan.alpha / len(plan.treatments) if metric.role == "primary" else plan.alpha
    closed, note, effects = len(found.id_U) + found.absent, "", list[Effect]()
    if not may_be_seen(data, closed):
        note = f"effects are shown once, when {plan.analysis.units:,} units have their outcome; {closed:,} have."
    else:
        effects = [
            effect for variant in plan.treatments if (effect := _effect(data, metric, variant, found, view, level))
        ]
        if len(effects) < len(plan.treatments):
            fewest = f"{LEAST_UNITS} units" if plan.analysis.kind == "sequential" else "the units"
            note = f"a variant has not {fewest} with a final outcome that a comparison needs."
        elif metric.strata is not None and any(effect.stratification is None for effect in effects):
            note = f"the strata of {metric.strata} have too few units in a variant, and are left out."
    return MetricResult(
        name=metric.name,
        kind=metric.kind,
        role=metric.role,
        direction=metric.direction,
        level=level,
        looked_for=metric.looked_for,
        margin=metric.margin,
        effects=tuple(effects),
        closed=closed,
        nulls=found.nulls,
        late=found.late,
        absent=found.absent,
        note=note,
    )


def _effect(data: Data, metric: Metric, variant: str, found: Outcomes, view: str, level: float) -> Effect | None:
    """Return a variant against the control, None where one of them has too few units."""
    plan, span = data.plan, data.span
    names = list(plan.weights)
    arms = names.index(plan.baseline), names.index(variant)
    pair = found.where(np.isin(found.arm_U, arms))
    pair = replace(pair, arm_U=(pair.arm_U == arms[1]).astype(np.int8))
    if metric.kind == "quantile" and plan.analysis.kind == "sequential":
        units = (plan.analysis.units or _USUAL_UNITS) // len(names)
        effect = sequential_quantile(
            metric, variant, pair, level=level, units=units, start=span.start, until=span.until
        )
    elif metric.aggregate == "rows":
        rows = row_outcomes_of(data.connection, metric, view, units=plan.analysis.units or 0, arms=arms)
        effect = fixed_quantile_of_rows(metric, variant, rows, level=level)
    elif metric.kind == "quantile":
        effect = fixed_quantile(metric, variant, pair, level=level)
    elif plan.analysis.kind == "sequential":
        effect = sequential_effect(metric, variant, pair, level=level, start=span.start, until=span.until)
    else:
        effect = fixed_effect(metric, variant, pair, level=level)
    if effect is None or metric.margin is None:
        return effect
    return replace(effect, guarded=guarded(effect, metric.margin, metric.direction))
