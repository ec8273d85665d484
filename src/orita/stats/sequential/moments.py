"""Count, mean and spread of a sample as a value: batches add up to what all rows at once would give.

Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).

Legend: N rows.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError

__all__ = ["Moments"]


@dataclass(frozen=True, slots=True)
class Moments:
    """A sample by its moments.

    Attributes:
        n: rows.
        mean: their mean, 0 without rows.
        squares: sum of squared distances from the mean, ≥ 0.
    """

    n: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values_N: npt.ArrayLike) -> Moments:
        """Return the moments of *values_N*.

        Raises:
            UserError: a value is NaN or infinite.
        """
        values = np.asarray(values_N, np.float64)
        if len(values) == 0:
            return cls()
        if not np.isfinite(values).all():
            wrong = int((~np.isfinite(values)).sum())
            raise UserError(f"{wrong} of {len(values)} values are NaN or infinite; give each unit a finite value.")
        mean = float(values.mean())
        return cls(float(len(values)), mean, float(((values - mean) ** 2).sum()))

    @classmethod
    def of_counts(cls, n: float, successes: float) -> Moments:
        """Return the moments of *n* outcomes of which *successes* are 1 and the rest 0.

        Raises:
            UserError: there are fewer outcomes than successes, or fewer than none.
        """
        if not 0 <= successes <= n:
            raise UserError(f"successes is {successes:g} of n = {n:g}; it must lie between 0 and n.")
        return cls(n, successes / n, successes * (n - successes) / n) if n else cls()

    @property
    def variance(self) -> float:
        """Variance of a row with n − 1 in the denominator; NaN for fewer than two rows."""
        return self.squares / (self.n - 1) if self.n > 1 else math.nan

    @property
    def error(self) -> float:
        """Standard error of the mean; NaN for fewer than two rows."""
        return math.sqrt(self.variance / self.n) if self.n > 1 else math.nan

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both samples together."""
        n = self.n + other.n
        if not n:
            return self
        gap = other.mean - self.mean
        mean = self.mean + gap * other.n / n
        return Moments(n, mean, self.squares + other.squares + gap * gap * self.n * other.n / n)

    def to_dict(self) -> dict[str, float]:
        """Return the moments as numbers by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Moments:
        """Return what `to_dict` told."""
        return cls(float(told["n"]), float(told["mean"]), float(told["squares"]))
