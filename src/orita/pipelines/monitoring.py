"""monitoring_and_drift_detection: what was served against what was expected, and who is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter

from orita.core.errors import UserError
from orita.events.predictions import prediction_log
from orita.models.package import load_package
from orita.models.package.load import scores_label
from orita.monitoring.alerts import Assessment, assess
from orita.monitoring.dispatch import signals_of
from orita.monitoring.drift import feature_drift, prediction_drift
from orita.monitoring.drift.confirmation import confirm
from orita.monitoring.findings import DriftReport
from orita.monitoring.performance import PerformanceReport, online_performance
from orita.monitoring.reference import Reference
from orita.monitoring.report import MonitoringReport, report_paths, write_report
from orita.monitoring.triggers import decide
from orita.pipelines.answers import answers_to
from orita.pipelines.compared import compared, reference_spans, shared_features
from orita.pipelines.drift_contents import drift_contents
from orita.pipelines.graph import Graph, Result, Task
from orita.pipelines.occurrences import drift_detected
from orita.pipelines.quality_alerts import latest_quality
from orita.pipelines.references import reference_path
from orita.pipelines.telling import tell
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import ModelVersion

__all__ = ["latest_report", "latest_report_file", "monitoring_graph"]

_DRIFT = TypeAdapter(DriftReport)
_PERFORMANCE = TypeAdapter(PerformanceReport)


def monitoring_graph() -> Graph:
    """Return the graph."""
    return Graph(
        "monitoring_and_drift_detection",
        "0 4 * * *",
        (
            Task("load_reference_data", load_reference_data),
            Task("load_recent_predictions", load_recent_predictions),
            Task("compute_feature_drift", compute_feature_drift),
            Task("compute_prediction_drift", compute_prediction_drift),
            Task("evaluate_online_performance", evaluate_online_performance),
            Task("generate_alerts", generate_alerts, tells=drift_detected),
        ),
    )


def load_reference_data(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Find what the champion's features and scores looked like on its own test rows."""
    champion = _champion(workspace)
    path = reference_path(workspace, champion.version)
    reference = Reference.load(path)
    return {"version": champion.version, "reference": str(path), "requests": len(reference.sample)}


