"""Estimators of a policy's value from single decisions that another policy made and logged.

Each takes a `LoggedDecisions` and returns an `Estimate`; with ``gain=True`` its value is what the target policy earns
over the policy that was logged, on the same rows. Which to trust: `ips` and `snips` need right propensities, `dm` a
right reward model, `dr` one of the two, and with right propensities it is unbiased with any cross-fitted model.

Legend: N rows, G units.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.delivery.ope.decisions import LoggedDecisions
from orita.delivery.ope.estimate import Estimate, Ratios, effective_sample_size

__all__ = ["Estimator", "clipped_ips", "dm", "dr", "ips", "model_of", "snips", "sums"]

Floats = npt.NDArray[np.float64]


class Estimator(Protocol):
    """What every estimator of single decisions can be called as."""

    def __call__(self, logged: LoggedDecisions, *, confidence: float = 0.95, gain: bool = False) -> Estimate:
        """Return the estimate."""
        ...


def ips(logged: LoggedDecisions, *, confidence: float = 0.95, gain: bool = False) -> Estimate:
    """Return the mean of weighted rewards: unbiased where propensities are right and every action had one.

    Source: Horvitz and Thompson (1952); Strehl et al. (2010), Learning from logged implicit exploration data.
    """
    weight_N = logged.weights()
    found = sums(logged, weight_N * logged.reward_N, gain=gain)
    return found.estimate("ips", confidence, effective=effective_sample_size(weight_N))


def clipped_ips(
    logged: LoggedDecisions,
    *,
    clip: float | None = None,
    reward_range: tuple[float, float] | None = None,
    confidence: float = 0.95,
    gain: bool = False,
) -> Estimate:
    """Return IPS with weights of at most *clip*, and an interval that allows for what was clipped.

    What is clipped may have earned anything in *reward_range*. So the lower end is that of a policy that earns the
    least there, the upper end that of one that earns the most: the interval covers at least as often as it says, and
    is that of IPS where nothing is clipped.

    Args:
        logged: the decisions.
        clip: largest weight, above 0; √N by default.
        reward_range: least and greatest reward that there can be; by default those of the log.
        confidence: of the interval.
        gain: whether what the log earned is taken off.

    Raises:
        UserError: *clip* is not above 0, or a reward is outside *reward_range*.

    Source: Ionides (2008), Truncated importance sampling, for √N; Bottou et al. (2013), Counterfactual reasoning and
    learning systems, for the interval.
    """
    limit = np.sqrt(len(logged.reward_N)) if clip is None else clip
    if not limit > 0:
        raise UserError(f"clip {clip!r} is not above 0: give the largest weight that a row may have, such as 100.")
    least, greatest = reward_range or (float(logged.reward_N.min()), float(logged.reward_N.max()))
    if logged.reward_N.min() < least or logged.reward_N.max() > greatest:
        raise UserError(
            f"rewards lie in {logged.reward_N.min():g} … {logged.reward_N.max():g}, outside the reward range "
            f"{least:g} … {greatest:g}: give the least and the greatest reward that there can be."
        )
    weight_N = logged.weights()
    kept_N = np.minimum(weight_N, limit)
    share = 1 - float(kept_N.sum()) / float(weight_N.sum()) if weight_N.any() else 0.0
    effective = effective_sample_size(kept_N)

    def found(rest: float) -> Estimate:
        value_N = kept_N * logged.reward_N + rest * (1 - kept_N)
        return sums(logged, value_N, gain=gain).estimate(
            "clipped_ips", confidence, effective=effective, clipped_share=share
        )

    middle = found(0.0)
    if share <= 0:
        return middle
    low, high = min(middle.low, found(least).low), max(middle.high, found(greatest).high)
    return replace(middle, low=low, high=high, interval="skew-corrected t, any reward of what was clipped")


def snips(logged: LoggedDecisions, *, confidence: float = 0.95, gain: bool = False) -> Estimate:
    """Return weighted rewards over the sum of weights: a little biased, steadier, never outside the rewards.

    Source: Swaminathan and Joachims (2015), The self-normalized estimator for counterfactual learning.

    Raises:
        UserError: the target policy takes none of the actions that were logged.
    """
    weight_N = logged.weights()
    if not weight_N.any():
        raise UserError("the target policy would take none of the logged actions (all weights are 0): use other rows.")
    found = Ratios((weight_N * logged.reward_N)[:, None], weight_N[:, None], logged.unit_N)
    found = found.less(logged.reward_N) if gain else found
    return found.estimate("snips", confidence, effective=effective_sample_size(weight_N))


def dm(logged: LoggedDecisions, *, confidence: float = 0.95, gain: bool = False) -> Estimate:
    """Return what the reward model expects of the target policy: the direct method; only as right as the model.

    Its interval is no claim (``covers`` is false): it tells how contexts vary, not how wrong the model is.

    Raises:
        UserError: the log has no predictions.
    """
    _, expected_N = model_of(logged, "dm")
    rows = float(len(expected_N))
    return sums(logged, expected_N, gain=gain).estimate("dm", confidence, effective=rows, covers=False)


def dr(logged: LoggedDecisions, *, confidence: float = 0.95, gain: bool = False) -> Estimate:
    """Return the model's value plus the weighted mean of what the model missed: doubly robust.

    Raises:
        UserError: the log has no predictions.

    Source: Dudík, Langford and Li (2011), Doubly robust policy evaluation and learning; Chernozhukov et al. (2018),
    Double/debiased machine learning, for cross-fitting.
    """
    predicted_N, expected_N = model_of(logged, "dr")
    weight_N = logged.weights()
    value_N = expected_N + weight_N * (logged.reward_N - predicted_N)
    return sums(logged, value_N, gain=gain).estimate("dr", confidence, effective=effective_sample_size(weight_N))


def sums(logged: LoggedDecisions, value_N: Floats, *, gain: bool) -> Ratios:
    """Return the mean of *value_N*, less the mean reward of the log where *gain* is asked."""
    return Ratios.mean(value_N - logged.reward_N if gain else value_N, logged.unit_N)


def model_of(logged: LoggedDecisions, estimator: str) -> tuple[Floats, Floats]:
    """Return the model's predictions of the shown action and of the target policy.

    Raises:
        UserError: there are none.
    """
    if logged.predicted_N is None or logged.expected_N is None:
        raise UserError(
            f"{estimator} needs a reward model: give predicted and expected (see cross_fitted), or use snips, "
            "which needs none."
        )
    return logged.predicted_N, logged.expected_N
