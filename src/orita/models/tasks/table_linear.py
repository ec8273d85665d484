"""Linear models of tables: a softmax regression, or for numbers a ridge regression; the baseline of every task.

Legend: N rows, F features, P inputs (dense inputs, then one a value of each category), K columns of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse
from scipy.optimize import minimize

from orita.core.errors import UserError
from orita.features.schema import FeatureSchema
from orita.models.preparation import Preparation
from orita.models.ranker import FitContext, FitReport
from orita.models.tasks.config import Task, TaskSection
from orita.models.tasks.labels import check_classes, check_targets, check_width
from orita.models.tasks.predictor import Answers, TableRows
from orita.models.tasks.softmax import softmax
from orita.models.tasks.table_graph import TableGraph
from orita.models.tasks.table_model import write_table_declaration

__all__ = ["TableLinear"]

_STEPS = 500


@dataclass(frozen=True, slots=True)
class _Fitted:
    schema: FeatureSchema
    preparation: Preparation
    weights_PK: npt.NDArray[np.float32]
    bias_K: npt.NDArray[np.float32]


class TableLinear:
    """The predictor of ``type: linear``.

    Attributes:
        task: ``binary``, ``multiclass`` or ``regression``.
        classes: their names; none for regression.
    """

    def __init__(self, task: Task, classes: tuple[str, ...], section: TaskSection) -> None:
        self.task, self.classes = task, check_classes(task, classes)
        self._penalty = section.linear_penalty
        self._model: _Fitted | None = None

    def fit(self, train: TableRows, val: TableRows, context: FitContext) -> FitReport:
        """Learn from *train*; there is one solution and nothing to choose, so *val* is not looked at.

        Raises:
            UserError: labels are not those of the task, or there are none.
        """
        if len(train) == 0:
            raise UserError("linear was given 0 training rows; give at least one of each class.")
        check_targets(train.y_N, self.classes, "training", every=True)
        preparation = Preparation.fit(train.schema, train.x_NF)
        x_NP = _matrix(preparation, train.x_NF)
        if self.classes:
            weights_PK, bias_K = _softmax_regression(x_NP, train.y_N, len(self.classes), self._penalty)
        else:
            weights_PK, bias_K = _ridge_regression(x_NP, train.y_N.astype(np.float64), self._penalty)
        self._model = _Fitted(train.schema, preparation, weights_PK.astype(np.float32), bias_K.astype(np.float32))
        return FitReport([], {"linear_penalty": self._penalty, "inputs": x_NP.shape[1], "rows": len(train)})

    def predict(self, rows: TableRows) -> Answers:
        """Return ``probabilities_NK``, or for regression ``values_N``.

        Raises:
            UserError: it was not fitted, or the rows have another number of columns.
        """
        model = self._fitted()
        check_width(rows.x_NF, model.schema)
        answers_NK = _matrix(model.preparation, rows.x_NF) @ model.weights_PK.astype(np.float64) + model.bias_K
        return (softmax(answers_NK) if self.classes else answers_NK[:, 0]).astype(np.float32)

    def export(self, folder: Path) -> None:
        """Write ``table.json``, ``schema.json`` and ``model.onnx`` into *folder*."""
        model, graph = self._fitted(), TableGraph()
        preparation, bias = model.preparation, graph.constant(model.bias_K)
        prepared = preparation.compose(graph, graph.features(len(model.schema)))
        width = len(preparation.sides)
        chosen = prepared.select(np.arange(width, dtype=np.int64))
        parts = [graph.add("MatMul", chosen, graph.constant(model.weights_PK[:width])), bias]
        for position, start, stop in _category_ranges(preparation):
            table = graph.constant(model.weights_PK[start:stop])
            parts.append(graph.add("Gather", table, prepared.category(position), axis=0))
        answers = graph.add("Sum", *parts)
        answers = graph.add("Softmax", answers, axis=1) if self.classes else graph.column(answers)
        graph.write_answers(folder, answers, len(self.classes))
        write_table_declaration(folder, self.task, self.classes, model.schema)

    def _fitted(self) -> _Fitted:
        if self._model is None:
            raise UserError("the linear predictor has not been fitted; call fit before predict or export.")
        return self._model


def _category_ranges(preparation: Preparation) -> list[tuple[int, int, int]]:
    """Return of each category its position and its range of inputs; the first of them stands for a missing value."""
    stops = len(preparation.sides) + np.cumsum(preparation.cardinalities + 1)
    sizes = (preparation.cardinalities + 1).tolist()
    return [(at, stop - size, stop) for at, (stop, size) in enumerate(zip(stops.tolist(), sizes, strict=True))]


def _matrix(preparation: Preparation, x_NF: npt.NDArray[np.float32]) -> Any:
    """Return the inputs as a sparse float64 matrix: categories of many values take no more memory than those of few."""
    prepared = preparation.apply(x_NF)
    rows = len(x_NF)
    parts = [scipy.sparse.csr_matrix(prepared.dense_ND, dtype=np.float64)]
    for position, start, stop in _category_ranges(preparation):
        place = (np.arange(rows), prepared.categories_NC[:, position])
        parts.append(scipy.sparse.csr_matrix((np.ones(rows), place), shape=(rows, stop - start)))
    return scipy.sparse.hstack(parts, format="csr")


def _softmax_regression(
    x_NP: Any, y_N: npt.NDArray[np.int64], classes: int, penalty: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Minimise Σ −log p(label) + ½ penalty · |weights|² by L-BFGS, from zero."""
    count, width = x_NP.shape
    truth_NK = np.eye(classes)[y_N]

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights_PK, bias_K = flat[classes:].reshape(width, classes), flat[:classes]
        shares_NK = softmax(x_NP @ weights_PK + bias_K)
        likelihood_N = np.maximum(shares_NK[np.arange(count), y_N], 1e-300)
        value = -np.log(likelihood_N).sum() + 0.5 * penalty * (weights_PK**2).sum()
        error_NK = shares_NK - truth_NK
        gradient_PK = x_NP.T @ error_NK + penalty * weights_PK
        return value / count, np.concatenate([error_NK.sum(axis=0), gradient_PK.ravel()]) / count

    found = minimize(loss, np.zeros(classes * (1 + width)), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
    return found.x[classes:].reshape(width, classes), found.x[:classes]


def _ridge_regression(
    x_NP: Any, y_N: npt.NDArray[np.float64], penalty: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Minimise Σ (y − answer)² + penalty · |weights|², in closed form; the bias is not penalised."""
    with_one = scipy.sparse.hstack([x_NP, np.ones((x_NP.shape[0], 1))], format="csr")
    normal = (with_one.T @ with_one).toarray()
    inputs = np.arange(x_NP.shape[1])
    normal[inputs, inputs] += penalty
    solved = np.linalg.solve(normal, with_one.T @ y_N)
    return solved[:-1, None], solved[-1:]