def load_recent_predictions(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Find the champion's predictions of the last window before the latest one."""
    version = results["load_reference_data"]["version"]
    stamps = prediction_log(
        workspace.home, system=workspace.system.name, model_version=version, levels=(1,), columns=["timestamp"]
    ).column("timestamp")
    if len(stamps) == 0:
        raise UserError(
            f"{version} has answered no request yet, so there is nothing to watch: run 'orita serve' and send some."
        )
    end: datetime = pc.max(stamps).as_py()
    start = end - timedelta(hours=workspace.monitoring.window_hours)
    end += timedelta(microseconds=1)
    drift = workspace.monitoring.drift_detection
    return {
        "start": start.isoformat(),
        "end": end.isoformat(),
        "rows": len(stamps),
        "reference": reference_spans(
            drift.reference,
            stamps,
            start,
            end,
            windows=drift.reference_windows,
            min_requests=drift.min_requests,
        ),
    }


def compute_feature_drift(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Compare each feature as served with the reference, and the texts and embeddings that are declared."""
    reference, recent = compared(workspace, results)
    contents = drift_contents(workspace, results, reference, recent)
    shared = shared_features(workspace.system, recent.schema)
    report = feature_drift(reference, recent, workspace.monitoring.drift_detection, contents, shared=shared)
    return _plain(_DRIFT, report)


def compute_prediction_drift(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Compare the scores as served with the reference."""
    report = prediction_drift(*compared(workspace, results), workspace.monitoring.drift_detection)
    return _plain(_DRIFT, report)


def evaluate_online_performance(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Join feedback to predictions; judge quality by version, and latency."""
    columns = ["timestamp", "request_id", "item_id", "score", "model_version", "latency_ms", "user_id"]
    predictions = _recent(workspace, results, columns)
    entries = workspace.catalogue().versions(workspace.system.name)
    # A score of several heads promises no clicks: what it is worth is not held against the AUC of the label's head.
    met = set(predictions.column("model_version").unique().to_pylist())
    judged = [e for e in entries if e.version in met and "auc" in e.metrics and scores_label(e.package)]
    test_auc = {entry.version: entry.metrics["auc"] for entry in judged}
    report = online_performance(
        predictions,
        answers_to(workspace, predictions),
        workspace.monitoring.performance_monitoring,
        test_auc=test_auc,
        as_of=workspace.clock.now(),
    )
    return _plain(_PERFORMANCE, report)


def generate_alerts(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Raise and lift alerts, tell the sinks, decide whether to retrain, and write the report."""
    report, assessment, evidence = _judged(workspace, results)
    folder, alerting = _folder(workspace), workspace.monitoring.alerting
    # Written before anyone is told, so that the evidence an alert links to exists.
    write_report(report, folder)
    sent = tell(workspace, signals_of(assessment, alerting.rules))
    write_report(replace(report, told=sent), folder)
    watched, asking = _follow_up(workspace)
    return {
        "report": str(evidence),
        "alerts": [alert.to_dict() for alert in assessment.firing],
        "new": sent.new,
        "undelivered": [f"{delivery.sink}: {delivery.error}" for delivery in sent.failed],
        "retrain": report.decision.retrain or bool(asking),
        "reasons": [*report.decision.reasons, *asking],
        "held": list(report.decision.held),
        "book": str(alerting.book(workspace.home.reports)),
        **({"promotion": watched} if watched else {}),
    }


def _follow_up(workspace: Workspace) -> tuple[Result | None, list[str]]:
    """Watch what retraining promoted, and ask the conditions for retraining that are of no report."""
    from orita.pipelines.retraining.conditions import asked_beside_report
    from orita.pipelines.retraining.watching import watch_promoted

    return watch_promoted(workspace), asked_beside_report(workspace)


def _judged(workspace: Workspace, results: Mapping[str, Result]) -> tuple[MonitoringReport, Assessment, Path]:
    """Return the report of what was found, which alerts that gives rise to, and where the report will lie."""
    at = workspace.clock.now()
    version = results["load_reference_data"]["version"]
    needed = workspace.monitoring.drift_detection.confirmations
    earlier = _drifted_before(workspace, version, needed - 1)
    features, scores = (
        confirm(_DRIFT.validate_python(results[f"compute_{each}_drift"]), earlier, needed)
        for each in ("feature", "prediction")
    )
    performance = _PERFORMANCE.validate_python(results["evaluate_online_performance"])
    system, window = workspace.system.name, results["load_recent_predictions"]
    _, evidence = report_paths(_folder(workspace), system, at)
    quality = latest_quality(workspace)
    assessment = assess(system, (features, scores), performance, quality=quality, evidence=evidence, at=at)
    trained = datetime.fromisoformat(load_package(_champion(workspace).package).metadata.training_date)
    decision = decide(
        (features, scores),
        performance,
        workspace.monitoring.retraining_triggers,
        last_training=trained,
        now=at,
    )
    report = MonitoringReport(
        system=system,
        model_version=version,
        at=at,
        start=datetime.fromisoformat(window["start"]),
        end=datetime.fromisoformat(window["end"]),
        features=features,
        predictions=scores,
        performance=performance,
        alerts=assessment.firing,
        decision=decision,
        quality=tuple(quality),
    )
    return report, assessment, evidence


def _drifted_before(workspace: Workspace, version: str, reports: int) -> list[set[str]]:
    """Return the names of what drifted in the last *reports* reports about a model version, oldest first."""
    found: list[set[str]] = []
    if reports < 1:
        return found
    for path in sorted(_folder(workspace).glob(f"monitoring-{workspace.system.name}-*.json"), reverse=True):
        report = json.loads(path.read_text(encoding="utf-8"))
        if report["model_version"] == version:
            both = [report[about]["findings"] for about in ("features", "predictions") if report[about]]
            found.append({finding["name"] for findings in both for finding in findings if finding["drifted"]})
        if len(found) == reports:
            break
    return found[::-1]


def latest_report(workspace: Workspace) -> dict[str, Any] | None:
    """Return the newest monitoring report as plain values, or None."""
    file = latest_report_file(workspace)
    return json.loads(file.read_text(encoding="utf-8")) if file else None


def latest_report_file(workspace: Workspace) -> Path | None:
    """Return where the newest monitoring report is, or None."""
    found = sorted(_folder(workspace).glob(f"monitoring-{workspace.system.name}-*.json"))
    return found[-1] if found else None


def _folder(workspace: Workspace) -> Path:
    return workspace.home.reports / "monitoring"


def _champion(workspace: Workspace) -> ModelVersion:
    champion = workspace.catalogue().champion(workspace.system.name)
    if champion is None:
        raise UserError(f"system {workspace.system.name!r} has no champion yet: run 'orita run all' first.")
    return champion


def _recent(workspace: Workspace, results: Mapping[str, Result], columns: list[str]) -> pa.Table:
    window = results["load_recent_predictions"]
    return prediction_log(
        workspace.home,
        start=datetime.fromisoformat(window["start"]),
        end=datetime.fromisoformat(window["end"]),
        system=workspace.system.name,
        model_version=results["load_reference_data"]["version"],
        levels=(1,),  # what stood in for the model says nothing of it
        columns=columns,
    )


def _plain(adapter: TypeAdapter[Any], value: object) -> Result:
    plain: Result = adapter.dump_python(value, mode="json")
    return plain
