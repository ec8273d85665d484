"""Quantiles of two arms at a planned end, rows of one user being dependent.

Legend: N rows, U units.

The standard error comes from the share of rows below the quantile, whose clustered variance is known without a density:
its limits are carried over to values by the sample's own quantiles. Woodruff, "Confidence intervals for medians and
other position measures" (1952); Deng, Knoblich and Lu, "Applying the delta method in metric analytics" (2018), for
clusters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from orita.core.errors import UserError
from orita.stats.experiments.comparison import Comparison, compared
from orita.stats.sequential.moments import Moments

__all__ = ["compare_quantiles"]

_LEAST = 5.0  # rows on the rarer side of the quantile: beyond that it is an extreme, not a quantile


def compare_quantiles(
    control_N: npt.ArrayLike,
    treatment_M: npt.ArrayLike,
    quantile: float,
    *,
    control_units_N: npt.NDArray[Any] | None = None,
    treatment_units_M: npt.NDArray[Any] | None = None,
    level: float = 0.05,
) -> Comparison:
    """Return the comparison of a quantile, such as 0.99 of latencies.

    Args:
        control_N, treatment_M: finite values.
        quantile: in (0, 1).
        control_units_N, treatment_units_M: ids of rows that resemble each other; None: rows are independent.
        level: the interval leaves out ``level / 2`` on each side.

    Raises:
        UserError: the quantile is not in (0, 1), or an arm has fewer than 5 rows beyond it, or one unit.
    """
    arms = ((control_N, control_units_N), (treatment_M, treatment_units_M))
    found = [_quantile(np.asarray(values, np.float64), units, quantile) for values, units in arms]
    return compared(found[0], found[1], level=level)


def _quantile(values_N: npt.NDArray[np.float64], units_N: Any, quantile: float) -> tuple[float, float, int]:
    n = len(values_N)
    if not 0 < quantile < 1 or n * min(quantile, 1 - quantile) < _LEAST:
        raise UserError(
            f"a quantile of {quantile} of {n} rows rests on too few; it must lie in (0, 1) with 5 rows beyond it."
        )
    sorted_N = np.sort(values_N)
    value = float(np.quantile(sorted_N, quantile))
    unit_N = np.arange(n) if units_N is None else np.unique(units_N, return_inverse=True)[1]
    # Share below as a ratio of sums over units: its linear parts, one a unit.
    pull_U = np.bincount(unit_N, (values_N <= value) - quantile)
    units = len(pull_U)
    if units < 2:
        raise UserError("all rows of an arm are of one unit; a comparison needs two units in each arm.")
    error = Moments.of(pull_U).error * units / n
    # One standard error to each side would follow the data's gaps: the interval's own reach is taken, and scaled back.
    reach = float(norm.isf(0.025))
    low, high = np.quantile(sorted_N, np.clip([quantile - reach * error, quantile + reach * error], 0, 1))
    return value, float(high - low) / (2 * reach), units
