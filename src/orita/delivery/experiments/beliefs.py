"""How probable is it that a variant is the best of all, on the primary metric? Posteriors under flat priors."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from orita.delivery.bandits.posteriors import BetaBelief, NormalBelief
from orita.delivery.experiments.declarations import ExperimentPlan, Metric
from orita.delivery.experiments.outcomes import Outcomes
from orita.delivery.experiments.results import PrimaryBelief
from orita.stats.experiments.bayesian import Posterior, normal_posterior, rate_posterior
from orita.stats.experiments.cuped import cuped
from orita.stats.sequential.moments import Moments
from orita.stats.sequential.ratio_moments import RatioMoments

__all__ = ["beliefs_of"]

Floats = npt.NDArray[np.float64]

_FEWEST = 100


def beliefs_of(plan: ExperimentPlan, metric: Metric, found: Outcomes) -> tuple[PrimaryBelief, ...]:
    """Return them for each variant, the control too; none for quantiles, or before each variant has 100 units."""
    values_U = _without_past(plan, found)
    arms = [_arm(metric, values_U, found, place) for place in range(len(plan.variants))]
    if metric.kind == "quantile" or any(arm is None or arm.n < _FEWEST or not arm.squares > 0 for arm in arms):
        return ()
    known = {variant.name: arm for variant, arm in zip(plan.variants, arms, strict=True) if arm is not None}
    rates = metric.binary and found.covariate_U is None
    sign = 1.0 if metric.direction == "up" else -1.0
    best = _best(list(known.values()), sign, rates=rates)
    told = []
    for name, chance in zip(known, best, strict=True):
        better = loss = math.nan
        if name != plan.baseline:
            posterior = _posterior(known[plan.baseline], known[name], sign, rates=rates)
            better, loss = posterior.probability_better, posterior.loss_of_treatment
        told.append(PrimaryBelief(name, chance, better, loss))
    return tuple(told)


def _without_past(plan: ExperimentPlan, found: Outcomes) -> Floats:
    """Return the values without what the covariate tells of them, the control apart from all treatments together."""
    if found.covariate_U is None:
        return found.value_U
    control = found.arm_U == list(plan.weights).index(plan.baseline)
    if min(control.sum(), (~control).sum()) < _FEWEST:
        return found.value_U
    value, past = found.value_U, found.covariate_U
    adjusted = cuped(value[control], value[~control], past[control], past[~control])
    values_U = np.empty_like(value)
    values_U[control], values_U[~control] = adjusted.control_N, adjusted.treatment_M
    return values_U


def _arm(metric: Metric, values_U: Floats, found: Outcomes, place: int) -> Moments | None:
    mine = found.arm_U == place
    if metric.kind != "ratio":
        return Moments.of(values_U[mine])
    sums = RatioMoments.of(values_U[mine], found.below_U[mine])
    return sums.moments if sums.x > 0 else None


def _best(arms: list[Moments], sign: float, *, rates: bool) -> list[float]:
    """Return the chance of each arm to be the best; by quadrature, so the generator is not drawn from."""
    unused = np.random.default_rng(0)
    if rates:
        ones_A = np.array([round(arm.mean * arm.n) for arm in arms], np.float64)
        rest_A = np.array([arm.n for arm in arms]) - ones_A
        successes_A, failures_A = (ones_A, rest_A) if sign > 0 else (rest_A, ones_A)
        beliefs: BetaBelief | NormalBelief = BetaBelief(1 + successes_A, 1 + failures_A)
    else:
        beliefs = NormalBelief(np.array([sign * arm.mean for arm in arms]), np.array([arm.error for arm in arms]))
    chances: list[float] = beliefs.probabilities(unused).values.tolist()
    return chances


def _posterior(control: Moments, treatment: Moments, sign: float, *, rates: bool) -> Posterior:
    """Return what is believed of treatment − control, in the direction that is better."""
    if not rates:
        gain = sign * (treatment.mean - control.mean)
        return normal_posterior(gain, math.hypot(control.error, treatment.error))
    counts = [(float(round(arm.mean * arm.n)), arm.n) for arm in (control, treatment)]
    if sign < 0:
        counts = [(n - ones, n) for ones, n in counts]
    return rate_posterior(*counts[0], *counts[1])
