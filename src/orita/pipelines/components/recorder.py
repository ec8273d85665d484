"""The component that records a run for every trained model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orita.features.training_sets.training_set import TrainingSet
from orita.pipelines.code_version import code_tags
from orita.pipelines.components.artifact import Artifact, Made, digest_of
from orita.pipelines.components.component import Call
from orita.pipelines.components.evaluator import defined, read_evaluation
from orita.pipelines.components.packager import model_name
from orita.pipelines.components.trainer import read_fit, trained_name
from orita.pipelines.components.training_rows import training_set_of
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import RunLog
from orita.registry.glance import missing_run

__all__ = ["DRAFT", "Recorder", "lineage_tags", "registry_name"]

DRAFT = "orita.draft"
"""The tag that says which training a run and a version come from."""


class Recorder:
    """Records a run for every model, once; one that was judged anew has its figures replaced by the new ones.

    Args:
        types: the types that were trained.
    """

    name = "recorder"
    version = 1
    outputs: Mapping[str, str] = {"runs": "Run"}

    def __init__(self, types: tuple[str, ...]) -> None:
        self._types = types
        models = {model_name(type_): "Model" for type_ in types}
        fits = {trained_name(type_): "TrainedModel" for type_ in types}
        self.inputs: Mapping[str, str] = {"examples": "TrainingSet", "evaluation": "Evaluation", **fits, **models}

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return which registry it is."""
        return {"registry": registry_name(workspace)}

    def run(self, call: Call) -> Mapping[str, Made]:
        """Record what is not recorded yet."""
        workspace, catalogue, system = call.workspace, call.workspace.catalogue(), call.workspace.system.name
        judged = read_evaluation(workspace, call.inputs["evaluation"])["models"]
        runs: dict[str, str] = {}
        for type_ in self._types:
            log = _run_log(call, type_, judged[type_])
            known = catalogue.runs.finished(system, DRAFT, log.tags[DRAFT])
            if known:
                catalogue.runs.log_metrics(known, log.metrics)
            runs[type_] = known or catalogue.runs.log(system, log)
        return {"runs": Made(address="mlflow:runs", digest=digest_of([runs, judged]), facts={"runs": runs})}

    def lost(self, workspace: Workspace, outputs: Mapping[str, Artifact]) -> str | None:
        """Return which run the registry does not have any more."""
        missing = missing_run(workspace.catalogue(), outputs["runs"].facts["runs"].values())
        return f"the registry has no run {missing}" if missing else None


def registry_name(workspace: Workspace) -> str:
    """Return what stands for the registry: its address may hold a password, so a digest of it."""
    uri = workspace.registry.tracking_uri
    return "home" if uri is None else digest_of(uri)


def lineage_tags(workspace: Workspace, found: TrainingSet) -> dict[str, str]:
    """Return what a run and a version say of what they were made of."""
    return {
        "orita.training_set": found.id,
        "orita.tables": json.dumps(dict(found.tables)),
        "orita.feature_schema": found.schema.version,
        **code_tags(workspace),
    }


def _run_log(call: Call, type_: str, judged: Mapping[str, Any]) -> RunLog:
    fit, model = read_fit(call.workspace, call.inputs[trained_name(type_)]), call.inputs[model_name(type_)]
    found = training_set_of(call.workspace, call.inputs["examples"])
    val, test = (defined(judged[part]["metrics"]) for part in ("val", "test"))
    return RunLog(
        name=type_,
        params={**fit["params"], **model.facts["params"], "type": type_, "rows": fit["rows"]},
        metrics={**test, **{f"val_{k}": v for k, v in val.items()}, "fit_seconds": fit["seconds"]},
        history=fit["history"],
        tags={DRAFT: model.facts["draft"], **lineage_tags(call.workspace, found)},
    )
