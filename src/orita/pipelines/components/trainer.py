"""The component that trains one type of model (TFX's Trainer)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from orita.models.build import build_ranker
from orita.models.examples import Examples
from orita.models.learnable import check_can_learn
from orita.models.metadata import ModelMetadata
from orita.models.own_rankers import check_call, checked_report
from orita.models.package import write_package
from orita.models.ranker import FitContext, Ranker
from orita.models.training_bounds import TrainingBounds
from orita.pipelines.components.artifact import Artifact, Made, digest_of
from orita.pipelines.components.component import Call
from orita.pipelines.components.decisive import decisive_settings
from orita.pipelines.components.training_rows import read_part, training_set_of
from orita.pipelines.workspace import Workspace

__all__ = ["PACKAGE", "Trainer", "check_own", "learned", "model_types", "read_fit", "trained_name"]

UNREGISTERED = "v0.0.0"
PACKAGE = "package"
"""The folder of the package in the artifact of a model."""
_FIT = "fit.json"
_LEARNED = (".onnx", ".parquet", ".safetensors")
"""What of a package was learned; its other files hold times, and versions of whatever happened to be loaded."""


def model_types(workspace: Workspace) -> tuple[str, ...]:
    """Return the types that the configuration trains, each once."""
    return tuple(dict.fromkeys((workspace.model.model.type, *workspace.model.beside)))


def check_own(workspace: Workspace) -> None:
    """Refuse parameters that one of the user's own types does not take, before any type is trained.

    Raises:
        UserError: there are such.
    """
    own, model = workspace.system.own_rankers, workspace.model.model
    for type_ in model_types(workspace):
        if type_ in own:
            check_call(type_, own[type_], model.parameters.get(type_, {}))


def trained_name(type_: str) -> str:
    """Return the name of the artifact of a type as training left it."""
    return f"trained.{type_}"


class Trainer:
    """Trains one type, and writes it as a package of raw scores with a report of the fit beside it.

    Args:
        type_: which, one of `orita.models.config.MODEL_TYPES` or of the system's own.
    """

    version = 2  # bounds of training rows for each feature by itself
    inputs: Mapping[str, str] = {"examples": "TrainingSet"}

    def __init__(self, type_: str) -> None:
        self.type = type_
        self.name = f"trainer.{type_}"
        self.outputs: Mapping[str, str] = {trained_name(type_): "TrainedModel"}

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return what of the configuration this type reads."""
        return decisive_settings(self.type, workspace)

    def run(self, call: Call) -> Mapping[str, Made]:
        """Train; a training that was killed goes on from its last checkpoint."""
        workspace = call.workspace
        train, val = (read_part(workspace, call.inputs["examples"], part) for part in ("train", "val"))
        own = workspace.system.own_rankers
        ranker = build_ranker(self.type, workspace.model.model, workspace.model.training, own)
        context = FitContext(workspace.progress, call.work, workspace.model.seed, f"Train {self.type}")
        begun = workspace.clock.monotonic()
        check_can_learn(self.type, train, val)
        fit = checked_report(ranker, ranker.fit(train, val, context))
        seconds = workspace.clock.monotonic() - begun
        _write_package(self.type, call, ranker, train, val)
        told = {**asdict(fit), "seconds": seconds, "rows": len(train)}
        (call.folder / _FIT).write_text(json.dumps(told, default=str), encoding="utf-8")
        # A training that was lost and done again is the same training only if the same model came out, which a GPU does
        # not promise: the run and the version of before are those of another model then.
        draft = f"{call.key}/{self.type}/{digest_of(learned(call.folder / PACKAGE))}"
        facts = {"type": self.type, "draft": draft, "seconds": round(seconds, 3)}
        return {trained_name(self.type): Made(call.folder, digest=digest_of(draft), facts=facts)}


def _write_package(type_: str, call: Call, ranker: Ranker, train: Examples, val: Examples) -> None:
    workspace = call.workspace
    found = training_set_of(workspace, call.inputs["examples"])
    metadata = ModelMetadata(
        model_id=str(UUID(hashlib.sha256(f"{call.key}/{type_}".encode()).hexdigest()[:32])),
        model_version=UNREGISTERED,
        training_date=workspace.clock.now().isoformat(),
        mlflow_run_id="",
        model_type=type_,
        feature_schema_version=found.schema.version,
        training_data_date_range={"start": found.splits["train"].start, "end": found.splits["train"].end},
    )
    write_package(
        call.folder / PACKAGE,
        ranker,
        metadata,
        found.schema,
        val,
        extra={
            "training_set": found.id,
            "system": workspace.system.name,
            "selected_to": found.splits["val"].end,
            "model": workspace.model.model.model_dump(mode="json"),
            "training_bounds": TrainingBounds.of(found.schema, train.x_NF).to_dict(),
        },
    )


def learned(package: Path) -> list[list[str]]:
    """Return name and SHA-256 of each file of a package that was learned, or was made of what was."""
    files = sorted(file for file in package.iterdir() if file.suffix in _LEARNED)
    return [[file.name, hashlib.sha256(file.read_bytes()).hexdigest()] for file in files]


def read_fit(workspace: Workspace, model: Artifact) -> dict[str, Any]:
    """Return the report of the fit of a trained model: history, parameters, seconds, rows."""
    content: dict[str, Any] = json.loads((model.path(workspace.home) / _FIT).read_text(encoding="utf-8"))
    return content
