"""Less noise from known groups: post-stratification.

Legend: N units of control, M of treatment, S strata.

Miratrix, Sekhon and Yu, "Adjusting treatment effect estimates by post-stratification in randomized experiments" (2013).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.stats.experiments.comparison import Comparison, compared
from orita.stats.experiments.means import compare_means

__all__ = ["Stratified", "post_stratified"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stratified:
    """The comparison, and how much was gained.

    Attributes:
        comparison: with each stratum weighted by its share of both arms together.
        variance_reduction: 1 − variance ÷ variance without strata; below 0 where strata only cost.
        strata: how many were used, small ones having been taken together.
    """

    comparison: Comparison
    variance_reduction: float
    strata: int


def post_stratified(
    control_N: npt.ArrayLike,
    treatment_M: npt.ArrayLike,
    control_strata_N: npt.NDArray[Any],
    treatment_strata_M: npt.NDArray[Any],
    *,
    level: float = 0.05,
) -> Stratified:
    """Return the comparison of means within strata that were known before the first exposure.

    Strata with fewer than two units in an arm are taken together as one.

    Args:
        control_N, treatment_M: finite outcomes, one a unit.
        control_strata_N, treatment_strata_M: the stratum of each unit: country, device, ids of any sortable kind.
        level: the interval leaves out ``level / 2`` on each side.

    Raises:
        UserError: even all small strata together have fewer than two units in an arm.
    """
    values = np.asarray(control_N, np.float64), np.asarray(treatment_M, np.float64)
    place = np.unique(np.concatenate([control_strata_N, treatment_strata_M]), return_inverse=True)[1]
    arms = _together_small(place[: len(values[0])], place[len(values[0]) :])
    counts_2S = np.stack([np.bincount(arm, minlength=int(max(a.max() for a in arms)) + 1) for arm in arms])
    used_S = counts_2S.sum(axis=0) > 0
    if counts_2S[:, used_S].min() < 2:
        raise UserError("strata have fewer than two units in an arm, also taken together; use fewer, larger strata.")
    share_S = counts_2S.sum(axis=0) / counts_2S.sum()
    found = [_weighted(value, arm, share_S) for value, arm in zip(values, arms, strict=True)]
    comparison = compared(found[0], found[1], level=level)
    plain = compare_means(*values, level=level).error
    reduction = 1 - (comparison.error / plain) ** 2 if plain else 0.0
    return Stratified(comparison, reduction, int(used_S.sum()))


def _together_small(*arms: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Return strata with all of fewer than two units in an arm renamed to one."""
    strata = int(max(arm.max() for arm in arms)) + 1
    small_S = np.min([np.bincount(arm, minlength=strata) for arm in arms], axis=0) < 2
    if small_S.any():
        # Where the small ones are still too few together, the smallest of the others joins them.
        counts_S = np.sum([np.bincount(arm, minlength=strata) for arm in arms], axis=0)
        while min(small_S[arm].sum() for arm in arms) < 2 and not small_S.all():
            small_S[np.argmin(np.where(small_S, np.inf, counts_S))] = True
    return [np.where(small_S[arm], strata, arm) for arm in arms]


def _weighted(values_N: Floats, stratum_N: npt.NDArray[np.int64], share_S: Floats) -> tuple[float, float, int]:
    """Return mean, error and units of an arm, each stratum weighted by its share."""
    n_S = np.bincount(stratum_N, minlength=len(share_S)).astype(np.float64)
    divisor_S = np.maximum(n_S, 2)
    mean_S = np.bincount(stratum_N, values_N, minlength=len(share_S)) / np.maximum(n_S, 1)
    squares_S = np.bincount(stratum_N, (values_N - mean_S[stratum_N]) ** 2, minlength=len(share_S))
    variance = float((share_S**2 * squares_S / (divisor_S - 1) / divisor_S).sum())
    return float(share_S @ mean_S), math.sqrt(variance), len(values_N)
