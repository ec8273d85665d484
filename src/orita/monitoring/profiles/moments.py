"""Count, mean, spread, shape and bounds of numbers, from any number of parts.

Legend: N values. Source: Pébay (2008), Formulas for robust, one-pass parallel computation of covariances and
arbitrary-order statistical moments (Sandia SAND2008-6212); for the variance, Chan, Golub and LeVeque (1979).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Moments"]


@dataclass(frozen=True, slots=True)
class Moments:
    """Central moments of finite numbers.

    Attributes:
        count: how many, ≥ 0.
        mean: NaN of none.
        m2, m3, m4: sums of the second, third and fourth power of the distance from the mean.
        minimum, maximum: ∞ and −∞ of none.
    """

    count: int = 0
    mean: float = math.nan
    m2: float = 0.0
    m3: float = 0.0
    m4: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    @classmethod
    def of(cls, x_N: npt.NDArray[np.float64], weights_N: npt.NDArray[np.int64] | None = None) -> Moments:
        """Return the moments of finite values, each counted *weights_N* times (None: once)."""
        count = len(x_N) if weights_N is None else int(weights_N.sum())
        if not count:
            return cls()
        # Powers of numbers near 1e308 overflow to infinity, which is what their variance is to a double.
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(x_N.mean() if weights_N is None else np.average(x_N, weights=weights_N))
            z_N = x_N - mean
            square_N = z_N * z_N
            left_N = square_N if weights_N is None else square_N * weights_N
            # einsum and not a dot product: BLAS starts threads for it, which wait for one another on a busy machine.
            m2 = float(left_N.sum())
            m3, m4 = (float(np.einsum("i,i->", left_N, power_N)) for power_N in (z_N, square_N))
        return cls(count, mean, m2, m3, m4, float(x_N.min()), float(x_N.max()))

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both parts together."""
        if not self.count or not other.count:
            return self if self.count else other
        a, b = float(self.count), float(other.count)
        n = a + b
        # np.float64, whose overflow is infinity where Python's raises.
        with np.errstate(over="ignore", invalid="ignore"):
            d = np.float64(other.mean) - self.mean
            m2 = self.m2 + other.m2 + d * d * (a * b / n)
            m3 = self.m3 + other.m3 + d * d * d * (a * b * (a - b) / (n * n)) + 3 * d * (a * other.m2 - b * self.m2) / n
            m4 = (
                self.m4
                + other.m4
                + d * d * d * d * (a * b * (a * a - a * b + b * b) / n**3)
                + 6 * d * d * (a * a * other.m2 + b * b * self.m2) / (n * n)
                + 4 * d * (a * other.m3 - b * self.m3) / n
            )
            mean = float(self.mean + d * (b / n))
        low, high = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        return Moments(self.count + other.count, mean, float(m2), float(m3), float(m4), low, high)

    @property
    def variance(self) -> float:
        """The unbiased variance; NaN of fewer than two values."""
        return self.m2 / (self.count - 1) if self.count > 1 else math.nan

    @property
    def deviation(self) -> float:
        """The standard deviation, the root of `variance`."""
        return math.sqrt(self.variance)

    @property
    def skewness(self) -> float:
        """The third standardised moment, 0 of what is symmetric; NaN of a constant."""
        return math.sqrt(self.count) * self.m3 / self.m2**1.5 if self.m2 > 0 else math.nan

    @property
    def kurtosis(self) -> float:
        """The fourth standardised moment less 3, 0 of a normal distribution; NaN of a constant."""
        return self.count * self.m4 / (self.m2 * self.m2) - 3 if self.m2 > 0 else math.nan
