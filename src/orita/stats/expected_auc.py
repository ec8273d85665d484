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


def expected_auc(scores_N: npt.NDArray[np.floating], chances_N: npt.NDArray[np.floating] | None = None) -> float:
    """Return the expected share of (click, no click) pairs that the scores order rightly, ties counting half.

    Args:
        scores_N: what rows are ordered by, at least two.
        chances_N: the probability of a click of each row, in [0, 1], not all 0 or all 1; None: its score is.

    >>> expected_auc(np.array([0.0, 1.0]))
    1.0
    """
    levels_U, level_N = np.unique(np.asarray(scores_N, np.float64), return_inverse=True)
    chances_N = np.asarray(scores_N if chances_N is None else chances_N, np.float64)
    clicks_U = np.bincount(level_N, chances_N, minlength=len(levels_U))
    others_U = np.bincount(level_N, 1 - chances_N, minlength=len(levels_U))
    below_U = np.cumsum(others_U) - others_U
    # A row is no pair with itself: p(1 − p) of it is taken off the ties, half of which count as right.
    itself = float((chances_N * (1 - chances_N)).sum())
    right = float((clicks_U * (below_U + others_U / 2)).sum()) - itself / 2
    return right / (float(clicks_U.sum()) * float(others_U.sum()) - itself)
