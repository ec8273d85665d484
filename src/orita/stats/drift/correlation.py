"""Did columns begin to move together, or cease to? Change of rank correlation, whatever each column does alone.

Legend: N reference rows, M current rows, D columns, P pairs of columns, R relabellings. NaN means missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import erfc, ndtri

from orita.core.errors import UserError
from orita.stats.drift.null import relabelled_rows_p

__all__ = ["CorrelationTest", "correlation_test", "normal_scores"]

Floats = npt.NDArray[np.float64]

_GRID = 1024
_GRID_ROWS = 20_000
# Above this many rows the normal limit of a mean holds far into the tail; below it rows are relabelled.
_RELABELLED_ROWS = 6_000


@dataclass(frozen=True, slots=True)
class CorrelationTest:
    """The outcome of a test of all pairs.

    Attributes:
        p_value: chance of a change this large in any pair when nothing changed; 1 with fewer than 2 usable columns.
        pair: the two columns whose correlation changed most surely; None without a usable pair.
        before, now: their rank correlations, −1 … 1.
    """

    p_value: float
    pair: tuple[int, int] | None = None
    before: float = 0.0
    now: float = 0.0

    @property
    def effect(self) -> float:
        """Half the change of the correlation, 0 … 1."""
        return abs(self.now - self.before) / 2


def correlation_test(
    reference_ND: npt.NDArray[np.floating], current_MD: npt.NDArray[np.floating], *, seed: int = 0
) -> CorrelationTest:
    """Test whether the correlation of any pair of columns changed.

    Each sample is turned to normal scores of its own ranks, so a shift or a change of spread of a single column does
    not show here; a missing value has the score 0. Rows count as independent.

    Args:
        reference_ND: values, NaN where missing.
        current_MD: values of the same columns.
        seed: fixes relabellings of small samples.

    Raises:
        UserError: the samples have different columns.

    Source: the delta method for a correlation; the smallest of P p-values is calibrated by relabelling rows (up to
    6,000), above it by Šidák's inequality.
    """
    if reference_ND.shape[1] != current_MD.shape[1]:
        raise UserError(
            f"the reference has {reference_ND.shape[1]} columns and the current sample {current_MD.shape[1]}: "
            "give the same columns in the same order."
        )
    n, m = len(reference_ND), len(current_MD)
    if min(n, m) < 4 or reference_ND.shape[1] < 2:
        return CorrelationTest(1.0)
    first_ND, second_MD = normal_scores(reference_ND), normal_scores(current_MD)
    usable_D = (first_ND.std(axis=0) > 0) & (second_MD.std(axis=0) > 0)
    columns = np.flatnonzero(usable_D)
    if len(columns) < 2:
        return CorrelationTest(1.0)
    first_ND, second_MD = (x[:, columns] / np.sqrt((x[:, columns] ** 2).mean(axis=0)) for x in (first_ND, second_MD))
    above = np.triu_indices(len(columns), 1)
    before_P, now_P = ((x.T @ x / len(x))[above] for x in (first_ND, second_MD))
    pooled = np.concatenate([first_ND, second_MD])
    if n + m <= _RELABELLED_ROWS:
        z_P, p_value = _relabelled(pooled, n, above, seed)
    else:
        z_P = (now_P - before_P) / _spread(pooled, above) / np.sqrt(1 / n + 1 / m)
        single = float(erfc(np.abs(z_P).max() / np.sqrt(2)))
        p_value = float(-np.expm1(len(z_P) * np.log1p(-min(single, 1 - 1e-15))))
    best = int(np.argmax(np.abs(z_P)))
    pair = int(columns[above[0][best]]), int(columns[above[1][best]])
    return CorrelationTest(max(p_value, 1e-300), pair, float(before_P[best]), float(now_P[best]))


def normal_scores(values_ND: npt.NDArray[np.floating]) -> Floats:
    """Return the normal scores of the ranks of each column, centred; ties share one, NaN has 0."""
    scores_ND = np.zeros(values_ND.shape)
    for d, column in enumerate(values_ND.T):
        present = ~np.isnan(column)
        values = column[present].astype(np.float64)
        if len(values) == 0:
            continue
        scores = ndtri(_mid_ranks(values) / (len(values) + 1))
        scores_ND[present, d] = scores - scores.mean()
    return scores_ND


def _mid_ranks(values: Floats) -> Floats:
    if len(values) <= _GRID_ROWS:
        ordered = np.sort(values)
        return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1) / 2
    # Ranks to a thousandth: a full sort of every column would take most of the time of a large report.
    edges = np.unique(np.quantile(values, np.arange(1, _GRID) / _GRID, method="inverted_cdf"))
    cell = np.searchsorted(edges, values, side="left")
    counts = np.bincount(cell, minlength=len(edges) + 1)
    return (np.cumsum(counts) - counts / 2 + 0.5)[cell]


def _spread(a_ND: Floats, above: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]) -> Floats:
    """Return the standard deviation of what each row adds to the correlation of each pair, from moments alone."""
    squares, count = a_ND**2, len(a_ND)
    r = a_ND.T @ a_ND / count
    both = squares.T @ squares / count
    odd = (squares * a_ND).T @ a_ND / count
    fourth = (squares**2).mean(axis=0)
    variance = both - r * (odd + odd.T) + r**2 / 4 * (fourth[:, None] + 2 * both + fourth[None, :])
    return np.asarray(np.sqrt(np.maximum(variance, 1e-12))[above])


def _relabelled(
    a_ND: Floats, n: int, above: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]], seed: int
) -> tuple[Floats, float]:
    r_P = (a_ND.T @ a_ND / len(a_ND))[above]
    first_NP, second_NP = a_ND[:, above[0]], a_ND[:, above[1]]
    added_NP = first_NP * second_NP - r_P / 2 * (first_NP**2 + second_NP**2)
    added_NP -= added_NP.mean(axis=0)
    m = len(a_ND) - n
    scale_P = added_NP.std(axis=0) * np.sqrt(m * n / len(a_ND))
    added_NP /= np.maximum(scale_P, 1e-12)

    def largest(current_RN: Floats) -> Floats:
        z_R = np.abs(current_RN @ added_NP).max(axis=1)
        return np.asarray(-np.log(np.maximum(erfc(z_R / np.sqrt(2)), 1e-300)))

    z_P = added_NP[n:].sum(axis=0)
    observed = float(-np.log(max(float(erfc(np.abs(z_P).max() / np.sqrt(2))), 1e-300)))
    return z_P, relabelled_rows_p(observed, largest, len(a_ND), m, seed=seed).p_value
