"""The two learners whose mean is the text model: both linear on the same features, so their mean is linear too.

Legend: N rows, D features, K classes.

*plain* is a logistic regression, one class against the rest. *bayes* is the same on features that were multiplied by
their log-count ratios (Wang and Manning 2012, "Baselines and bigrams"): what a naive Bayes classifier knows, the
regression need not pay its penalty for. The two err apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from orita.core.extras import require
from orita.models.tasks.text_features import SparseRows

__all__ = ["LinearWeights", "log_count_ratios", "mean_of", "regress", "to_matrix"]

_SMOOTHING = 0.03
_TOLERANCE = 0.1  # ten times finer takes three times as long and moves no figure here


@dataclass(frozen=True, slots=True)
class LinearWeights:
    """logits = features · ``weights_DK`` + ``bias_K``, float64."""

    weights_DK: npt.NDArray[np.float64]
    bias_K: npt.NDArray[np.float64]

    def logits(self, matrix_ND: Any) -> npt.NDArray[np.float64]:
        """Return ``logits_NK`` of a sparse matrix."""
        logits_NK: npt.NDArray[np.float64] = matrix_ND @ self.weights_DK + self.bias_K
        return logits_NK


def to_matrix(rows: SparseRows, width: int) -> Any:
    """Return the rows as a SciPy CSR matrix of *width* columns, float64 as the solver wants it."""
    values_M = rows.values_M.astype(np.float64)
    return scipy.sparse.csr_matrix((values_M, (rows.rows_M, rows.columns_M)), shape=(rows.count, width))


def log_count_ratios(matrix_ND: Any, y_N: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float64]:
    """Return ``ratio_DK``: the log of a feature's share among the rows of a class over its share among the others."""
    total_D = np.asarray(matrix_ND.sum(axis=0)).ravel() + _SMOOTHING
    ratio_DK = np.empty((matrix_ND.shape[1], classes))
    for k in range(classes):
        inside_D = np.asarray(matrix_ND[y_N == k].sum(axis=0)).ravel() + _SMOOTHING
        outside_D = np.maximum(total_D - inside_D, 0.0) + _SMOOTHING
        ratio_DK[:, k] = np.log(inside_D / inside_D.sum()) - np.log(outside_D / outside_D.sum())
    return ratio_DK


def regress(
    matrix_ND: Any,
    y_N: npt.NDArray[np.int64],
    classes: int,
    *,
    strength: float,
    seed: int,
    ratio_DK: npt.NDArray[np.float64] | None = None,
) -> LinearWeights:
    """Return one logistic regression a class, by coordinate descent in the dual (Yu, Huang and Lin 2011; liblinear).

    Args:
        matrix_ND: features.
        y_N: positions of the classes; each must occur.
        classes: K.
        strength: the weight of a row's loss against the penalty, liblinear's C.
        seed: of the order in which rows are visited.
        ratio_DK: what each class multiplies the features by first; the weights returned are for features as given.
    """
    solver = require("sklearn.linear_model", extra="train").LogisticRegression
    weights_DK, bias_K = np.zeros((matrix_ND.shape[1], classes)), np.zeros(classes)
    for k in range(classes):
        factor_D = np.ones(matrix_ND.shape[1]) if ratio_DK is None else ratio_DK[:, k]
        learner = solver(C=strength, solver="liblinear", dual=True, tol=_TOLERANCE, random_state=seed)
        learner.fit(matrix_ND @ scipy.sparse.diags_array(factor_D), y_N == k)
        weights_DK[:, k] = learner.coef_[0] * factor_D
        bias_K[k] = learner.intercept_[0]
    return LinearWeights(weights_DK, bias_K)


def mean_of(plain: LinearWeights, bayes: LinearWeights, share: float) -> LinearWeights:
    """Return the mean of two models, *bayes* with the weight *share*."""
    return LinearWeights(
        (1 - share) * plain.weights_DK + share * bayes.weights_DK, (1 - share) * plain.bias_K + share * bayes.bias_K
    )
