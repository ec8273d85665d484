"""Do two samples of numbers come from one distribution? The Kolmogorov-Smirnov test.

Legend: N values of the first sample, M of the second. NaN means missing and takes no part; infinities are values.
Ties, constants and outliers are allowed: the statistic depends on ranks only, so one wild value moves it by 1/M.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import ks_2samp, kstwo

__all__ = ["KsResult", "ks_statistic", "ks_test"]

# Above this many lattice cells the exact count of paths costs more than it tells: the approximation is within 3 %.
_EXACT_CELLS = 20_000_000
_CLEARLY_NOTHING = 0.5


@dataclass(frozen=True, slots=True)
class KsResult:
    """The outcome of a Kolmogorov-Smirnov test.

    Attributes:
        statistic: the largest distance between the two distribution functions, 0 … 1; NaN if a sample is empty.
        p_value: chance of a distance this large when nothing changed; 1 if a sample is empty.
        second_is_larger: at the point of largest distance the second sample has more mass above than the first.
        n, m: values present in the first and the second sample.
    """

    statistic: float
    p_value: float
    second_is_larger: bool
    n: int
    m: int


def ks_statistic(first_N: npt.NDArray[np.floating], second_M: npt.NDArray[np.floating]) -> float:
    """Return the largest distance between the two empirical distribution functions, 0 … 1, NaN if one is empty."""
    return abs(_signed_distance(_present(first_N), _present(second_M)))


def ks_test(
    first_N: npt.NDArray[np.floating], second_M: npt.NDArray[np.floating], *, design_effect: float = 1.0
) -> KsResult:
    """Test whether two samples share one continuous distribution; with ties the p-value errs on the high side.

    Args:
        first_N: values, NaN where missing.
        second_M: likewise.
        design_effect: ≥ 1; how much repeated measurement of the same clusters inflates the variance (see
            `orita.stats.clusters`). Above 1 both sizes are divided by it.

    Source: Hodges (1958), The significance probability of the Smirnov two-sample test: exact path counts; for large
    or clustered samples the one-sample distribution at the effective size N·M / (N + M).
    """
    first_n, second_m = _present(first_N), _present(second_M)
    n, m = len(first_n), len(second_m)
    if n == 0 or m == 0:
        return KsResult(float("nan"), 1.0, False, n, m)
    signed = _signed_distance(first_n, second_m)
    distance = abs(signed)
    p_value = float(kstwo.sf(distance, _effective(n, m, design_effect)))
    # Nobody asks how far above a half a p-value is, and there the sum of the exact paths can round above 1.
    if p_value < _CLEARLY_NOTHING and design_effect <= 1.0 and n * m <= _EXACT_CELLS:
        p_value = float(ks_2samp(first_n, second_m, method="exact").pvalue)
    return KsResult(distance, min(max(p_value, 0.0), 1.0), signed > 0, n, m)


def _effective(n: int, m: int, design_effect: float) -> int:
    return max(1, round(n * m / (n + m) / max(design_effect, 1.0)))


def _present(values_N: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    values = np.asarray(values_N, dtype=np.float64)
    return values[~np.isnan(values)]


def _signed_distance(first_n: npt.NDArray[np.float64], second_m: npt.NDArray[np.float64]) -> float:
    if len(first_n) == 0 or len(second_m) == 0:
        return float("nan")
    points_P = np.concatenate([first_n, second_m])
    below_first_P = np.searchsorted(np.sort(first_n), points_P, side="right") / len(first_n)
    below_second_P = np.searchsorted(np.sort(second_m), points_P, side="right") / len(second_m)
    gap_P = below_first_P - below_second_P
    return float(gap_P[np.argmax(np.abs(gap_P))])
