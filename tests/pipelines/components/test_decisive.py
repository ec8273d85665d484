"""A key that is said not to decide a type does not: changing all of those at once gives the same model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.models.clicks import clicks

from orita.core.progress import SILENT
from orita.models.build import build_ranker
from orita.models.config import MODEL_TYPES, ModelSection, TrainingSection
from orita.models.ranker import FitContext
from orita.pipelines.components.decisive import decisive_settings
from orita.pipelines.config import ModelConfig
from orita.pipelines.workspace import Workspace
from orita.project import open_project

SMALL: dict[str, Any] = {
    "user_tower_dims": (8,),
    "item_tower_dims": (8,),
    "hidden_dims": (8,),
    "embedding_dim": 4,
    "id_embedding_dim": 4,
    "lightgbm": {"max_trees": 3, "threads": 1},
}
OTHER: dict[str, Any] = {
    "user_tower_dims": (4, 4),
    "item_tower_dims": (4, 4),
    "hidden_dims": (4, 4),
    "crosses": 1,
    "cross_rank": 2,
    "embedding_dim": 8,
    "id_embedding_dim": 8,
    "dropout": 0.1,
    "id_dropout": 0.1,
    "lightgbm": {"max_trees": 5, "threads": 1, "num_leaves": 4},
    "factors": {"factors": 2},
    "popularity": {"smoothing": 3.0},
    "calibration": "platt",
}
TRAINING: dict[str, Any] = {"epochs": 1, "batch_size": 256}
OTHER_TRAINING: dict[str, Any] = {"epochs": 2, "batch_size": 128, "learning_rate": 0.01, "optimizer": "adam"}
TOLD: dict[str, Any] = {"log_every": 7, "checkpoint_steps": 3, "checkpoint_seconds": 1.0}


def configured(folder: Path, model: dict[str, Any], training: dict[str, Any]) -> Workspace:
    """Return surroundings with this configuration."""
    workspace = open_project(folder, home=folder).workspace()
    config = ModelConfig(model=ModelSection(**model), training=TrainingSection(**training))
    return Workspace(workspace.home, workspace.system, model=config)


@pytest.mark.parametrize("type_", [name for name in MODEL_TYPES if name != "factor_blend"])
def test_what_does_not_decide_changes_no_score(tmp_path: Path, type_: str) -> None:
    """For every type, a model with all keys changed that its settings leave out scores bit by bit the same."""
    workspace = configured(tmp_path, SMALL, TRAINING)
    read = decisive_settings(type_, workspace)
    ignored = {key: value for key, value in OTHER.items() if key not in read["model"]}
    training = {**TRAINING, **TOLD} if "training" in read else OTHER_TRAINING
    other = configured(tmp_path, {**SMALL, **ignored}, training)
    assert decisive_settings(type_, other) == read
    assert ignored, "some other type has a key of its own"
    train, val = clicks(600, seed=1), clicks(200, seed=2)
    scores = []
    for each in (workspace, other):
        ranker = build_ranker(type_, each.model.model, each.model.training)
        ranker.fit(train, val, FitContext(SILENT, seed=3))
        scores.append(ranker.score(val))
    np.testing.assert_array_equal(scores[0], scores[1])


@pytest.mark.parametrize("type_", MODEL_TYPES)
def test_a_key_that_nobody_has_sorted_decides(tmp_path: Path, type_: str) -> None:
    """The seed and every key that no list names decide every type; what the packager reads is not."""
    read = decisive_settings(type_, configured(tmp_path, {}, {}))
    sorted_keys = {"type", "objective", "parameters", *OTHER}
    assert read["seed"] == 0
    assert read["model"].keys().isdisjoint({"calibration", "objective"})
    assert {name for name in ModelSection.model_fields if name not in sorted_keys} <= read["model"].keys()
    if type_ == "factor_blend":
        assert read["model"].keys() >= OTHER.keys() - {"calibration"}, "its members may be of any type"
