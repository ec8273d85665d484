"""automated_retraining: when a trigger asks for it, train on fresh data and promote only what is surely better."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime

from orita.core.errors import UserError
from orita.events.lake import Lake
from orita.models.package import load_package
from orita.monitoring.triggers import decide
from orita.pipelines.comparison import refuse_other_features
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import Graph, Result, Task, run_graph
from orita.pipelines.graph.journal import open_journal
from orita.pipelines.monitoring import latest_report
from orita.pipelines.occurrences import model_promoted
from orita.pipelines.promotion import compare_with_production, promote_if_better
from orita.pipelines.training import training_graph
from orita.pipelines.workspace import Workspace

__all__ = ["retraining_graph"]

_RUNS = {"trigger_etl_dag": "etl_and_feature_engineering", "trigger_training_dag": "model_training"}


def retraining_graph(*, force: bool = False, done_by: str | None = None) -> Graph:
    """Return the graph.

    Args:
        force: retrain whatever the triggers say.
        done_by: the run of ETL or training that another scheduler led for the one task that is asked for: the task
            takes over its result and runs nothing.
    """

    def check(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        return check_trigger_conditions(workspace, results, force=force)

    def etl(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        return trigger_etl(workspace, results, done_by=done_by)

    def training(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        return trigger_training(workspace, results, done_by=done_by)

    return Graph(
        "automated_retraining",
        "0 0 * * 0",
        (
            Task("check_trigger_conditions", check),
            Task("fetch_recent_data", fetch_recent_data),
            Task("trigger_etl_dag", etl),
            Task("trigger_training_dag", training),
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


def trigger_etl(workspace: Workspace, results: Mapping[str, Result], *, done_by: str | None = None) -> Result:
    """Compute features of everything in the lake; nothing is generated or ingested here."""
    if "skipped" in results["fetch_recent_data"]:
        return results["fetch_recent_data"]
    if done_by is not None:
        run, cached = _led_elsewhere(workspace, "trigger_etl_dag", done_by)
    else:
        graph = etl_graph(workspace)
        report = run_graph(replace(graph, tasks=graph.tasks[2:]), workspace)
        done_by, run, cached = report.run_id, report.results, report.cached
    return {"run": done_by, "training_set": run["save_features"]["training_set"], "cached": cached}


def trigger_training(workspace: Workspace, results: Mapping[str, Result], *, done_by: str | None = None) -> Result:
    """Train on the fresh training set and register the best model."""
    if "skipped" in results["fetch_recent_data"]:
        return results["fetch_recent_data"]
    if done_by is not None:
        run, cached = _led_elsewhere(workspace, "trigger_training_dag", done_by)
    else:
        report = run_graph(training_graph(), workspace)
        done_by, run, cached = report.run_id, report.results, report.cached
    return {"run": done_by, "version": run["register_model"]["version"], "cached": cached}


def _led_elsewhere(workspace: Workspace, task: str, run_id: str) -> tuple[dict[str, Result], bool]:
    """Return the results of a run of the graph that *task* runs, and whether nothing was done in it.

    Raises:
        UserError: there is no such run, or it is of another graph, or it has not ended well.
    """
    graph = _RUNS[task]
    with closing(open_journal(workspace.home, workspace.system.name, workspace.clock)) as journal:
        row = journal.run(run_id)
        if row is None or row.graph != graph or row.status != "success":
            found = "is not known" if row is None else f"is one of {row.graph}, and its status is {row.status!r}"
            raise UserError(
                f"--done-by {run_id}: the run {found}; task {task!r} needs one of {graph} that ended well. "
                "'orita runs list' shows the last ones."
            )
        tasks = journal.tasks(run_id)
    cached = all(row.status in ("cached", "skipped") for row in tasks.values())
    return {name: row.result for name, row in tasks.items()}, cached


def evaluate_new_model(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Return the new model's test metrics."""
    if "skipped" in results["fetch_recent_data"]:
        return results["fetch_recent_data"]
    entry = workspace.catalogue().get(workspace.system.name, results["trigger_training_dag"]["version"])
    return {"version": entry.version, "type": entry.type, "metrics": dict(entry.metrics)}
