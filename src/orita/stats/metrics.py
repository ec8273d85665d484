"""How good are scores? Pure functions on arrays; undefined figures are NaN.

Legend: N rows, G groups (users), K best rows of a group.

Ties: `auc` counts a tied pair as half. Ranked figures order a group by score, highest first, and break ties by the
order of the rows. Which groups count is stated with each figure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "CalibrationBin",
    "Ranking",
    "accuracy",
    "auc",
    "calibration_bins",
    "expected_calibration_error",
    "log_loss",
    "mean_average_precision",
    "mrr",
    "ndcg_at_k",
    "precision_at_k",
    "rank_groups",
    "recall_at_k",
]

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[Any]


def auc(y_N: Labels, scores_N: Floats) -> float:
    """Return the probability that a random positive scores above a random negative; NaN where one of them is absent.

    The Mann–Whitney statistic over mid-ranks, exact with ties.
    """
    order_N = np.argsort(scores_N)
    sorted_N = np.asarray(scores_N)[order_N]
    starts_T = np.flatnonzero(np.concatenate(([True], sorted_N[1:] != sorted_N[:-1]))) if len(sorted_N) else order_N
    positive_N = np.asarray(y_N)[order_N] > 0
    positives_T = np.add.reduceat(positive_N, starts_T, dtype=np.float64) if len(starts_T) else np.zeros(0)
    rows_T = np.diff(np.append(starts_T, len(sorted_N)))
    negatives_T = rows_T - positives_T
    below_T = np.cumsum(negatives_T) - negatives_T / 2
    pairs = positives_T.sum() * negatives_T.sum()
    return float((positives_T * below_T).sum() / pairs) if pairs else float("nan")


def log_loss(y_N: Labels, scores_N: Floats, *, floor: float = 1e-7) -> float:
    """Return the mean negative log likelihood in nats; scores are kept *floor* away from 0 and 1."""
    if len(y_N) == 0:
        return float("nan")
    p_N = np.clip(np.asarray(scores_N, np.float64), floor, 1 - floor)
    return float(-np.log(np.where(np.asarray(y_N) > 0, p_N, 1 - p_N)).mean())


def accuracy(y_N: Labels, scores_N: Floats, *, threshold: float = 0.5) -> float:
    """Return the share of rows on whose label ``score ≥ threshold`` agrees."""
    if len(y_N) == 0:
        return float("nan")
    return float(np.mean((np.asarray(scores_N) >= threshold) == (np.asarray(y_N) > 0)))


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows sorted by group and, within a group, by score from the highest.

    Attributes:
        positive_N: whether the row is a positive.
        group_N: 0 … G−1.
        rank_N: 1 for the best row of its group.
        rows_G, positives_G: sizes of the groups.
    """

    positive_N: npt.NDArray[np.bool_]
    group_N: npt.NDArray[np.int64]
    rank_N: npt.NDArray[np.int64]
    rows_G: npt.NDArray[np.int64]
    positives_G: npt.NDArray[np.int64]


def rank_groups(y_N: Labels, scores_N: Floats, groups_N: npt.NDArray[Any]) -> Ranking:
    """Sort rows once for all ranked figures; *groups_N* holds ids of any sortable kind."""
    _, group_N = np.unique(groups_N, return_inverse=True)
    by_score_N = np.argsort(-np.asarray(scores_N), kind="stable")
    order_N = by_score_N[np.argsort(group_N[by_score_N], kind="stable")]
    group_N = group_N[order_N].astype(np.int64)
    positive_N = np.asarray(y_N)[order_N] > 0
    rows_G = np.bincount(group_N)
    starts_G = np.cumsum(rows_G) - rows_G
    rank_N = np.arange(1, len(group_N) + 1) - starts_G[group_N]
    positives_G = np.bincount(group_N[positive_N], minlength=len(rows_G))
    return Ranking(positive_N, group_N, rank_N, rows_G, positives_G)


