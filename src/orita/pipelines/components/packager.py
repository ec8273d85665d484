"""The component that makes a trained model ready to serve: calibrated, and its heads weighed by the objective.

Apart from the trainer, so that another calibration or objective trains nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from orita.core.errors import UserError
from orita.models.metadata import ModelMetadata
from orita.models.objectives import check_objective
from orita.models.package import Package, load_package
from orita.models.reissue import finish_package
from orita.pipelines.components.artifact import Artifact, Made, digest_of
from orita.pipelines.components.component import Call
from orita.pipelines.components.trainer import PACKAGE, learned, read_fit, trained_name
from orita.pipelines.components.training_rows import read_part
from orita.pipelines.workspace import Workspace

__all__ = ["Packager", "model_name", "package_folder"]


def model_name(type_: str) -> str:
    """Return the name of the artifact of a type that is ready to serve."""
    return f"model.{type_}"


class Packager:
    """Calibrates a trained model on validation rows, and weighs its heads; graphs stay as they are.

    Args:
        type_: which, one of `orita.models.config.MODEL_TYPES` or of the system's own.
    """

    version = 1

    def __init__(self, type_: str) -> None:
        self.type = type_
        self.name = f"packager.{type_}"
        self.inputs: Mapping[str, str] = {"examples": "TrainingSet", trained_name(type_): "TrainedModel"}
        self.outputs: Mapping[str, str] = {model_name(type_): "Model"}

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return what is done to the scores of the graph."""
        model = workspace.model.model
        return {"model": {"calibration": model.calibration, "objective": dict(model.objective)}}

    def run(self, call: Call) -> Mapping[str, Made]:
        """Write the package.

        Raises:
            NotFound, UserError: the objective weighs what is no head of the model, or its scores cannot be calibrated.
        """
        workspace, trained = call.workspace, call.inputs[trained_name(self.type)]
        settings = workspace.model.model
        package = load_package(trained.path(workspace.home) / PACKAGE)
        _check_objective(settings.objective, package, read_fit(workspace, trained))
        identity = hashlib.sha256(f"{call.key}/{self.type}".encode()).hexdigest()[:32]
        told = package.extra["model"] | {"calibration": settings.calibration, "objective": dict(settings.objective)}
        (call.folder / PACKAGE).mkdir()
        finish_package(
            package,
            call.folder / PACKAGE,
            ModelMetadata.from_dict({**package.metadata.to_dict(), "model_id": str(UUID(identity))}),
            read_part(workspace, call.inputs["examples"], "val"),
            calibration=settings.calibration,
            objective=settings.objective,
            extra={**package.extra, "model": told},
        )
        made = digest_of([self.settings(workspace), learned(call.folder / PACKAGE)])
        weights = {f"objective.{name}": weight for name, weight in settings.objective.items()}
        params = {"calibration": settings.calibration, **weights}
        facts = {"type": self.type, "draft": f"{trained.facts['draft']}/{made}", "params": params}
        return {model_name(self.type): Made(call.folder, facts=facts)}


def package_folder(workspace: Workspace, model: Artifact) -> Path:
    """Return where the package of a model is."""
    return model.path(workspace.home) / PACKAGE


def _check_objective(objective: Mapping[str, float], package: Package, fit: Mapping[str, Any]) -> None:
    """Refuse an objective that weighs no head, with the reason why there is none; the trainer may not have seen it."""
    left_out = fit["params"].get("heads_left_out", {})
    for name in objective.keys() & left_out.keys():
        raise UserError(f"model.objective weighs {name!r}, which can have no head: {left_out[name]}.")
    if objective and package.heads:
        check_objective(objective, package.heads, "model.objective")
