"""A report on an experiment as of a time: units, outcomes, effects, checks, and what to do.

The steps, in order: who was exposed (`exposures`), each metric's outcomes and effects (`measuring`), p-values adjusted
for their number, the checks of the primary metric, the verdict.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from orita.core.clock import from_micros, to_micros
from orita.core.errors import UserError
from orita.core.home import Home
from orita.core.progress import SILENT, Progress
from orita.delivery.experiments.beliefs import beliefs_of
from orita.delivery.experiments.day_checks import day_checks
from orita.delivery.experiments.declarations import ExperimentPlan, PredictionSource
from orita.delivery.experiments.exposures import Exposed, Span, find_units
from orita.delivery.experiments.held_out import holdout_effect
from orita.delivery.experiments.life import KeptExperiment
from orita.delivery.experiments.matching import row_counts, warnings_of
from orita.delivery.experiments.measuring import Data, may_be_seen, measured
from orita.delivery.experiments.periods import closing_of
from orita.delivery.experiments.results import ExperimentReport, MetricResult, OutcomeRowCount
from orita.delivery.experiments.rollout_splits import split_changed_at
from orita.delivery.experiments.sample_ratios import sample_ratio_of
from orita.delivery.experiments.sizes import size_of
from orita.delivery.experiments.verdicts import verdict_of
from orita.events.engine import open_engine
from orita.stats.multiplicity import benjamini_hochberg, holm

__all__ = ["report_on"]


def report_on(
    kept: KeptExperiment,
    home: Home,
    folder: Path,
    *,
    until: datetime,
    memory_mb: int = 1024,
    progress: Progress = SILENT,
) -> ExperimentReport:
    """Return the report as of *until*.

    Args:
        kept: an experiment that was started.
        home: where the prediction log and the lake tables are.
        folder: from where paths of files are taken.
        until: what became known later is not seen.
        memory_mb: of the query engine; larger work goes through the disk.
        progress: where to draw progress.

    Raises:
        NotFound: a source or a column is not there.
        UserError: it has not started by *until*, or a source cannot be read.
    """
    plan, span = kept.plan, _span(kept, home, until)
    with open_engine(home.staging, memory_mb) as connection, progress.bar("report", len(plan.metrics) + 2) as bar:
        exposed = find_units(connection, plan, home, folder, span, kept.rollout)
        bar.advance()
        ratio = sample_ratio_of(connection, plan, span)
        data = Data(connection, plan, home, folder, span)
        results = []
        for metric in plan.metrics:
            bar.describe(metric.name)
            results.append(measured(data, metric))
            bar.advance()
        metrics = _adjusted(plan, results)
        primary, view = next(each for each in metrics if each.role == "primary"), data.view(plan.primary)
        decided = may_be_seen(data, primary.closed)
        found = data.outcomes(plan.primary, view) if decided else None
        size = size_of(connection, plan, primary, exposed, ratio, span)
        outcome_rows = row_counts(data)
        closed = kept.status == "stopped" and span.end + max(map(closing_of, plan.metrics)) <= span.until
        verdict = verdict_of(metrics, plan.treatments, ratio, size, over=closed or span.final)
        report = ExperimentReport(
            key=plan.key,
            hypothesis=plan.hypothesis,
            owner=plan.owner,
            status=kept.status,
            control=plan.baseline,
            analysis=plan.analysis.kind,
            alpha=plan.alpha,
            started_at=from_micros(span.start),
            ended_at=from_micros(span.end),
            until=from_micros(span.until),
            exposed=exposed,
            sample_ratio=ratio,
            size=size,
            metrics=metrics,
            verdict=replace(verdict, reasons=(*warnings_of(outcome_rows), *verdict.reasons)),
            belief=() if found is None else beliefs_of(plan, plan.primary, found),
            days=() if found is None else day_checks(connection, plan, plan.primary, view, found),
            holdout=holdout_effect(connection, plan, plan.primary, view, span),
            outcome_rows=outcome_rows,
            notes=_notes(span, exposed, metrics, outcome_rows),
        )
        bar.advance()
    return report


def _span(kept: KeptExperiment, home: Home, until: datetime) -> Span:
    if kept.started_at is None:
        raise UserError(
            f"experiment {kept.plan.key!r} is a draft: 'orita experiments start {kept.plan.key}' says from when "
            "exposures count."
        )
    start, now = to_micros(kept.started_at), to_micros(until)
    end = now if kept.stopped_at is None else min(now, to_micros(kept.stopped_at))
    if end <= start:
        raise UserError(
            f"experiment {kept.plan.key!r} started at {kept.started_at.isoformat()}: there is nothing to report as of "
            f"{until.isoformat()}; give a later time."
        )
    if kept.rollout is not None and isinstance(kept.plan.exposures, PredictionSource):
        changed = split_changed_at(home, kept.plan.exposures.rollout, kept.rollout)
        if changed is not None and (over := to_micros(changed)) <= now:
            return Span(start, min(end, over), over, final=True)
    return Span(start, end, now)


def _adjusted(plan: ExperimentPlan, results: list[MetricResult]) -> tuple[MetricResult, ...]:
    """Return the metrics with p-values of the secondary ones adjusted for how many there are."""
    tests = [
        (m, e) for m, metric in enumerate(results) if metric.role == "secondary" for e in range(len(metric.effects))
    ]
    if not tests:
        return tuple(results)
    adjust = holm if plan.multiple_testing == "holm" else benjamini_hochberg
    adjusted_K = adjust(np.array([results[m].effects[e].p_value for m, e in tests]))
    for (m, e), p_value in zip(tests, adjusted_K.tolist(), strict=True):
        effects = list(results[m].effects)
        effects[e] = replace(effects[e], adjusted_p=p_value)
        results[m] = replace(results[m], effects=tuple(effects))
    return tuple(results)


def _notes(
    span: Span, exposed: Exposed, metrics: tuple[MetricResult, ...], outcome_rows: tuple[OutcomeRowCount, ...]
) -> tuple[str, ...]:
    """Return what is to be known besides: what was left out, and why."""
    told = [
        (exposed.unreadable, "rows of exposures have no unit, variant or time, and are left out."),
        (exposed.out_of_time, "rows of exposures lie before the start, after the end, or were not known yet."),
        (exposed.two_variants, "units were seen in two variants, and are left out."),
        (exposed.overridden, "units had their variant from an override, and are not analysed."),
        (exposed.held_out, "units were exposed although a holdout keeps them out; they are left out."),
        (exposed.undeclared, "units got a variant that the experiment does not declare; they are left out."),
        (exposed.other_split, "rows of exposures were chosen by other shares of the rollout, and are left out."),
    ]
    notes = [f"{count:,} {sentence}" for count, sentence in told if count]
    if span.final:
        over = f"{from_micros(span.until):%Y-%m-%d %H:%M:%S} UTC"
        notes.insert(0, f"The rollout ended, or gave other shares, at {over}: the report is as of then.")
    notes += [
        f"{each.source}: {each.unmatched:,} of {each.rows:,} rows are of no unit that is analysed."
        for each in outcome_rows
        if each.unmatched
    ]
    for metric in metrics:
        if metric.nulls:
            notes.append(f"{metric.name}: {metric.nulls:,} rows have no number, and do not count.")
        if metric.late:
            notes.append(f"{metric.name}: {metric.late:,} rows became known too late; give the metric more 'late'.")
        if metric.absent:
            notes.append(f"{metric.name}: {metric.absent:,} units have no row, and do not count.")
    return tuple(notes)
