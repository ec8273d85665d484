"""automated_retraining: when a trigger asks for it, train on fresh data and promote only what is surely better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from orita.core.errors import UserError
from orita.events.lake import Lake
from orita.models.package import load_package
from orita.monitoring.triggers import decide
from orita.pipelines.comparison import refuse_other_features
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import Graph, Result, Task, run_graph
from orita.pipelines.monitoring import latest_report
from orita.pipelines.occurrences import model_promoted
from orita.pipelines.promotion import compare_with_production, promote_if_better
from orita.pipelines.training import training_graph
from orita.pipelines.workspace import Workspace

__all__ = ["retraining_graph"]


def retraining_graph(*, force: bool = False) -> Graph:
    """Return the graph; *force* retrains whatever the triggers say."""

    def check(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        return check_trigger_conditions(workspace, results, force=force)

    return Graph(
        "automated_retraining",
        "0 0 * * 0",
        (
            Task("check_trigger_conditions", check),
            Task("fetch_recent_data", fetch_recent_data),
            Task("trigger_etl_dag", trigger_etl),
            Task("trigger_training_dag", trigger_training),
            Task("evaluate_new_model", evaluate_new_model),
            Task("compare_with_production", compare_with_production),
            Task("promote_if_better", promote_if_better, tells=model_promoted),
        ),
        subject="forced" if force else "",
    )


def check_trigger_conditions(workspace: Workspace, results: Mapping[str, Result], *, force: bool) -> Result:
    """Decide from the latest monitoring report and the schedule whether a new model is due."""
    champion = workspace.catalogue().champion(workspace.system.name)
    package = load_package(champion.package) if champion else None
    if champion and package:
        refuse_other_features(workspace, champion.version, package.schema)
    trained = package.metadata.training_date if package else None
    report = latest_report(workspace)
    reasons = ["asked for with --force"] if force else []
    watched = report.get("decision", {}) if report and champion and report["model_version"] == champion.version else {}
    reasons += watched.get("reasons", [])
    calendar = decide(
        (),
        None,
        workspace.monitoring.retraining_triggers,
        last_training=datetime.fromisoformat(trained) if trained else None,
        now=workspace.clock.now(),
    )
    reasons += [reason for reason in calendar.reasons if reason not in reasons]
    return {"retrain": bool(reasons), "reasons": reasons, "champion": champion.version if champion else None}


def fetch_recent_data(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Say how much there is to learn from."""
    if not results["check_trigger_conditions"]["retrain"]:
        return {"skipped": "no trigger asks for a new model"}
    lake = Lake(workspace.home)
    if not lake.exists(workspace.system.source.name):
        raise UserError("there are no events to learn from: run 'orita ingest FILE', or 'orita run all'.")
    snapshot = lake.snapshot(workspace.system.source.name)
    return {"table": snapshot.name, "version": snapshot.version, "rows": snapshot.rows}


def trigger_etl(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Compute features of everything in the lake; nothing is generated or ingested here."""
    if "skipped" in results["fetch_recent_data"]:
        return results["fetch_recent_data"]
    graph = etl_graph(workspace)
    report = run_graph(replace(graph, tasks=graph.tasks[2:]), workspace)
    training_set = report.results["save_features"]["training_set"]
    return {"run": report.run_id, "training_set": training_set, "cached": report.cached}


def trigger_training(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Train on the fresh training set and register the best model."""
    if "skipped" in results["fetch_recent_data"]:
        return results["fetch_recent_data"]
    report = run_graph(training_graph(), workspace)
    return {"run": report.run_id, "version": report.results["register_model"]["version"], "cached": report.cached}


def evaluate_new_model(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Return the new model's test metrics."""
    if "skipped" in results["fetch_recent_data"]:
        return results["fetch_recent_data"]
    entry = workspace.catalogue().get(workspace.system.name, results["trigger_training_dag"]["version"])
    return {"version": entry.version, "type": entry.type, "metrics": dict(entry.metrics)}
