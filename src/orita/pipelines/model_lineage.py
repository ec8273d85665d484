"""The whole story of a registered model: what it came from, what it did, and what was said and decided about it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orita.control.deployments import Deployments
from orita.core.errors import UserError
from orita.features.training_sets.training_set import training_sets
from orita.monitoring.alerting.book import AlertBook
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import ModelVersion
from orita.registry.lineage import is_made_of, origin_of, trained_from
from orita.registry.uses import answers_of, feedback_of, find_prediction, periods_of

__all__ = ["lineage_of_prediction", "lineage_of_version", "models_trained_from"]


def lineage_of_version(workspace: Workspace, version: str) -> dict[str, Any]:
    """Return where a model came from and what came of it, as plain values.

    Args:
        workspace: where it is registered.
        version: a version, or an alias.

    Raises:
        NotFound: there is no such version.
    """
    home, system, catalogue = workspace.home, workspace.system, workspace.catalogue()
    entry = catalogue.get(system.name, version)
    deployments = Deployments(home.control, home.tenant).history(system.name)
    answers = answers_of(home, system.name, entry.version, progress=workspace.progress)
    memory = workspace.data.validation.memory_mb
    feedback = feedback_of(home, system, entry.version, memory_mb=memory) if answers.rows else None
    compared, retrainings = _compared_and_retrained(workspace, entry.version)
    return {
        "model": _told(entry),
        "from": asdict(origin_of(catalogue, system, entry)) | {"compared_with": compared},
        "to": {
            "deployments": [asdict(period) for period in periods_of(deployments, entry.version)],
            "predictions": asdict(answers),
            "feedback": asdict(feedback) if feedback else None,
            "monitoring": _watched(workspace, entry.version),
            "alerts": _alerts(workspace, entry.version),
            "retrainings": retrainings,
            "made_of_it": [_told(e) for e in catalogue.versions(system.name) if _is_made_of(e, entry)],
        },
    }


def lineage_of_prediction(workspace: Workspace, identity: str) -> dict[str, Any]:
    """Return what a prediction, or a request, came from: the version that answered, and what that came from.

    Raises:
        NotFound: the log does not have it, or the version is not registered here any more.
        UserError: another system answered it.
    """
    found = find_prediction(workspace.home, identity, progress=workspace.progress)
    if found.system != workspace.system.name:
        raise UserError(
            f"{identity} was answered by system {found.system!r}, this is {workspace.system.name!r}: give --system."
        )
    catalogue = workspace.catalogue()
    entry = catalogue.get(workspace.system.name, found.version)
    told = asdict(found)
    for item in told["items"]:
        item["features"] = {name: value for name, value in (item["features"] or {}).items() if value is not None}
    return {"prediction": told, "model": _told(entry), "from": asdict(origin_of(catalogue, workspace.system, entry))}


def models_trained_from(workspace: Workspace, *, table: str = "", training_set: str = "") -> dict[str, Any]:
    """Return the training sets and models that were made of a version of a table, or of a training set.

    Raises:
        UserError: the version of the table is no number.
    """
    system = workspace.system.name
    entries = trained_from(workspace.catalogue(), system, table=table, training_set=training_set)
    sets = [
        each.id
        for each in training_sets(workspace.home.training_sets, system)
        if (training_set and each.id.startswith(training_set)) or is_made_of(each.tables, table)
    ]
    return {"training_sets": sets, "models": [_told(entry) for entry in entries]}


def _told(entry: ModelVersion) -> dict[str, Any]:
    return {
        "system": entry.system,
        "version": entry.version,
        "type": entry.type,
        "aliases": list(entry.aliases),
        "registered_at": entry.created_at.isoformat(),
        "training_set": entry.tags.get("orita.training_set", ""),
        "auc": entry.metrics.get("auc"),
    }


def _is_made_of(entry: ModelVersion, parent: ModelVersion) -> bool:
    return entry.tags.get("orita.parent") == parent.version


def _watched(workspace: Workspace, version: str) -> dict[str, Any]:
    """Return how often monitoring looked at a version, when, and which alerts it raised how often."""
    looks: list[str] = []
    alerts: dict[str, int] = {}
    for report in _json(workspace.home.reports / "monitoring", f"monitoring-{workspace.system.name}-*.json"):
        if report.get("model_version") == version:
            looks.append(str(report.get("at", "")))
            for alert in report.get("alerts", []):
                alerts[alert["name"]] = alerts.get(alert["name"], 0) + 1
    return {"reports": len(looks), "first": min(looks, default=""), "last": max(looks, default=""), "alerts": alerts}


def _alerts(workspace: Workspace, version: str) -> list[dict[str, Any]]:
    """Return the alerts whose subject is the version, as they are now."""
    subject = f"{workspace.system.name}/{version}"
    with closing(AlertBook(workspace.monitoring.alerting.book(workspace.home.reports))) as book:
        known = sorted((each for each in book.alerts() if each.subject == subject), key=lambda each: each.name)
    return [
        {
            "name": each.name,
            "firing": each.firing,
            "since": each.condition.fired_at.isoformat() if each.condition.fired_at else "",
            "summary": each.alert["summary"],
        }
        for each in known
    ]


def _compared_and_retrained(workspace: Workspace, version: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the comparisons of a version with another, and the retrainings that its state gave rise to."""
    compared: list[dict[str, Any]] = []
    retrainings: list[dict[str, Any]] = []
    for report in _runs(workspace):
        results = {task["name"]: task.get("result", {}) for task in report.get("tasks", [])}
        verdict, asked = results.get("compare_with_production", {}), results.get("check_trigger_conditions", {})
        told = {"run": report.get("run_id", ""), "at": report.get("started_at", "")}
        met = {name: verdict.get(name) for name in ("challenger", "champion", "better", "why")}
        known = any(met.items() <= each.items() for each in compared)  # a run that changed nothing says it again
        if version in (met["challenger"], met["champion"]) and met["challenger"] != met["champion"] and not known:
            compared.append(told | met)
        if asked.get("retrain") and asked.get("champion") == version:
            made = results.get("trigger_training_dag", {}).get("version")
            retrainings.append(told | {"reasons": asked.get("reasons", []), "made": made})
    return compared, retrainings


def _runs(workspace: Workspace) -> Iterator[Mapping[str, Any]]:
    """Yield the reports of runs that compare models; one that does not name its system is of the home's only one."""
    sets = workspace.home.training_sets
    only = not sets.is_dir() or [each.name for each in sets.iterdir() if each.is_dir()] == [workspace.system.name]
    for graph in ("automated_retraining", "promotion"):
        for report in _json(workspace.home.reports / "runs" / graph, "*.json"):
            if report.get("system", workspace.system.name if only else None) == workspace.system.name:
                yield report


def _json(folder: Path, pattern: str) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.glob(pattern)):
        yield json.loads(file.read_text(encoding="utf-8"))
