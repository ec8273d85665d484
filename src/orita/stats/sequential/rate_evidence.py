"""Evidence of one batch on two rates: e-variables against a line of nulls.

Legend: D nulls, K alternatives on one side of each; the axis of 2 is the side: treatment below the null, above it.

A null is a line in the square of both rates: treatment − control = d, or treatment ÷ control = r. For each alternative
(q, q') the nearest point (p, p') of the line, weighted by the batch's sizes, makes q's likelihood ratio to p an
e-variable for the whole half of the square beyond the line: its mean is at most 1 wherever the null holds, for all
outcomes in [0, 1], as a likelihood ratio is convex in the outcome. Proof: decision 0051.

Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for optional stopping"
(2024). Alternatives: odds shifted by fixed factors about a rate that was known before the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

__all__ = ["ALTERNATIVES", "Batch", "Kind", "NullLines"]

Floats = npt.NDArray[np.float64]
Kind = Literal["difference", "ratio"]

_SHIFTS_K = 0.01 * np.sqrt(2.0) ** np.arange(17)  # of log odds: rates 1 % apart up to rates 13 times apart
ALTERNATIVES = len(_SHIFTS_K)
"""K, on each side of each null."""

_EDGE = 1e-8
_MOST_STEPS = 60
_CLOSE = 1e-13


@dataclass(frozen=True, slots=True)
class Batch:
    """Outcomes in [0, 1] of both arms: how many, and their sums."""

    control_n: float
    control_total: float
    treatment_n: float
    treatment_total: float


@dataclass(frozen=True, slots=True)
class NullLines:
    """D lines of nulls.

    Attributes:
        kind: whether nulls are differences (treatment − control) or ratios (treatment ÷ control).
        nulls: the D differences, in (−1, 1), or ratios, above 0.
    """

    kind: Kind
    nulls: tuple[float, ...]

    def log_e(self, batch: Batch, base: float) -> Floats:
        """Return the log of each alternative's e-variable, [2, D, K].

        Args:
            batch: at least one outcome in each arm.
            base: rate of control as it was known before the batch, in (0, 1); any is valid, a near one has power.
        """
        control_2DK, treatment_2DK = self._alternatives(batch, base)
        null_2DK = self._nearest(control_2DK, treatment_2DK, batch)
        log_e_2DK = _log_ratio(control_2DK, null_2DK, batch.control_n, batch.control_total)
        log_e_2DK += _log_ratio(treatment_2DK, self._treatment(null_2DK), batch.treatment_n, batch.treatment_total)
        # An alternative that the square's edge has kept from its own side of the line stakes nothing.
        gap_2DK = treatment_2DK - self._treatment(control_2DK)
        return np.where(np.stack([gap_2DK[0] < 0, gap_2DK[1] > 0]), log_e_2DK, 0.0)

    def _treatment(self, control: Any) -> Any:
        """Return the treatment's rate on each null's line."""
        null_D1 = np.asarray(self.nulls)[:, None]
        return control + null_D1 if self.kind == "difference" else control * null_D1

    def _control(self, treatment: Any) -> Any:
        null_D1 = np.asarray(self.nulls)[:, None]
        return treatment - null_D1 if self.kind == "difference" else treatment / null_D1

    def _alternatives(self, batch: Batch, base: float) -> tuple[Floats, Floats]:
        """Return rates of control and treatment, off each null's line on either side, about *base*."""
        least_D1, most_D1 = self._ends()
        margin_D1 = _EDGE * (most_D1 - least_D1)  # nearer to the square's edge the nearest point is lost in rounding
        base_D1 = np.clip(base, least_D1 + margin_D1, most_D1 - margin_D1)
        share = batch.treatment_n / (batch.control_n + batch.treatment_n)
        shift_2K = np.array([[-1.0], [1.0]]) * _SHIFTS_K
        control_2DK = expit(logit(base_D1) - share * shift_2K[:, None, :])
        treatment_2DK = expit(logit(self._treatment(base_D1)) + (1 - share) * shift_2K[:, None, :])
        return control_2DK, treatment_2DK

    def _ends(self) -> tuple[Floats, Floats]:
        """Return control's least and largest rate on each line within the square."""
        least_D1, most_D1 = self._control(np.zeros((1, 1))), self._control(np.ones((1, 1)))
        return np.maximum(least_D1, 0.0), np.minimum(most_D1, 1.0)

    def _nearest(self, control_2DK: Floats, treatment_2DK: Floats, batch: Batch) -> Floats:
        """Return control's rate at the point of the line of least divergence from each alternative."""
        slope_D1 = np.ones((len(self.nulls), 1)) if self.kind == "difference" else np.asarray(self.nulls)[:, None]
        least_D1, most_D1 = self._ends()
        # Between the points of the line that agree with either rate, as far as the line lies within the square.
        ends = [np.clip(end, least_D1, most_D1) for end in (control_2DK, self._control(treatment_2DK))]
        low_2DK, high_2DK = np.minimum(*ends), np.maximum(*ends)
        found_2DK = (low_2DK + high_2DK) / 2
        for _ in range(_MOST_STEPS):
            # Newton's steps on a convex divergence; one that leaves the bracket is replaced by halving it.
            with np.errstate(divide="ignore", invalid="ignore"):  # at the square's edge the pull is infinite
                pull_2DK, bend_2DK = _pull(control_2DK, found_2DK)
                other_2DK, other_bend_2DK = _pull(treatment_2DK, self._treatment(found_2DK))
                pull_2DK = batch.control_n * pull_2DK + batch.treatment_n * slope_D1 * other_2DK
                step_2DK = pull_2DK / (batch.control_n * bend_2DK + batch.treatment_n * slope_D1**2 * other_bend_2DK)
            low_2DK = np.where(pull_2DK < 0, found_2DK, low_2DK)
            high_2DK = np.where(pull_2DK < 0, high_2DK, found_2DK)
            next_2DK = found_2DK - step_2DK
            inside_2DK = (next_2DK >= low_2DK) & (next_2DK <= high_2DK)
            next_2DK = np.where(inside_2DK, next_2DK, (low_2DK + high_2DK) / 2)
            moved_2DK = np.abs(next_2DK - found_2DK)
            found_2DK = next_2DK
            if (moved_2DK <= _CLOSE * np.minimum(found_2DK - least_D1, most_D1 - found_2DK)).all():
                break
        return np.asarray(found_2DK)


def _pull(alternative: Floats, rate: Any) -> tuple[Any, Any]:
    """Return the first and second derivative, by the rate, of an outcome's divergence from the alternative."""
    above, below = alternative / rate, (1 - alternative) / (1 - rate)
    return below - above, below / (1 - rate) + above / rate


def _log_ratio(alternative: Floats, null: Floats, n: float, total: float) -> Floats:
    null = np.clip(null, 1e-300, 1 - 1e-16)
    ratio: Floats = total * np.log(alternative / null) + (n - total) * np.log((1 - alternative) / (1 - null))
    return ratio
