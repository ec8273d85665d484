"""Does a log hold enough of a target policy to judge it by? Weights, support, calibration, and a plain verdict.

Legend: N rows, A actions, G units.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.delivery.ope.calibration import PropensityCalibration
from orita.delivery.ope.checking import checked_probabilities, unit_codes
from orita.delivery.ope.estimate import Ratios, effective_sample_size, leave_one_out
from orita.delivery.ope.skewed_interval import skewed_interval

__all__ = ["Diagnostics", "Limits", "Verdict", "diagnose"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Limits:
    """What is enough.

    Attributes:
        least_effective: rows of the target policy that the weights must be worth, and units likewise.
        most_of_one_unit: largest share of the weight that one unit may hold.
        most_unsupported: largest share of the target's choices that logging never takes.
        most_rare: largest share of the target's choices that logging takes so rarely that one such row would count as
            *heavy_row* of the log or more.
        heavy_row: that share of the log.
        alarm: how seldom a right log may fail the tests of the mean weight and of calibration, each.
    """

    least_effective: float = 100.0
    most_of_one_unit: float = 0.05
    most_unsupported: float = 0.01
    most_rare: float = 0.1
    heavy_row: float = 0.05
    alarm: float = 0.001


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a log is enough to decide by, and if not, every reason as a sentence."""

    enough: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """How a log supports a target policy.

    Attributes:
        rows: decisions or slates.
        units: independent units.
        effective_sample_size: rows of the target policy that the weights are worth.
        effective_units: the same of the units' sums of weights.
        mean_weight: 1 in the long run where propensities are right and support is whole.
        mean_weight_low: lower end of its interval of confidence 1 − *alarm*; NaN where weights do not vary.
        mean_weight_high: upper end.
        largest_weight: of one row.
        largest_unit_share: share of the weight that one unit holds.
        unsupported_share: share of the target's choices that logging never takes; None where only the probabilities
            of shown actions are known. (A mean weight below 1 tells of it too.)
        rare_share: share of the target's choices that logging takes rarely; None likewise. It is not estimated from the
            rows: logs that lack their rare rows would pass, and those are the ones whose intervals miss.
        calibration: of the propensities; None where it was not looked at.
        verdict: by the limits.
    """

    rows: int
    units: int
    effective_sample_size: float
    effective_units: float
    mean_weight: float
    mean_weight_low: float
    mean_weight_high: float
    largest_weight: float
    largest_unit_share: float
    unsupported_share: float | None
    rare_share: float | None
    calibration: PropensityCalibration | None
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        """Return a plain object for JSON; what is not a number is None."""
        told = asdict(self)
        return {
            name: None if isinstance(each, float) and not np.isfinite(each) else each for name, each in told.items()
        }


def diagnose(
    weight_N: npt.ArrayLike,
    *,
    unit_N: npt.NDArray[Any] | None = None,
    logging_NA: npt.ArrayLike | None = None,
    target_NA: npt.ArrayLike | None = None,
    calibration: PropensityCalibration | None = None,
    limits: Limits | None = None,
) -> Diagnostics:
    """Return how well a log supports a target policy.

    Args:
        weight_N: target over logging probability of what was shown, at least 0.
        unit_N: rows of one user or request share it.
        logging_NA: the logging policy's probabilities of all actions, with *target_NA*: support is then known
            exactly.
        target_NA: the target policy's.
        calibration: of the propensities, where it was looked at.
        limits: what is enough; those of `Limits` by default.

    Raises:
        UserError: weights are empty or below 0; only one of *logging_NA* and *target_NA* is given.
    """
    limits = limits or Limits()
    weight = np.asarray(weight_N, np.float64)
    if weight.ndim != 1 or not len(weight) or not np.isfinite(weight).all() or weight.min() < 0:
        raise UserError(f"weights of shape {weight.shape} are not one finite number of at least 0 a row.")
    if (logging_NA is None) != (target_NA is None):
        raise UserError("support needs the probabilities of both policies: give logging_NA and target_NA, or neither.")
    units = None if unit_N is None else unit_codes(unit_N, len(weight))
    mean, influence_G = leave_one_out(Ratios.mean(weight, units))
    ends = skewed_interval(mean, influence_G, 1 - limits.alarm)
    total_G: Floats = weight if units is None else np.bincount(units, weights=weight).astype(np.float64)
    unsupported, rare = None, None
    if logging_NA is not None and target_NA is not None:
        unsupported, rare = _support(logging_NA, target_NA, limits.heavy_row * len(weight))
    found = Diagnostics(
        rows=len(weight),
        units=len(total_G),
        effective_sample_size=effective_sample_size(weight),
        effective_units=effective_sample_size(total_G),
        mean_weight=mean,
        mean_weight_low=ends.low,
        mean_weight_high=ends.high,
        largest_weight=float(weight.max()),
        largest_unit_share=float(total_G.max() / total_G.sum()) if weight.any() else 1.0,
        unsupported_share=unsupported,
        rare_share=rare,
        calibration=calibration,
        verdict=Verdict(enough=True, reasons=()),
    )
    reasons = _reasons(found, limits)
    return replace(found, verdict=Verdict(enough=not reasons, reasons=reasons))


def _support(logging_NA: npt.ArrayLike, target_NA: npt.ArrayLike, heavy: float) -> tuple[float, float]:
    shape = np.asarray(logging_NA).shape
    logging = checked_probabilities("propensity", logging_NA, shape, whole_rows=True)
    target = checked_probabilities("target", target_NA, shape, whole_rows=True)
    never_NA = logging == 0
    rare_NA = ~never_NA & (target >= heavy * logging)
    never, rare = (float(np.where(taken_NA, target, 0.0).sum(axis=1).mean()) for taken_NA in (never_NA, rare_NA))
    return never, rare


def _reasons(found: Diagnostics, limits: Limits) -> tuple[str, ...]:
    effective = min(found.effective_sample_size, found.effective_units)
    off = found.mean_weight_low > 1 or found.mean_weight_high < 1
    return tuple(
        sentence
        for wrong, sentence in (
            (
                effective < limits.least_effective,
                f"the weights are worth {effective:.0f} rows of the target policy, {limits.least_effective:.0f} are "
                "needed: log more, or explore more where the two policies differ",
            ),
            (
                found.largest_unit_share > limits.most_of_one_unit,
                f"one unit holds {found.largest_unit_share:.1%} of the weight, "
                f"at most {limits.most_of_one_unit:.1%} is allowed",
            ),
            (
                (found.unsupported_share or 0.0) > limits.most_unsupported,
                f"{found.unsupported_share or 0.0:.1%} of what the target policy does is never done by logging",
            ),
            (
                (found.rare_share or 0.0) > limits.most_rare,
                f"{found.rare_share or 0.0:.1%} of what the target policy does is so rare in the log that one row "
                f"would count as {limits.heavy_row:.0%} of it",
            ),
            (
                off,
                f"the mean weight is {found.mean_weight:.3f} and should be 1: propensities are wrong, or the target "
                "policy does what logging never does",
            ),
            (
                found.calibration is not None and found.calibration.p_value < limits.alarm,
                "actions were not drawn as often as their propensities say",
            ),
        )
        if wrong
    )
