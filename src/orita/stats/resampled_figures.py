"""Figures of score order and of calibration as statistics that can be resampled (`orita.stats.resampling`).

Legend: N rows, U clusters, R resamples, B calibration bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.stats.metrics import auc, average_precision
from orita.stats.resampling import BinnedScores, RowMean

__all__ = ["Auc", "AveragePrecision", "Lift", "calibration_error"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Auc:
    """The AUC; ``shift`` is what binning cost."""

    value: float
    binned: BinnedScores
    shift: float

    @classmethod
    def of(cls, y_N: npt.NDArray[Any], scores_N: npt.NDArray[Any], cluster_N: npt.NDArray[np.int64]) -> Auc:
        """Return the statistic; ``cluster_N`` is 0 … U − 1."""
        value, binned = auc(y_N, scores_N), BinnedScores.of(y_N, scores_N, cluster_N)
        return cls(value, binned, value - float(binned.aucs(_once(binned))[0]))

    @property
    def clusters(self) -> int:
        """How many clusters hold the rarer kind of rows."""
        return self.binned.clusters

    def resampled(self, times_UR: Floats) -> Floats:
        """Return the AUC of each resample."""
        return self.binned.aucs(times_UR) + self.shift


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """The average precision; ``shift`` is what binning cost."""

    value: float
    binned: BinnedScores
    shift: float

    @classmethod
    def of(
        cls, y_N: npt.NDArray[Any], scores_N: npt.NDArray[Any], cluster_N: npt.NDArray[np.int64]
    ) -> AveragePrecision:
        """Return the statistic; ``cluster_N`` is 0 … U − 1."""
        value, binned = average_precision(y_N, scores_N), BinnedScores.of(y_N, scores_N, cluster_N)
        return cls(value, binned, value - float(binned.average_precisions(_once(binned))[0]))

    @property
    def clusters(self) -> int:
        """How many clusters hold the rarer kind of rows."""
        return self.binned.clusters

    def resampled(self, times_UR: Floats) -> Floats:
        """Return the average precision of each resample."""
        return self.binned.average_precisions(times_UR) + self.shift


def calibration_error(
    y_N: npt.NDArray[Any], scores_N: npt.NDArray[Any], cluster_N: npt.NDArray[np.int64], bins: int = 20
) -> RowMean:
    """Return the expected calibration error as a mean over rows: of gaps, signed as their bin's gap is on all rows.

    Bins and signs stay as they are on all rows. Taken anew in every resample, noise could only add to the absolute
    gaps, and the interval would lie above the figure; so it tells how far the figure scatters, not how much is noise.
    """
    order_N = np.argsort(scores_N, kind="stable")
    edges = np.unique(np.linspace(0, len(order_N), bins + 1).astype(np.int64))
    bin_N = np.empty(len(order_N), np.int64)
    bin_N[order_N] = np.searchsorted(edges, np.arange(len(order_N)), side="right") - 1
    gap_N = np.asarray(scores_N, np.float64) - (np.asarray(y_N) > 0)
    sign_B = np.sign(np.bincount(bin_N, gap_N))
    return RowMean.of(sign_B[bin_N] * gap_N, cluster_N, int(cluster_N.max(initial=0)) + 1)


@dataclass(frozen=True, slots=True)
class Lift:
    """How far the AUC of *ours* is above 0.5, over how far the AUC of *theirs* is."""

    ours: Auc
    theirs: Auc

    @property
    def value(self) -> float:
        """The lift, NaN where *theirs* is not above 0.5."""
        return (self.ours.value - 0.5) / (self.theirs.value - 0.5) if self.theirs.value > 0.5 else float("nan")

    @property
    def clusters(self) -> int:
        """How many clusters hold the rarer kind of rows; both AUCs are of the same rows."""
        return self.ours.clusters

    def resampled(self, times_UR: Floats) -> Floats:
        """Return the lift on each resample, NaN where *theirs* is not above 0.5 there."""
        ours_R, theirs_R = self.ours.resampled(times_UR) - 0.5, self.theirs.resampled(times_UR) - 0.5
        lift_R: Floats = np.divide(ours_R, theirs_R, out=np.full(len(ours_R), np.nan), where=theirs_R > 0)
        return lift_R


def _once(binned: BinnedScores) -> Floats:
    return np.ones((binned.positives_QU.shape[1], 1))
