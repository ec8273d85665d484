"""The component that registers the best model as the challenger, and keeps what its rows looked like."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orita.models.metadata import ModelMetadata
from orita.models.package import Package, load_package
from orita.models.reissue import reissue_package
from orita.pipelines.components.artifact import Artifact, Made, digest_of
from orita.pipelines.components.component import Call
from orita.pipelines.components.evaluator import defined, read_evaluation
from orita.pipelines.components.packager import model_name, package_folder
from orita.pipelines.components.recorder import DRAFT, lineage_tags, registry_name
from orita.pipelines.components.training_rows import read_part, training_set_of
from orita.pipelines.references import keep_reference, kept_schema, reference_path
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import ModelVersion
from orita.registry.expectations import keep_expectations
from orita.registry.glance import aliases_of
from orita.registry.versions import STANDINGS

__all__ = ["Registrar"]


class Registrar:
    """Registers the best model, once, and makes it the challenger; a training is known by the model that it made.

    One that was registered before becomes the challenger again, unless it serves: it is the model of the latest run.

    Args:
        types: the types that were trained.
    """

    name = "registrar"
    version = 1
    outputs: Mapping[str, str] = {"version": "ModelVersion"}

    def __init__(self, types: tuple[str, ...]) -> None:
        models = {model_name(type_): "Model" for type_ in types}
        made = {"examples": "TrainingSet", "schema": "Schema", "evaluation": "Evaluation", "runs": "Run"}
        self.inputs: Mapping[str, str] = made | models

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return which registry it is; card and signature are those of the registration, and are not changed after."""
        return {"registry": registry_name(workspace)}

    def run(self, call: Call) -> Mapping[str, Made]:
        """Register, keep the reference and the schema of its rows, and make it the challenger."""
        workspace = call.workspace
        judged = read_evaluation(workspace, call.inputs["evaluation"])
        best = judged["best"]
        found = _entry(call, best)
        entry = found or _register(call, best, judged["models"][best]["test"])
        _keep_beside(call, entry)
        if found:
            workspace.catalogue().challenge(found)
        facts = {
            "version": entry.version,
            "number": entry.number,
            "type": entry.type,
            "metrics": defined(judged["models"][best]["test"]["metrics"]),
        }
        return {"version": Made(entry.package, digest=digest_of([entry.version, entry.run_id]), facts=facts)}

    def lost(self, workspace: Workspace, outputs: Mapping[str, Artifact]) -> str | None:
        """Return that the registry has not the version, or another challenger; or that what is kept of it is gone."""
        facts = outputs["version"].facts
        aliases = aliases_of(workspace.catalogue(), workspace.system.name, facts["number"])
        if aliases is None:
            return f"the registry has no {facts['version']}"
        gone = [f for f in _kept(workspace, facts["version"]) if not f.exists()]
        if gone:
            return f"{gone[0].relative_to(workspace.home.root)} is gone"
        return f"{facts['version']} is not the challenger any more" if STANDINGS.isdisjoint(aliases) else None


def _kept(workspace: Workspace, version: str) -> tuple[Path, Path]:
    return reference_path(workspace, version), kept_schema(workspace, version)


def _entry(call: Call, type_: str) -> ModelVersion | None:
    """Return the version that this training was registered as before."""
    draft = call.inputs[model_name(type_)].facts["draft"]
    versions = call.workspace.catalogue().versions(call.workspace.system.name)
    return next((entry for entry in versions if entry.tags.get(DRAFT) == draft), None)


def _register(call: Call, type_: str, judged: Mapping[str, Any]) -> ModelVersion:
    workspace, model = call.workspace, call.inputs[model_name(type_)]
    package, run_id = load_package(package_folder(workspace, model)), call.inputs["runs"].facts["runs"][type_]

    def write(folder: Path, version: str) -> None:
        card = _card(package, version, run_id, defined(judged["metrics"]))
        reissue_package(package, folder, card, text=workspace.model.card, evaluation=judged)

    tags = {DRAFT: model.facts["draft"], **lineage_tags(workspace, training_set_of(workspace, call.inputs["examples"]))}
    return workspace.catalogue().register(workspace.system.name, run_id, write, type_=type_, tags=tags)


def _card(package: Package, version: str, run_id: str, metrics: Mapping[str, float]) -> ModelMetadata:
    told = {"model_version": version, "mlflow_run_id": run_id, "metrics": dict(metrics)}
    return ModelMetadata.from_dict({**package.metadata.to_dict(), **told})


def _keep_beside(call: Call, entry: ModelVersion) -> None:
    """Keep what the test rows and their scores look like, and what the training rows lead to expect."""
    workspace = call.workspace
    keep_expectations(workspace.home, workspace.system.name, entry.version, call.path("schema"))
    if not reference_path(workspace, entry.version).exists():
        keep_reference(workspace, entry, read_part(workspace, call.inputs["examples"], "test"))
