"""What differs between two models is found, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.models.clicks import SCHEMA
from tests.models.packaged import CARD, WithWeights, fitted
from tests.registry.small_registry import empty_registry

from orita.core.home import Home
from orita.features.schema import FeatureSchema
from orita.models.calibration import Calibration
from orita.models.package import load_package, write_package
from orita.models.package.steps import ClipFeature
from orita.models.package.tables import read_sample, write_sample
from orita.models.package.write import write_described
from orita.registry.catalogue import Catalogue, ModelVersion, RunLog
from orita.registry.difference import Part, difference

WEIGHTS = {"layer.weight": np.ones((3, 4), np.float32), "layer.bias": np.zeros(3, np.float32)}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """Return an empty registry."""
    return empty_registry(Home(tmp_path_factory.mktemp("difference") / "home"))


@pytest.fixture(scope="module")
def first(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    """Return a registered model, to hold others against."""
    return registered(catalogue, tmp_path_factory.mktemp("first"))


def registered(
    catalogue: Catalogue,
    folder: Path,
    *,
    params: Mapping[str, object] | None = None,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
    **package: Any,
) -> ModelVersion:
    """Register a small model; what is given is what is special about it."""
    ranker, rows = fitted("popularity")
    model = {"embedding_dim": 8, "lightgbm": {"num_leaves": 31}} | package.pop("model", {})
    weighed = WithWeights(ranker, WEIGHTS | package.pop("weights", {}))
    options = {"calibration": None, **package}
    write_package(folder / "package", weighed, CARD, SCHEMA, rows, extra={"model": model}, **options)
    log = RunLog("model", {"seed": 0, **(params or {})}, {"auc": 0.7, **(metrics or {})})
    run_id = catalogue.runs.log("feed", log)

    def write(target: Path, version: str) -> None:
        shutil.copytree(folder / "package", target, dirs_exist_ok=True)

    return catalogue.register("feed", run_id, write, type_="popularity", tags={"orita.code": "0.1.0", **(tags or {})})


def changes(catalogue: Catalogue, a: ModelVersion, b: ModelVersion) -> dict[str, dict[str, tuple[Any, Any, Any]]]:
    """Return what differs, by part and name."""
    parts: tuple[Part, ...] = difference(catalogue, a, b)
    return {part.name: {c.name: (c.a, c.b, c.by) for c in part.changes} for part in parts if part.changes}


def test_a_model_does_not_differ_from_itself(catalogue: Catalogue, first: ModelVersion) -> None:
    """Every part is equal, and says what it has."""
    parts = {part.name: part for part in difference(catalogue, first, first)}
    assert all(part.changes == () for part in parts.values())
    assert parts["features"].equal == SCHEMA.names
    assert parts["weights"].equal == ("layer.bias", "layer.weight")
    assert "lightgbm.num_leaves" in parts["configuration"].equal


def test_each_kind_of_change_is_found_in_its_part(catalogue: Catalogue, first: ModelVersion, tmp_path: Path) -> None:
    """Configuration by nested name, parameters, figures with their difference, tags, steps, calibration, weights."""
    other = registered(
        catalogue,
        tmp_path,
        params={"seed": 1, "rows": 10},
        metrics={"auc": 0.75},
        tags={"orita.code": "0.2.0", "orita.training_set": "abc"},
        model={"lightgbm": {"num_leaves": 63}},
        weights={"layer.weight": np.full((3, 4), 1.5, np.float32), "layer.bias": np.zeros(4, np.float32)},
        calibration=Calibration("platt", slope=0.5, offset=0.1, rows=100),
        pre=[ClipFeature("item_ctr", 0.0, 0.9)],
    )
    found = changes(catalogue, first, other)
    assert found["configuration"] == {"lightgbm.num_leaves": (31, 63, 32)}
    assert found["parameters of the run"] == {"seed": ("0", "1", None), "rows": (None, "10", None)}
    assert found["metrics"]["auc"] == (0.7, 0.75, pytest.approx(0.05))
    assert found["identity"] == {"code": ("0.1.0", "0.2.0", None)}
    assert found["training set"] == {"id": ("", "abc", None)}
    assert list(found["steps"]) == ["before the graph, 1: clip", "after the graph, 1: calibration"]
    assert found["weights"] == {
        "layer.bias": ("float32 [3]", "float32 [4]", None),
        "layer.weight": ("float32 [3, 4]", "float32 [3, 4]", pytest.approx(0.5)),
    }
    assert "features" not in found and "graphs" not in found


def test_a_feature_of_another_meaning_is_a_change(catalogue: Catalogue, first: ModelVersion, tmp_path: Path) -> None:
    """Under one name, another declaration; and one feature less."""
    copy = tmp_path / "package"
    shutil.copytree(first.package, copy)
    columns = (replace(SCHEMA.columns[0], meaning="another"), *SCHEMA.columns[1:-1])
    rewritten(copy, FeatureSchema(columns))
    found = changes(catalogue, first, replace(first, package=copy))
    assert found["features"][SCHEMA.names[0]] == ("unknown meaning (user number)", "another (user number)", None)
    assert found["features"][SCHEMA.names[-1]][1] is None


def rewritten(folder: Path, schema: FeatureSchema) -> None:
    """Give the package in *folder* another schema, and a sample that has it."""
    package = load_package(folder)
    sample = read_sample((folder / "sample.parquet").read_bytes(), "sample", package.schema)
    rows = sample.rows
    fewer = replace(rows, schema=schema, x_NF=rows.x_NF[:, : len(schema)])
    write_sample(folder / "sample.parquet", replace(sample, rows=fewer))
    write_described(folder, package.metadata, schema, package.description)
