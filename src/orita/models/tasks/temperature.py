"""How modest the probabilities of a classifier must be, so that they mean what they say.

Legend: N rows, K classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from orita.models.tasks.softmax import softmax
from orita.stats.classification import multiclass_log_loss

__all__ = ["fit_temperature"]

_LEAST, _MOST = 0.02, 50.0


def fit_temperature(logits_NK: npt.NDArray[np.floating[Any]], y_N: npt.NDArray[np.int64]) -> float:
    """Return the temperature, 0.02 … 50, by which the labels are likeliest.

    Guo, Pleiss, Sun and Weinberger 2017, "On calibration of modern neural networks".
    """

    def loss(log_temperature: float) -> float:
        return multiclass_log_loss(y_N, softmax(logits_NK / np.exp(log_temperature)))

    found = minimize_scalar(loss, bounds=(np.log(_LEAST), np.log(_MOST)), method="bounded")
    return float(np.exp(found.x))
