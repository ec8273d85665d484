"""How far did a distribution move, bin by bin? The population stability index.

Legend: N reference values, M recent values, B bins (the missing values come first, then the quantile bins, whose
first and last are open: no value falls outside). NaN means missing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["bin_counts", "psi", "psi_of_counts", "quantile_edges"]

_HALF = 0.5


def quantile_edges(reference_N: npt.NDArray[np.floating], bins: int = 10) -> npt.NDArray[np.float64]:
    """Return the inner edges (sorted, at most ``bins − 1``, fewer with ties) that cut *reference_N* evenly."""
    values = np.asarray(reference_N, dtype=np.float64)
    present = values[~np.isnan(values)]
    if len(present) == 0:
        return np.empty(0)
    return np.unique(np.quantile(present, np.arange(1, bins) / bins, method="inverted_cdf"))


def bin_counts(values_N: npt.NDArray[np.floating], edges: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return ``counts_B``: missing values, then values ≤ the first edge, …, then values above the last edge."""
    values = np.asarray(values_N, dtype=np.float64)
    missing_N = np.isnan(values)
    inside_B = np.bincount(np.searchsorted(edges, values[~missing_N], side="left"), minlength=len(edges) + 1)
    return np.concatenate([[np.count_nonzero(missing_N)], inside_B]).astype(np.int64)


def psi_of_counts(reference_B: npt.NDArray[np.int64], recent_B: npt.NDArray[np.int64]) -> float:
    """Return Σ (q − p) · ln(q / p) over bins that either sample reaches; NaN if a sample is empty.

    If one sample leaves such a bin empty, half a row is added to every bin of both, so that the index stays finite.
    """
    used_B = (reference_B + recent_B) > 0
    if not reference_B.sum() or not recent_B.sum():
        return float("nan")
    return float(_index(reference_B[used_B][None, :], recent_B[used_B][None, :])[0])


def psi(reference_N: npt.NDArray[np.floating], recent_M: npt.NDArray[np.floating], *, bins: int = 10) -> float:
    """Return the population stability index of *recent_M* over quantile bins of *reference_N*, ≥ 0."""
    edges = quantile_edges(reference_N, bins)
    return psi_of_counts(bin_counts(reference_N, edges), bin_counts(recent_M, edges))


def _index(reference_RB: npt.NDArray[np.int64], recent_RB: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    hollow_R = ((reference_RB == 0) ^ (recent_RB == 0)).any(axis=1, keepdims=True)
    occupied_RB = (reference_RB + recent_RB) > 0
    added_RB = np.where(hollow_R & occupied_RB, _HALF, 0.0)
    p_RB, q_RB = reference_RB + added_RB, recent_RB + added_RB
    p_RB = p_RB / p_RB.sum(axis=1, keepdims=True)
    q_RB = q_RB / q_RB.sum(axis=1, keepdims=True)
    ratio_RB = np.divide(q_RB, p_RB, out=np.ones_like(p_RB), where=occupied_RB)
    return np.asarray(((q_RB - p_RB) * np.log(ratio_RB)).sum(axis=1), dtype=np.float64)
