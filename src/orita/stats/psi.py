"""How far did a distribution move, bin by bin? The population stability index and its null distribution.

Legend: N reference values, M recent values, B bins (the missing values come first, then the quantile bins, whose
first and last are open: no value falls outside). NaN means missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

__all__ = ["PsiResult", "bin_counts", "psi", "psi_of_counts", "psi_test", "quantile_edges"]

# From this many expected values a bin on, χ² holds within the Monte Carlo error down to p = 0.001.
_LARGE_BIN = 50
_HALF = 0.5
_FIRST_BLOCK, _BLOCK = 50, 500
_ENOUGH_EXCEEDANCES = 20
# More distinct values than this are relabelled as runs of neighbours: a quantile then moves by at most 0.2 %.
_CELLS = 500


@dataclass(frozen=True, slots=True)
class PsiResult:
    """The outcome of a calibrated PSI test.

    Attributes:
        statistic: the index, ≥ 0; NaN if a sample is empty.
        p_value: chance of an index this large when nothing changed, at these sample sizes; 1 if a sample is empty.
        bins: bins that hold a value of either sample, the missing values' included.
        method: ``chi_square`` or ``permutation``: where the null distribution came from.
        n, m: rows of the first and the second sample, missing values included.
    """

    statistic: float
    p_value: float
    bins: int
    method: str
    n: int
    m: int


def quantile_edges(reference_N: npt.NDArray[np.floating], bins: int = 10) -> npt.NDArray[np.float64]:
    """Return the inner edges (sorted, at most ``bins − 1``, fewer with ties) that cut *reference_N* evenly."""
    values = np.asarray(reference_N, dtype=np.float64)
    present = values[~np.isnan(values)]
    if len(present) == 0:
        return np.empty(0)
    return np.unique(np.quantile(present, np.arange(1, bins) / bins, method="inverted_cdf"))


def bin_counts(values_N: npt.NDArray[np.floating], edges: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return ``counts_B``: missing values, then values ≤ the first edge, …, then values above the last edge."""
    values = np.asarray(values_N, dtype=np.float64)
    missing_N = np.isnan(values)
    inside_B = np.bincount(np.searchsorted(edges, values[~missing_N], side="left"), minlength=len(edges) + 1)
    return np.concatenate([[np.count_nonzero(missing_N)], inside_B]).astype(np.int64)


def psi_of_counts(reference_B: npt.NDArray[np.int64], recent_B: npt.NDArray[np.int64]) -> float:
    """Return Σ (q − p) · ln(q / p) over bins that either sample reaches; NaN if a sample is empty.

    If one sample leaves such a bin empty, half a row is added to every bin of both, so that the index stays finite.
    """
    used_B = (reference_B + recent_B) > 0
    if not reference_B.sum() or not recent_B.sum():
        return float("nan")
    return float(_index(reference_B[used_B][None, :], recent_B[used_B][None, :])[0])


def psi(reference_N: npt.NDArray[np.floating], recent_M: npt.NDArray[np.floating], *, bins: int = 10) -> float:
    """Return the population stability index of *recent_M* over quantile bins of *reference_N*, ≥ 0."""
    edges = quantile_edges(reference_N, bins)
    return psi_of_counts(bin_counts(reference_N, edges), bin_counts(recent_M, edges))


def psi_test(
    reference_N: npt.NDArray[np.floating],
    recent_M: npt.NDArray[np.floating],
    *,
    bins: int = 10,
    permutations: int = 10_000,
    seed: int = 0,
) -> PsiResult:
    """Test whether the index is larger than two samples of these sizes, of independent rows, show by chance alone.

    Args:
        reference_N: values whose quantiles make the bins, NaN where missing.
        recent_M: values to compare.
        bins: quantile bins asked for.
        permutations: at most this many relabellings, when bins are too small for χ².
        seed: fixes the relabellings.

    Source: Yurdakul and Naranjo (2020), Statistical properties of the population stability index: the index is about
    (1/N + 1/M) · χ² with B − 1 degrees of freedom. For small bins the null is the pooled sample relabelled, its bins
    cut anew each time, stopped early as in Besag and Clifford (1991), Sequential Monte Carlo p-values.
    """
    n, m = len(reference_N), len(recent_M)
    edges = quantile_edges(reference_N, bins)
    reference_B, recent_B = bin_counts(reference_N, edges), bin_counts(recent_M, edges)
    used_B = (reference_B + recent_B) > 0
    occupied = int(used_B.sum())
    observed = psi_of_counts(reference_B, recent_B)
    if n == 0 or m == 0 or occupied < 2:
        return PsiResult(observed, 1.0, occupied, "chi_square", n, m)
    expected = float((reference_B + recent_B)[used_B].min()) * min(n, m) / (n + m)
    if expected >= _LARGE_BIN:
        p_value = float(chi2.sf(observed / (1 / n + 1 / m), occupied - 1))
        return PsiResult(observed, p_value, occupied, "chi_square", n, m)
    pooled = np.concatenate([reference_N, recent_M]).astype(np.float64)
    p_value = _permutation_p(
        pooled, n, bins, observed=observed, permutations=permutations, rng=np.random.default_rng(seed)
    )
    return PsiResult(observed, p_value, occupied, "permutation", n, m)


