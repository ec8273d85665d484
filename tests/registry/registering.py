"""A run and its registered model, as training makes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orita.models.metadata import ModelMetadata
from orita.models.package import load_package
from orita.models.reissue import reissue_package
from orita.registry.catalogue import Catalogue, ModelVersion, RunLog

__all__ = ["register"]


def register(
    catalogue: Catalogue,
    draft: Path,
    *,
    metrics: Mapping[str, float] | None = None,
    params: Mapping[str, object] | None = None,
    tags: Mapping[str, str] | None = None,
    type_: str = "popularity",
) -> ModelVersion:
    """Log a run and register the package *draft* as its model."""
    written = dict(metrics or {"auc": 0.7})
    log = RunLog(type_, params or {"a": 1}, written, [{"epoch": 0, "val_auc": 0.6}], tags or {})
    run = catalogue.runs.log("feed", log)
    package = load_package(draft)

    def write(folder: Path, version: str) -> None:
        card = {**package.metadata.to_dict(), "model_version": version, "mlflow_run_id": run}
        reissue_package(package, folder, ModelMetadata.from_dict(card))

    return catalogue.register("feed", run, write, type_=type_, tags={"orita.draft": run, **(tags or {})})
