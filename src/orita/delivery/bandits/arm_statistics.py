"""Sums of each arm's rewards, for policies without features.

Legend: A arms, N updates.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from orita.delivery.bandits.belief import FloatArray

__all__ = ["ArmStatistics"]


class ArmStatistics:
    """Weights, sums and sums of squares of rewards.

    Rewards are taken as their distance from *origin*, so that squares lose no digits where rewards are far from 0.
    """

    per_arm = True
    has_context = False

    def __init__(self, arms: int, origin: float = 0.0) -> None:
        self.origin = origin
        self.weight_A = np.zeros(arms)
        self.sum_A = np.zeros(arms)
        self.squares_A = np.zeros(arms)

    def add(self, arm: int, reward: float, context_D: FloatArray | None, *, weight: float, decay: float) -> None:
        """Multiply all sums by *decay*, then add one update by its *weight*."""
        if decay != 1.0:
            self._fade(decay)
        distance = reward - self.origin
        self.weight_A[arm] += weight
        self.sum_A[arm] += weight * distance
        self.squares_A[arm] += weight * distance * distance

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
        self._fade(decay)
        distance_N, arms = rewards_N - self.origin, len(self.weight_A)
        self.weight_A += np.bincount(arms_N, weights_N, arms)
        self.sum_A += np.bincount(arms_N, weights_N * distance_N, arms)
        self.squares_A += np.bincount(arms_N, weights_N * distance_N**2, arms)

    def grow(self, arms: int) -> None:
        """Make room for so many arms in all."""
        more = np.zeros(arms - len(self.weight_A))
        self.load({name: np.concatenate([sums_A, more]) for name, sums_A in self.sums().items()})

    def sums(self) -> dict[str, FloatArray]:
        """Return the sums by their names; copies."""
        return {"weight": self.weight_A.copy(), "sum": self.sum_A.copy(), "squares": self.squares_A.copy()}

    def load(self, sums: dict[str, FloatArray]) -> None:
        """Take sums in place of what is here; weights that subtraction left below 0 are 0."""
        self.weight_A = np.maximum(sums["weight"], 0.0)
        self.sum_A = sums["sum"].copy()
        self.squares_A = np.maximum(sums["squares"], 0.0)

    def _fade(self, decay: float) -> None:
        self.weight_A *= decay
        self.sum_A *= decay
        self.squares_A *= decay
