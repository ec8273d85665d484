"""Blended DR: between the reward model's value and DR, by how clearly the log contradicts the model.

What DR adds to the direct method, the correction, estimates the model's bias; its spread is known. Where it is large
for its standard error the model is wrong, and DR is right; where it is not, it is as likely luck, and DR with it.

Legend: N rows or slates, G units.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from orita.delivery.ope.decisions import LoggedDecisions
from orita.delivery.ope.estimate import Estimate, Ratios
from orita.delivery.ope.estimators import dr, model_of
from orita.delivery.ope.slate_estimators import cascade_corrections, cascade_dr
from orita.delivery.ope.slates import LoggedSlates

__all__ = ["blended_cascade_dr", "blended_dr"]


def blended_dr(logged: LoggedDecisions, *, confidence: float = 0.95, gain: bool = False) -> Estimate:
    """Return the model's value plus the share of DR's correction that is of least estimated squared error.

    With a correction D of standard error s, D² − s² estimates the model's squared bias without bias of its own. Then
    the share of least squared error is 1 − s² ÷ D², none where D is within s. So the value is never further than s
    from that of `dr`. With many rows, and a model whose own value has no noise, the error is 0.58 of DR's where the
    model is right, and at most 1.22 times it, where the model is off by 2.4 s.

    The interval is that of `dr`, which is the same estimate with the rest of the bias taken off (as in `switch_dr`).

    Raises:
        UserError: the log has no predictions.

    Source: Green and Strawderman (1991), A James-Stein type estimator for combining unbiased and possibly biased
    estimators; Thomas and Brunskill (2016), Data-efficient off-policy policy evaluation for reinforcement learning,
    for blending a model with weighting.
    """
    predicted_N, _ = model_of(logged, "blended_dr")
    correction_N = logged.weights() * (logged.reward_N - predicted_N)
    return _blended("blended_dr", dr(logged, confidence=confidence, gain=gain), correction_N, logged.unit_N)


def blended_cascade_dr(logged: LoggedSlates, *, confidence: float = 0.95, gain: bool = False) -> Estimate:
    """Return what `blended_dr` does, of slates: between `cascade_dm` and `cascade_dr`, with the interval of the latter.

    Raises:
        UserError: the log has no predictions.
    """
    correction_N = cascade_corrections(logged, "blended_cascade_dr")
    whole = cascade_dr(logged, confidence=confidence, gain=gain)
    return _blended("blended_cascade_dr", whole, correction_N, logged.unit_N)


def _blended(
    name: str, whole: Estimate, correction_N: npt.NDArray[np.float64], unit_N: npt.NDArray[np.int64] | None
) -> Estimate:
    rows = float(len(correction_N))
    correction = Ratios.mean(correction_N, unit_N).estimate(name, whole.confidence, effective=rows)
    square, variance = correction.value**2, correction.standard_error**2
    doubted = min(1.0, variance / square) if square > 0 and np.isfinite(variance) else 0.0
    return replace(
        whole,
        estimator=name,
        value=whole.value - doubted * correction.value,
        interval=f"that of {whole.estimator}",
        clipped_share=doubted,
    )
