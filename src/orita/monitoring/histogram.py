"""What did a value look like before and now? Two histograms over the same bins, small enough to keep in a
report.

Legend: N reference values, M recent values, B bins. NaN means missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Histogram", "histogram"]

_BINS = 24


@dataclass(frozen=True, slots=True)
class Histogram:
    """Shares of the rows of two samples, missing ones included.

    Attributes:
        labels: one for each bin: a value, or the lower edge of a range.
        reference, recent: share of rows in each bin, 0 … 1.
        reference_missing, recent_missing: share of rows without a value; bins and missing sum to 1.
        discrete: each bin is one value rather than a range.
        upper: the upper edge of the last range; values beyond either end are counted in the outermost bins.
    """

    labels: tuple[float, ...]
    reference: tuple[float, ...]
    recent: tuple[float, ...]
    reference_missing: float
    recent_missing: float
    discrete: bool
    upper: float


def histogram(reference_N: npt.NDArray[np.floating], recent_M: npt.NDArray[np.floating]) -> Histogram:
    """Return both samples over up to 24 bins: the values themselves if they are few, else equal ranges.

    Ranges span the 1st to the 99th percentile of both, so that one outlier does not squeeze all else into a
    bin.
    """
    pooled = np.concatenate([reference_N, recent_M]).astype(np.float64)
    distinct = np.unique(pooled[~np.isnan(pooled)])
    if len(distinct) <= _BINS:
        upper = float(distinct[-1]) if len(distinct) else 0.0
        edges_B = np.concatenate([distinct[:1], (distinct[1:] + distinct[:-1]) / 2])
        return _counted(reference_N, recent_M, distinct, lower_B=edges_B, upper=upper, discrete=True)
    finite = pooled[np.isfinite(pooled)]
    low, high = np.quantile(finite, [0.01, 0.99]) if len(finite) else (0.0, 1.0)
    if low == high:
        low, high = finite.min(), finite.max()
    edges = np.linspace(low, high, _BINS + 1)
    return _counted(reference_N, recent_M, edges[:-1], lower_B=edges[:-1], upper=float(high), discrete=False)


def _counted(
    reference_N: npt.NDArray[np.floating],
    recent_M: npt.NDArray[np.floating],
    labels_B: npt.NDArray[np.float64],
    *,
    lower_B: npt.NDArray[np.float64],
    upper: float,
    discrete: bool,
) -> Histogram:
    shares = []
    for values in (reference_N, recent_M):
        present = values[~np.isnan(values)].astype(np.float64)
        places = np.clip(np.searchsorted(lower_B, present, side="right") - 1, 0, max(len(lower_B) - 1, 0))
        shares.append(np.bincount(places, minlength=len(lower_B))[: len(lower_B)] / max(len(values), 1))
    return Histogram(
        labels=tuple(labels_B.tolist()),
        reference=tuple(shares[0].tolist()),
        recent=tuple(shares[1].tolist()),
        reference_missing=_missing(reference_N),
        recent_missing=_missing(recent_M),
        discrete=discrete,
        upper=upper,
    )


def _missing(values_N: npt.NDArray[np.floating]) -> float:
    return float(np.isnan(values_N).mean()) if len(values_N) else 0.0
