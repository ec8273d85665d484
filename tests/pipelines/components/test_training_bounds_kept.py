"""Every trained model keeps what its training rows were like, through calibration and into the package."""

from __future__ import annotations

from tests.pipelines.components.small_training import trained_part

from orita.models.package import load_package
from orita.models.training_bounds import TrainingBounds
from orita.pipelines.components.packager import package_folder
from orita.pipelines.components.task import artifacts_of
from orita.pipelines.components.trainer import model_types
from orita.pipelines.components.training_rows import read_part
from orita.pipelines.graph import run_graph
from orita.pipelines.workspace import Workspace


def test_packages_keep_the_bounds_of_their_training_rows(own: Workspace) -> None:
    """They are of the training part alone, and a server reads them by the package's schema."""
    artifacts = artifacts_of(run_graph(trained_part(), own).results)
    rows = read_part(own, artifacts["examples"], "train")
    for type_ in model_types(own):
        package = load_package(package_folder(own, artifacts[f"model.{type_}"]))
        kept = package.extra["training_bounds"]
        assert kept == TrainingBounds.of(rows.schema, rows.x_NF).to_dict()
        assert TrainingBounds.from_dict(kept, package.schema).rows == len(rows)
