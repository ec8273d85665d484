"""How much does each row pull an AUC up or down? Placement values and the influence they have, whole or in cells.

Legend: N rows, L cells (disjoint parts of the rows; −1 is no cell).

The placement of a positive is the share of its cell's negatives that score below it, that of a negative the share of
positives above it; ties count half. Their mean is the AUC. A row's influence is (placement − AUC) ÷ rows of its kind:
influences of a cell add up to 0, and the sum of their squares estimates the variance of its AUC.
DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating characteristic
curves" (1988); in the time of a sort: Sun and Xu, "Fast implementation of DeLong's algorithm" (2014).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["auc_influence", "cell_auc_influence"]


def auc_influence(y_N: npt.NDArray[Any], scores_N: npt.NDArray[Any]) -> tuple[float, npt.NDArray[np.float64]]:
    """Return the AUC of all rows and ``influence_N``; NaN and zeros where positives or negatives are absent.

    Both are NaN where a score is.
    """
    auc_L, influence_N = cell_auc_influence(y_N, np.argsort(scores_N), scores_N, np.zeros(len(y_N), np.int16), 1)
    return float(auc_L[0]), influence_N


def cell_auc_influence(
    y_N: npt.NDArray[Any],
    order_N: npt.NDArray[np.intp],
    scores_N: npt.NDArray[Any],
    cell_N: npt.NDArray[np.integer[Any]],
    cells: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return ``auc_L`` within each cell and ``influence_N`` of each row on its own cell's AUC; NaN with a NaN score.

    Args:
        y_N: labels, positive above 0.
        order_N: positions of the rows from the lowest score to the highest; sorted once for many ways to cut cells.
        scores_N: scores.
        cell_N: cell of each row, −1 … cells − 1; rows of −1 have no influence.
        cells: L.
    """
    width = np.int16 if cells <= np.iinfo(np.int16).max else np.int64
    sorted_N: npt.NDArray[np.signedinteger[Any]] = cell_N[order_N].astype(width)
    inside_K = np.flatnonzero(sorted_N >= 0)
    # Stable, so that scores stay sorted within a cell; integers of 16 bits are sorted by radix.
    rows_K = order_N[inside_K[np.argsort(sorted_N[inside_K], kind="stable")]]
    cell_K, positive_K = cell_N[rows_K].astype(np.int64), np.asarray(y_N)[rows_K] > 0
    positives_L = np.bincount(cell_K[positive_K], minlength=cells).astype(np.float64)
    negatives_L = np.bincount(cell_K[~positive_K], minlength=cells).astype(np.float64)
    positives_above_K = positives_L[cell_K] - _below_or_tied(positive_K, rows_K, cell_K, scores_N, positives_L)
    negatives_below_K = _below_or_tied(~positive_K, rows_K, cell_K, scores_N, negatives_L)
    kinds_K = np.where(positive_K, negatives_L[cell_K], positives_L[cell_K])
    placement_K = np.where(positive_K, negatives_below_K, positives_above_K) / np.maximum(kinds_K, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        sums_L = np.bincount(cell_K[positive_K], placement_K[positive_K], minlength=cells)
        auc_L = np.where(negatives_L > 0, sums_L / positives_L, np.nan)
    defined_K = (positives_L * negatives_L)[cell_K] > 0
    own_K = np.where(positive_K, positives_L[cell_K], negatives_L[cell_K])
    influence_N = np.zeros(len(y_N))
    influence_N[rows_K] = np.where(defined_K, (placement_K - np.nan_to_num(auc_L)[cell_K]) / own_K, 0.0)
    if len(order_N) and np.isnan(scores_N[order_N[-1]]):  # NaN is sorted to the end
        missing_L = np.bincount(cell_K[np.isnan(np.asarray(scores_N)[rows_K])], minlength=cells) > 0
        auc_L[missing_L], influence_N[rows_K[missing_L[cell_K]]] = np.nan, np.nan
    return auc_L, influence_N


def _below_or_tied(
    kind_K: npt.NDArray[np.bool_],
    rows_K: npt.NDArray[np.intp],
    cell_K: npt.NDArray[np.int64],
    scores_N: npt.NDArray[Any],
    count_L: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return how many rows of a kind in the row's cell score lower, tied ones as half; rows sorted by cell, score."""
    if len(rows_K) == 0:
        return np.zeros(0)
    scores_K = np.asarray(scores_N)[rows_K]
    new_K = np.concatenate(([True], (scores_K[1:] != scores_K[:-1]) | (cell_K[1:] != cell_K[:-1])))
    start_T = np.flatnonzero(new_K)
    tied_T = np.add.reduceat(kind_K, start_T, dtype=np.float64)
    before_T = np.cumsum(tied_T) - tied_T / 2 - (np.cumsum(count_L) - count_L)[cell_K[start_T]]
    below_K: npt.NDArray[np.float64] = np.repeat(before_T, np.diff(np.append(start_T, len(rows_K))))
    return below_K
