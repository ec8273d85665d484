"""An interval of a mean whose rows are skewed: a few large weights, many zeros.

The normal interval of weighted rewards misses on one side: a log that happens to lack its largest weights gives both a
value and a spread that are too small. Two corrections, both in closed form and of the influences alone: Student's
degrees of freedom are those of a variance as uncertain as the rows' kurtosis makes it, and the ends are moved by the
rows' skewness.

Legend: G units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t

__all__ = ["SkewedInterval", "skewed_interval"]


@dataclass(frozen=True, slots=True)
class SkewedInterval:
    """The ends of an interval, and the standard error; NaN where nothing is known of them."""

    low: float
    high: float
    standard_error: float


def skewed_interval(value: float, influence_G: npt.NDArray[np.float64], confidence: float) -> SkewedInterval:
    """Return the interval of a value that is, but for smaller terms, the mean of *influence_G* away from the truth.

    Args:
        value: the estimate.
        influence_G: what each unit moves the value by, times G; about 0.
        confidence: between 0 and 1.

    Source: Hall (1992), On the removal of skewness by transformation, J. R. Statist. Soc. B 54, the monotone cubic;
    Satterthwaite (1946) for the degrees of freedom, 2 G ÷ (kurtosis − 1), those whose χ² varies as the variance does.
    """
    count = len(influence_G)
    if count < 2 or not np.isfinite(influence_G).all() or not np.isfinite(value):
        return SkewedInterval(np.nan, np.nan, np.nan)
    square = float((influence_G**2).mean())
    if square <= (1e-12 * abs(value)) ** 2:  # rounding of rows that are all equal
        return SkewedInterval(np.nan, np.nan, 0.0)
    error = np.sqrt(square / (count - 1))
    scaled_G = influence_G / np.sqrt(square)
    skewness, kurtosis = float((scaled_G**3).mean()), float((scaled_G**4).mean())
    degrees = min(count - 1.0, 2 * count / max(kurtosis - 1, 1e-12))
    reach = float(t.isf((1 - confidence) / 2, degrees))
    per_unit = skewness / np.sqrt(count)
    low, high = (value - error * _unskewed(end, per_unit) for end in (reach, -reach))
    return SkewedInterval(float(low), float(high), float(error))


def _unskewed(quantile: float, skewness: float) -> float:
    """Return the quantile of the studentised mean: the inverse of Hall's cubic at *quantile*."""
    if abs(skewness) < 1e-8:
        return quantile
    return float((np.cbrt(1 + skewness * (quantile - skewness / 6)) - 1) * 3 / skewness)
