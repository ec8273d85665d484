"""Do two samples hold the same categories in the same shares? Homogeneity of counts.

Legend: K categories; ``first_K`` and ``second_K`` are counts of the same categories in two samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2, hypergeom

__all__ = ["HomogeneityResult", "homogeneity_test", "paired_counts", "total_variation"]

_LARGE_CELL = 20.0
_FIRST_BLOCK, _BLOCK = 50, 500
_ENOUGH_EXCEEDANCES = 20


@dataclass(frozen=True, slots=True)
class HomogeneityResult:
    """The outcome of a test of equal shares.

    Attributes:
        distance: total variation, 0 … 1: the share of rows that would have to change category.
        p_value: chance of shares this unequal when nothing changed; 1 if a sample is empty or one category is left.
        categories: categories that either sample holds.
        method: ``chi_square``, ``exact`` or ``permutation``.
    """

    distance: float
    p_value: float
    categories: int
    method: str


def paired_counts(
    first_N: npt.NDArray[np.floating], second_M: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return ``(first_K, second_K)`` over every value either sample holds, NaN being a category of its own (the last).

    A category that only one sample holds counts 0 in the other, so an unseen value is never lost.
    """
    values, codes = np.unique(np.concatenate([first_N, second_M]), return_inverse=True, equal_nan=True)
    first_K = np.bincount(codes[: len(first_N)], minlength=len(values))
    return first_K, np.bincount(codes[len(first_N) :], minlength=len(values))


def total_variation(first_K: npt.NDArray[np.int64], second_K: npt.NDArray[np.int64]) -> float:
    """Return half the sum of absolute differences of shares, 0 … 1, NaN if a sample is empty."""
    if not first_K.sum() or not second_K.sum():
        return float("nan")
    return float(np.abs(first_K / first_K.sum() - second_K / second_K.sum()).sum() / 2)


def homogeneity_test(
    first_K: npt.NDArray[np.int64],
    second_K: npt.NDArray[np.int64],
    *,
    permutations: int = 20_000,
    seed: int = 0,
) -> HomogeneityResult:
    """Test whether two samples of independent rows draw their categories with the same shares.

    Args:
        first_K: counts in the first sample.
        second_K: counts of the same categories in the second.
        permutations: at most this many tables, when cells are too small for χ².
        seed: fixes the tables.

    Source: Pearson's χ²; two categories with small cells: Fisher's exact test; more: tables with the same margins
    drawn at random, stopped early as in Besag and Clifford (1991).
    """
    used_K = (first_K + second_K) > 0
    first_K, second_K = first_K[used_K], second_K[used_K]
    distance, categories = total_variation(first_K, second_K), int(used_K.sum())
    if np.isnan(distance) or categories < 2:
        return HomogeneityResult(distance, 1.0, categories, "exact")
    n, total_K = int(first_K.sum()), first_K + second_K
    statistic = float(_chi_square(first_K[None, :], total_K, n)[0])
    smallest = float(total_K.min()) * min(n, total_K.sum() - n) / total_K.sum()
    if smallest >= _LARGE_CELL:
        return HomogeneityResult(distance, float(chi2.sf(statistic, categories - 1)), categories, "chi_square")
    if categories == 2:
        return HomogeneityResult(distance, _fisher(first_K, total_K, n), categories, "exact")
    p_value = _permutation_p(total_K, n, statistic, permutations, np.random.default_rng(seed))
    return HomogeneityResult(distance, p_value, categories, "permutation")


def _chi_square(first_RK: npt.NDArray[np.int64], total_K: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.float64]:
    total = total_K.sum()
    expected_K = total_K * (n / total)
    # Both rows of the table deviate by the same count, so one sum serves for the two.
    inverse_K = 1 / expected_K + 1 / (total_K - expected_K)
    return np.asarray(((first_RK - expected_K) ** 2 * inverse_K).sum(axis=1), dtype=np.float64)


def _fisher(first_K: npt.NDArray[np.int64], total_K: npt.NDArray[np.int64], n: int) -> float:
    null = hypergeom(int(total_K.sum()), int(total_K[0]), n)
    observed = int(first_K[0])
    # Twice the smaller tail: two-sided without a sum over the whole support.
    return min(1.0, 2 * min(float(null.cdf(observed)), float(null.sf(observed - 1))))


def _permutation_p(
    total_K: npt.NDArray[np.int64], n: int, observed: float, permutations: int, rng: np.random.Generator
) -> float:
    block = max(1, min(_BLOCK, 1_000_000 // len(total_K)))
    drawn = exceeded = 0
    while drawn < permutations and exceeded < _ENOUGH_EXCEEDANCES:
        # Most samples are unremarkable and show it in the first few draws.
        size = min(block, max(_FIRST_BLOCK, drawn), permutations - drawn)
        first_RK = rng.multivariate_hypergeometric(total_K, n, size=size, method="marginals")
        exceeded += int((_chi_square(first_RK, total_K, n) >= observed * (1 - 1e-12)).sum())
        drawn += size
    return (exceeded + 1) / (drawn + 1)
