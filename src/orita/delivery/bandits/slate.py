"""A slate as it was drawn, with the probabilities a log needs.

Legend: K positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from orita.delivery.bandits.belief import FloatArray

__all__ = ["Arm", "Slate"]

Arm = str | int


@dataclass(frozen=True, slots=True)
class Slate:
    """Distinct arms in their order.

    Attributes:
        arms: K names, the first position first.
        propensities_K: probability of each pick given those before it, in (0, 1].
        errors_K: what each may be off by: 0 where exact, an estimate of the quadrature's error, or a standard error.
    """

    arms: tuple[Arm, ...]
    propensities_K: FloatArray
    errors_K: FloatArray

    @property
    def log_propensity(self) -> float:
        """Return the natural logarithm of the probability of the whole slate."""
        return math.fsum(map(math.log, self.propensities_K.tolist()))

    @property
    def propensity(self) -> float:
        """Return the probability of the whole slate; 0 where it is too small for a float."""
        return math.exp(self.log_propensity)
