"""How far are predicted numbers from what came? Pure functions on arrays; undefined figures are NaN.

Legend: N rows. Errors are in the unit of the target.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["mean_absolute_error", "r_squared", "root_mean_squared_error"]

Floats = npt.NDArray[np.floating[Any]]


def root_mean_squared_error(y_N: Floats, predicted_N: Floats) -> float:
    """Return √ mean (prediction − target)², ≥ 0."""
    return float(np.sqrt((_errors(y_N, predicted_N) ** 2).mean())) if len(y_N) else float("nan")


def mean_absolute_error(y_N: Floats, predicted_N: Floats) -> float:
    """Return mean |prediction − target|, ≥ 0."""
    return float(np.abs(_errors(y_N, predicted_N)).mean()) if len(y_N) else float("nan")


def r_squared(y_N: Floats, predicted_N: Floats) -> float:
    """Return 1 − squared errors ÷ squared distances from the mean: 1 is perfect, 0 as good as the mean, or below.

    NaN where the targets are all equal: there is nothing to explain.
    """
    spread = float(((np.asarray(y_N, np.float64) - np.mean(y_N, dtype=np.float64)) ** 2).sum()) if len(y_N) else 0.0
    return 1 - float((_errors(y_N, predicted_N) ** 2).sum()) / spread if spread else float("nan")


def _errors(y_N: Floats, predicted_N: Floats) -> npt.NDArray[np.float64]:
    errors_N: npt.NDArray[np.float64] = np.asarray(predicted_N, np.float64) - np.asarray(y_N, np.float64)
    return errors_N
