"""A belief that is a score for each arm: the highest is picked, ties at random, with a share picked uniformly.

Legend: A arms, K positions. All probabilities are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orita.delivery.bandits.belief import FloatArray, Propensities

__all__ = ["RankedBelief"]


@dataclass(frozen=True, slots=True)
class RankedBelief:
    """Arms by their scores.

    Attributes:
        scores_A: larger is better; +∞ is allowed, NaN is not.
        epsilon: probability, at each position, of a uniform pick among the arms left.
    """

    scores_A: FloatArray
    epsilon: float = 0.0

    def pick(self, rng: np.random.Generator) -> int:
        """Return the best arm, or with probability *epsilon* any."""
        if self.epsilon and rng.random() < self.epsilon:
            return int(rng.random() * len(self.scores_A))
        best = self.scores_A.max()
        tied = (self.scores_A == best).nonzero()[0]
        return int(tied[0] if len(tied) == 1 else tied[int(rng.random() * len(tied))])

    def order(self, k: int, rng: np.random.Generator) -> list[int]:
        """Return *k* arms; each position explores by itself."""
        left: list[int] = np.lexsort((rng.random(len(self.scores_A)), -self.scores_A)).tolist()
        explores_K = (rng.random(k) < self.epsilon).tolist()
        return [left.pop(int(rng.random() * len(left)) if explores else 0) for explores in explores_K]

    def conditionals(self, order_K: list[int], rng: np.random.Generator) -> Propensities:
        """Return ε ÷ arms left, plus (1 − ε) ÷ arms tied for the best where the pick is one of them."""
        left_A = self.scores_A.copy()
        values_K = np.empty(len(order_K))
        for position, arm in enumerate(order_K):
            best = left_A.max()
            greedy = 1 / np.count_nonzero(left_A == best) if left_A[arm] == best else 0.0
            values_K[position] = self.epsilon / (len(left_A) - position) + (1 - self.epsilon) * greedy
            left_A[arm] = np.nan
            left_A = np.where(np.isnan(left_A), -np.inf, left_A)
        return Propensities(values_K, np.zeros(len(order_K)))

    def probabilities(self, rng: np.random.Generator) -> Propensities:
        """Return them for one position."""
        best_A = self.scores_A == self.scores_A.max()
        values_A = self.epsilon / len(best_A) + (1 - self.epsilon) * best_A / best_A.sum()
        return Propensities(values_A, np.zeros(len(best_A)))
