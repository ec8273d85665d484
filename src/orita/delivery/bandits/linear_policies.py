"""Policies with features, as declarations: which belief follows from ridge regressions.

Legend: A arms that may be picked, D features.

*Disjoint*: each arm has coefficients of its own, and the context is one vector [D], of who asks. *Shared*: one set of
coefficients for all arms, and the context has a row for each arm, [A, D], of arm and who asks together; new arms then
are known at once by their features.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.delivery.bandits.belief import FloatArray
from orita.delivery.bandits.joint_normal import JointNormalBelief
from orita.delivery.bandits.linear_statistics import LinearStatistics
from orita.delivery.bandits.posteriors import NormalBelief
from orita.delivery.bandits.ranked import RankedBelief

__all__ = ["LinUCB", "LinearThompson"]

Indices = npt.NDArray[np.int64]


class LinUCB(msgspec.Struct, frozen=True, tag="lin_ucb", forbid_unknown_fields=True):
    """The arm with the highest xᵀθ + alpha · √(xᵀ A⁻¹ x), where A = ridge · I + Σ x xᵀ and θ = A⁻¹ Σ r x.

    Attributes:
        features: D ≥ 1.
        alpha: ≥ 0, how far the bound reaches.
        ridge: > 0.
        shared: one model for all arms; else one an arm (disjoint).
        refresh: inverses are computed anew after so many updates of a model.

    Source: Li, Chu, Langford and Schapire (2010), A contextual-bandit approach to personalized news article
    recommendation, algorithm 1 (disjoint); Chu, Li, Reyzin and Schapire (2011), Contextual bandits with linear payoff
    functions, algorithm 1 (shared).
    """

    features: int
    alpha: float = 1.0
    ridge: float = 1.0
    shared: bool = False
    refresh: int = 500
    rewards = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        _check(self.features, self.ridge, self.refresh, "alpha", self.alpha)

    def statistics(self, arms: int) -> LinearStatistics:
        """Return empty sums."""
        return LinearStatistics(arms, self.features, ridge=self.ridge, shared=self.shared, refresh=self.refresh)

    def belief(self, seen: LinearStatistics, arms_A: Indices, context: FloatArray) -> RankedBelief:
        """Return the belief about some arms in a context."""
        mean_A, variance_A = _predicted(seen, arms_A, context, self.shared)
        return RankedBelief(mean_A + self.alpha * np.sqrt(variance_A))


class LinearThompson(msgspec.Struct, frozen=True, tag="linear_thompson", forbid_unknown_fields=True):
    """Thompson sampling of linear values: coefficients ~ N(A⁻¹ Σ r x, scale² A⁻¹), where A = ridge · I + Σ x xᵀ.

    With disjoint models values of arms are independent normals: they are drawn without drawing coefficients, and their
    propensities are by quadrature. With a shared one values go together: propensities are by Monte Carlo.

    Attributes:
        features: D ≥ 1.
        scale: > 0; the noise of a reward where ridge is that variance ÷ the prior's of a coefficient.
        ridge: > 0.
        shared: one model for all arms; else one an arm (disjoint).
        refresh: inverses are computed anew after so many updates of a model.
        draws: ≥ 100, by which propensities of a shared model are estimated at each position.

    Source: Agrawal and Goyal (2013), Thompson sampling for contextual bandits with linear payoffs, algorithm 1.
    """

    features: int
    scale: float = 1.0
    ridge: float = 1.0
    shared: bool = False
    refresh: int = 500
    draws: int = 2000
    rewards = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        _check(self.features, self.ridge, self.refresh, "scale", self.scale)
        if self.scale == 0:
            raise UserError("scale 0: must be above 0; LinUCB with alpha 0 is greedy")
        if self.draws < 100:
            raise UserError(f"draws {self.draws}: must be 100 or more; the standard error falls with their root")

    def statistics(self, arms: int) -> LinearStatistics:
        """Return empty sums."""
        return LinearStatistics(arms, self.features, ridge=self.ridge, shared=self.shared, refresh=self.refresh)

    def belief(self, seen: LinearStatistics, arms_A: Indices, context: FloatArray) -> NormalBelief | JointNormalBelief:
        """Return the belief about some arms in a context."""
        if self.shared:
            reach = self.scale / math.sqrt(seen.scale)
            return JointNormalBelief(context @ seen.theta_LD[0], reach * (context @ seen.factor()), self.draws)
        mean_A, variance_A = _predicted(seen, arms_A, context, shared=False)
        return NormalBelief(mean_A, np.maximum(self.scale * np.sqrt(variance_A), 1e-12))


def _predicted(
    seen: LinearStatistics, arms_A: Indices, context: FloatArray, shared: bool
) -> tuple[FloatArray, FloatArray]:
    """Return means and variances ÷ scale² of the arms' values."""
    if shared:
        leverage_A = np.einsum("ad,ad->a", context @ seen.inverse_LDD[0], context)
        mean_A = context @ seen.theta_LD[0]
    elif len(arms_A) == len(seen.theta_LD):
        leverage_A, mean_A = seen.inverse_LDD @ context @ context, seen.theta_LD @ context
    else:
        leverage_A, mean_A = seen.inverse_LDD[arms_A] @ context @ context, seen.theta_LD[arms_A] @ context
    return mean_A, np.maximum(leverage_A, 0.0) / seen.scale


def _check(features: int, ridge: float, refresh: int, name: str, reach: float) -> None:
    if features < 1:
        raise UserError(f"features {features}: must be 1 or more; add a constant 1 to the context for an intercept")
    if not 0 < ridge < math.inf:
        raise UserError(f"ridge {ridge}: must be above 0; 1 is usual for features of about unit size")
    if refresh < 1:
        raise UserError(f"refresh {refresh}: must be 1 or more updates")
    if not 0 <= reach < math.inf:
        raise UserError(f"{name} {reach}: must be a finite number of 0 or more")
