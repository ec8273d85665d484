"""What a bandit keeps of the feedback: the contract of its sums.

Legend: A arms, N updates, D features.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from orita.delivery.bandits.belief import FloatArray

__all__ = ["Statistics"]


class Statistics(Protocol):
    """Sums over weighed feedback. They add, so replicas can be merged; all else is derived of them.

    Attributes:
        per_arm: whether the first axis of the arrays is that of arms; else all arms share one model.
        has_context: whether updates come with features.
    """

    per_arm: bool
    has_context: bool

    def add(self, arm: int, reward: float, context_D: FloatArray | None, *, weight: float, decay: float) -> None:
        """Multiply all sums by *decay*, then add one update by its *weight*."""
        ...

    def add_many(
        self,
        arms_N: npt.NDArray[np.int64],
        rewards_N: FloatArray,
        contexts_ND: FloatArray | None,
        *,
        weights_N: FloatArray,
        decay: float,
    ) -> None:
        """Multiply all sums by *decay*, then add updates by their weights."""
        ...

    def grow(self, arms: int) -> None:
        """Make room for so many arms in all."""
        ...

    def sums(self) -> dict[str, FloatArray]:
        """Return the sums by their names; copies."""
        ...

    def load(self, sums: dict[str, FloatArray]) -> None:
        """Take sums in place of what is here."""
        ...
