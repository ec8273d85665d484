"""Do two scores of the same rows differ in AUC? DeLong's test and interval: exact in form, no resampling.

Legend: N rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from orita.core.errors import UserError
from orita.stats.placements import auc_influence
from orita.stats.resampling import rests_on

__all__ = ["AucDifference", "delong_difference"]


@dataclass(frozen=True, slots=True)
class AucDifference:
    """AUC of *a* − AUC of *b*, its interval, and the chance of one this large if both were equally good."""

    value: float
    low: float
    high: float
    p_value: float


def delong_difference(
    y_N: npt.NDArray[Any],
    scores_a_N: npt.NDArray[Any],
    scores_b_N: npt.NDArray[Any],
    *,
    clusters_N: npt.NDArray[Any] | None = None,
    confidence: float = 0.95,
) -> AucDifference:
    """Return the difference of two AUCs on the same rows with its interval and two-sided p-value.

    Args:
        y_N: labels, positive above 0.
        scores_a_N, scores_b_N: the scores of the two models.
        clusters_N: ids of rows that resemble each other, such as users; None: rows are independent, as in DeLong's
            paper, and with rows that are not, the interval is too narrow. With clusters the quantiles are Student's,
            of one degree of freedom less than there are clusters with the rarer kind of rows.
        confidence: of the interval.

    Interval and p-value are NaN where one cluster holds all rows of a kind, and all is NaN where a score is.

    Raises:
        UserError: there are fewer than two positives or two negatives.

    Source: DeLong et al. (1988) by Sun and Xu (2014), see `orita.stats.placements`; with clusters Obuchowski,
    "Nonparametric analysis of clustered ROC curve data" (1997).
    """
    positive_N = np.asarray(y_N) > 0
    m, n = int(positive_N.sum()), int((~positive_N).sum())
    if min(m, n) < 2:
        raise UserError(f"DeLong's test needs two positives and two negatives, there are {m} and {n}; use more rows.")
    (a, influence_a_N), (b, influence_b_N) = (auc_influence(y_N, scores_N) for scores_N in (scores_a_N, scores_b_N))
    pull_N = influence_a_N - influence_b_N
    if clusters_N is None:
        squares_N = pull_N**2
        variance = float(squares_N[positive_N].sum() * m / (m - 1) + squares_N[~positive_N].sum() * n / (n - 1))
    else:
        pull_U = np.bincount(np.unique(clusters_N, return_inverse=True)[1], pull_N)
        variance = float((pull_U**2).sum() * len(pull_U) / max(len(pull_U) - 1, 1))
    error, value = math.sqrt(variance), a - b
    known = norm if clusters_N is None else t(rests_on(y_N, clusters_N) - 1)  # t of 0 degrees of freedom is all NaN
    reach = float(known.ppf((1 + confidence) / 2)) * error
    p_value = float(value == 0) if error == 0 else 2 * float(known.sf(abs(value) / error))
    if math.isnan(reach):
        p_value = math.nan
    return AucDifference(value, value - reach, value + reach, p_value)
