"""Do the arms hold the shares of users that were assigned to them? Sample-ratio mismatch, at the end or at every look.

Legend: K arms.

A mismatch says that assignment, logging or a filter is broken, and that no effect of the experiment can be believed:
Fabijan et al., "Diagnosing sample ratio mismatch in online controlled experiments" (2019). The test for every look is a
Dirichlet mixture of multinomial likelihood ratios about the declared shares: Lindon and Malek, "Anytime-valid inference
for multinomial count data" (2022). Units must be counted once each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln
from scipy.stats import binomtest, chi2

from orita.core.errors import UserError

__all__ = ["SampleRatioTest", "sample_ratio_log_e", "sample_ratio_p"]

Floats = npt.NDArray[np.float64]

_SMALL = 1000  # of two arms: the exact test costs little, and χ² is off in the third digit


def sample_ratio_p(counts_K: Sequence[float], shares_K: Sequence[float]) -> float:
    """Return the chance of counts this far from the declared shares, at a planned end: not for repeated looks.

    Two arms of up to 1,000 units together are tested exactly, others by Pearson's χ², which wants 5 expected in each.

    Args:
        counts_K: units in each arm.
        shares_K: weights with which units are assigned, above 0; they need not add up to 1.

    Raises:
        UserError: lengths differ, a count is below 0, or a share is not above 0.
    """
    counts, shares = _checked(counts_K, shares_K)
    n = counts.sum()
    if n == 0:
        return 1.0
    if len(counts) == 2 and n <= _SMALL:
        return float(binomtest(round(counts[0]), round(n), shares[0]).pvalue)
    expected = n * shares
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), len(counts) - 1))


def sample_ratio_log_e(counts_K: npt.ArrayLike, shares_K: npt.ArrayLike, *, strength: float = 1000.0) -> Floats:
    """Return the log of the evidence against the declared shares; reject, at any look, where it reaches log(1 / level).

    Args:
        counts_K: units in each arm, arms in the last axis.
        shares_K: declared shares, adding up to 1.
        strength: of the mixture, in units: the larger, the smaller the mismatches that are looked for.
    """
    counts, shares = np.asarray(counts_K, np.float64), np.asarray(shares_K, np.float64)
    prior = strength * shares
    evidence = gammaln(prior + counts) - gammaln(prior) - counts * np.log(shares)
    return np.asarray(gammaln(strength) - gammaln(strength + counts.sum(axis=-1)) + evidence.sum(axis=-1))


@dataclass(frozen=True, slots=True)
class SampleRatioTest:
    """A test of declared shares that takes batches and may stop at any time; a value that is kept between looks.

    Attributes:
        shares: declared, adding up to 1.
        level: chance of a false alarm over all looks together.
        strength: of the mixture, see `sample_ratio_log_e`; 1,000 suits experiments of 1,000 to a million units.
        counts: units in each arm so far.
        p_value: the smallest of all looks; always valid.
    """

    shares: tuple[float, ...]
    level: float = 0.001
    strength: float = 1000.0
    counts: tuple[float, ...] = ()
    p_value: float = 1.0

    @classmethod
    def start(cls, shares: Sequence[float], *, level: float = 0.001, strength: float = 1000.0) -> SampleRatioTest:
        """Return the test before the first unit.

        Args:
            shares: weights with which units are assigned, above 0; they need not add up to 1.
            level: chance of a false alarm; small, as an alarm stops the experiment.
            strength: of the mixture.
        """
        counts, weights = _checked([0.0] * len(shares), shares)
        return cls(tuple(weights.tolist()), level, strength, tuple(counts.tolist()))

    def updated(self, counts: Sequence[float]) -> SampleRatioTest:
        """Return the test after so many more units in each arm."""
        added, _ = _checked(counts, self.shares)
        total = np.asarray(self.counts) + added
        log_e = float(sample_ratio_log_e(total, self.shares, strength=self.strength))
        p_value = min(self.p_value, math.exp(-max(log_e, 0.0)))
        return replace(self, counts=tuple(total.tolist()), p_value=p_value)

    @property
    def rejected(self) -> bool:
        """Whether a mismatch was found at this or an earlier look."""
        return self.p_value <= self.level

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return asdict(self) | {"shares": list(self.shares), "counts": list(self.counts)}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> SampleRatioTest:
        """Return what `to_dict` told."""
        return cls(**told | {"shares": tuple(told["shares"]), "counts": tuple(told["counts"])})


def _checked(counts_K: Sequence[float], shares_K: Sequence[float]) -> tuple[Floats, Floats]:
    counts, shares = np.asarray(counts_K, np.float64), np.asarray(shares_K, np.float64)
    if len(counts) != len(shares) or len(counts) < 2 or not (shares > 0).all() or not (counts >= 0).all():
        raise UserError(
            f"counts {list(counts_K)} do not fit shares {list(shares_K)}; give two arms or more, each with a count of "
            "0 or more and a share above 0."
        )
    return counts, shares / shares.sum()