def _index(reference_RB: npt.NDArray[np.int64], recent_RB: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    hollow_R = ((reference_RB == 0) ^ (recent_RB == 0)).any(axis=1, keepdims=True)
    occupied_RB = (reference_RB + recent_RB) > 0
    added_RB = np.where(hollow_R & occupied_RB, _HALF, 0.0)
    p_RB, q_RB = reference_RB + added_RB, recent_RB + added_RB
    p_RB = p_RB / p_RB.sum(axis=1, keepdims=True)
    q_RB = q_RB / q_RB.sum(axis=1, keepdims=True)
    ratio_RB = np.divide(q_RB, p_RB, out=np.ones_like(p_RB), where=occupied_RB)
    return np.asarray(((q_RB - p_RB) * np.log(ratio_RB)).sum(axis=1), dtype=np.float64)


def _permutation_p(
    pooled: npt.NDArray[np.float64],
    n: int,
    bins: int,
    *,
    observed: float,
    permutations: int,
    rng: np.random.Generator,
) -> float:
    present = np.sort(pooled[~np.isnan(pooled)])
    distinct, codes = np.unique(present, return_inverse=True)
    if len(distinct) > _CELLS:
        codes = codes * _CELLS // len(distinct)
    counts_D = np.concatenate([[len(pooled) - len(present)], np.bincount(codes)])
    block = max(1, min(_BLOCK, 1_000_000 // len(counts_D)))
    drawn = exceeded = 0
    while drawn < permutations and exceeded < _ENOUGH_EXCEEDANCES:
        # Most samples are unremarkable and show it in the first few draws.
        size = min(block, max(_FIRST_BLOCK, drawn), permutations - drawn)
        first_RD = rng.multivariate_hypergeometric(counts_D, n, size=size, method="marginals")
        exceeded += int((_relabelled(first_RD, counts_D, bins) >= observed * (1 - 1e-12)).sum())
        drawn += size
    return (exceeded + 1) / (drawn + 1)


def _relabelled(first_RD: npt.NDArray[np.int64], counts_D: npt.NDArray[np.int64], bins: int) -> npt.NDArray[np.float64]:
    """Return the index of each relabelling, with the bins that its own first sample asks for."""
    below_RD = first_RD[:, 1:].cumsum(axis=1)
    size_R = below_RD[:, -1:]
    share_RD = np.divide(below_RD, size_R, out=np.zeros(below_RD.shape), where=size_R > 0)
    bin_RD = np.zeros(below_RD.shape, dtype=np.int64)
    for quantile in np.arange(1, bins) / bins:
        bin_RD[:, 1:] += _closes(share_RD[:, :-1], quantile)
    # An edge that two quantiles share opens one bin, not two: number the bins that occur from 0 without gaps.
    bin_RD = np.concatenate([np.zeros((len(bin_RD), 1), np.int64), np.diff(bin_RD, axis=1) > 0], axis=1).cumsum(axis=1)
    rows = np.arange(len(first_RD))[:, None] * (bins + 1)
    flat = (rows + 1 + bin_RD).ravel()
    size = len(first_RD) * (bins + 1)
    second_RD = counts_D[None, :] - first_RD
    reference_RB = np.bincount(flat, weights=first_RD[:, 1:].ravel(), minlength=size).reshape(-1, bins + 1)
    recent_RB = np.bincount(flat, weights=second_RD[:, 1:].ravel(), minlength=size).reshape(-1, bins + 1)
    reference_RB[:, 0], recent_RB[:, 0] = first_RD[:, 0], second_RD[:, 0]
    return _index(reference_RB.astype(np.int64), recent_RB.astype(np.int64))


def _closes(share_RD: npt.NDArray[np.float64], quantile: float) -> npt.NDArray[np.bool_]:
    """Tell whether the value before each place already reached *quantile*, so that the bin ended there."""
    return share_RD >= quantile - 1e-12
