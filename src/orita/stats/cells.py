"""Is a figure worse in a part of the rows than in all of them? Standard errors that know of repeated users and items.

Legend: N rows, L cells (disjoint parts of the rows; −1 is no cell), U clusters.

A figure in a cell, less the figure on all rows, is to first order a sum of influences of rows: those within the cell
on its own figure, less those of all rows on the whole. Its variance is the sum of their squares by cluster (sandwich):
Liang and Zeger (1986). Rows that share a user, and rows that share an item, are both clusters: the two-way variance is
by-user + by-item − by-row (Cameron, Gelbach and Miller, "Robust inference with multiway clustering", 2011), and at
least the larger of the two, as the difference can come out too small by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["CellDifferences", "cell_differences", "cell_mean_influence"]

Floats = npt.NDArray[np.float64]

_DENSE = 16  # cells × clusters for each row, up to which a full table is several times faster than a sparse one


@dataclass(frozen=True, slots=True)
class CellDifferences:
    """``error_L``, the standard error of (figure in the cell − figure on all rows), and its degrees of freedom."""

    error_L: Floats
    degrees_L: Floats


def cell_mean_influence(
    values_N: npt.NDArray[Any], cell_N: npt.NDArray[np.integer[Any]], cells: int
) -> tuple[Floats, Floats]:
    """Return ``mean_L`` of *values_N* in each cell (NaN in an empty one) and ``influence_N``, 0 outside cells."""
    inside_N = cell_N >= 0
    cell_K, values_K = cell_N[inside_N], np.asarray(values_N, np.float64)[inside_N]
    rows_L = np.bincount(cell_K, minlength=cells)
    with np.errstate(invalid="ignore"):
        mean_L: Floats = np.bincount(cell_K, values_K, minlength=cells) / rows_L
    influence_N = np.zeros(len(cell_N))
    influence_N[inside_N] = (values_K - mean_L[cell_K]) / rows_L[cell_K]
    return mean_L, influence_N


def cell_differences(
    influence_N: Floats,
    overall_N: Floats,
    cell_N: npt.NDArray[np.integer[Any]],
    cells: int,
    clusterings: Sequence[npt.NDArray[np.int64]],
) -> CellDifferences:
    """Return the standard error of every cell's difference from the whole.

    Args:
        influence_N: influence of each row on its own cell's figure, 0 outside cells.
        overall_N: influence of each row on the figure of all rows.
        cell_N: cell of each row, −1 … cells − 1.
        cells: L.
        clusterings: one or two arrays, each with a cluster 0 … U − 1 for every row.
    """
    inside_N = cell_N >= 0
    cell_K, own_K, whole_K = cell_N[inside_N].astype(np.int64), influence_N[inside_N], overall_N[inside_N]
    variances, degrees = [], []
    for cluster_N in clusterings:
        cluster_K, total_U = cluster_N[inside_N], np.bincount(cluster_N, overall_N)
        # Σ (own − whole)² over all clusters, without writing down the zeros of clusters that have no row in the cell.
        squares_L, met_L = _squared_sums(own_K, cell_K, cluster_K, (cells, len(total_U)))
        crossed_L = np.bincount(cell_K, own_K * total_U[cluster_K], minlength=cells)
        variance_L = np.maximum(squares_L - 2 * crossed_L + float((total_U**2).sum()), 0.0)
        variances.append(variance_L * met_L / np.maximum(met_L - 1, 1))
        degrees.append(met_L - 1)
    variance_L = np.maximum.reduce(variances)
    if len(variances) > 1:
        rows_L = np.bincount(cell_K, own_K * (own_K - 2 * whole_K), minlength=cells) + float((overall_N**2).sum())
        variance_L = np.maximum(variance_L, np.add.reduce(variances) - rows_L)
    return CellDifferences(np.sqrt(variance_L), np.maximum(np.minimum.reduce(degrees), 1.0))


def _squared_sums(
    values_K: Floats, cell_K: npt.NDArray[np.int64], cluster_K: npt.NDArray[np.int64], shape: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Return, for each cell, the sum of its clusters' squared sums, and how many clusters have rows in it."""
    if shape[0] * shape[1] <= _DENSE * len(values_K):
        place_K = cell_K * shape[1] + cluster_K
        sums_LU = np.bincount(place_K, values_K, minlength=shape[0] * shape[1]).reshape(shape)
        met_LU = np.bincount(place_K, minlength=shape[0] * shape[1]).reshape(shape)
        return np.einsum("lu,lu->l", sums_LU, sums_LU), np.count_nonzero(met_LU, axis=1).astype(np.float64)
    table_LU = sparse.coo_array((values_K, (cell_K, cluster_K)), shape).tocsr()
    squares_L: Floats = np.asarray(table_LU.multiply(table_LU).sum(axis=1)).ravel()
    return squares_L, np.diff(table_LU.indptr).astype(np.float64)
