"""A figure on many resamples of the same rows: whole clusters (users) drawn with replacement, seeded.

Legend: N rows, U clusters, R resamples, Q bins of scores, G groups (here: the clusters).

Rows of one user resemble each other, so users are drawn, not rows. A resample is a vector of how often each user was
drawn, so a figure need not be computed anew on copied rows: means take sums a user, ranked figures one value a user,
and figures of score order take the rows in at most 8,192 bins of equal size by score, whose positives and negatives a
resample weighs. What binning costs is put right by the difference between the exact figure and the binned one (under
1e-5 in practice; none when N ≤ 8,192). Percentile intervals: Efron and Tibshirani, "An Introduction to the Bootstrap"
(1993), chapter 13; widened for few clusters: Hesterberg, "What teachers should know about the bootstrap" (2015).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import ndtri, stdtrit

from orita.stats.ranking import Grouped

__all__ = [
    "LEAST_CLUSTERS",
    "BinnedScores",
    "Draws",
    "RowMean",
    "Statistic",
    "group_mean",
    "interval_ends",
    "percentiles",
    "resample",
    "rests_on",
]

LEAST_CLUSTERS = 10
"""Fewer clusters decide nothing: an interval of so few holds the truth less often than it says (decision 0034)."""

_BINS = 8192
_BLOCK = 64
_NUMBERS = 32_000_000  # of a block of draws: 256 MB

Floats = npt.NDArray[np.float64]


class Statistic(Protocol):
    """A figure of rows that knows what it would be on resamples of their clusters."""

    @property
    def value(self) -> float:
        """The figure on all rows."""
        ...

    @property
    def clusters(self) -> int:
        """How many clusters the figure rests on; those that cannot change it do not count."""
        ...

    def resampled(self, times_UR: Floats) -> Floats:
        """Return ``values_R``, the figure where cluster u occurs ``times_UR[u, r]`` times; NaN where undefined."""
        ...


@dataclass(frozen=True, slots=True)
class Draws:
    """How often each of *clusters* clusters is drawn; the same seed gives the same draws to every figure."""

    clusters: int
    seed: int

    def blocks(self, resamples: int) -> Iterator[Floats]:
        """Yield ``times_UR`` for *resamples* resamples, as many at a time as memory allows."""
        random, n = np.random.default_rng(self.seed), self.clusters
        block = max(1, min(_BLOCK, _NUMBERS // max(n, 1)))
        for start in range(0, resamples, block):
            count = min(block, resamples - start)
            times = [np.bincount(random.integers(n, size=n), minlength=n) for _ in range(count)]
            yield np.stack(times, axis=1).astype(np.float64)


def resample(statistics: dict[str, Statistic], draws: Draws, resamples: int) -> dict[str, Floats]:
    """Return ``values_R`` of every statistic, all over the same resamples, so that their differences are paired."""
    found: dict[str, list[Floats]] = {name: [] for name in statistics}
    for times_UR in draws.blocks(resamples):
        for name, statistic in statistics.items():
            found[name].append(statistic.resampled(times_UR))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def percentiles(values_R: Floats, confidence: float) -> tuple[float, float]:
    """Return the range that leaves out ``(1 − confidence) / 2`` of the resamples on either side; NaN ones do not count.

    Both ends are NaN where no resample has a value.
    """
    if np.isnan(values_R).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(values_R, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def interval_ends(value: float, values_R: Floats, clusters: int, confidence: float) -> tuple[float, float]:
    """Return the percentile interval about *value*, widened for a figure that rests on few clusters.

    The plain one has the spread of a variance over G clusters, not G − 1, and the quantiles of a normal distribution:
    its ends are moved away from the figure by √(G ÷ (G − 1)) and by Student's quantile of G − 1 degrees of freedom over
    the normal one: 9 times as wide for 2 clusters, 1.22 times for 10, 1.01 times for 200. Both ends are NaN where the
    figure is, and for one cluster: nothing is known of how clusters differ.
    """
    if clusters < 2 or math.isnan(value):
        return float("nan"), float("nan")
    upper = (1 + confidence) / 2
    wider = float(stdtrit(clusters - 1, upper) / ndtri(upper)) * math.sqrt(clusters / (clusters - 1))
    low, high = percentiles(values_R, confidence)
    return value - (value - low) * wider, value + (high - value) * wider


def rests_on(y_N: npt.NDArray[Any], clusters_N: npt.NDArray[Any]) -> int:
    """Return how many clusters a figure of positives against negatives rests on: those that hold the rarer kind."""
    positive_N = np.asarray(y_N) > 0
    return min(len(np.unique(clusters_N[positive_N])), len(np.unique(clusters_N[~positive_N])))


@dataclass(frozen=True, slots=True)
class RowMean:
    """A mean over rows (of losses, of hits), by its sums over clusters."""

    value: float
    sums_U: Floats
    rows_U: Floats

    @classmethod
    def of(cls, values_N: npt.NDArray[Any], cluster_N: npt.NDArray[np.int64], clusters: int) -> RowMean:
        """Return the mean of *values_N*; ``cluster_N`` is 0 … clusters − 1."""
        sums_U = np.bincount(cluster_N, np.asarray(values_N, np.float64), minlength=clusters).astype(np.float64)
        value = float(np.mean(values_N, dtype=np.float64)) if len(values_N) else float("nan")
        return cls(value, sums_U, np.bincount(cluster_N, minlength=clusters).astype(np.float64))

    @property
    def clusters(self) -> int:
        """How many clusters have rows that count."""
        return int(np.count_nonzero(self.rows_U))

    def resampled(self, times_UR: Floats) -> Floats:
        """Return the mean on each resample."""
        with np.errstate(invalid="ignore"):  # a resample may hold no cluster that counts
            means_R: Floats = (self.sums_U @ times_UR) / (self.rows_U @ times_UR)
        return means_R


def group_mean(grouped: Grouped) -> RowMean:
    """Return the mean over groups that are themselves the clusters: one value each."""
    return RowMean(
        grouped.mean, np.where(grouped.counted_G, grouped.values_G, 0.0), grouped.counted_G.astype(np.float64)
    )


@dataclass(frozen=True, slots=True)
class BinnedScores:
    """Positives and negatives by bin of score (from the lowest) and cluster; equal scores share a bin."""

    positives_QU: Any
    negatives_QU: Any

    @classmethod
    def of(cls, y_N: npt.NDArray[Any], scores_N: npt.NDArray[Any], cluster_N: npt.NDArray[np.int64]) -> BinnedScores:
        """Sort the rows into bins; ``cluster_N`` is 0 … U − 1."""
        order_N = np.argsort(scores_N)
        sorted_N = np.asarray(scores_N)[order_N]
        new_N = np.concatenate(([False], sorted_N[1:] != sorted_N[:-1]))
        edge_N = (np.arange(len(sorted_N)) * _BINS) // max(len(sorted_N), _BINS)
        # A bin may only begin where the score changes, so equal scores share a bin: rows up to the first change keep
        # the bin of the row where their score began.
        start_N = np.maximum.accumulate(np.where(new_N, np.arange(len(sorted_N)), 0))
        bin_N = np.empty(len(sorted_N), np.int64)
        bin_N[order_N] = edge_N[start_N]
        shape = (int(bin_N.max(initial=0)) + 1, int(cluster_N.max(initial=0)) + 1)
        positive_N = np.asarray(y_N) > 0
        return cls(*(_counts(bin_N[kept], cluster_N[kept], shape) for kept in (positive_N, ~positive_N)))

    @property
    def clusters(self) -> int:
        """How many clusters hold the rarer kind of rows (`rests_on`)."""
        return int(min(np.count_nonzero(kind_QU.sum(axis=0)) for kind_QU in (self.positives_QU, self.negatives_QU)))

    def aucs(self, times_UR: Floats) -> Floats:
        """Return the AUC of each resample, pairs within a bin counting half."""
        positives_QR, negatives_QR = self.positives_QU @ times_UR, self.negatives_QU @ times_UR
        below_QR = np.cumsum(negatives_QR, axis=0) - negatives_QR / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio_R: Floats = (positives_QR * below_QR).sum(0) / (positives_QR.sum(0) * negatives_QR.sum(0))
        return ratio_R

    def average_precisions(self, times_UR: Floats) -> Floats:
        """Return the average precision of each resample, the rows of a bin taken in together."""
        positives_QR, negatives_QR = self.positives_QU @ times_UR, self.negatives_QU @ times_UR
        hits_QR = np.cumsum(positives_QR[::-1], axis=0)
        rows_QR = hits_QR + np.cumsum(negatives_QR[::-1], axis=0)
        with np.errstate(invalid="ignore"):
            sums_R = (positives_QR[::-1] * hits_QR / np.maximum(rows_QR, 1)).sum(0)
            ratio_R: Floats = sums_R / hits_QR[-1]
        return ratio_R


def _counts(bin_K: npt.NDArray[np.int64], cluster_K: npt.NDArray[np.int64], shape: tuple[int, int]) -> Any:
    return sparse.coo_array((np.ones(len(bin_K)), (bin_K, cluster_K)), shape).tocsr()
