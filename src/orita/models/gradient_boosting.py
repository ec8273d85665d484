"""Gradient-boosted trees over the features (LightGBM); ids are not looked at, so newcomers are no special case.

Legend: N rows, F features.

A category is given to the trees as its rank by training click rate, so that one split can part the good values from
the bad ones and the exported graph needs nothing but thresholds.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.core.extras import require
from orita.core.progress import Bar
from orita.models.compose import Composer
from orita.models.config import LightGBMSection, ModelSection
from orita.models.examples import Examples
from orita.models.graph import MODEL_FILE
from orita.models.ranker import FitContext, FitReport
from orita.models.trees import add_trees

__all__ = ["GradientBoosting"]

_CATEGORY_SMOOTHING = 20.0


class GradientBoosting:
    """The ranker of ``type: lightgbm``; a fit is short, so it takes no checkpoints and starts anew after a kill."""

    def __init__(self, model: ModelSection) -> None:
        self._section = model.lightgbm
        self._booster: Any = None
        self._rounds = 0
        self._width = 0
        self._ranks: dict[int, npt.NDArray[np.float32]] = {}

    @property
    def type(self) -> str:
        """The model's type, as in the configuration."""
        return "lightgbm"

    def fit(self, train: Examples, val: Examples, context: FitContext) -> FitReport:
        """Grow trees on *train* until the AUC on *val* has not gained for ``patience`` trees.

        Raises:
            UserError: there are no rows to learn from or to stop by.
        """
        if len(train) == 0 or len(val) == 0:
            raise UserError(
                f"lightgbm was given {len(train)} training and {len(val)} validation rows; give some of each."
            )
        lightgbm = require("lightgbm", extra="train")
        self._width = len(train.schema)
        self._ranks = _category_ranks(train)
        data = lightgbm.Dataset(self._inputs(train.x_NF), train.y_N, free_raw_data=True)
        judge = lightgbm.Dataset(self._inputs(val.x_NF), val.y_N, reference=data)
        params = _parameters(self._section, len(train), context.seed)
        history: dict[str, Any] = {}
        started = time.perf_counter()
        with context.progress.bar(context.title, total=self._section.max_trees) as bar:
            stop = lightgbm.early_stopping(self._section.patience, first_metric_only=True, verbose=False)
            callbacks = [stop, lightgbm.record_evaluation(history), _reporting(bar)]
            booster = lightgbm.train(
                params, data, self._section.max_trees, valid_sets=[judge], valid_names=["val"], callbacks=callbacks
            )
        self._booster = booster
        self._rounds = booster.best_iteration or booster.current_iteration()
        return FitReport(_history(history, time.perf_counter() - started), {**params, "trees": self._rounds})

    def score(self, rows: Examples) -> npt.NDArray[np.float32]:
        """Return ``scores_N``, click probabilities."""
        booster = self._fitted()
        if len(rows) == 0:
            return np.zeros(0, np.float32)
        scores_N: npt.NDArray[np.float32] = booster.predict(
            self._inputs(rows.x_NF), num_iteration=self._rounds, num_threads=self._section.threads
        ).astype(np.float32)
        return scores_N

    def export(self, folder: Path) -> None:
        """Write the trees as an ONNX tree ensemble into *folder*."""
        booster, graph = self._fitted(), Composer()
        features = graph.features(self._width)
        if self._ranks:
            features = self._compose_ranks(graph, features)
        logits = add_trees(graph, features, booster.dump_model(num_iteration=self._rounds)["tree_info"])
        graph.write(folder / MODEL_FILE, graph.add("Sigmoid", logits))

    def _inputs(self, x_NF: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        ranked_NF = np.array(x_NF, np.float32)
        for column, rank_V in self._ranks.items():
            ranked_NF[:, column] = rank_V[_rows_of(x_NF[:, column], len(rank_V) - 1)]
        return ranked_NF

    def _compose_ranks(self, graph: Composer, features: str) -> str:
        columns = []
        for column in range(self._width):
            value = graph.columns(features, column, column + 1)
            if column in self._ranks:
                value = _compose_rank(graph, value, self._ranks[column])
            columns.append(value)
        return graph.add("Concat", *columns, axis=1)

    def _fitted(self) -> Any:
        if self._booster is None:
            raise UserError("the lightgbm ranker has not been fitted; call fit before score or export.")
        return self._booster


def _parameters(section: LightGBMSection, rows: int, seed: int) -> dict[str, object]:
    return {
        "objective": "binary",
        "metric": ["auc", "binary_logloss"],
        "learning_rate": section.learning_rate,
        "num_leaves": section.num_leaves or _leaves(rows),
        "min_data_in_leaf": min(section.min_rows_in_leaf, max(1, rows // 20)),
        "feature_fraction": section.feature_fraction,
        "bagging_fraction": section.bagging_fraction,
        "bagging_freq": 1,
        "lambda_l2": section.lambda_l2,
        "num_threads": section.threads,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }


def _leaves(rows: int) -> int:
    """15 leaves for 70,000 rows, growing with the root of their number, at most 255."""
    return int(min(max(15 * math.sqrt(rows / 70_000), 15), 255))


def _reporting(bar: Bar) -> Any:
    def report(env: Any) -> None:
        bar.advance()
        value = env.evaluation_result_list[0][2]
        bar.describe(f"tree {env.iteration + 1} · val auc {value:.4f}")

    return report


def _history(recorded: dict[str, Any], seconds: float) -> list[dict[str, float]]:
    aucs, losses = recorded["val"]["auc"], recorded["val"]["binary_logloss"]
    each = seconds / max(len(aucs), 1)
    return [
        {"epoch": n, "val_log_loss": float(loss), "val_auc": float(value), "seconds": each}
        for n, (value, loss) in enumerate(zip(aucs, losses, strict=True), start=1)
    ]


def _category_ranks(train: Examples) -> dict[int, npt.NDArray[np.float32]]:
    """Return, for each category column, the number of each value: row 0 is missing (NaN), then 0 … cardinality − 1."""
    ranks = {}
    mean = float(train.y_N.mean())
    for column, feature in enumerate(train.schema.columns):
        if feature.kind != "category":
            continue
        row_N = _rows_of(train.x_NF[:, column], feature.cardinality)
        rows_V = np.bincount(row_N, minlength=feature.cardinality + 1)[1:]
        clicks_V = np.bincount(row_N, train.y_N, minlength=feature.cardinality + 1)[1:]
        rate_V = (clicks_V + mean * _CATEGORY_SMOOTHING) / (rows_V + _CATEGORY_SMOOTHING)
        rank_V = np.empty(feature.cardinality, np.float32)
        rank_V[np.argsort(rate_V, kind="stable")] = np.arange(feature.cardinality)
        ranks[column] = np.concatenate(([np.float32(np.nan)], rank_V))
    return ranks


def _rows_of(values_N: npt.NDArray[np.float32], cardinality: int) -> npt.NDArray[np.int64]:
    with np.errstate(invalid="ignore"):
        known_N = (values_N >= 0) & (values_N < cardinality)
    return np.where(known_N, values_N, np.float32(-1)).astype(np.int64) + 1


def _compose_rank(graph: Composer, value: str, rank_V: npt.NDArray[np.float32]) -> str:
    low = graph.add("GreaterOrEqual", value, graph.constant(np.float32(0)))
    high = graph.add("Less", value, graph.constant(np.float32(len(rank_V) - 1)))
    safe = graph.add("Where", graph.add("And", low, high), value, graph.constant(np.float32(-1)))
    row = graph.add("Add", graph.add("Cast", safe, to="int64"), graph.constant(np.int64(1)))
    return graph.add("Gather", graph.constant(rank_V), row)
