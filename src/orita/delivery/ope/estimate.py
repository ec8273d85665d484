"""One estimate of a policy's value, and how sure it is: the influence of each unit, by leaving it out.

Every estimator of this package is a sum of ratios of sums over rows, ``Σ_k Σ_n a_nk ÷ Σ_n b_nk``; a mean has b = 1.
What one unit (a user, a request) adds is found exactly by leaving it out (the jackknife), which for a mean is its
distance from the mean, and for a ratio of heavy weights does not flatter as the linearised influence does.

Legend: N rows, K terms, G units.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.delivery.ope.skewed_interval import skewed_interval

__all__ = ["Estimate", "Ratios", "effective_sample_size", "leave_one_out"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a policy would have earned a decision (or a slate), by one estimator.

    Attributes:
        estimator: its name.
        value: in units of the reward.
        standard_error: of *value*, by leaving units out; NaN for one unit.
        low: lower end of the interval; NaN where nothing is known: one unit, or nothing that varies.
        high: upper end.
        confidence: of the interval, such as 0.95.
        interval: by which method the ends were found.
        covers: whether the interval claims to hold the policy's value with that confidence. That of a direct method
            does not: it tells the spread of contexts, and nothing of the error of the reward model.
        effective_sample_size: rows of the policy itself that the weights are worth (Kish 1965); the rows themselves
            where the estimator weighs nothing.
        clipped_share: share of the weight that clipping, switching or blending took away, 0 … 1.
        rows: decisions or slates.
        units: independent units.
    """

    estimator: str
    value: float
    standard_error: float
    low: float
    high: float
    confidence: float
    interval: str
    covers: bool
    effective_sample_size: float
    clipped_share: float
    rows: int
    units: int

    def to_dict(self) -> dict[str, Any]:
        """Return a plain object for JSON; what is not a number is None."""
        return {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True, slots=True)
class Ratios:
    """The sums that an estimate is made of: ``numerators_NK`` over ``denominators_NK``, means where that is None.

    Attributes:
        numerators_NK: finite values.
        denominators_NK: at least 0; None stands for ones.
        unit_N: 0 … G − 1; None where each row is a unit.
    """

    numerators_NK: Floats
    denominators_NK: Floats | None
    unit_N: npt.NDArray[np.int64] | None

    @classmethod
    def mean(cls, values_N: Floats, unit_N: npt.NDArray[np.int64] | None) -> Ratios:
        """Return the mean of *values_N* over rows."""
        return cls(values_N[:, None], None, unit_N)

    def less(self, values_N: Floats) -> Ratios:
        """Return these sums less the mean of *values_N*: the gain over what the log itself earned."""
        ones_N1 = np.ones((len(values_N), 1))
        before_NK = np.ones_like(self.numerators_NK) if self.denominators_NK is None else self.denominators_NK
        numerators_NK = np.hstack([self.numerators_NK, -values_N[:, None]])
        if self.denominators_NK is None:
            return Ratios(numerators_NK, None, self.unit_N)
        return Ratios(numerators_NK, np.hstack([before_NK, ones_N1]), self.unit_N)

    def estimate(
        self,
        name: str,
        confidence: float,
        *,
        effective: float,
        clipped_share: float = 0.0,
        covers: bool = True,
    ) -> Estimate:
        """Return the estimate with its skew-corrected interval.

        Raises:
            UserError: *confidence* is not between 0 and 1.
        """
        if not 0 < confidence < 1:
            raise UserError(f"confidence {confidence!r} is not a share: give one between 0 and 1, such as 0.95.")
        value, influence_G = leave_one_out(self)
        found = skewed_interval(value, influence_G, confidence)
        rows = len(self.numerators_NK)
        method = "skew-corrected t" if covers else "spread of contexts"
        return Estimate(
            estimator=name,
            value=value,
            standard_error=found.standard_error,
            low=found.low,
            high=found.high,
            confidence=confidence,
            interval=method,
            covers=covers,
            effective_sample_size=effective,
            clipped_share=clipped_share,
            rows=rows,
            units=len(influence_G),
        )


def leave_one_out(ratios: Ratios) -> tuple[float, Floats]:
    """Return the value, and ``influence_G``: G − 1 times what the value loses when a unit is left out.

    The mean of its squares over G − 1 is the jackknife's variance of the value. It is not finite for a unit that has
    all the weight, which nothing is known without.

    Source: Tukey (1958), Bias and confidence in not-quite large samples; Efron and Stein (1981).
    """
    a_GK, b_GK = ratios.numerators_NK, ratios.denominators_NK
    if b_GK is None and ratios.unit_N is None:
        total_N = a_GK.sum(axis=1)
        value = float(total_N.mean())
        return value, total_N - value
    b_GK = np.ones_like(a_GK) if b_GK is None else b_GK
    if ratios.unit_N is not None:
        units = int(ratios.unit_N.max()) + 1
        a_GK, b_GK = (_by_unit(values_NK, ratios.unit_N, units) for values_NK in (a_GK, b_GK))
    a_K, b_K = a_GK.sum(axis=0), b_GK.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float((a_K / b_K).sum())
        without_G = ((a_K - a_GK) / (b_K - b_GK)).sum(axis=1)
    return value, (len(a_GK) - 1) * (value - without_G)


def effective_sample_size(weights_N: Floats) -> float:
    """Return ``(Σ w)² ÷ Σ w²``, 0 for weights that are all 0. Kish (1965), Survey Sampling."""
    squares = float((weights_N**2).sum())
    return float(weights_N.sum()) ** 2 / squares if squares > 0 else 0.0


def _by_unit(values_NK: Floats, unit_N: npt.NDArray[np.int64], units: int) -> Floats:
    return np.stack([np.bincount(unit_N, weights=column_N, minlength=units) for column_N in values_NK.T], axis=1)
