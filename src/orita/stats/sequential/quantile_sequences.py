"""Quantiles that may be looked at at any time: the p99 of a latency, of two arms, from counts by bin.

Legend: B bins; ``edges_E`` are the B − 1 limits between them: bin b holds edges[b − 1] ≤ x < edges[b].

Below the true quantile lies a share of at most q of the values, up to it one of at least q: so a limit is too low when
too few values lie below it, and too high when too many do, by the exact test of a rate at every look
(`orita.stats.sequential.rates`). No density is estimated, and no value is kept: counts of batches and replicas add up.
Bounds are limits of bins, rounded outwards: bins that grow by 2 % make them up to 2 % wider.

Howard and Ramdas, "Sequential estimation of quantiles with applications to A/B testing and best-arm identification"
(2022): beta-binomial bounds for a fixed quantile, and two arms.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.stats.intervals import Interval
from orita.stats.sequential.mixtures import Side
from orita.stats.sequential.rates import rate_log_e

__all__ = ["counts_by_bin", "growing_edges", "quantile_difference_sequence", "quantile_sequence"]

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.integer[Any]]


def growing_edges(low: float, high: float, growth: float = 1.02) -> Floats:
    """Return limits from *low* to at least *high*, each *growth* times the one before.

    Raises:
        UserError: not 0 < low < high, or growth is 1 or less.
    """
    if not (0 < low < high and growth > 1):
        raise UserError(f"edges from {low} to {high} by {growth} are none; 0 < low < high and growth above 1 are.")
    return np.asarray(low * growth ** np.arange(math.ceil(math.log(high / low) / math.log(growth)) + 1))


def counts_by_bin(values_N: npt.ArrayLike, edges_E: Floats) -> npt.NDArray[np.int64]:
    """Return ``counts_B``, B = len(edges_E) + 1: how many values lie in each bin."""
    return np.bincount(np.searchsorted(edges_E, np.asarray(values_N), side="right"), minlength=len(edges_E) + 1)


def quantile_sequence(
    counts_B: Counts, edges_E: Floats, quantile: float, *, strength: float, level: float = 0.05
) -> Interval:
    """Return a quantile with an interval that holds the truth at all looks together with a chance of 1 − *level*.

    Args:
        counts_B: values by bin, all so far: `counts_by_bin`, added up.
        edges_E: limits between the bins, ascending.
        quantile: in (0, 1), 0.99 for a p99.
        strength: of the mixture, chosen before the first look: `rate_strength`.
        level: chance that any look's interval excludes the truth.

    Returns:
        The limit above which the quantile's bin ends, and bounds that are limits; infinite where there is none.
    """
    if not 0 < quantile < 1 or len(counts_B) != len(edges_E) + 1:
        raise UserError(
            f"a quantile of {quantile} of {len(counts_B)} bins with {len(edges_E)} limits is none; the quantile must "
            "lie between 0 and 1, and there is one bin more than limits."
        )
    below_E = np.cumsum(counts_B)[:-1].astype(np.float64)
    n, limit = float(np.sum(counts_B)), -math.log(level / 2)
    padded = np.concatenate([[-math.inf], edges_E, [math.inf]])

    def first(side: Side) -> int:
        """Return the first limit that is not too low, or that is too high: evidence is monotone in the count below."""
        low, high = 0, len(below_E)
        while low < high:
            middle = (low + high) // 2
            rejected = float(rate_log_e(n, below_E[middle], quantile, strength=strength, side=side)) >= limit
            low, high = (low, middle) if rejected == (side == "greater") else (middle + 1, high)
        return low

    value = float(padded[1 + np.searchsorted(below_E, quantile * n)]) if n else math.nan
    return Interval(value, float(padded[first("less")]), float(padded[1 + first("greater")]))


def quantile_difference_sequence(
    control_B: Counts, treatment_B: Counts, edges_E: Floats, quantile: float, *, strength: float, level: float = 0.05
) -> Interval:
    """Return quantile of treatment − quantile of control with an interval that holds at all looks.

    Arguments as of `quantile_sequence`. Each arm's interval errs with a chance of level / 2, so ``low > δ`` says that
    treatment is slower by more than δ, with a chance of error of at most *level* over all looks.
    """
    control = quantile_sequence(control_B, edges_E, quantile, strength=strength, level=level / 2)
    treatment = quantile_sequence(treatment_B, edges_E, quantile, strength=strength, level=level / 2)
    known = math.isfinite(control.value) and math.isfinite(treatment.value)
    value = treatment.value - control.value if known else math.nan
    return Interval(value, treatment.low - control.high, treatment.high - control.low)
