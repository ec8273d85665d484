"""How good are labels of one class among several? Pure functions on arrays; undefined figures are NaN.

Legend: N rows, K classes, named 0 … K−1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["f1_by_class", "macro_f1", "multiclass_accuracy", "multiclass_log_loss", "weighted_f1"]

Classes = npt.NDArray[np.integer[Any]]


def multiclass_accuracy(y_N: Classes, predicted_N: Classes) -> float:
    """Return the share of rows whose class was predicted."""
    return float(np.mean(np.asarray(y_N) == np.asarray(predicted_N))) if len(y_N) else float("nan")


def multiclass_log_loss(y_N: Classes, p_NK: npt.NDArray[np.floating[Any]], *, floor: float = 1e-7) -> float:
    """Return the mean negative log of the probability given to the true class, in nats.

    Args:
        y_N: true classes, 0 … K−1.
        p_NK: probabilities; a row that does not add up to 1 is scaled so that it does.
        floor: the least probability a class is taken to have had.
    """
    if len(y_N) == 0:
        return float("nan")
    p = np.asarray(p_NK, np.float64)
    true_N = p[np.arange(len(p)), np.asarray(y_N)] / p.sum(axis=1)
    return float(-np.log(np.clip(true_N, floor, 1.0)).mean())


def f1_by_class(y_N: Classes, predicted_N: Classes, classes: int) -> npt.NDArray[np.float64]:
    """Return ``f1_K``: 2 · hits ÷ (rows of the class + rows predicted to be of it); 0 where there are neither.

    van Rijsbergen, "Information Retrieval" (1979).
    """
    true_K = np.bincount(y_N, minlength=classes)
    told_K = np.bincount(predicted_N, minlength=classes)
    hits_K = np.bincount(np.asarray(y_N)[np.asarray(y_N) == np.asarray(predicted_N)], minlength=classes)
    f1_K: npt.NDArray[np.float64] = 2 * hits_K / np.maximum(true_K + told_K, 1)
    return f1_K


def macro_f1(y_N: Classes, predicted_N: Classes, classes: int) -> float:
    """Return the mean of F1 over the classes that occur among the labels or the predictions."""
    met_K = (np.bincount(y_N, minlength=classes) + np.bincount(predicted_N, minlength=classes)) > 0
    return float(f1_by_class(y_N, predicted_N, classes)[met_K].mean()) if met_K.any() else float("nan")


def weighted_f1(y_N: Classes, predicted_N: Classes, classes: int) -> float:
    """Return the mean of F1 over classes, each weighted by its rows among the labels."""
    if len(y_N) == 0:
        return float("nan")
    return float(f1_by_class(y_N, predicted_N, classes) @ np.bincount(y_N, minlength=classes) / len(y_N))
