"""Does a canary's rate differ from the champion's? Exact at every look, for error rates and click rates.

Legend: D nulls, K alternatives on one side of each.

Each batch has its e-variables (`orita.stats.sequential.rate_evidence`): batches multiply, alternatives are mixed, and
by Ville's inequality the product ever exceeds 1 / α with a chance of at most α. This holds for any sizes of batches and
any ratio of arms, and when rates move from batch to batch, as rates of day and night do: the null must hold in each.

Turner and Grünwald, "Exact anytime-valid confidence intervals for contingency tables and beyond" (2023).

What is asked: outcomes of one batch do not depend on each other given the past, and sizes do not follow outcomes. Rows
of one user do depend on each other: count users, each with one outcome in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from orita.core.errors import UserError
from orita.stats.intervals import Interval
from orita.stats.sequential.rate_evidence import ALTERNATIVES, Batch, Kind, NullLines

__all__ = ["RateComparison"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RateComparison:
    """A test of two rates that takes batches of counts; a value that is kept between looks.

    Attributes:
        kind: whether nulls are differences (treatment − control) or ratios (treatment ÷ control).
        nulls: the D differences or ratios that are tested.
        expected_rate: of control, known from before; None: the first batch teaches it and is no evidence.
        control_n, control_total, treatment_n, treatment_total: outcomes so far, each in [0, 1], and their sums.
        log_e_S: evidence of each alternative, 2·D·K numbers: sides (less, greater), nulls, alternatives.
        highest_S: the largest evidence of all looks, 2·D numbers: sides, nulls.
    """

    kind: Kind
    nulls: tuple[float, ...]
    expected_rate: float | None
    control_n: float
    control_total: float
    treatment_n: float
    treatment_total: float
    log_e_S: Floats
    highest_S: Floats

    @classmethod
    def start(
        cls, nulls: Sequence[float], *, kind: Kind = "difference", expected_rate: float | None = None
    ) -> RateComparison:
        """Return the test before the first batch.

        Args:
            nulls: differences in (−1, 1) or ratios above 0. Few for decisions, a grid of them for `interval`.
            kind: of the nulls.
            expected_rate: of control, in (0, 1), if known before; a wrong one costs power, not validity.

        Raises:
            UserError: there is no null, or one is out of its range.
        """
        low, high = (-1.0, 1.0) if kind == "difference" else (0.0, math.inf)
        wrong = [null for null in nulls if not low < null < high]
        if wrong or not nulls:
            raise UserError(f"nulls are {list(nulls)}; a {kind} to test lies above {low:g} and below {high:g}.")
        if expected_rate is not None and not 0 < expected_rate < 1:
            raise UserError(f"expected_rate is {expected_rate}; it must lie above 0 and below 1, or be left out.")
        count = len(nulls)
        return cls(
            kind,
            tuple(float(null) for null in nulls),
            expected_rate,
            0.0,
            0.0,
            0.0,
            0.0,
            np.zeros(2 * count * ALTERNATIVES),
            np.zeros(2 * count),
        )

    def updated(
        self, control_n: float, control_total: float, treatment_n: float, treatment_total: float
    ) -> RateComparison:
        """Return the test after one more batch: outcomes of both arms and their sums (either arm may have none).

        Raises:
            UserError: a sum is below 0 or above its number of outcomes.
        """
        for name, n, total in (("control", control_n, control_total), ("treatment", treatment_n, treatment_total)):
            if not 0 <= total <= n:
                raise UserError(f"{name} has a total of {total:g} of {n:g} outcomes; it must lie between 0 and that.")
        log_e_2DK = self.log_e_S.reshape(2, len(self.nulls), -1)
        base = self._base()
        if base is not None and control_n > 0 and treatment_n > 0:
            batch = Batch(control_n, control_total, treatment_n, treatment_total)
            log_e_2DK = log_e_2DK + NullLines(self.kind, self.nulls).log_e(batch, base)
        highest_2D = np.maximum(self.highest_S.reshape(2, -1), _mean_e(log_e_2DK))
        return replace(
            self,
            control_n=self.control_n + float(control_n),
            control_total=self.control_total + float(control_total),
            treatment_n=self.treatment_n + float(treatment_n),
            treatment_total=self.treatment_total + float(treatment_total),
            log_e_S=log_e_2DK.ravel(),
            highest_S=highest_2D.ravel(),
        )

    @property
    def p_below(self) -> Floats:
        """For each null, in their order, the p-value, valid at all looks, of "treatment is not below it"."""
        return np.asarray(np.exp(-self.highest_S.reshape(2, -1)[0]))

    @property
    def p_above(self) -> Floats:
        """For each null, in their order, the p-value, valid at all looks, of "treatment is not above it"."""
        return np.asarray(np.exp(-self.highest_S.reshape(2, -1)[1]))

    @property
    def estimate(self) -> float:
        """Difference or ratio of the rates so far; NaN where an arm has no outcomes, or control none to divide by."""
        if not self.control_n or not self.treatment_n:
            return math.nan
        control, treatment = self.control_total / self.control_n, self.treatment_total / self.treatment_n
        if self.kind == "difference":
            return treatment - control
        return treatment / control if control else math.nan

    def interval(self, level: float = 0.05) -> Interval:
        """Return the estimate and the range of nulls not rejected at any look, rounded outwards to the grid of nulls.

        Its ends are infinite where no null is rejected on that side: the grid must reach further. It holds the truth
        at all looks together with a chance of 1 − *level*.
        """
        grid = np.asarray(self.nulls)
        above_D = grid[self.p_above <= level / 2]
        below_D = grid[self.p_below <= level / 2]
        return Interval(self.estimate, float(above_D.max(initial=-math.inf)), float(below_D.min(initial=math.inf)))

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        told = {name: getattr(self, name) for name in ("kind", "expected_rate", *_COUNTS)}
        return told | {
            "nulls": list(self.nulls),
            "log_e": self.log_e_S.tolist(),
            "highest": self.highest_S.tolist(),
        }

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> RateComparison:
        """Return what `to_dict` told."""
        control_n, control_total, treatment_n, treatment_total = (float(told[name]) for name in _COUNTS)
        log_e_S, highest_S = (np.asarray(told[name], np.float64) for name in ("log_e", "highest"))
        return cls(
            told["kind"],
            tuple(told["nulls"]),
            told["expected_rate"],
            control_n,
            control_total,
            treatment_n,
            treatment_total,
            log_e_S,
            highest_S,
        )

    def _base(self) -> float | None:
        """Return the rate of control as known before this batch."""
        if self.control_n == 0:
            return self.expected_rate
        return (self.control_total + 0.5) / (self.control_n + 1)


_COUNTS = ("control_n", "control_total", "treatment_n", "treatment_total")


def _mean_e(log_e_2DK: Floats) -> Floats:
    mean_2D: Floats = logsumexp(log_e_2DK, axis=-1) - math.log(log_e_2DK.shape[-1])
    return mean_2D
