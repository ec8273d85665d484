"""How good are scores? Pure functions on arrays; undefined figures are NaN, and those of scores with a NaN among them.

Legend: N rows.

Ties: `auc` counts a tied pair as half; `average_precision` takes tied rows in together. Figures of lists, one a user,
are in `orita.stats.ranking` and can be imported from here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.stats.ranking import (
    Ranking,
    mean_average_precision,
    mrr,
    ndcg_at_k,
    precision_at_k,
    rank_groups,
    recall_at_k,
)

__all__ = [
    "CalibrationBin",
    "Ranking",
    "accuracy",
    "auc",
    "average_precision",
    "brier_score",
    "calibration_bins",
    "expected_calibration_error",
    "log_loss",
    "mean_average_precision",
    "mrr",
    "ndcg_at_k",
    "precision_at_k",
    "rank_groups",
    "recall_at_k",
    "row_log_loss",
]

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[Any]


def auc(y_N: Labels, scores_N: Floats) -> float:
    """Return the probability that a random positive scores above a random negative; NaN where one of them is absent.

    The Mann–Whitney statistic over mid-ranks, exact with ties.
    """
    order_N = np.argsort(scores_N)
    sorted_N = np.asarray(scores_N)[order_N]
    if _ends_in_nan(sorted_N):
        return float("nan")
    starts_T = np.flatnonzero(np.concatenate(([True], sorted_N[1:] != sorted_N[:-1]))) if len(sorted_N) else order_N
    positive_N = np.asarray(y_N)[order_N] > 0
    positives_T = np.add.reduceat(positive_N, starts_T, dtype=np.float64) if len(starts_T) else np.zeros(0)
    rows_T = np.diff(np.append(starts_T, len(sorted_N)))
    negatives_T = rows_T - positives_T
    below_T = np.cumsum(negatives_T) - negatives_T / 2
    pairs = positives_T.sum() * negatives_T.sum()
    return float((positives_T * below_T).sum() / pairs) if pairs else float("nan")


def average_precision(y_N: Labels, scores_N: Floats) -> float:
    """Return Σ recall gained at a score × precision down to it, from the highest score; NaN without a positive.

    The area under the precision-recall curve without interpolation between its points, which would flatter: Davis and
    Goadrich, "The relationship between precision-recall and ROC curves" (2006).
    """
    order_N = np.argsort(-np.asarray(scores_N), kind="stable")
    sorted_N = np.asarray(scores_N)[order_N]
    hits_N = np.cumsum(np.asarray(y_N)[order_N] > 0)
    if not len(hits_N) or not hits_N[-1] or _ends_in_nan(sorted_N):
        return float("nan")
    last_T = np.append(np.flatnonzero(sorted_N[1:] != sorted_N[:-1]), len(sorted_N) - 1)
    gained_T = np.diff(hits_N[last_T], prepend=0)
    return float((gained_T * hits_N[last_T] / (last_T + 1)).sum() / hits_N[-1])


def row_log_loss(y_N: Labels, scores_N: Floats, *, floor: float = 1e-7) -> npt.NDArray[np.float64]:
    """Return each row's negative log likelihood in nats; scores are kept *floor* away from 0 and 1."""
    p_N = np.clip(np.asarray(scores_N, np.float64), floor, 1 - floor)
    loss_N: npt.NDArray[np.float64] = -np.log(np.where(np.asarray(y_N) > 0, p_N, 1 - p_N))
    return loss_N


def log_loss(y_N: Labels, scores_N: Floats, *, floor: float = 1e-7) -> float:
    """Return the mean negative log likelihood in nats; scores are kept *floor* away from 0 and 1."""
    return float(row_log_loss(y_N, scores_N, floor=floor).mean()) if len(y_N) else float("nan")


def brier_score(y_N: Labels, scores_N: Floats) -> float:
    """Return the mean of (score − label)², 0 … 1, lower is better. Brier (1950)."""
    if len(y_N) == 0:
        return float("nan")
    return float(((np.asarray(scores_N, np.float64) - (np.asarray(y_N) > 0)) ** 2).mean())


def accuracy(y_N: Labels, scores_N: Floats, *, threshold: float = 0.5) -> float:
    """Return the share of rows on whose label ``score ≥ threshold`` agrees."""
    if len(y_N) == 0 or np.isnan(scores_N).any():
        return float("nan")
    return float(np.mean((np.asarray(scores_N) >= threshold) == (np.asarray(y_N) > 0)))


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


def _ends_in_nan(sorted_N: Floats) -> bool:
    """Return whether a score is NaN: NumPy sorts those to the end, whichever way the others go."""
    return len(sorted_N) > 0 and bool(np.isnan(sorted_N[-1]))
