"""Do two samples share their categories, when rows repeat the same users or items? Rao and Scott's second-order test.

Legend: N rows of the first sample, M of the second, K categories, C clusters. Cluster ids mean the same in both
samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import f

__all__ = ["ClusteredShares", "clustered_shares_test"]

# The covariance of more shares than this needs more clusters than samples have: rare categories are taken together.
_MOST_CATEGORIES = 50


@dataclass(frozen=True, slots=True)
class ClusteredShares:
    """The outcome of a test of equal shares of clustered rows.

    Attributes:
        p_value: chance of shares this unequal when nothing changed; 1 where nothing varies.
        design_effect: mean inflation of the variance of a share, at least 0.
        expected: mean of χ² under clustering, when nothing changed.
        degrees: effective degrees of freedom of χ².
        error_degrees: degrees of freedom with which the covariance was estimated.
    """

    p_value: float
    design_effect: float
    expected: float
    degrees: float
    error_degrees: float

    def critical(self, level: float) -> float:
        """Return the χ² that is significant at *level*."""
        return float(self.expected * f.isf(level, self.degrees, self.error_degrees))


def clustered_shares_test(
    first_codes_N: npt.NDArray[np.integer],
    second_codes_M: npt.NDArray[np.integer],
    first_clusters_N: npt.NDArray[np.int64],
    second_clusters_M: npt.NDArray[np.int64],
) -> ClusteredShares:
    """Test whether two samples draw their categories with the same shares, rows of a cluster being dependent.

    The χ² of the difference is compared with the F distribution that has the mean and the spread which the clusters'
    covariance gives it. A mean alone (first order) rejects too often when the categories' design effects are unequal.

    Args:
        first_codes_N: category of each row, 0 or larger.
        second_codes_M: likewise, same codes.
        first_clusters_N: cluster of each row.
        second_clusters_M: likewise.

    Source: Rao and Scott (1984), On chi-squared tests for multiway contingency tables with cell proportions estimated
    from survey data; Thomas and Rao (1987) for the F distribution.
    """
    n, m = len(first_codes_N), len(second_codes_M)
    clusters = np.unique(np.concatenate([first_clusters_N, second_clusters_M]), return_inverse=True)[1]
    codes = _frequent(np.concatenate([first_codes_N, second_codes_M]))
    categories, count = int(codes.max(initial=0)) + 1, int(clusters.max(initial=0)) + 1
    if n == 0 or m == 0 or categories < 2 or count < 4:
        return ClusteredShares(1.0, 1.0, 1.0, 1.0, 1.0)
    first_CK = _table(clusters[:n], codes[:n], count, categories)
    second_CK = _table(clusters[n:], codes[n:], count, categories)
    first_K, second_K = first_CK.sum(axis=0) / n, second_CK.sum(axis=0) / m
    root_K = np.sqrt((first_CK.sum(axis=0) + second_CK.sum(axis=0)) / (n + m))
    sizes = 1 / n + 1 / m
    statistic = float((((first_K - second_K) / root_K) ** 2).sum()) / sizes
    # Each sample about its own shares: a difference between the samples is not taken for clustering.
    parts_CK = (first_CK - first_CK.sum(axis=1, keepdims=True) * first_K) / n
    parts_CK -= (second_CK - second_CK.sum(axis=1, keepdims=True) * second_K) / m
    covariance_KK = (parts_CK / root_K).T @ (parts_CK / root_K) / sizes * (count / (count - 1))
    expected, squared = float(np.trace(covariance_KK)), float((covariance_KK**2).sum())
    if expected <= 0:
        return ClusteredShares(1.0, 1.0, 1.0, 1.0, 1.0)
    degrees = expected**2 / squared
    error_degrees = degrees * (count - 2)
    p_value = float(f.sf(statistic / expected, degrees, error_degrees))
    return ClusteredShares(p_value, expected / (categories - 1), expected, degrees, error_degrees)


def _frequent(codes: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """Return codes 0, 1, … of the most frequent categories, all others sharing the last."""
    values, place, counts = np.unique(codes, return_inverse=True, return_counts=True)
    rank = np.empty(len(values), dtype=np.intp)
    rank[np.argsort(counts)[::-1]] = np.arange(len(values))
    return np.minimum(rank, _MOST_CATEGORIES)[place]


def _table(
    clusters: npt.NDArray[np.integer], codes: npt.NDArray[np.integer], count: int, categories: int
) -> npt.NDArray[np.float64]:
    cells = np.bincount(clusters * categories + codes, minlength=count * categories)
    return cells.reshape(count, categories).astype(np.float64)
