"""What a comparison of two arms answers: one form for means, proportions, ratios and quantiles."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import norm, t

from orita.stats.intervals import Interval

__all__ = ["Comparison", "compared", "relative_lift"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Treatment against control at a planned end, in the unit of the metric.

    Attributes:
        control, treatment: the metric in each arm.
        estimate: treatment − control.
        error: its standard error.
        low, high: its interval.
        p_value: two-sided, of no difference.
        lift: estimate ÷ control with Fieller's interval; infinite where control may be 0.
        n_control, n_treatment: independent units (users) in each arm.
    """

    control: float
    treatment: float
    estimate: float
    error: float
    low: float
    high: float
    p_value: float
    lift: Interval
    n_control: int
    n_treatment: int

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        return asdict(self)


def compared(
    control: tuple[float, float, int],
    treatment: tuple[float, float, int],
    *,
    level: float = 0.05,
    degrees: float = math.inf,
) -> Comparison:
    """Return the comparison of two independent estimates, each as (value, standard error, units).

    Args:
        control, treatment: the estimates; a NaN error leaves interval and p-value NaN.
        level: the interval leaves out ``level / 2`` on each side.
        degrees: of freedom of the error; infinite for the normal distribution.
    """
    (a, error_a, n_a), (b, error_b, n_b) = control, treatment
    known = norm if math.isinf(degrees) else t(degrees)
    estimate, error = b - a, math.hypot(error_a, error_b)
    quantile = float(known.isf(level / 2))
    if math.isnan(error):
        p_value = math.nan
    elif error == 0:
        p_value = float(estimate == 0)
    else:
        p_value = 2 * float(known.sf(abs(estimate) / error))
    lift = relative_lift(a, error_a, b, error_b, quantile=quantile)
    reach = quantile * error
    return Comparison(a, b, estimate, error, estimate - reach, estimate + reach, p_value, lift, n_a, n_b)


def relative_lift(
    control: float, error_control: float, treatment: float, error_treatment: float, *, quantile: float
) -> Interval:
    """Return treatment ÷ control − 1 with its interval, which agrees with the difference's on excluding 0.

    The ratios r for which treatment − r·control is within *quantile* standard errors of 0: Fieller, "Some problems in
    interval estimation" (1954). Unbounded where control is within as many of 0: then any lift is possible.
    """
    if control == 0 or math.isnan(error_control + error_treatment):
        return Interval(math.nan, -math.inf, math.inf)
    value = treatment / control - 1
    certain = control**2 - (quantile * error_control) ** 2
    if certain <= 0:
        return Interval(value, -math.inf, math.inf)
    product = control * treatment
    inner = product**2 - certain * (treatment**2 - (quantile * error_treatment) ** 2)
    reach = math.sqrt(max(inner, 0.0))
    return Interval(value, (product - reach) / certain - 1, (product + reach) / certain - 1)
