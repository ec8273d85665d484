"""Is a rate what it should be? Exact at every look: bets against the null, mixed over all fractions of the capital.

Legend: N any shape of counts.

Someone who bets on each outcome in [0, 1] at odds that are fair under the null rate has a capital that exceeds 1 / α
ever with a chance of at most α. Betting as if the rate were q, mixed over q ~ Beta about the null, leaves a capital
that depends on the count and the sum alone: batches add up, and their order does not matter. For outcomes of 0 and 1 it
is the beta-binomial mixture (Robbins 1970; Cover's universal portfolio in Orabona and Jun, "Tight concentrations and
confidence sequences from the regret of universal portfolio", 2024). For other outcomes in [0, 1] it is never more than
the capital that the bets would have made (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
betting", 2024): still exact, and wider than needed where outcomes are far from 0 and 1.

What is asked of outcomes: given those before, each has the null's mean. Rows of one user do not: count users.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincc, betaln

from orita.core.errors import UserError
from orita.stats.intervals import Interval
from orita.stats.sequential.mixtures import Side, best_information_ratio

__all__ = ["RateTest", "rate_interval", "rate_log_e", "rate_strength"]

Floats = npt.NDArray[np.float64]

_HALVINGS = 60


def rate_strength(units: float, *, level: float = 0.05) -> float:
    """Return the strength of a mixture whose interval is narrowest when *units* outcomes have come."""
    return max(units / best_information_ratio(level), 1.0)


def rate_log_e(
    n: npt.ArrayLike, total: npt.ArrayLike, null: npt.ArrayLike, *, strength: float, side: Side = "both"
) -> Floats:
    """Return the log of the evidence against a rate of *null*; reject, at any look, where it reaches log(1 / level).

    Args:
        n: outcomes so far.
        total: their sum, 0 … n.
        null: the rate that is tested, in (0, 1); with a side, all rates on the other side are tested too.
        strength: of the mixture, in outcomes: the larger, the smaller the departures that are looked for; see
            `rate_strength`.
        side: the alternative.
    """
    n_N, total_N, null_N = (np.asarray(given, np.float64) for given in (n, total, null))
    if (total_N < 0).any() or (total_N > n_N).any():
        raise UserError("total is below 0 or above n; it must be a sum of n outcomes in [0, 1].")
    first, second = strength * null_N, strength * (1 - null_N)
    log_e = betaln(first + total_N, second + n_N - total_N) - betaln(first, second)
    log_e = log_e - total_N * np.log(null_N) - (n_N - total_N) * np.log1p(-null_N)
    if side != "both":
        tail = betaincc if side == "greater" else betainc
        with np.errstate(divide="ignore"):  # no mass on the alternative's side: evidence of 0
            after = np.log(tail(first + total_N, second + n_N - total_N, null_N))
        log_e = log_e + after - np.log(tail(first, second, null_N))
    return np.asarray(log_e)


def rate_interval(n: float, total: float, *, strength: float, level: float = 0.05) -> Interval:
    """Return the rate with an interval that holds the truth at all looks together with a chance of 1 − *level*.

    Args:
        n: outcomes so far, each in [0, 1].
        total: their sum.
        strength: of the mixture, chosen before the first look: `rate_strength`.
        level: chance that any look's interval excludes the truth.
    """
    if n == 0:
        return Interval(math.nan, 0.0, 1.0)
    mean, limit = total / n, -math.log(level)
    # The left end lies in (0, mean), the right one in (mean, 1); rejected nulls are the outer ones.
    outer_2 = np.array([0.0, 1.0])
    inner_2 = np.array([mean, mean])
    for _ in range(_HALVINGS):
        middle_2 = np.clip((outer_2 + inner_2) / 2, 1e-300, 1 - 1e-16)
        rejected_2 = rate_log_e(n, total, middle_2, strength=strength) >= limit
        outer_2, inner_2 = np.where(rejected_2, middle_2, outer_2), np.where(rejected_2, inner_2, middle_2)
    return Interval(mean, float(outer_2[0]) if total else 0.0, float(outer_2[1]) if total < n else 1.0)


@dataclass(frozen=True, slots=True)
class RateTest:
    """A test of one rate that takes batches of counts and may stop at any time; a value that is kept between looks.

    Attributes:
        null: the rate that is tested, in (0, 1).
        strength: of the mixture: `rate_strength`.
        level: chance of a false rejection over all looks together.
        side: the alternative.
        n, total: outcomes so far and their sum.
        p_value: the smallest of all looks; always valid.
    """

    null: float
    strength: float
    level: float = 0.05
    side: Side = "both"
    n: float = 0.0
    total: float = 0.0
    p_value: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.null < 1:
            raise UserError(f"null is {self.null}; a rate to test lies above 0 and below 1.")

    def updated(self, n: float, total: float) -> RateTest:
        """Return the test after *n* more outcomes that sum to *total*."""
        n, total = self.n + n, self.total + total
        log_e = float(rate_log_e(n, total, self.null, strength=self.strength, side=self.side))
        return replace(self, n=n, total=total, p_value=min(self.p_value, math.exp(-max(log_e, 0.0))))

    @property
    def rejected(self) -> bool:
        """Whether the null has been rejected at this or an earlier look."""
        return self.p_value <= self.level

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> RateTest:
        """Return what `to_dict` told."""
        return cls(**told)
