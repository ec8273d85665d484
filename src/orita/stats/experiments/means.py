"""Means, proportions and ratios of two arms at a planned end. Looking more often: `orita.stats.sequential`.

Legend: N units of control, M of treatment; U units of one arm. A unit is what was assigned: a user, not a row.

Welch, "The generalization of Student's problem" (1947); Newcombe, "Interval estimation for the difference between
independent proportions" (1998), method 10; Deng, Knoblich and Lu, "Applying the delta method in metric analytics"
(2018), for ratios and clusters.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from orita.core.errors import UserError
from orita.stats.experiments.comparison import Comparison, compared
from orita.stats.sequential.moments import Moments
from orita.stats.sequential.ratio_moments import RatioMoments

__all__ = ["compare_clustered_means", "compare_means", "compare_moments", "compare_proportions", "compare_ratios"]

Floats = npt.NDArray[np.float64]
Sums = tuple[npt.ArrayLike, npt.ArrayLike]


def compare_means(control_N: npt.ArrayLike, treatment_M: npt.ArrayLike, *, level: float = 0.05) -> Comparison:
    """Return Welch's t test of two means, one value a unit; variances may differ."""
    return compare_moments(Moments.of(control_N), Moments.of(treatment_M), level=level)


def compare_moments(control: Moments, treatment: Moments, *, level: float = 0.05) -> Comparison:
    """Return Welch's t test from each arm's moments.

    Raises:
        UserError: an arm has fewer than two units.
    """
    _enough(control.n, treatment.n)
    a, b = control.error**2, treatment.error**2
    shared = a**2 / (control.n - 1) + b**2 / (treatment.n - 1)
    degrees = (a + b) ** 2 / shared if shared else math.inf
    return compared(
        (control.mean, control.error, int(control.n)),
        (treatment.mean, treatment.error, int(treatment.n)),
        level=level,
        degrees=degrees,
    )


def compare_proportions(
    control_successes: float, control_n: int, treatment_successes: float, treatment_n: int, *, level: float = 0.05
) -> Comparison:
    """Return the two-proportion z test, one outcome of 0 or 1 a unit: conversion, retention.

    The p-value is by the pooled variance, the interval Newcombe's from Wilson's of each arm, good for rates near 0
    and 1; near the level the two may disagree.

    Raises:
        UserError: an arm has fewer than two units, or more successes than units.
    """
    _enough(control_n, treatment_n)
    control, treatment = (
        Moments.of_counts(control_n, control_successes),
        Moments.of_counts(treatment_n, treatment_successes),
    )
    a, b = control.mean, treatment.mean
    errors = [math.sqrt(p * (1 - p) / n) for p, n in ((a, control_n), (b, treatment_n))]
    found = compared((a, errors[0], control_n), (b, errors[1], treatment_n), level=level)
    pooled = (control_successes + treatment_successes) / (control_n + treatment_n)
    error = math.sqrt(pooled * (1 - pooled) * (1 / control_n + 1 / treatment_n))
    p_value = 2 * float(norm.sf(abs(b - a) / error)) if error else 1.0
    quantile = float(norm.isf(level / 2))
    (low_a, high_a), (low_b, high_b) = _wilson(a, control_n, quantile), _wilson(b, treatment_n, quantile)
    low = b - a - math.hypot(b - low_b, high_a - a)
    return replace(found, low=low, high=b - a + math.hypot(high_b - b, a - low_a), p_value=p_value)


def compare_ratios(control: Sums, treatment: Sums, *, level: float = 0.05) -> Comparison:
    """Return the comparison of two ratios of sums, such as clicks ÷ impressions, with users as units.

    Args:
        control: ``(numerator_U, denominator_U)``, a sum for each unit of the arm.
        treatment: likewise.
        level: the interval leaves out ``level / 2`` on each side.

    Raises:
        UserError: an arm has fewer than two units, or denominators that add up to 0 or less.
    """
    return compared(_ratio(*control), _ratio(*treatment), level=level)


def compare_clustered_means(
    control_N: npt.ArrayLike,
    control_units_N: npt.NDArray[Any],
    treatment_M: npt.ArrayLike,
    treatment_units_M: npt.NDArray[Any],
    *,
    level: float = 0.05,
) -> Comparison:
    """Return the comparison of means over rows where rows of one unit resemble each other: a ratio of sums to rows."""
    arms = ((control_N, control_units_N), (treatment_M, treatment_units_M))
    sums = [
        (np.bincount(unit, np.asarray(values, np.float64)), np.bincount(unit))
        for values, units in arms
        for unit in [np.unique(units, return_inverse=True)[1]]
    ]
    return compare_ratios(sums[0], sums[1], level=level)


def _ratio(numerator_U: npt.ArrayLike, denominator_U: npt.ArrayLike) -> tuple[float, float, int]:
    sums = RatioMoments.of(numerator_U, denominator_U)
    _enough(sums.n, sums.n)
    found = sums.moments
    return found.mean, found.error, int(found.n)


def _wilson(p: float, n: float, quantile: float) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion (1927)."""
    square = quantile**2 / n
    middle = (p + square / 2) / (1 + square)
    reach = quantile * math.sqrt(p * (1 - p) / n + square / (4 * n)) / (1 + square)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def _enough(n: float, m: float) -> None:
    if min(n, m) < 2:
        raise UserError(f"control has {n:g} units and treatment {m:g}; a comparison needs two in each arm.")
