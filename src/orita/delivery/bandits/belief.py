"""What a policy believes at one moment: how slates are drawn, and how probable a slate is.

Legend: A arms that may be picked, K positions of a slate.

A belief is all that is random about a pick. Each position of a slate is a decision of its own: a fresh draw, of which
the best arm not yet in the slate is taken. So a policy that is drawn once a position has, at each position, the
probability that an arm is the best of those left, whatever was drawn before; the probability of a slate is the product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Belief", "FloatArray", "Propensities", "draw_best"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Propensities:
    """Probabilities with the error they are known to.

    Attributes:
        values: probabilities, in [0, 1]: one a position, each given the picks before it, or one an arm.
        errors: of each, ≥ 0. Exactly known ones have 0; those by quadrature the defect of the quadrature, an estimate
            of its error; those by Monte Carlo their standard error.
    """

    values: FloatArray
    errors: FloatArray


class Belief(Protocol):
    """A distribution over slates; arms are positions 0 … A − 1."""

    def pick(self, rng: np.random.Generator) -> int:
        """Return one arm."""
        ...

    def order(self, k: int, rng: np.random.Generator) -> list[int]:
        """Return *k* distinct arms, 1 ≤ k ≤ A, the first position first."""
        ...

    def conditionals(self, order_K: list[int], rng: np.random.Generator) -> Propensities:
        """Return the probability of each pick of a slate given the picks before it."""
        ...

    def probabilities(self, rng: np.random.Generator) -> Propensities:
        """Return the probability of each arm to be picked for one position, [A]."""
        ...


def draw_best(draws_KA: FloatArray) -> list[int]:
    """Return for each row its best arm among those that no row before it took; *draws_KA* is written to."""
    order: list[int] = []
    for draws_A in draws_KA:
        draws_A[order] = -np.inf
        order.append(int(draws_A.argmax()))
    return order
