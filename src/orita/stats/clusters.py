"""How much less do rows tell that measure the same user, item or request again? Design effects.

Legend: N rows of the first sample, M of the second, D columns. A cluster is what rows share: a user's features repeat
in each of the user's rows. Cluster ids mean the same in both samples: a user may be in both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import t

from orita.stats.intervals import Interval

__all__ = ["clustered_mean", "clustered_rate", "design_effect"]


def design_effect(
    first_ND: npt.NDArray[np.float64],
    second_MD: npt.NDArray[np.float64],
    first_clusters_N: npt.NDArray[np.int64],
    second_clusters_M: npt.NDArray[np.int64],
) -> float:
    """Return, ≥ 1, by how much clustering inflates the variance of the difference of the two samples' means.

    The cluster-robust (sandwich) variance over the one of independent rows, averaged over columns by their variance.
    A cluster with the same share in both samples cancels, so a stable population of users costs no power. Each sample
    is centred on its own mean: a shift between the samples is not taken for clustering.

    Args:
        first_ND: finite values, one row a measurement.
        second_MD: likewise.
        first_clusters_N: cluster of each row, 0 or larger; ids are shared by both samples.
        second_clusters_M: likewise.

    Source: Liang and Zeger (1986), Longitudinal data analysis using generalized linear models; Kish (1965), Survey
    sampling, for the design effect.
    """
    n, m = len(first_ND), len(second_MD)
    if n < 2 or m < 2:
        return 1.0
    parts = np.concatenate([(first_ND - first_ND.mean(axis=0)) / n, -(second_MD - second_MD.mean(axis=0)) / m])
    clusters = np.unique(np.concatenate([first_clusters_N, second_clusters_M]), return_inverse=True)[1]
    independent = float((parts**2).sum())
    if independent == 0:
        return 1.0
    count = int(clusters.max()) + 1
    robust = sum(float((np.bincount(clusters, weights=column, minlength=count) ** 2).sum()) for column in parts.T)
    # With G clusters the centred sums lose one degree of freedom: G / (G − 1) undoes that, for few clusters above all.
    return max(1.0, robust / independent * (count / max(count - 1, 1)))


def clustered_mean(values_N: npt.NDArray[np.floating], clusters_N: npt.NDArray[np.int64], *, tail: float) -> Interval:
    """Return the mean with the interval that leaves *tail* out on each side.

    The sandwich variance in closed form: time and memory grow with the rows, not with a number of resamples. The
    quantile is Student's of one degree of freedom less than there are clusters; both ends are NaN for one cluster.
    Source: Liang and Zeger (1986).
    """
    value = float(values_N.mean())
    residuals_C = np.bincount(np.unique(clusters_N, return_inverse=True)[1], weights=values_N - value)
    count = len(residuals_C)
    spread = float(np.sqrt((residuals_C**2).sum() * count / max(count - 1, 1))) / len(values_N)
    reach = float(t.isf(tail, count - 1)) * spread  # t of 0 degrees of freedom is NaN
    return Interval(value, value - reach, value + reach)


def clustered_rate(y_N: npt.NDArray[np.floating], clusters_N: npt.NDArray[np.int64], *, tail: float) -> Interval:
    """Return the mean of 0-or-1 labels with its interval (`clustered_mean`), cut to [0, 1]."""
    found = clustered_mean(y_N, clusters_N, tail=tail)
    return Interval(found.value, float(np.maximum(found.low, 0.0)), float(np.minimum(found.high, 1.0)))
