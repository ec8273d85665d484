"""How large is a statistic when nothing changed? The current rows drawn anew from both samples together.

Given the pooled counts and no change, every choice of which rows are the current ones is equally likely: counts are
multivariate hypergeometric, whatever the distribution, the sizes and the ties.

Legend: C cells, R relabellings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from orita.stats.drift.repeats import Repeats

__all__ = ["NullResult", "Statistic", "relabelled_clusters_p", "relabelled_p", "relabelled_rows_p"]

Draw = Callable[[np.random.Generator, int], npt.NDArray[np.float64]]
Statistic = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
"""Maps current counts ``[R, C]`` to one number a row, larger where the change is larger."""

_BLOCKS = (128, 384, 1024, 2048)
_EXCEEDANCES = 12
_BLOCK_CELLS = 2_000_000
# Of this many largest null values the tail is fitted; above it a p-value is counted, not fitted.
_TAIL = 200
_HOPELESS = 1e-9
_SHUFFLED = 8


@dataclass(frozen=True, slots=True)
class NullResult:
    """What relabelling said.

    Attributes:
        p_value: chance of a statistic at least as large when nothing changed; never 0.
        draws: relabellings made.
        fitted: the p-value lies beyond what the draws reached and was extrapolated from their tail.
    """

    p_value: float
    draws: int
    fitted: bool


def relabelled_p(
    observed: float,
    statistic: Statistic,
    total_C: npt.NDArray[np.int64],
    current: int,
    *,
    draws: int = 20_000,
    seed: int = 0,
    tail: bool = True,
) -> NullResult:
    """Return the p-value of *observed* under random relabelling of the pooled rows.

    Args:
        observed: the statistic of the samples as they are.
        statistic: of current counts over the cells of *total_C*.
        total_C: pooled counts.
        current: how many of the pooled rows are current.
        draws: at most this many relabellings; unremarkable samples stop after a few.
        seed: fixes the relabellings.
        tail: extrapolate beyond the draws; the statistic is then on the scale of −log p.

    Source: Besag and Clifford (1991), Sequential Monte Carlo p-values; beyond the draws an exponential tail of the
    statistic, as in Knijnenburg et al. (2009), Fewer permutations, more accurate P-values. No p-value goes below one in
    all relabellings there are.
    """
    rows = int(total_C.sum())
    if not 0 < current < rows:
        return NullResult(1.0, 0, False)
    # Shuffling rows costs the smaller sample, drawing cell by cell the cells, each of these several times as much.
    method: Literal["count", "marginals"] = "count"
    if min(current, rows - current) > _SHUFFLED * len(total_C):
        method = "marginals"

    def draw(rng: np.random.Generator, size: int) -> npt.NDArray[np.float64]:
        counts_RC = rng.multivariate_hypergeometric(total_C, current, size=size, method=method)
        return counts_RC.astype(np.float64)

    least = _least_p(rows, current) if tail else None
    return _sequential_p(observed, statistic, draw, len(total_C), draws, seed, least)


def relabelled_clusters_p(
    observed: float, statistic: Statistic, repeats: Repeats, *, draws: int = 20_000, seed: int = 0
) -> NullResult:
    """Return the p-value where rows repeat users or items, which change sides as a whole (see `relabelled_p`)."""
    width = max(len(repeats.cluster_P) // 2, len(repeats.total_C))
    return _sequential_p(observed, statistic, repeats.draw, width, draws, seed, repeats.least_p)


def relabelled_rows_p(
    observed: float, statistic: Statistic, rows: int, current: int, *, draws: int = 20_000, seed: int = 0
) -> NullResult:
    """Return the p-value under random relabelling where rows were not counted: the statistic sees who is current.

    Args:
        observed: the statistic of the samples as they are.
        statistic: of ``[R, rows]``, 1 where a row is current and 0 elsewhere.
        rows: of both samples together.
        current: how many of them are current.
        draws: at most this many relabellings.
        seed: fixes the relabellings.
    """
    if not 0 < current < rows:
        return NullResult(1.0, 0, False)
    labels_N = (np.arange(rows) < current).astype(np.float64)

    def draw(rng: np.random.Generator, size: int) -> npt.NDArray[np.float64]:
        return rng.permuted(np.broadcast_to(labels_N, (size, rows)), axis=1)

    return _sequential_p(observed, statistic, draw, rows, draws, seed, _least_p(rows, current))


def _sequential_p(
    observed: float, statistic: Statistic, draw: Draw, width: int, draws: int, seed: int, least: float | None
) -> NullResult:
    """Draw blocks of *width* numbers a relabelling until enough is known; *least* ends the fitted tail, None: none."""
    rng, most = np.random.default_rng(seed), max(1, _BLOCK_CELLS // max(width, 1))
    threshold = observed - 1e-9 * max(1.0, abs(observed))
    values: list[npt.NDArray[np.float64]] = []
    drawn = exceeded = 0
    while drawn < draws and exceeded < _EXCEEDANCES:
        size = min(_BLOCKS[min(len(values), len(_BLOCKS) - 1)], most, draws - drawn)
        values.append(statistic(draw(rng, size)))
        exceeded += int((values[-1] >= threshold).sum())
        drawn += size
        enough = least is not None and exceeded == 0 and drawn > 5 * _TAIL
        if enough and _tail_p(observed, np.concatenate(values)) < _HOPELESS:
            break
    counted = (exceeded + 1) / (drawn + 1)
    if least is None or exceeded or drawn <= 5 * _TAIL:
        return NullResult(counted, drawn, False)
    return NullResult(max(min(counted, _tail_p(observed, np.concatenate(values))), least, 1e-300), drawn, True)


def _least_p(rows: int, current: int) -> float:
    """Return one in all choices of *current* of *rows*."""
    return float(np.exp(gammaln(current + 1) + gammaln(rows - current + 1) - gammaln(rows + 1)))


def _tail_p(observed: float, values_R: npt.NDArray[np.float64]) -> float:
    top = np.partition(values_R, len(values_R) - _TAIL - 1)[-_TAIL - 1 :]
    threshold = float(top.min())
    scale = float((top - threshold).sum()) / _TAIL
    if scale <= 0:
        return 1.0
    return float(_TAIL / len(values_R) * np.exp(-max(observed - threshold, 0.0) / scale))
