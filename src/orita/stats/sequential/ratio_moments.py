"""A ratio of users' sums, such as clicks ÷ impressions, as a value: batches of users add up.

Legend: U units (users).

To first order a ratio is a mean over units: each adds (numerator − ratio · denominator) ÷ mean denominator. So
`moments` gives what tests of means take, at a planned end or, through `SequentialComparison.looked`, at every look: the
delta method of Deng, Knoblich and Lu, "Applying the delta method in metric analytics" (2018). Units must be independent
and count once, when their outcome window has closed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.stats.sequential.moments import Moments

__all__ = ["RatioMoments"]


@dataclass(frozen=True, slots=True)
class RatioMoments:
    """Sums over units of numerator y, denominator x, and their squares and products."""

    n: float = 0.0
    y: float = 0.0
    x: float = 0.0
    yy: float = 0.0
    xy: float = 0.0
    xx: float = 0.0

    @classmethod
    def of(cls, numerator_U: npt.ArrayLike, denominator_U: npt.ArrayLike) -> RatioMoments:
        """Return the sums over units.

        Raises:
            UserError: lengths differ, or a value is NaN or infinite.
        """
        y, x = np.asarray(numerator_U, np.float64), np.asarray(denominator_U, np.float64)
        if y.shape != x.shape or not np.isfinite(y).all() or not np.isfinite(x).all():
            raise UserError(
                f"{y.size} numerators and {x.size} denominators are no units; give each unit a finite value of both."
            )
        return cls(float(y.size), float(y.sum()), float(x.sum()), float(y @ y), float(x @ y), float(x @ x))

    def merged(self, other: RatioMoments) -> RatioMoments:
        """Return the sums of both samples together."""
        return RatioMoments(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))

    @property
    def moments(self) -> Moments:
        """The ratio as a mean over units, with its linearised spread.

        These do not merge: each ratio is linearised about itself. Merge the sums, and take the moments of all.

        Raises:
            UserError: the denominators add up to 0 or less.
        """
        if self.x <= 0:
            raise UserError(f"the denominators of an arm add up to {self.x:g}; a ratio needs a sum above 0.")
        ratio, mean = self.y / self.x, self.x / self.n
        squares = max(self.yy - 2 * ratio * self.xy + ratio**2 * self.xx, 0.0)
        return Moments(self.n, ratio, squares / mean**2)

    def to_dict(self) -> dict[str, float]:
        """Return the sums by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> RatioMoments:
        """Return what `to_dict` told."""
        return cls(**{part.name: float(told[part.name]) for part in fields(cls)})
