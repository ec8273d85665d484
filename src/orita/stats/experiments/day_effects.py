"""Does the effect wear off, and is it the same on Sundays? Effects by day, users being in many days.

Legend: N users of control, M of treatment, D days (since a user's first exposure, or of the week).

A user's days depend on each other, so effects of days do too: their covariance is the sum of users' influences
(sandwich; Liang and Zeger 1986). Novelty and learning are told by the slope of the effect over days since the first
exposure, by generalised least squares: Hohnhold, O'Brien and Tang, "Focusing on the long-term: it's good for users and
business" (2015), for what is looked for. Users who stay may differ from those who leave, and differently in each arm: a
slope is a hint to look, not an effect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2, norm

from orita.core.errors import UserError
from orita.stats.intervals import Interval

__all__ = ["DayEffects", "day_effects"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DayEffects:
    """Treatment − control on each day.

    Attributes:
        effect_D: in the unit of the outcome.
        covariance_DD: of these effects.
    """

    effect_D: Floats
    covariance_DD: Floats

    @property
    def errors(self) -> Floats:
        """Standard error of each day's effect."""
        return np.asarray(np.sqrt(np.diag(self.covariance_DD)))

    def trend(self, *, level: float = 0.05) -> tuple[Interval, float]:
        """Return the change of the effect from a day to the next with its interval, and the p-value of none.

        Below 0 where the effect was positive: novelty that wears off.
        """
        inverse_DD = np.linalg.pinv(self.covariance_DD, hermitian=True)
        design_D2 = np.column_stack([np.ones(len(self.effect_D)), np.arange(len(self.effect_D))])
        spread_22 = np.linalg.inv(design_D2.T @ inverse_DD @ design_D2)
        slope = float((spread_22 @ design_D2.T @ inverse_DD @ self.effect_D)[1])
        error = math.sqrt(float(spread_22[1, 1]))
        reach = float(norm.isf(level / 2)) * error
        return Interval(slope, slope - reach, slope + reach), 2 * float(norm.sf(abs(slope) / error))

    def heterogeneity(self) -> float:
        """Return the p-value of one effect on all days: Wald's χ² with D − 1 degrees of freedom.

        Small for effects that differ by day of the week: then run whole weeks, and look at what differs.
        """
        contrast = np.eye(len(self.effect_D))[1:] - np.eye(len(self.effect_D))[:1]
        gap, covariance = contrast @ self.effect_D, contrast @ self.covariance_DD @ contrast.T
        return float(chi2.sf(gap @ np.linalg.pinv(covariance, hermitian=True) @ gap, len(gap)))


def day_effects(control_ND: npt.ArrayLike, treatment_MD: npt.ArrayLike) -> DayEffects:
    """Return the effect on each day from users' outcomes by day.

    Args:
        control_ND, treatment_MD: a user's outcome on each day; NaN where the user was not there, or that day has not
            come yet.

    Raises:
        UserError: the arms do not have the same two days or more, or a day has fewer than two users in an arm.
    """
    control, treatment = np.asarray(control_ND, np.float64), np.asarray(treatment_MD, np.float64)
    if control.ndim != 2 or treatment.ndim != 2 or control.shape[1] != treatment.shape[1] or control.shape[1] < 2:
        raise UserError(
            f"outcomes of {control.shape} and {treatment.shape} are no users by days; give the same two days or more."
        )
    (mean_c, covariance_c), (mean_t, covariance_t) = _by_day(control), _by_day(treatment)
    return DayEffects(mean_t - mean_c, covariance_c + covariance_t)


def _by_day(values_ND: Floats) -> tuple[Floats, Floats]:
    seen_ND = ~np.isnan(values_ND)
    n_D = seen_ND.sum(axis=0)
    if (n_D < 2).any():
        raise UserError(f"day {int(np.argmax(n_D < 2))} has {int(n_D.min())} users in an arm; each day needs two.")
    mean_D = np.where(seen_ND, values_ND, 0.0).sum(axis=0) / n_D
    influence_ND = np.where(seen_ND, values_ND - mean_D, 0.0) / n_D
    n = len(values_ND)
    covariance_DD: Floats = influence_ND.T @ influence_ND * (n / (n - 1))
    return mean_D, covariance_DD
