"""How many users, for how long, to find which effect? Plans of fixed and of sequential tests.

The formulas are those of normal estimates: (quantile of the level + quantile of the power)² · variance ÷ effect².
Spreads are of the unit that is assigned: of a user's outcome, √(p(1 − p)) for a conversion, `ratio_spread` for clicks ÷
impressions. CUPED multiplies variances by 1 − ρ² (Deng et al. 2013). A sequential test is computed by its own boundary
(`orita.stats.sequential.crossing`), planned for the effect that is looked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import norm

from orita.core.errors import UserError
from orita.stats.sequential.crossing import sequential_power
from orita.stats.sequential.mixtures import Side
from orita.stats.sequential.ratio_moments import RatioMoments

__all__ = ["TestPlan", "days_needed", "minimum_effect", "power", "proportion_spread", "ratio_spread", "sample_size"]

_LARGEST_DRIFT = 12.0


@dataclass(frozen=True, slots=True)
class TestPlan:
    """What is planned of a comparison of two arms.

    Attributes:
        spread: standard deviation of a unit's outcome in control, > 0.
        treatment_spread: in treatment; None: as in control.
        share: of the units in treatment, in (0, 1).
        level: of the test, in (0, 1).
        sides: 2, or 1 where only one direction counts.
        correlation: ρ of outcome and covariates with CUPED, in (−1, 1).
        looks: of a sequential test, 1 … 1,000, evenly spaced; None: a fixed test, looked at once at the end.
    """

    __test__ = False  # no test of pytest's

    spread: float
    treatment_spread: float | None = None
    share: float = 0.5
    level: float = 0.05
    sides: int = 2
    correlation: float = 0.0
    looks: int | None = None

    def __post_init__(self) -> None:
        spreads = self.spread, self.treatment_spread if self.treatment_spread is not None else 1.0
        for name, value, good, allowed in (
            ("spread", self.spread, min(spreads) > 0, "above 0, in both arms"),
            ("share", self.share, 0 < self.share < 1, "above 0 and below 1"),
            ("level", self.level, 0 < self.level < 1, "above 0 and below 1"),
            ("sides", self.sides, self.sides in (1, 2), "1 or 2"),
            ("correlation", self.correlation, abs(self.correlation) < 1, "above -1 and below 1"),
            ("looks", self.looks, self.looks is None or 1 <= self.looks <= 1000, "1 to 1,000, or left out"),
        ):
            if not good:
                raise UserError(f"{name} is {value}; it must be {allowed}.")

    def error(self, units: float) -> float:
        """Return the standard error of the difference with so many units in both arms together."""
        other = self.spread if self.treatment_spread is None else self.treatment_spread
        variance = self.spread**2 / (1 - self.share) + other**2 / self.share
        return math.sqrt(variance * (1 - self.correlation**2) / units)


def power(plan: TestPlan, effect: float, units: float) -> float:
    """Return the chance to find *effect* by the time there are so many *units* in both arms together."""
    return _power_of_drift(plan)(abs(effect) / plan.error(units))


def sample_size(plan: TestPlan, effect: float, power: float = 0.8) -> int:
    """Return the units, in both arms together, that find *effect* with a chance of *power*.

    For a sequential test it is the planned end: it often stops before.

    Raises:
        UserError: the effect is 0, or the power is not between the level and 1.
    """
    if effect == 0:
        raise UserError("effect is 0; no number of units finds it: name the smallest effect that matters.")
    return math.ceil((_drift(plan, power) * plan.error(1.0) / abs(effect)) ** 2)


def minimum_effect(plan: TestPlan, units: float, power: float = 0.8) -> float:
    """Return the smallest effect, in the unit of the metric, that so many units find with a chance of *power*."""
    return _drift(plan, power) * plan.error(units)


def days_needed(units: float, new_units_a_day: npt.ArrayLike, *, window: int = 0) -> int:
    """Return the days until so many units have been exposed and their outcome window has closed.

    Args:
        units: needed, in both arms together.
        new_units_a_day: units exposed for the first time on each day, after allocation; one number holds for every
            day. Users who return are not new, so this usually falls from day to day.
        window: days from exposure until an outcome counts.

    Raises:
        UserError: the days given do not bring so many.
    """
    new = np.asarray(new_units_a_day, np.float64)
    if new.ndim == 0:
        if not new > 0:
            raise UserError(f"new_units_a_day is {float(new):g}; it must be above 0.")
        return math.ceil(units / float(new)) + window
    total = np.cumsum(new)
    if not len(total) or total[-1] < units:
        reached = total[-1] if len(total) else 0
        raise UserError(
            f"{len(total)} days bring {reached:,.0f} of {units:,.0f} units; give more days, or a larger effect."
        )
    return int(np.searchsorted(total, units)) + 1 + window


def proportion_spread(rate: float) -> float:
    """Return the standard deviation of an outcome that is 1 with a chance of *rate* and else 0."""
    if not 0 < rate < 1:
        raise UserError(f"rate is {rate}; it must lie above 0 and below 1.")
    return math.sqrt(rate * (1 - rate))


def ratio_spread(numerator_U: npt.ArrayLike, denominator_U: npt.ArrayLike) -> float:
    """Return the standard deviation a user of a ratio of sums, from past users' sums, by the delta method."""
    return math.sqrt(RatioMoments.of(numerator_U, denominator_U).moments.variance)


def _power_of_drift(plan: TestPlan) -> Callable[[float], float]:
    """Return the chance of a rejection as a function of effect ÷ standard error at the end."""
    if plan.looks is not None:
        side: Side = "both" if plan.sides == 2 else "greater"
        looks = plan.looks
        return lambda drift: sequential_power(drift, level=plan.level, looks=looks, side=side) if drift else 0.0
    critical = float(norm.isf(plan.level / plan.sides))
    wrong_side = 1.0 if plan.sides == 2 else 0.0
    return lambda drift: float(norm.sf(critical - drift) + wrong_side * norm.cdf(-critical - drift))


def _drift(plan: TestPlan, power: float) -> float:
    """Return effect ÷ standard error at the end that gives this power."""
    if not plan.level < power < 1:
        raise UserError(f"power is {power}; it must lie above the level, {plan.level}, and below 1.")
    chance = _power_of_drift(plan)
    return float(brentq(lambda drift: chance(drift) - power, 1e-3, _LARGEST_DRIFT, xtol=1e-6))
