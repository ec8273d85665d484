"""Trees of LightGBM as the ONNX operator TreeEnsembleRegressor, branch for branch.

LightGBM compares in float64, the operator in float32. A float32 input goes left at a float64 threshold exactly when it
does at the largest float32 that is not above it, so thresholds are rounded down and every branch stays the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from orita.models.compose import Composer

__all__ = ["add_trees"]

_INFINITY = 1e300  # how LightGBM writes down the threshold that every number lies below
_ZERO = float(np.float32(1e-35))  # LightGBM reads numbers up to this size as 0

_LISTS = (
    "nodes_treeids",
    "nodes_nodeids",
    "nodes_featureids",
    "nodes_values",
    "nodes_modes",
    "nodes_truenodeids",
    "nodes_falsenodeids",
    "nodes_missing_value_tracks_true",
    "target_treeids",
    "target_nodeids",
    "target_ids",
    "target_weights",
)


def add_trees(graph: Composer, features: str, trees: Iterable[Mapping[str, Any]]) -> str:
    """Add the trees of ``Booster.dump_model()["tree_info"]`` to *graph*; return the name of their sums, float32 [N]."""
    lists: dict[str, list[Any]] = {name: [] for name in _LISTS}
    for number, tree in enumerate(trees):
        _add_tree(lists, number, tree["tree_structure"])
    sums = graph.add("TreeEnsembleRegressor", features, domain="ai.onnx.ml", n_targets=1, **lists)
    return graph.column(sums)


def _add_tree(lists: dict[str, list[Any]], number: int, root: Mapping[str, Any]) -> None:
    waiting, made = [(0, root)], 1
    while waiting:
        at, node = waiting.pop()
        if "split_feature" not in node:
            _add_node(lists, number, at, 0, 0.0, "LEAF", 0, 0, 0)
            for name, value in zip(_LISTS[8:], (number, at, 0, float(node["leaf_value"])), strict=True):
                lists[name].append(value)
            continue
        assert node["decision_type"] == "<=", "categories are given as ranks, so every split is a threshold"
        threshold = float(node["threshold"])
        left, right, made = made, made + 1, made + 2
        _add_node(
            lists,
            number,
            at,
            node["split_feature"],
            _down(threshold),
            "BRANCH_LEQ",
            left,
            right,
            _missing(node, threshold),
        )
        waiting += [(left, node["left_child"]), (right, node["right_child"])]


def _add_node(lists: dict[str, list[Any]], *values: object) -> None:
    for name, value in zip(_LISTS[:8], values, strict=True):
        lists[name].append(value)


def _missing(node: Mapping[str, Any], threshold: float) -> int:
    """Return 1 where a missing value goes left: as trained if training met one here, else as the number 0 would."""
    kind = node["missing_type"]
    assert kind in ("None", "NaN"), "zero_as_missing is never set"
    return int(node["default_left"]) if kind == "NaN" else int(threshold >= 0.0)


def _down(threshold: float) -> float:
    if threshold >= _INFINITY:
        return float("inf")
    if -_ZERO <= threshold < 0:
        threshold = float(np.nextafter(-_ZERO, -np.inf))  # all that LightGBM reads as 0 lies above
    with np.errstate(over="ignore"):
        rounded = np.float32(threshold)
    return float(np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > threshold else rounded)
