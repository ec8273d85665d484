"""Effects on quantiles: always-valid bounds by counts below limits, or one comparison at the planned end.

Legend: U units in the order in which their outcomes became final, N rows, B bins, E limits between them.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from orita.core.clock import from_micros
from orita.delivery.experiments.declarations import Metric
from orita.delivery.experiments.looks import looks_of
from orita.delivery.experiments.outcomes import OutcomeRows, Outcomes
from orita.delivery.experiments.results import Course, Effect
from orita.stats.experiments.comparison import Comparison
from orita.stats.experiments.quantiles import compare_quantiles
from orita.stats.sequential.confidence_sequences import LEAST_UNITS
from orita.stats.sequential.quantile_sequences import counts_by_bin, quantile_difference_sequence, quantile_sequence
from orita.stats.sequential.rates import rate_strength

__all__ = ["fixed_quantile", "fixed_quantile_of_rows", "sequential_quantile"]

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_LIMITS = 2000
_FEWEST = 5.0
_LEAST_P = 1e-6
_HALVINGS = 12


def sequential_quantile(
    metric: Metric, variant: str, found: Outcomes, *, level: float, units: int, start: int, until: int
) -> Effect | None:
    """Return the effect with all looks so far; None before an arm has 100 units.

    The limits are values that were seen. That is no peeking: a limit is refused by the share below it, which grows with
    the limit, so none is refused wrongly unless the true quantile itself is.

    Args:
        metric, variant: what of which.
        found: outcomes of the control (arm 0) and of the variant (arm 1).
        level: chance that any look's interval excludes the truth.
        units: for which each arm's bounds are narrowest.
        start, until: of the experiment and the report.
    """
    assert metric.quantile is not None
    edges_E, strength = _limits(found.value_U), rate_strength(units, level=level)
    course, p_value = list[Course](), 1.0
    counts: list[Counts] = []
    for time, end in looks_of(found.closed_U, start, until):
        arm_U = found.arm_U[:end]
        if min((arm_U == 0).sum(), (arm_U == 1).sum()) < LEAST_UNITS:
            continue
        counts = [counts_by_bin(found.value_U[:end][arm_U == arm], edges_E) for arm in (0, 1)]
        at = quantile_difference_sequence(
            counts[0], counts[1], edges_E, metric.quantile, strength=strength, level=level
        )
        p_value = min(p_value, _p_value(counts, edges_E, metric.quantile, strength))
        course.append(Course(from_micros(time), end, at.value, at.low, at.high, p_value))
    if not course:
        return None
    control, treatment = (
        quantile_sequence(each, edges_E, metric.quantile, strength=strength, level=level).value for each in counts
    )
    last = course[-1]
    return Effect(
        variant=variant,
        control=control,
        treatment=treatment,
        estimate=last.estimate,
        error=math.nan,
        low=last.low,
        high=last.high,
        p_value=p_value,
        lift=last.estimate / control if control else math.nan,
        n_control=int(counts[0].sum()),
        n_treatment=int(counts[1].sum()),
        course=tuple(course),
    )


def fixed_quantile(metric: Metric, variant: str, found: Outcomes, *, level: float) -> Effect | None:
    """Return the effect at the planned end, one value a unit; None where an arm has too few."""
    assert metric.quantile is not None
    arms = [found.value_U[found.arm_U == arm] for arm in (0, 1)]
    if min(map(len, arms)) * min(metric.quantile, 1 - metric.quantile) < _FEWEST:
        return None
    return _effect(variant, compare_quantiles(arms[0], arms[1], metric.quantile, level=level))


def fixed_quantile_of_rows(metric: Metric, variant: str, rows: OutcomeRows, *, level: float) -> Effect | None:
    """Return the effect at the planned end, rows of one unit depending on each other; None where an arm has too few."""
    assert metric.quantile is not None
    control, treatment = rows.arm_N == 0, rows.arm_N == 1
    if min(control.sum(), treatment.sum()) * min(metric.quantile, 1 - metric.quantile) < _FEWEST:
        return None
    compared = compare_quantiles(
        rows.value_N[control],
        rows.value_N[treatment],
        metric.quantile,
        control_units_N=rows.id_N[control],
        treatment_units_M=rows.id_N[treatment],
        level=level,
    )
    return _effect(variant, compared)


def _effect(variant: str, compared: Comparison) -> Effect:
    return Effect(
        variant=variant,
        control=compared.control,
        treatment=compared.treatment,
        estimate=compared.estimate,
        error=compared.error,
        low=compared.low,
        high=compared.high,
        p_value=compared.p_value,
        lift=compared.estimate / compared.control if compared.control else math.nan,
        n_control=compared.n_control,
        n_treatment=compared.n_treatment,
    )


def _limits(value_U: Floats) -> Floats:
    """Return limits just above values that were seen, all of them or 2,000 evenly: a bin then ends with its value."""
    seen = np.unique(value_U)
    if len(seen) > _LIMITS:
        seen = np.unique(np.quantile(value_U, np.linspace(0, 1, _LIMITS), method="inverted_cdf"))
    return np.nextafter(seen, np.inf)


def _p_value(counts: list[Counts], edges_E: Floats, quantile: float, strength: float) -> float:
    """Return the least level, between 0.000001 and 1, at which the interval excludes no difference; by halving."""

    def excludes(log_level: float) -> bool:
        at = quantile_difference_sequence(
            counts[0], counts[1], edges_E, quantile, strength=strength, level=math.exp(log_level)
        )
        return at.low > 0 or at.high < 0

    low, high = math.log(_LEAST_P), math.log(0.999)
    if not excludes(high):
        return 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if excludes(middle) else (middle, high)
    return math.exp(high)
