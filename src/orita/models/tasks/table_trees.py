"""Gradient-boosted trees of LightGBM for classes and for numbers, exported branch for branch.

Legend: N rows, F features, T target columns, K classes.

A category is given to the trees as T numbers, the smoothed training means of its value: of the target, or of each
class. So one split parts the good values from the bad ones, and the exported graph needs nothing but thresholds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.core.extras import require
from orita.features.schema import FeatureSchema
from orita.models.boosting import reporting, tree_parameters
from orita.models.ranker import FitContext, FitReport
from orita.models.tasks.config import Task, TaskSection
from orita.models.tasks.labels import check_classes, check_targets, check_width
from orita.models.tasks.predictor import Answers, TableRows
from orita.models.tasks.table_graph import TableGraph
from orita.models.tasks.table_model import write_table_declaration
from orita.models.trees import add_trees

__all__ = ["TableTrees"]

_SMOOTHING = 20.0
_OBJECTIVES = {
    "binary": ("binary", "binary_logloss"),
    "multiclass": ("multiclass", "multi_logloss"),
    "regression": ("regression", "l2"),
}

Encodings = dict[int, npt.NDArray[np.float32]]
"""By column of a category ``means_VT``: row 0 for missing (NaN), then one a value."""


@dataclass(frozen=True, slots=True)
class _Fitted:
    schema: FeatureSchema
    encodings: Encodings
    booster: Any
    rounds: int


class TableTrees:
    """The predictor of ``type: lightgbm``.

    Attributes:
        task: ``binary``, ``multiclass`` or ``regression``.
        classes: their names; none for regression.
    """

    def __init__(self, task: Task, classes: tuple[str, ...], section: TaskSection) -> None:
        self.task, self.classes = task, check_classes(task, classes)
        self._section = section.lightgbm
        self._model: _Fitted | None = None

    def fit(self, train: TableRows, val: TableRows, context: FitContext) -> FitReport:
        """Grow trees on *train* until the loss on *val* has not fallen for ``patience`` trees.

        The loss is the only figure that every task has: ``early_stopping`` is heeded where it is ``none``.

        Raises:
            UserError: labels are not those of the task, or a part has no rows.
        """
        if len(train) == 0 or len(val) == 0:
            raise UserError(
                f"lightgbm was given {len(train)} training and {len(val)} validation rows; give some of each."
            )
        for rows, part in ((train, "training"), (val, "validation")):
            check_targets(rows.y_N, self.classes, part, every=part == "training")
        lightgbm = require("lightgbm", extra="train")
        encodings = _encodings(train, self._targets(train))
        data = lightgbm.Dataset(_inputs(train.x_NF, encodings), train.y_N)
        judge = lightgbm.Dataset(_inputs(val.x_NF, encodings), val.y_N, reference=data)
        params = self._parameters(len(train), context.seed)
        recorded: dict[str, Any] = {}
        started = time.perf_counter()
        with context.progress.bar(context.title, total=self._section.max_trees) as bar:
            callbacks = [lightgbm.record_evaluation(recorded), reporting(bar)]
            if self._section.early_stopping != "none":
                callbacks.append(lightgbm.early_stopping(self._section.patience, verbose=False))
            booster = lightgbm.train(
                params, data, self._section.max_trees, valid_sets=[judge], valid_names=["val"], callbacks=callbacks
            )
        rounds = booster.best_iteration or booster.current_iteration()
        self._model = _Fitted(train.schema, encodings, booster, rounds)
        (losses,) = recorded["val"].values()
        each = (time.perf_counter() - started) / len(losses)
        history = [{"epoch": n, "val_loss": float(loss), "seconds": each} for n, loss in enumerate(losses, start=1)]
        return FitReport(history, {**params, "trees": rounds})

    def predict(self, rows: TableRows) -> Answers:
        """Return ``probabilities_NK``, or for regression ``values_N``.

        Raises:
            UserError: it was not fitted, or the rows have another number of columns.
        """
        model, classes = self._fitted(), len(self.classes)
        check_width(rows.x_NF, model.schema)
        if len(rows) == 0:
            return np.zeros((0, classes) if classes else (0,), np.float32)
        answers: npt.NDArray[np.float64] = model.booster.predict(
            _inputs(rows.x_NF, model.encodings), num_iteration=model.rounds, num_threads=self._section.threads
        )
        if self.task == "binary":
            answers = np.stack([1 - answers, answers], axis=1)
        return answers.astype(np.float32)

    def export(self, folder: Path) -> None:
        """Write ``table.json``, ``schema.json``, and the trees as ``model.onnx`` into *folder*."""
        model, graph = self._fitted(), TableGraph()
        features = graph.features(len(model.schema))
        inputs = _compose_inputs(graph, features, len(model.schema), model.encodings)
        trees = model.booster.dump_model(num_iteration=model.rounds)["tree_info"]
        if self.task == "regression":
            answers = add_trees(graph, inputs, trees)
        elif self.task == "binary":
            share = graph.add("Sigmoid", add_trees(graph, inputs, trees))
            rest = graph.add("Sub", graph.constant(np.float32(1)), share)
            answers = graph.side_by_side([rest, share])
        else:  # a round grows one tree a class
            classes = len(self.classes)
            sums = [add_trees(graph, inputs, trees[k::classes]) for k in range(classes)]
            answers = graph.add("Softmax", graph.side_by_side(sums), axis=1)
        graph.write_answers(folder, answers, len(self.classes))
        write_table_declaration(folder, self.task, self.classes, model.schema)

    def _targets(self, rows: TableRows) -> npt.NDArray[np.float64]:
        """Return ``targets_NT``: what the means of a category are taken of."""
        if self.task == "multiclass":
            shares_NT: npt.NDArray[np.float64] = np.eye(len(self.classes))[rows.y_N]
            return shares_NT
        return rows.y_N.astype(np.float64)[:, None]

    def _parameters(self, rows: int, seed: int) -> dict[str, object]:
        objective, metric = _OBJECTIVES[self.task]
        return {
            **tree_parameters(self._section, rows, seed),
            "objective": objective,
            "metric": metric,
            **({"num_class": len(self.classes)} if self.task == "multiclass" else {}),
        }

    def _fitted(self) -> _Fitted:
        if self._model is None:
            raise UserError("the lightgbm predictor has not been fitted; call fit before predict or export.")
        return self._model


def _encodings(train: TableRows, targets_NT: npt.NDArray[np.float64]) -> Encodings:
    found: Encodings = {}
    mean_T = targets_NT.mean(axis=0)
    for column, feature in enumerate(train.schema.columns):
        if feature.kind != "category":
            continue
        row_N = _rows_of(train.x_NF[:, column], feature.cardinality)
        count_V = np.bincount(row_N, minlength=feature.cardinality + 1)
        sums = [np.bincount(row_N, target_N, minlength=feature.cardinality + 1) for target_N in targets_NT.T]
        means_VT = (np.stack(sums, axis=1) + _SMOOTHING * mean_T) / (count_V + _SMOOTHING)[:, None]
        means_VT[0] = np.nan
        found[column] = means_VT.astype(np.float32)
    return found


def _rows_of(values_N: npt.NDArray[np.float32], cardinality: int) -> npt.NDArray[np.int64]:
    with np.errstate(invalid="ignore"):
        known_N = (values_N >= 0) & (values_N < cardinality)
    return np.where(known_N, values_N, np.float32(-1)).astype(np.int64) + 1


def _inputs(x_NF: npt.NDArray[np.float32], encodings: Encodings) -> npt.NDArray[np.float32]:
    """Return the columns in their order, with the means of its values in the place of each category."""
    parts = []
    for column in range(x_NF.shape[1]):
        if column in encodings:
            parts.append(encodings[column][_rows_of(x_NF[:, column], len(encodings[column]) - 1)])
        else:
            parts.append(x_NF[:, column : column + 1])
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _compose_inputs(graph: TableGraph, features: str, width: int, encodings: Encodings) -> str:
    if not encodings:
        return features
    parts = []
    for column in range(width):
        value = graph.columns(features, column, column + 1)
        parts.append(_compose_means(graph, value, encodings[column]) if column in encodings else value)
    return graph.add("Concat", *parts, axis=1)


def _compose_means(graph: TableGraph, value: str, means_VT: npt.NDArray[np.float32]) -> str:
    low = graph.add("GreaterOrEqual", value, graph.constant(np.float32(0)))
    high = graph.add("Less", value, graph.constant(np.float32(len(means_VT) - 1)))
    safe = graph.add("Where", graph.add("And", low, high), value, graph.constant(np.float32(-1)))
    row = graph.add("Add", graph.add("Cast", safe, to="int64"), graph.constant(np.int64(1)))
    return graph.add("Gather", graph.constant(means_VT), graph.column(row), axis=0)
