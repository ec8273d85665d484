"""How sure is a figure? Bootstrap intervals that resample whole clusters (users), seeded.

Intervals of few clusters are as wide as so few allow (`orita.stats.resampling.interval_ends`); those of one are NaN.

Legend: N rows, R resamples. How resamples are drawn and weighed: `orita.stats.resampling`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.stats.resampled_figures import Auc
from orita.stats.resampling import Draws, RowMean, Statistic, interval_ends, resample

__all__ = ["Interval", "auc_difference_interval", "auc_interval", "mean_interval"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure on all rows, and the range that holds it with the given confidence; NaN where one cluster has all."""

    value: float
    low: float
    high: float


def auc_interval(
    y_N: npt.NDArray[Any],
    scores_N: npt.NDArray[Any],
    clusters_N: npt.NDArray[Any],
    *,
    resamples: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the AUC with its interval.

    Raises:
        UserError: there is no positive, or no negative, or a score is NaN.
    """
    cluster_N, draws = _clusters(clusters_N, seed)
    statistic = _auc(y_N, scores_N, cluster_N)
    values_R = resample({"auc": statistic}, draws, resamples)["auc"]
    low, high = interval_ends(statistic.value, values_R, statistic.clusters, confidence)
    return Interval(statistic.value, float(np.maximum(low, 0.0)), float(np.minimum(high, 1.0)))


def auc_difference_interval(
    y_N: npt.NDArray[Any],
    scores_a_N: npt.NDArray[Any],
    scores_b_N: npt.NDArray[Any],
    clusters_N: npt.NDArray[Any],
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return AUC of *a* − AUC of *b* on the same rows, with its interval over the same resamples (paired).

    Raises:
        UserError: there is no positive, or no negative, or a score is NaN.
    """
    cluster_N, draws = _clusters(clusters_N, seed)
    a, b = _auc(y_N, scores_a_N, cluster_N), _auc(y_N, scores_b_N, cluster_N)
    pair: dict[str, Statistic] = {"a": a, "b": b}
    values = resample(pair, draws, resamples)
    value = a.value - b.value
    return Interval(value, *interval_ends(value, values["a"] - values["b"], a.clusters, confidence))


def mean_interval(
    values_N: npt.NDArray[Any],
    clusters_N: npt.NDArray[Any],
    *,
    resamples: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the mean of *values_N* over rows with its interval (log loss: give each row's loss)."""
    cluster_N, draws = _clusters(clusters_N, seed)
    statistic = RowMean.of(values_N, cluster_N, draws.clusters)
    values_R = resample({"mean": statistic}, draws, resamples)["mean"]
    return Interval(statistic.value, *interval_ends(statistic.value, values_R, statistic.clusters, confidence))


def _clusters(clusters_N: npt.NDArray[Any], seed: int) -> tuple[npt.NDArray[np.int64], Draws]:
    known_U, cluster_N = np.unique(clusters_N, return_inverse=True)
    return cluster_N.astype(np.int64), Draws(len(known_U), seed)


def _auc(y_N: npt.NDArray[Any], scores_N: npt.NDArray[Any], cluster_N: npt.NDArray[np.int64]) -> Auc:
    if np.isnan(scores_N).any():
        raise UserError(f"{np.isnan(scores_N).sum()} of {len(y_N)} scores are NaN; an AUC needs a score of every row.")
    statistic = Auc.of(y_N, scores_N, cluster_N)
    if np.isnan(statistic.value):
        raise UserError(f"an AUC needs positives and negatives, the {len(y_N)} rows hold only one kind; use more rows.")
    return statistic
