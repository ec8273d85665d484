"""The curves behind the figures: what a threshold would give, at every threshold, thinned for drawing.

Legend: N rows, T thresholds (distinct scores, from the highest; the first point takes no row in), P points kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError

__all__ = ["Curve", "gain_curve", "precision_recall_curve", "roc_curve", "thinned"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a curve: ``x_T`` rising, ``y_T``, both 0 … 1."""

    x_T: Floats
    y_T: Floats


def roc_curve(y_N: npt.NDArray[Any], scores_N: npt.NDArray[Any]) -> Curve:
    """Return share of negatives taken in (x) against share of positives taken in (y); its area is the AUC."""
    hits_T, rows_T = _taken(y_N, scores_N)
    return Curve(_share(rows_T - hits_T), _share(hits_T))


def precision_recall_curve(y_N: npt.NDArray[Any], scores_N: npt.NDArray[Any], *, least_rows: int = 1) -> Curve:
    """Return recall (x) against precision (y), to be drawn in steps, from the threshold that takes *least_rows* in."""
    hits_T, rows_T = _taken(y_N, scores_N)
    kept_T = rows_T >= min(least_rows, len(y_N))
    return Curve(_share(hits_T)[kept_T], (hits_T / np.maximum(rows_T, 1))[kept_T])


def gain_curve(y_N: npt.NDArray[Any], scores_N: npt.NDArray[Any]) -> Curve:
    """Return share of rows taken in (x) against share of positives taken in (y); y ÷ x is the lift."""
    hits_T, rows_T = _taken(y_N, scores_N)
    return Curve(_share(rows_T), _share(hits_T))


def thinned(curve: Curve, points: int = 200) -> Curve:
    """Return at most *points* of the curve's points: even along its length, the first and the last among them."""
    if len(curve.x_T) <= points:
        return curve
    steps = np.hypot(np.diff(curve.x_T), np.diff(curve.y_T))
    length_T = np.concatenate(([0.0], np.cumsum(steps)))
    kept_P = np.unique(np.searchsorted(length_T, np.linspace(0, length_T[-1], points)))
    kept_P = np.union1d(kept_P[kept_P < len(length_T)], [len(length_T) - 1])[-points:]
    return Curve(curve.x_T[kept_P], curve.y_T[kept_P])


def _taken(y_N: npt.NDArray[Any], scores_N: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Return positives and rows at or above each distinct score, after a first point of nothing; NaN is refused."""
    order_N = np.argsort(-np.asarray(scores_N), kind="stable")
    sorted_N = np.asarray(scores_N)[order_N]
    if len(sorted_N) and np.isnan(sorted_N[-1]):  # sorted to the end
        raise UserError(f"{np.isnan(sorted_N).sum()} of {len(sorted_N)} scores are NaN; a curve needs them all.")
    hits_N = np.cumsum(np.asarray(y_N)[order_N] > 0)
    last_T = np.append(np.flatnonzero(sorted_N[1:] != sorted_N[:-1]), len(sorted_N) - 1)
    return np.append(0.0, hits_N[last_T]), np.append(0.0, last_T + 1.0)


def _share(counts_T: Floats) -> Floats:
    return counts_T / counts_T[-1] if counts_T[-1] else np.full(len(counts_T), np.nan)
