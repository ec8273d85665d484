"""The AUC that scores promise: what it would be if each score were the true probability of a click.

Rows that users saw are a choice of the ranking: the best few of many. Among them scores are close together, so even a
perfect model separates them less than it separates all rows. What is expected of it there is this figure (the idea of
confidence-based performance estimation: Garg et al. 2022, "Leveraging unlabeled data to predict out-of-distribution
performance").

Legend: N rows, U distinct scores.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["expected_auc"]


def expected_auc(scores_N: npt.NDArray[np.floating]) -> float:
    """Return the expected share of (click, no click) pairs that the scores order rightly, ties counting half.

    Args:
        scores_N: probabilities in [0, 1], at least two of them, not all 0 or all 1.

    >>> expected_auc(np.array([0.0, 1.0]))
    1.0
    """
    levels_U, level_N = np.unique(np.asarray(scores_N, np.float64), return_inverse=True)
    rows_U = np.bincount(level_N)
    clicks_U, others_U = rows_U * levels_U, rows_U * (1 - levels_U)
    below_U = np.cumsum(others_U) - others_U
    # A row is no pair with itself: p(1 − p) of it is taken off the ties, half of which count as right.
    itself = float((rows_U * levels_U * (1 - levels_U)).sum())
    right = float((clicks_U * (below_U + others_U / 2)).sum()) - itself / 2
    return right / (float(clicks_U.sum()) * float(others_U.sum()) - itself)
