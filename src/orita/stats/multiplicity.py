"""Many tests, one promise: the chance of any false alarm, or the share of false ones, stays at the level asked for.

Legend: K tests; ``p_K`` are their p-values.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["benjamini_hochberg", "bonferroni", "holm"]


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


def benjamini_hochberg(p_K: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return adjusted p-values in the order given: of those ≤ α at most a share α is false, on average over reports.

    Holds for independent tests and for tests that err together (positive dependence); where nothing is to be found,
    the chance of finding anything is at most α. Source: Benjamini and Hochberg (1995), Controlling the false discovery
    rate; Benjamini and Yekutieli (2001) for dependence.
    """
    p_K = np.asarray(p_K, dtype=np.float64)
    order_K = np.argsort(p_K, kind="stable")
    stepped_K = p_K[order_K] * len(p_K) / np.arange(1, len(p_K) + 1)
    adjusted_K = np.empty_like(p_K)
    adjusted_K[order_K] = np.minimum(1.0, np.minimum.accumulate(stepped_K[::-1])[::-1])
    return adjusted_K