def precision_at_k(ranking: Ranking, k: int = 10) -> float:
    """Return the mean over groups with at least *k* rows of positives among the *k* best rows ÷ *k*."""
    hits_G = _sum(ranking, ranking.rank_N <= k)
    return _mean(hits_G / k, ranking.rows_G >= k)


def recall_at_k(ranking: Ranking, k: int = 10) -> float:
    """Return the mean over groups with a positive of positives among the *k* best rows ÷ all positives."""
    hits_G = _sum(ranking, ranking.rank_N <= k)
    return _mean(hits_G / np.maximum(ranking.positives_G, 1), ranking.positives_G > 0)


def ndcg_at_k(ranking: Ranking, k: int = 10) -> float:
    """Return the mean over groups with a positive of DCG@k ÷ the best DCG@k; gain 1, discount log2(1 + rank).

    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (2002).
    """
    dcg_G = _sum(ranking, ranking.rank_N <= k, lambda rank_K: 1 / np.log2(1 + rank_K))
    ideal = np.concatenate(([1.0], np.cumsum(1 / np.log2(1 + np.arange(1, k + 1)))))
    best_G = ideal[np.minimum(ranking.positives_G, k)]
    return _mean(dcg_G / best_G, ranking.positives_G > 0)


def mean_average_precision(ranking: Ranking) -> float:
    """Return the mean over groups with a positive of the mean precision at the ranks of its positives."""
    running_N = np.cumsum(ranking.positive_N)
    before_G = np.cumsum(ranking.positives_G) - ranking.positives_G
    hits_N = running_N - before_G[ranking.group_N]
    precision_P = (hits_N / ranking.rank_N)[ranking.positive_N]
    sum_G = np.bincount(ranking.group_N[ranking.positive_N], precision_P, minlength=len(ranking.rows_G))
    return _mean(sum_G / np.maximum(ranking.positives_G, 1), ranking.positives_G > 0)


def mrr(ranking: Ranking) -> float:
    """Return the mean over groups with a positive of 1 ÷ the rank of its first positive."""
    first_G = np.full(len(ranking.rows_G), np.inf)
    np.minimum.at(first_G, ranking.group_N[ranking.positive_N], ranking.rank_N[ranking.positive_N])
    return _mean(1 / first_G, ranking.positives_G > 0)


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Rows of neighbouring scores: what was promised, what came."""

    rows: int
    mean_score: float
    positive_rate: float


def calibration_bins(y_N: Labels, scores_N: Floats, bins: int = 20) -> list[CalibrationBin]:
    """Cut the rows, sorted by score, into at most *bins* bins of equal size and return each bin's means."""
    order_N = np.argsort(scores_N, kind="stable")
    edges = np.unique(np.linspace(0, len(order_N), bins + 1).astype(np.int64))
    found = []
    for low, high in pairwise(edges):
        rows = order_N[low:high]
        mean = float(np.asarray(scores_N)[rows].mean(dtype=np.float64))
        found.append(CalibrationBin(len(rows), mean, float((np.asarray(y_N)[rows] > 0).mean())))
    return found


def expected_calibration_error(y_N: Labels, scores_N: Floats, bins: int = 20) -> float:
    """Return the mean over rows of |mean score − positive rate| of the row's bin (bins of equal size).

    Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning" (2015), with equal-size bins.
    """
    found = calibration_bins(y_N, scores_N, bins)
    rows = sum(b.rows for b in found)
    gaps = sum(b.rows * abs(b.mean_score - b.positive_rate) for b in found)
    return gaps / rows if rows else float("nan")


def _sum(
    ranking: Ranking,
    within_N: npt.NDArray[np.bool_],
    gain: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]] | None = None,
) -> npt.NDArray[np.float64]:
    chosen_N = within_N & ranking.positive_N
    weights = gain(ranking.rank_N[chosen_N]) if gain else None
    sums_G = np.bincount(ranking.group_N[chosen_N], weights, minlength=len(ranking.rows_G))
    return sums_G.astype(np.float64)


def _mean(values_G: npt.NDArray[np.float64], counts_G: npt.NDArray[np.bool_]) -> float:
    return float(values_G[counts_G].mean()) if counts_G.any() else float("nan")
