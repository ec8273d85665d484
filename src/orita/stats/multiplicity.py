"""Many tests, one promise: the chance of any false alarm among them stays at the level asked for.

Legend: K tests; ``p_K`` are their p-values.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["bonferroni", "holm"]


def bonferroni(p_K: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return ``min(1, K · p)`` for each test."""
    return np.minimum(1.0, np.asarray(p_K, dtype=np.float64) * len(p_K))


def holm(p_K: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return adjusted p-values in the order given: rejecting those ≤ α errs in at most a share α of reports.

    Holds whatever the dependence of the tests. Source: Holm (1979), A simple sequentially rejective multiple test
    procedure.
    """
    p_K = np.asarray(p_K, dtype=np.float64)
    order_K = np.argsort(p_K, kind="stable")
    stepped_K = np.maximum.accumulate(p_K[order_K] * np.arange(len(p_K), 0, -1))
    adjusted_K = np.empty_like(p_K)
    adjusted_K[order_K] = np.minimum(1.0, stepped_K)
    return adjusted_K
