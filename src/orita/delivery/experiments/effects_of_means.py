"""Effects on means, shares and ratios of sums: every look of a sequential analysis, or the one look of a fixed one.

Legend: U units in the order in which their outcomes became final, C control, T treatment.

Which statistic: `orita.stats.sequential.confidence_sequences` at all looks, `orita.stats.experiments` at the end.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from orita.core.clock import from_micros
from orita.core.errors import UserError
from orita.delivery.experiments.declarations import Metric
from orita.delivery.experiments.looks import looks_of
from orita.delivery.experiments.outcomes import Outcomes
from orita.delivery.experiments.results import Course, Covariate, Effect, Stratification
from orita.stats.experiments.comparison import Comparison
from orita.stats.experiments.cuped import Adjusted, cuped
from orita.stats.experiments.means import compare_means, compare_proportions, compare_ratios
from orita.stats.experiments.strata import post_stratified
from orita.stats.sequential.confidence_sequences import LEAST_UNITS, SequentialComparison
from orita.stats.sequential.mixtures import Mixture
from orita.stats.sequential.moments import Moments
from orita.stats.sequential.ratio_moments import RatioMoments

__all__ = ["fixed_effect", "sequential_effect"]

_FEWEST = 2


def sequential_effect(
    metric: Metric, variant: str, found: Outcomes, *, level: float, start: int, until: int
) -> Effect | None:
    """Return the effect with all looks so far; None before an arm has 100 units.

    Args:
        metric: which.
        variant: its name.
        found: outcomes of the control (arm 0) and of the variant (arm 1).
        level: chance that any look's interval excludes the truth.
        start, until: of the experiment and the report.
    """
    assert metric.looked_for is not None, "a checked metric says what is looked for"
    test = SequentialComparison(Mixture.for_effect(metric.looked_for), level=level)
    course: list[Course] = []
    for time, end in looks_of(found.closed_U, start, until):
        arms = _moments(metric, found, end)
        if arms is None:
            continue
        test = test.looked(*arms)
        interval = test.interval
        course.append(Course(from_micros(time), end, interval.value, interval.low, interval.high, test.p_value))
    if not course:
        return None
    control, treatment, last = test.control, test.treatment, course[-1]
    effect = Effect(
        variant=variant,
        control=control.mean,
        treatment=treatment.mean,
        estimate=last.estimate,
        error=math.hypot(control.error, treatment.error),
        low=last.low,
        high=last.high,
        p_value=last.p_value,
        lift=_lift(last.estimate, control.mean),
        n_control=int(control.n),
        n_treatment=int(treatment.n),
        course=tuple(course),
    )
    return _with_adjustments(metric, effect, found, level=level, mixture=test.mixture)


def fixed_effect(metric: Metric, variant: str, found: Outcomes, *, level: float) -> Effect | None:
    """Return the effect at the planned end; None where an arm has no two units, or a ratio no denominator."""
    control, treatment = _arms(found)
    if min(control.sum(), treatment.sum()) < _FEWEST:
        return None
    if metric.kind == "ratio" and min(found.below_U[arm].sum() for arm in (control, treatment)) <= 0:
        return None
    compared = _compared(metric, found, control, treatment, level)
    effect = Effect(
        variant=variant,
        control=compared.control,
        treatment=compared.treatment,
        estimate=compared.estimate,
        error=compared.error,
        low=compared.low,
        high=compared.high,
        p_value=compared.p_value,
        lift=_lift(compared.estimate, compared.control),
        n_control=compared.n_control,
        n_treatment=compared.n_treatment,
    )
    return _with_adjustments(metric, effect, found, level=level, mixture=None)


def _compared(
    metric: Metric,
    found: Outcomes,
    control: npt.NDArray[np.bool_],
    treatment: npt.NDArray[np.bool_],
    level: float,
) -> Comparison:
    value, below = found.value_U, found.below_U
    if metric.kind == "ratio":
        sums = ((value[control], below[control]), (value[treatment], below[treatment]))
        return compare_ratios(*sums, level=level)
    if (adjusted := _adjusted(found, len(value))) is not None:
        return compare_means(adjusted.control_N, adjusted.treatment_M, level=level)
    if metric.binary:
        ones, others = (int(value[arm].sum()) for arm in (control, treatment))
        return compare_proportions(ones, int(control.sum()), others, int(treatment.sum()), level=level)
    return compare_means(value[control], value[treatment], level=level)


def _moments(metric: Metric, found: Outcomes, end: int) -> tuple[Moments, Moments] | None:
    """Return both arms at a look, None where one has too few units."""
    control, treatment = _arms(found, end)
    if min(control.sum(), treatment.sum()) < LEAST_UNITS:
        return None
    if (adjusted := _adjusted(found, end)) is not None:
        return Moments.of(adjusted.control_N), Moments.of(adjusted.treatment_M)
    value = found.value_U[:end]
    if metric.kind != "ratio":
        return Moments.of(value[control]), Moments.of(value[treatment])
    below = found.below_U[:end]
    sums = [RatioMoments.of(value[arm], below[arm]) for arm in (control, treatment)]
    if min(arm.x for arm in sums) <= 0:
        return None
    return sums[0].moments, sums[1].moments


def _adjusted(found: Outcomes, end: int) -> Adjusted | None:
    """Return the outcomes of the first units without what their past tells; None without a covariate."""
    if found.covariate_U is None:
        return None
    control, treatment = _arms(found, end)
    value, past = found.value_U[:end], found.covariate_U[:end]
    return cuped(value[control], value[treatment], past[control], past[treatment])


def _with_adjustments(
    metric: Metric, effect: Effect, found: Outcomes, *, level: float, mixture: Mixture | None
) -> Effect:
    """Return the effect with what the covariate gave, and as post-stratified, where they are declared."""
    control, treatment = _arms(found)
    values = found.value_U[control], found.value_U[treatment]
    adjusted = _adjusted(found, len(found.value_U))
    if adjusted is not None:
        raw = compare_means(*values, level=level)
        gain = Covariate(adjusted.variance_reduction, raw.estimate, raw.error)
        effect, values = replace(effect, covariate=gain), (adjusted.control_N, adjusted.treatment_M)
    if found.stratum_U is None or metric.strata is None:
        return effect
    try:
        strata = post_stratified(*values, found.stratum_U[control], found.stratum_U[treatment], level=level)
    except UserError:  # too few units in an arm, in all strata together
        return effect
    low, high, estimate = strata.comparison.low, strata.comparison.high, strata.comparison.estimate
    if mixture is not None:
        reach = float(mixture.radius(strata.comparison.error, level))
        low, high = estimate - reach, estimate + reach
    told = Stratification(metric.strata, strata.strata, estimate, low, high, strata.variance_reduction)
    return replace(effect, stratification=told)


def _arms(found: Outcomes, end: int | None = None) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    arm_U = found.arm_U[:end]
    return arm_U == 0, arm_U == 1


def _lift(estimate: float, control: float) -> float:
    return estimate / control if control else math.nan
