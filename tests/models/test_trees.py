"""The exported trees branch exactly as LightGBM does, at every threshold and for missing values."""

from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np
import numpy.typing as npt
import pytest

from orita.models.compose import Composer
from orita.models.graph import open_graph, run_graph
from orita.models.trees import add_trees


def _boosters(random: np.random.Generator) -> tuple[lightgbm.Booster, npt.NDArray[np.float64]]:
    x_NF = random.normal(size=(3000, 3)).astype(np.float32).astype(np.float64)
    x_NF[:, 1] = np.round(x_NF[:, 1], 1)
    x_NF[random.random(3000) < 0.3, 2] = np.nan
    y_N = (x_NF[:, 0] + x_NF[:, 1] + np.isnan(x_NF[:, 2]) + random.normal(size=3000) > 0).astype(float)
    params = {"objective": "binary", "num_leaves": 15, "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
    return lightgbm.train(params, lightgbm.Dataset(x_NF, y_N), 30), x_NF


def test_scores_agree_at_and_beside_every_threshold(tmp_path: Path) -> None:
    """At each threshold, one float32 below and above it, and at NaN and infinity, both score the same."""
    booster, x_NF = _boosters(np.random.default_rng(0))
    nodes = _thresholds(booster)
    rows: list[npt.NDArray[np.float32]] = []
    for feature, threshold in nodes:
        with np.errstate(over="ignore"):
            at = np.float32(threshold)
            below, above = (np.nextafter(at, np.float32(side)) for side in (-np.inf, np.inf))
        for value in (below, at, above, np.nan, np.inf, -np.inf, 0.0):
            row = x_NF[len(rows) % len(x_NF)].astype(np.float32)
            row[feature] = value
            rows.append(row)
    x_MF = np.array(rows, np.float32)
    graph = Composer()
    logits = add_trees(graph, graph.features(3), booster.dump_model()["tree_info"])
    graph.write(tmp_path / "model.onnx", graph.add("Sigmoid", logits))
    found_M = run_graph(open_graph(tmp_path / "model.onnx"), {"features": x_MF})
    # A single wrong branch moves a score by far more than the rounding of the sums.
    assert found_M == pytest.approx(booster.predict(x_MF), abs=2e-6)


def test_a_tree_of_one_leaf_is_no_special_case(tmp_path: Path) -> None:
    """Labels that cannot be split give trees that are single leaves, and the same score for all."""
    x_NF, y_N = np.zeros((100, 1)), np.arange(100) % 2
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(x_NF, y_N), 3)
    graph = Composer()
    logits = add_trees(graph, graph.features(1), booster.dump_model()["tree_info"])
    graph.write(tmp_path / "model.onnx", graph.add("Sigmoid", logits))
    found = run_graph(open_graph(tmp_path / "model.onnx"), {"features": np.array([[1], [np.nan]], np.float32)})
    assert found == pytest.approx([0.5, 0.5], abs=1e-6)


def _thresholds(booster: lightgbm.Booster) -> list[tuple[int, float]]:
    found, waiting = [], [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    while waiting:
        node = waiting.pop()
        if "split_feature" in node:
            found.append((int(node["split_feature"]), float(node["threshold"])))
            waiting += [node["left_child"], node["right_child"]]
    return found
