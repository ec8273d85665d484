"""Relabelling where rows repeat a user or an item: what belongs together changes sides together.

If nothing changed, a user's rows of one stretch of time might as well have been those of another. So each user swaps
stretches, and users do so independently: one user of a hundred rows is one piece of evidence, and a user who is in both
samples with the same values is none. Stretches are as long as the smaller sample.

Legend: N reference rows, M current rows, C cells, the missing first, R relabellings, G clusters, P parts: the rows that
a cluster has in one stretch, K kinds of change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["Behaviour", "Repeats"]

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_MOST_STRETCHES, _SEVERAL = 64, 3
_UPPER, _LEAST_SCALE = 0.2, 0.05


@dataclass(frozen=True, slots=True)
class Repeats:
    """Rows of two samples by cell, cluster and stretch of time.

    Attributes:
        parts_PC: rows of each part in each cell.
        cluster_P, stretch_P: whose part it is, and of which stretch.
        total_C: rows of both samples.
        clusters, stretches: how many there are; the last stretch is the smaller sample.
        current_is_last: the smaller sample is the current one.
    """

    parts_PC: sparse.csr_matrix
    cluster_P: Codes
    stretch_P: Codes
    total_C: Floats
    clusters: int
    stretches: int
    current_is_last: bool

    @classmethod
    def of(
        cls, reference_N: Codes, current_M: Codes, reference_clusters_N: Codes, current_clusters_M: Codes
    ) -> Repeats | None:
        """Return the rows of two samples by the cell of each; None if no cluster has two rows.

        Args:
            reference_N, current_M: cell of each row, in the order of time; 0 is missing.
            reference_clusters_N, current_clusters_M: user or item of each row; ids are shared by both samples.
        """
        ids = np.unique(np.concatenate([reference_clusters_N, current_clusters_M]), return_inverse=True)[1]
        n, m = len(reference_N), len(current_M)
        clusters = int(ids.max(initial=-1)) + 1
        if min(n, m) == 0 or clusters == n + m:
            return None
        smaller, larger = min(n, m), max(n, m)
        # Stretches of one length differ in rows by bursts alone: only a sample several times as large is several.
        several = larger >= _SEVERAL * smaller
        pieces = min(_MOST_STRETCHES - 1, round(larger / smaller)) if several else 1
        long = np.arange(larger) * pieces // larger
        last = np.full(smaller, pieces)
        stretch = np.concatenate([long, last] if n >= m else [last, long])
        cells = np.concatenate([reference_N, current_M])
        part_ids, part = np.unique(ids * (pieces + 1) + stretch, return_inverse=True)
        shape = len(part_ids), int(cells.max()) + 1
        parts_PC = sparse.csr_matrix((np.ones(n + m), (part, cells)), shape=shape)
        total_C = np.bincount(cells, minlength=shape[1]).astype(np.float64)
        return cls(parts_PC, part_ids // (pieces + 1), part_ids % (pieces + 1), total_C, clusters, pieces + 1, n >= m)

    def draw(self, rng: np.random.Generator, size: int) -> Floats:
        """Return current counts ``[R, C]`` of *size* relabellings: each cluster's stretches in another order."""
        chosen_RG = rng.integers(0, self.stretches, (size, self.clusters), dtype=np.uint8)
        chosen_RP = chosen_RG[:, self.cluster_P] == self.stretch_P
        counts_RC = np.asarray((self.parts_PC.T @ chosen_RP.T.astype(np.float64)).T)
        return counts_RC if self.current_is_last else self.total_C - counts_RC

    @property
    def least_p(self) -> float:
        """One in all relabellings there are."""
        return float(np.exp(max(-self.clusters * np.log(self.stretches), -690.0)))


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How large each kind's −log p is when nothing changed: its upper fifth, and how fast that falls off."""

    threshold_K: Floats
    scale_K: Floats

    @classmethod
    def of(cls, surprise_RK: Floats) -> Behaviour:
        """Learn from relabellings."""
        threshold_K = np.quantile(surprise_RK, 1 - _UPPER, axis=0)
        above_RK = np.maximum(surprise_RK - threshold_K, 0.0)
        scale_K = above_RK.sum(axis=0) / np.maximum((above_RK > 0).sum(axis=0), 1)
        return cls(threshold_K, np.maximum(scale_K, _LEAST_SCALE))

    def standard(self, surprise_RK: Floats) -> Floats:
        """Return −log p as it would be if kinds behaved alike: exponential of scale 1, the threshold at log 5."""
        above_RK = (surprise_RK - self.threshold_K) / self.scale_K
        below_RK = np.log(1 / _UPPER) * (surprise_RK / np.maximum(self.threshold_K, _LEAST_SCALE) - 1)
        return np.asarray(np.where(above_RK > 0, above_RK, below_RK) + np.log(1 / _UPPER))
