"""How much evidence is an estimate, if one may look at it at any time? Mixtures of likelihood ratios.

An estimate with standard error s carries the information I = 1 / s². Were the effect λ and not the null, its
likelihood ratio would be exp(λ·S − λ²·I / 2) with S = (estimate − null)·I: at every λ a martingale under the null, and
so is a mixture over λ. By Ville's inequality it ever exceeds 1 / α with a chance of at most α, so one may look at any
time. With λ ~ N(0, width²) this is Robbins' normal mixture, which is the mixture SPRT of Johari et al. and the
asymptotic confidence sequence of Waudby-Smith et al. With λ ~ ½ N(−center, width²) + ½ N(center, width²) it is sharper
where the planned effect is: a test that is planned for an effect need not spread its evidence over all.

It holds for estimates whose covariance with a later one is the later one's variance (independent increments at
information times): means and differences of means of independent units, counted once each, in any ratio of arms
(Jennison and Turnbull 1997). It holds asymptotically: the errors are estimated, so let some units come first.

Robbins, "Statistical methods related to the law of the iterated logarithm" (1970); Johari, Koomen, Pekelis and Walsh,
"Always valid inference" (2022); Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic
confidence sequences" (2021), for the one-sided mixture; Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences" (2024), theorem 2.2; Jennison and Turnbull, "Group-sequential
analysis incorporating covariate information" (1997).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import lambertw, log_ndtr

from orita.core.errors import UserError

__all__ = ["Mixture", "Side", "best_information_ratio"]

Floats = npt.NDArray[np.float64]

Side = Literal["both", "greater", "less"]
"""The alternative: the effect differs from the null, is above it, or is below it."""

_WIDTH_SHARE = 0.25  # of the planned effect: nearly the power of a point, and intervals that keep shrinking
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Mixture:
    """Which effects are looked for, in the unit of the estimate.

    Attributes:
        center: size of the effect that is planned for, ≥ 0; 0 plans for none and is Robbins' normal mixture.
        width: spread about it, > 0.
    """

    center: float
    width: float

    def __post_init__(self) -> None:
        if not (self.center >= 0 and self.width > 0 and math.isfinite(self.center + self.width)):
            raise UserError(
                f"a mixture of center {self.center} and width {self.width} is none; "
                "center must be 0 or more and width above 0."
            )

    @classmethod
    def for_effect(cls, effect: float) -> Mixture:
        """Return the mixture for a test that is planned to find *effect* (its sign does not matter, 0 is refused)."""
        return cls(abs(effect), _WIDTH_SHARE * abs(effect))

    @classmethod
    def for_error(cls, error: float, *, level: float = 0.05) -> Mixture:
        """Return the normal mixture whose interval is narrowest when the standard error has come down to *error*."""
        return cls(0.0, error * math.sqrt(best_information_ratio(level)))

    def log_e(self, estimate: npt.ArrayLike, error: npt.ArrayLike, *, null: float = 0.0, side: Side = "both") -> Floats:
        """Return the log of the evidence against *null*; reject, at any time, where it reaches log(1 / level).

        Args:
            estimate: any shape, in the unit of the effect.
            error: its standard error, same shape; NaN, 0 and infinity are no information, and no evidence.
            null: the effect that is tested; with a side, all effects on the other side are tested too.
            side: the alternative.
        """
        error_ = np.asarray(error, np.float64)
        known = np.isfinite(error_) & (error_ > 0)
        information = np.where(known, 1 / np.where(known, error_, 1.0) ** 2, 0.0)
        score = np.where(known, np.asarray(estimate, np.float64) - null, 0.0) * information
        if side == "both":
            halves = [self._hump(sign * score, information) for sign in (1.0, -1.0)]
            return np.asarray(np.logaddexp(*halves) - math.log(2))
        score = score if side == "greater" else -score
        spread = 1 + self.width**2 * information
        # Only effects on the alternative's side are mixed: each of their ratios is a supermartingale on the other side.
        left = log_ndtr((self.center + self.width**2 * score) / (self.width * np.sqrt(spread)))
        return np.asarray(self._hump(score, information) + left - log_ndtr(self.center / self.width))

    def radius(self, error: npt.ArrayLike, level: float, *, side: Side = "both") -> Floats:
        """Return the distance from the estimate at which a null is rejected: half the confidence sequence's width.

        Args:
            error: standard errors, any shape; where one is no information the radius is infinite.
            level: chance of ever excluding the truth, in (0, 1).
            side: with ``greater`` the distance to the lower bound (the upper is infinite), with ``less`` conversely.
        """
        error_ = np.asarray(error, np.float64)
        known = np.isfinite(error_) & (error_ > 0)
        scale = np.where(known, error_, 1.0)
        if self.center == 0 and side == "both":
            ratio = (self.width / scale) ** 2
            found = scale * np.sqrt((1 + 1 / ratio) * (np.log1p(ratio) - 2 * math.log(level)))
        else:
            found = self._searched(scale, level, "greater" if side == "less" else side)
        return np.where(known, found, np.inf)

    def _hump(self, score: Any, information: Any) -> Any:
        spread = 1 + self.width**2 * information
        lift = self.center * score - self.center**2 * information / 2 + self.width**2 * score**2 / 2
        return lift / spread - np.log(spread) / 2

    def _searched(self, error: Floats, level: float, side: Side) -> Floats:
        """Return the radius by halving; evidence grows with the distance from the null."""
        low, high = np.zeros_like(error), 4 * error
        while (short := self.log_e(high, error, side=side) < -math.log(level)).any():
            low, high = np.where(short, high, low), np.where(short, 2 * high, high)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            short = self.log_e(middle, error, side=side) < -math.log(level)
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        return np.asarray(high)


def best_information_ratio(level: float) -> float:
    """Return width² ÷ error² at which a normal mixture's interval is narrowest at that error.

    The minimum of (1 + 1/k)·log((1 + k) / level²), by the lower branch of Lambert's W: about 8 at 0.05, 18 at 0.001.
    """
    if not 0 < level < 1:
        raise UserError(f"level is {level}; it must lie between 0 and 1.")
    return float(-lambertw(-(level**2) / math.e, k=-1).real - 1)
