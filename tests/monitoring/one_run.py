"""One monitoring run from end to end: sample, compare, judge, decide, write, tell.

The steps are public one by one (`sample_predictions`, `feature_drift`, `prediction_drift`, `online_performance`,
`assess`, `decide`, `write_report`, `dispatch`), so that a pipeline can make a task of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from orita.core.clock import Clock, SystemClock, from_micros
from orita.core.home import Home
from orita.monitoring.alerting.book import AlertBook
from orita.monitoring.alerts import TableQuality, assess
from orita.monitoring.config import DriftDetectionConfig, MonitoringConfig
from orita.monitoring.dispatch import dispatch, signals_of
from orita.monitoring.drift import feature_drift, prediction_drift
from orita.monitoring.findings import DriftReport
from orita.monitoring.performance import online_performance
from orita.monitoring.reference import Reference
from orita.monitoring.report import MonitoringReport, report_paths, write_report
from orita.monitoring.sample import sample_predictions
from orita.monitoring.sinks import configured_sinks
from orita.monitoring.triggers import decide

__all__ = ["Watched", "watch"]


@dataclass(frozen=True, slots=True)
class Watched:
    """The outcome of a run.

    Attributes:
        report: what was found, told and decided.
        json_path, html_path: where it was written.
    """

    report: MonitoringReport
    json_path: Path
    html_path: Path


def watch(
    home: Home,
    system: str,
    *,
    predictions: pa.Table,
    feedback: pa.Table,
    reference: Reference | None,
    config: MonitoringConfig,
    test_auc: Mapping[str, float],
    last_training: datetime | None,
    quality: tuple[TableQuality, ...] = (),
    clock: Clock | None = None,
) -> Watched:
    """Look at what was served in a window, write the report, tell who must know.

    Args:
        home: reports and the file of alerts go to its ``reports``.
        system: such as ``feed``.
        predictions: the prediction log of the window (contract §4); drift looks at the reference's version only.
        feedback: interactions with a request id.
        reference: what the champion expects; None: drift is not looked at.
        config: `monitoring_config.yaml`.
        test_auc: by model version.
        last_training: when the champion was trained; None: never.
        quality: of the data, by table.
        clock: tells the time.
    """
    clock = clock or SystemClock()
    at = clock.now().astimezone(UTC)
    features, scores = _drift(reference, predictions, config.drift_detection)
    drift = tuple(report for report in (features, scores) if report is not None)
    performance = online_performance(predictions, feedback, config.performance_monitoring, test_auc=test_auc)
    _, evidence = report_paths(home.reports, system, at)
    assessment = assess(system, drift, performance, quality=quality, evidence=evidence, at=at)
    decision = decide(drift, performance, config.retraining_triggers, last_training=last_training, now=at)
    start, end = _window(predictions)
    version = reference.model_version if reference else None
    report = MonitoringReport(
        system, version, at, start, end, features, scores, performance, assessment.firing, decision, None, quality
    )
    # Written before anyone is told, so that the evidence an alert links to exists.
    write_report(report, home.reports)
    alerting = config.alerting
    with closing(AlertBook(alerting.book(home.reports))) as book:
        told = dispatch(
            signals_of(assessment, alerting.rules),
            configured_sinks(alerting),
            book=book,
            clock=clock,
            cooldown=timedelta(hours=alerting.cooldown_hours),
        )
    report = replace(report, told=told)
    return Watched(report, *write_report(report, home.reports))


def _drift(
    reference: Reference | None, predictions: pa.Table, config: DriftDetectionConfig
) -> tuple[DriftReport | None, DriftReport | None]:
    if reference is None:
        return None, None
    mine = predictions.filter(pc.equal(predictions.column("model_version"), reference.model_version))
    schema = reference.sample.schema
    recent = sample_predictions(schema, mine, max_requests=config.max_requests, seed=config.seed)
    return feature_drift(reference, recent, config), prediction_drift(reference, recent, config)


def _window(predictions: pa.Table) -> tuple[datetime | None, datetime | None]:
    if predictions.num_rows == 0:
        return None, None
    micros = pc.cast(predictions.column("timestamp"), pa.timestamp("us", tz="UTC")).cast(pa.int64())
    bounds = pc.min_max(micros)
    return from_micros(bounds["min"].as_py()), from_micros(bounds["max"].as_py())
