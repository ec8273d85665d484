"""Estimators of a policy's value a slate: the sum over positions of what they earn.

They differ in what the reward of a position may depend on: on the whole slate (`slate_ips`), on the items down to that
position (`reward_interaction_ips`, `cascade_dr`), on its own item alone (`independent_ips`). The less it may depend on,
the smaller the weights, and the surer a figure that is wrong where the rewards depend on more. `cascade_dm` weighs
nothing and is as right as its model.

Legend: N slates, K positions.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.delivery.ope.estimate import Estimate, Ratios, effective_sample_size
from orita.delivery.ope.slates import LoggedSlates

__all__ = [
    "SlateEstimator",
    "cascade_corrections",
    "cascade_dm",
    "cascade_dr",
    "independent_ips",
    "reward_interaction_ips",
    "slate_ips",
]

Floats = npt.NDArray[np.float64]


class SlateEstimator(Protocol):
    """What every estimator of slates can be called as."""

    def __call__(self, logged: LoggedSlates, *, confidence: float = 0.95, gain: bool = False) -> Estimate:
        """Return the estimate."""
        ...


def slate_ips(
    logged: LoggedSlates, *, self_normalised: bool = False, confidence: float = 0.95, gain: bool = False
) -> Estimate:
    """Return IPS of whole slates: right whatever rewards depend on, with weights that grow with every position.

    Args:
        logged: the slates.
        self_normalised: whether weighted rewards are divided by the mean weight, which is steadier and a little biased.
        confidence: of the interval.
        gain: whether what the log earned is taken off.
    """
    weight_N1 = logged.cascade_weights()[:, -1:]
    weight_NK = np.broadcast_to(weight_N1, logged.reward_NK.shape)
    return _weighted("slate_ips", logged, weight_NK, self_normalised, confidence, gain)


def independent_ips(
    logged: LoggedSlates, *, self_normalised: bool = False, confidence: float = 0.95, gain: bool = False
) -> Estimate:
    """Return IPS of each position by itself: right where a position's reward depends on its own item alone.

    Args: as `slate_ips`.

    Source: Li et al. (2018), Offline evaluation of ranking policies with click models.
    """
    return _weighted("independent_ips", logged, logged.position_weights(), self_normalised, confidence, gain)


def reward_interaction_ips(
    logged: LoggedSlates, *, self_normalised: bool = False, confidence: float = 0.95, gain: bool = False
) -> Estimate:
    """Return IPS of each position with the items above it: right where users read from the top.

    Args: as `slate_ips`.

    Source: McInerney et al. (2020), Counterfactual evaluation of slate recommendations with sequential reward
    interactions.
    """
    return _weighted("reward_interaction_ips", logged, logged.cascade_weights(), self_normalised, confidence, gain)


def cascade_dm(logged: LoggedSlates, *, confidence: float = 0.95, gain: bool = False) -> Estimate:
    """Return what the reward model expects of the target policy's slates: the direct method; only as right as it is.

    Its interval is no claim (``covers`` is false): it tells how contexts vary, not how wrong the model is.

    Raises:
        UserError: the log has no predictions.
    """
    _, expected_NK = _model_of(logged, "cascade_dm")
    found = Ratios.mean(expected_NK[:, 0], logged.unit_N)
    found = found.less(logged.reward_NK.sum(axis=1)) if gain else found
    return found.estimate("cascade_dm", confidence, effective=float(len(expected_NK)), covers=False)


def cascade_dr(logged: LoggedSlates, *, confidence: float = 0.95, gain: bool = False) -> Estimate:
    """Return reward-interaction IPS with a model of the rewards from each position on as control variate.

    Right where users read from the top, with any cross-fitted model; the surer the better the model is.

    Raises:
        UserError: the log has no predictions.

    Source: Kiyohara et al. (2022), Doubly robust off-policy evaluation for ranking policies under the cascade behavior
    model.
    """
    _, expected_NK = _model_of(logged, "cascade_dr")
    found = Ratios.mean(expected_NK[:, 0] + cascade_corrections(logged, "cascade_dr"), logged.unit_N)
    found = found.less(logged.reward_NK.sum(axis=1)) if gain else found
    return found.estimate("cascade_dr", confidence, effective=_least_effective(logged.cascade_weights()))


def cascade_corrections(logged: LoggedSlates, estimator: str) -> Floats:
    """Return ``correction_N``, what `cascade_dr` adds to the model's value: weighted, what the model missed.

    Raises:
        UserError: the log has no predictions, which *estimator* needs.
    """
    predicted_NK, expected_NK = _model_of(logged, estimator)
    below_NK = np.hstack([expected_NK[:, 1:], np.zeros((len(expected_NK), 1))])
    missed_NK = logged.reward_NK + below_NK - predicted_NK
    correction_N: Floats = (logged.cascade_weights() * missed_NK).sum(axis=1)
    return correction_N


def _weighted(
    name: str, logged: LoggedSlates, weight_NK: Floats, self_normalised: bool, confidence: float, gain: bool
) -> Estimate:
    weighted_NK = weight_NK * logged.reward_NK
    if self_normalised:
        if not weight_NK.any(axis=0).all():
            raise UserError("the target policy would show none of the logged slates (all weights are 0): use others.")
        found = Ratios(weighted_NK, np.ascontiguousarray(weight_NK), logged.unit_N)
    else:
        found = Ratios.mean(weighted_NK.sum(axis=1), logged.unit_N)
    found = found.less(logged.reward_NK.sum(axis=1)) if gain else found
    name = f"self_normalised_{name}" if self_normalised else name
    return found.estimate(name, confidence, effective=_least_effective(weight_NK))


def _model_of(logged: LoggedSlates, estimator: str) -> tuple[Floats, Floats]:
    """Return ``predicted_NK`` and ``expected_NK``.

    Raises:
        UserError: there are none.
    """
    if logged.predicted_NK is None or logged.expected_NK is None:
        raise UserError(
            f"{estimator} needs a reward model: give predicted and expected of every position, or use "
            "reward_interaction_ips, which needs none."
        )
    return logged.predicted_NK, logged.expected_NK


def _least_effective(weight_NK: Floats) -> float:
    """Return the effective sample size of the position that has the least."""
    return min(effective_sample_size(weight_N) for weight_N in weight_NK.T)
