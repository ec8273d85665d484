"""What the tasks of the pipelines mean to those who listen: a model was trained, promoted; drift was found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from orita.pipelines.components.task import artifacts_of
from orita.pipelines.graph import Occurrence, Result
from orita.pipelines.workspace import Workspace

__all__ = ["drift_detected", "model_promoted", "model_trained"]

_CARD = "model_metadata.json"
_ALERTS = {"FEATURE_DRIFT": "features", "PREDICTION_DRIFT": "predictions"}


def model_trained(workspace: Workspace, results: Mapping[str, Result]) -> Iterator[Occurrence]:
    """Yield ``model.training.completed``: which model, how good, and how many seconds its training took."""
    told = results["register_model"]
    card = json.loads((artifacts_of(results)["version"].path(workspace.home) / _CARD).read_text(encoding="utf-8"))
    fit = results["train_model"]["fits"][told["type"]]
    yield (
        "model.training.completed",
        {
            "model_id": card["model_id"],
            "version": told["version"],
            "type": told["type"],
            "accuracy": told["metrics"].get("accuracy"),
            "metrics": told["metrics"],
            "training_duration": fit["seconds"],
        },
    )


def model_promoted(workspace: Workspace, results: Mapping[str, Result]) -> Iterator[Occurrence]:
    """Yield ``model.promotion.completed`` where a model was promoted."""
    told = results["promote_if_better"]
    if told.get("promoted"):
        before = results["compare_with_production"]["champion"]
        yield "model.promotion.completed", {"version": told["champion"], "before": before, "why": told["why"]}


def drift_detected(workspace: Workspace, results: Mapping[str, Result]) -> Iterator[Occurrence]:
    """Yield ``data.drift.detected`` for each alert of drift that fires."""
    told = results["generate_alerts"]
    for alert in told["alerts"]:
        if alert["name"] in _ALERTS:
            about = _ALERTS[alert["name"]]
            data = {"about": about, "summary": alert["summary"], "report": told["report"], "retrain": told["retrain"]}
            yield "data.drift.detected", data
