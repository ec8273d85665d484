"""Means and differences of means that may be looked at at any time, and whose test may stop at any look.

Units must be independent and count once (a user, when the user's outcome window has closed): see
`orita.stats.experiments.closed_outcomes`. What the mixture is: `orita.stats.sequential.mixtures`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from orita.stats.intervals import Interval
from orita.stats.sequential.mixtures import Mixture, Side
from orita.stats.sequential.moments import Moments

__all__ = ["LEAST_UNITS", "SequentialComparison", "difference_sequence", "mean_sequence"]

LEAST_UNITS = 100
"""Units an arm needs before it is looked at: variances of fewer are too unsure; very skewed outcomes need more."""


def mean_sequence(
    sample: Moments, mixture: Mixture, *, level: float = 0.05, side: Side = "both", least: int = LEAST_UNITS
) -> Interval:
    """Return the mean with an interval that holds the truth at all looks together with a chance of 1 − *level*.

    Args:
        sample: all units so far.
        mixture: in the unit of the mean, chosen before the first look.
        level: chance that any look's interval excludes the truth.
        side: ``greater`` gives a lower bound only, ``less`` an upper one.
        least: below this many units the interval is unbounded.
    """
    error = sample.error if sample.n >= least else math.nan
    return _interval(sample.mean if sample.n else math.nan, error, mixture, level, side)


def difference_sequence(
    control: Moments,
    treatment: Moments,
    mixture: Mixture,
    *,
    level: float = 0.05,
    side: Side = "both",
    least: int = LEAST_UNITS,
) -> Interval:
    """Return mean of treatment − mean of control with an interval that holds at all looks; see `mean_sequence`.

    Arms may be of unequal size, and their ratio may change between looks, as long as it does not follow the outcomes.
    """
    estimate, error = _difference(control, treatment, least)
    return _interval(estimate, error, mixture, level, side)


@dataclass(frozen=True, slots=True)
class SequentialComparison:
    """A test of two means that takes batches of units and may stop at any time; a value that is kept between looks.

    Attributes:
        mixture: planned before the first look.
        level: chance of a false rejection over all looks together.
        side: the alternative, of treatment against control.
        null: difference under the null; −δ with side ``less`` asks "worse by more than δ".
        least: units an arm needs before a look counts.
        control, treatment: all units so far.
        p_value: the smallest of all looks; always valid.
    """

    mixture: Mixture
    level: float = 0.05
    side: Side = "both"
    null: float = 0.0
    least: int = LEAST_UNITS
    control: Moments = field(default_factory=Moments)
    treatment: Moments = field(default_factory=Moments)
    p_value: float = 1.0

    def updated(self, control: Moments, treatment: Moments) -> SequentialComparison:
        """Return the test after one more look, with the new units of both arms (either may have none)."""
        return self.looked(self.control.merged(control), self.treatment.merged(treatment))

    def looked(self, control: Moments, treatment: Moments) -> SequentialComparison:
        """Return the test after one more look, with all units so far: where earlier ones were adjusted anew (CUPED)."""
        estimate, error = _difference(control, treatment, self.least)
        log_e = float(self.mixture.log_e(estimate, error, null=self.null, side=self.side))
        p_value = min(self.p_value, math.exp(-max(log_e, 0.0)))
        return replace(self, control=control, treatment=treatment, p_value=p_value)

    @property
    def rejected(self) -> bool:
        """Whether the null has been rejected at this or an earlier look."""
        return self.p_value <= self.level

    @property
    def interval(self) -> Interval:
        """The difference with its confidence sequence at this look."""
        return difference_sequence(
            self.control, self.treatment, self.mixture, level=self.level, side=self.side, least=self.least
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {
            "center": self.mixture.center,
            "width": self.mixture.width,
            "level": self.level,
            "side": self.side,
            "null": self.null,
            "least": self.least,
            "control": self.control.to_dict(),
            "treatment": self.treatment.to_dict(),
            "p_value": self.p_value,
        }

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> SequentialComparison:
        """Return what `to_dict` told."""
        return cls(
            Mixture(told["center"], told["width"]),
            told["level"],
            told["side"],
            told["null"],
            told["least"],
            Moments.from_dict(told["control"]),
            Moments.from_dict(told["treatment"]),
            told["p_value"],
        )


def _difference(control: Moments, treatment: Moments, least: int) -> tuple[float, float]:
    """Return the difference and its standard error, NaN for both where an arm has too few units."""
    if min(control.n, treatment.n) < max(least, 2):
        return math.nan, math.nan
    return treatment.mean - control.mean, math.hypot(control.error, treatment.error)


def _interval(estimate: float, error: float, mixture: Mixture, level: float, side: Side) -> Interval:
    reach = float(mixture.radius(error, level, side=side))
    if math.isinf(reach):
        return Interval(estimate, -math.inf, math.inf)
    low = estimate - reach if side != "less" else -math.inf
    return Interval(estimate, low, estimate + reach if side != "greater" else math.inf)
