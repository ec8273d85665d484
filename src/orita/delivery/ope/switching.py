"""Switch-DR: doubly robust where weights are small, the reward model alone where they are large.

Legend: N rows, T candidate thresholds.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.delivery.ope.decisions import LoggedDecisions
from orita.delivery.ope.estimate import Estimate, effective_sample_size
from orita.delivery.ope.estimators import dr, model_of, sums

__all__ = ["switch_dr", "switch_threshold"]

# Candidates are weights of the log itself: these quantiles, the largest weight (plain DR) among them.
_QUANTILES = (1.0, 0.999, 0.99, 0.97, 0.95, 0.9, 0.8, 0.6, 0.4, 0.2)


def switch_dr(
    logged: LoggedDecisions, *, threshold: float | None = None, confidence: float = 0.95, gain: bool = False
) -> Estimate:
    """Return DR with the correction of rows whose weight is above *threshold* left out.

    The value has the least error that the log lets one find; it is biased by what the model misses of the rows left
    out. The interval is that of `dr`, which is the same estimate with that bias taken off: ends that were set about
    the value itself would hold the truth less often than they say whenever the model is wrong.

    Args:
        logged: the decisions, with predictions.
        threshold: largest weight that is corrected, at least 0; found by `switch_threshold` where None.
        confidence: of the interval.
        gain: whether what the log earned is taken off.

    Raises:
        UserError: the log has no predictions, or *threshold* is below 0.

    Source: Wang, Agarwal and Dudík (2017), Optimal and adaptive off-policy evaluation in contextual bandits; Calonico,
    Cattaneo and Titiunik (2014), Robust nonparametric confidence intervals, for an interval about the corrected value.
    """
    predicted_N, expected_N = model_of(logged, "switch_dr")
    limit = switch_threshold(logged) if threshold is None else threshold
    if not limit >= 0:
        raise UserError(f"threshold {threshold!r} is below 0: give the largest weight that is corrected, such as 10.")
    weight_N = logged.weights()
    kept_N = np.where(weight_N <= limit, weight_N, 0.0)
    value_N = expected_N + kept_N * (logged.reward_N - predicted_N)
    whole = dr(logged, confidence=confidence, gain=gain)
    total = float(weight_N.sum())
    return replace(
        whole,
        estimator="switch_dr",
        value=float(sums(logged, value_N, gain=gain).numerators_NK.mean()),
        interval="that of dr",
        effective_sample_size=effective_sample_size(kept_N),
        clipped_share=1 - float(kept_N.sum()) / total if total > 0 else 0.0,
    )


def switch_threshold(logged: LoggedDecisions) -> float:
    """Return the threshold, among quantiles of the weights, of the least estimated squared error.

    The error is the variance of what remains plus the square of what the left-out rows would have corrected. Wang et
    al. bound that bias by the greatest reward times the target's mass on large weights, whatever the model; estimating
    it, as Su et al. (2020), Doubly robust off-policy evaluation with shrinkage, do, lets a good model be used.

    Raises:
        UserError: the log has no predictions.
    """
    predicted_N, expected_N = model_of(logged, "switch_dr")
    weight_N = logged.weights()
    missed_N = weight_N * (logged.reward_N - predicted_N)
    limits_T = np.unique(np.quantile(weight_N, _QUANTILES, method="higher"))[::-1]
    errors = [_squared_error(expected_N, missed_N, weight_N <= limit, logged.unit_N) for limit in limits_T]
    return float(limits_T[int(np.argmin(errors))])


def _squared_error(
    expected_N: npt.NDArray[np.float64],
    missed_N: npt.NDArray[np.float64],
    kept_N: npt.NDArray[np.bool_],
    unit_N: npt.NDArray[np.int64] | None,
) -> float:
    """Return the estimated squared error of the mean that corrects only the rows kept."""
    value_N = expected_N + np.where(kept_N, missed_N, 0.0)
    centred_G = value_N - value_N.mean()
    if unit_N is not None:
        centred_G = np.bincount(unit_N, weights=centred_G)
    bias = float(np.where(kept_N, 0.0, missed_N).mean())
    return float((centred_G**2).sum()) / len(value_N) ** 2 + bias**2
