"""The belief of linear Thompson sampling with one model for all arms: values that go together.

Legend: A arms, D features, K positions, M draws. Draws of arms are not independent, so probabilities are counted.

Of M draws beside the one that was picked by, h agree with the pick: (h + 1) ÷ (M + 1) is reported. It is never 0, and
it is the estimate to weigh by: if an arm is picked with probability p, then the expectation of [picked] ÷ estimate is
1 − (1 − p)^(M+1), 1 but for arms that are picked once in many times M.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orita.delivery.bandits.belief import FloatArray, Propensities, draw_best

__all__ = ["JointNormalBelief"]


@dataclass(frozen=True, slots=True)
class JointNormalBelief:
    """Normal values of arms with a common cause.

    Attributes:
        mean_A: means.
        factor_AD: the values' covariance is factor · factorᵀ.
        draws: M, by which probabilities are estimated, for each position anew.
    """

    mean_A: FloatArray
    factor_AD: FloatArray
    draws: int

    def pick(self, rng: np.random.Generator) -> int:
        """Return the arm with the largest draw."""
        return self.order(1, rng)[0]

    def order(self, k: int, rng: np.random.Generator) -> list[int]:
        """Return *k* arms, a fresh draw for each position."""
        return draw_best(self._drawn(k, rng))

    def conditionals(self, order_K: list[int], rng: np.random.Generator) -> Propensities:
        """Return them by Monte Carlo."""
        hits = []
        for position, arm in enumerate(order_K):
            draws_MA = self._drawn(self.draws, rng)
            draws_MA[:, order_K[:position]] = -np.inf
            hits.append(np.count_nonzero(draws_MA.argmax(axis=1) == arm))
        values_K = (np.array(hits) + 1.0) / (self.draws + 1)
        return Propensities(values_K, self._standard_errors(values_K))

    def probabilities(self, rng: np.random.Generator) -> Propensities:
        """Return shares of draws, which may be 0."""
        best_M = self._drawn(self.draws, rng).argmax(axis=1)
        values_A = np.bincount(best_M, minlength=len(self.mean_A)) / self.draws
        return Propensities(values_A, self._standard_errors(values_A))

    def _drawn(self, count: int, rng: np.random.Generator) -> FloatArray:
        drawn: FloatArray = self.mean_A + rng.standard_normal((count, self.factor_AD.shape[1])) @ self.factor_AD.T
        return drawn

    def _standard_errors(self, values_X: FloatArray) -> FloatArray:
        """Return standard errors; of 0 and 1 as of half a hit."""
        inner_X = np.clip(values_X, 0.5 / self.draws, 1 - 0.5 / self.draws)
        return np.sqrt(inner_X * (1 - inner_X) / self.draws)
