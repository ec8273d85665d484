"""How far did a distribution move? The classic distances of binned counts, each with a p-value that holds.

Legend: R relabellings (or one observation), C cells. A missing value is a cell of its own where counts say so: put it
first. Cells of reference quantiles need open ends, and an unseen category its cell, so that no row is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.stats.drift.null import relabelled_p

__all__ = ["DISTANCES", "Distance", "DistanceTest", "distance", "distance_test"]

Floats = npt.NDArray[np.float64]
Distance = Literal["ks", "psi", "chi_square", "jensen_shannon", "wasserstein", "cramer_von_mises", "total_variation"]

_HALF = 0.5


@dataclass(frozen=True, slots=True)
class DistanceTest:
    """A distance of two samples and how often chance makes one as large.

    Attributes:
        statistic: the distance, ≥ 0; NaN if a sample is empty.
        p_value: from relabelling the pooled rows at these sizes; 1 if a sample is empty.
    """

    statistic: float
    p_value: float


def distance(
    name: Distance,
    reference_C: npt.NDArray[np.integer],
    current_C: npt.NDArray[np.integer],
    *,
    values_C: Floats | None = None,
) -> float:
    """Return the distance called *name* of two counts over the same cells, NaN if one is empty.

    ``ks``, ``cramer_von_mises`` and ``wasserstein`` take cells in the order of values; ``wasserstein`` is in the unit
    of *values_C* (one a cell, ascending), or in shares of the pooled rows without them. ``psi`` adds half a row to
    every cell where one sample leaves a cell empty. ``jensen_shannon`` is the root of the divergence to base 2, 0 … 1.

    Raises:
        UserError: there is no distance of that name.
    """
    n, m = float(np.sum(reference_C)), float(np.sum(current_C))
    if not n or not m:
        return float("nan")
    total_C = np.asarray(reference_C + current_C, dtype=np.float64)
    return float(_measure(name, total_C, values_C)(np.asarray(current_C, dtype=np.float64)[None, :])[0])


def distance_test(
    name: Distance,
    reference_C: npt.NDArray[np.integer],
    current_C: npt.NDArray[np.integer],
    *,
    values_C: Floats | None = None,
    draws: int = 20_000,
    seed: int = 0,
) -> DistanceTest:
    """Test the distance called *name* (see `distance`) against its null of relabelled rows; at most *draws* of them."""
    statistic = distance(name, reference_C, current_C, values_C=values_C)
    if np.isnan(statistic):
        return DistanceTest(statistic, 1.0)
    total_C = np.asarray(reference_C + current_C, dtype=np.int64)
    measure = _measure(name, total_C.astype(np.float64), values_C)
    result = relabelled_p(statistic, measure, total_C, int(np.sum(current_C)), draws=draws, seed=seed, tail=False)
    return DistanceTest(statistic, result.p_value)


def _measure(name: Distance, total_C: Floats, values_C: Floats | None) -> Callable[[Floats], Floats]:
    if name not in DISTANCES:
        raise UserError(f"there is no distance {name!r}: choose one of {', '.join(DISTANCES)}.")
    rows = total_C.sum()
    if name == "wasserstein" and values_C is not None:
        step_C = np.diff(np.asarray(values_C, dtype=np.float64), append=float(values_C[-1]))
    else:
        step_C = total_C / rows

    def measured(x_RC: Floats) -> Floats:
        return DISTANCES[name](total_C - x_RC, x_RC, step_C)

    return measured


def _shares(n_RC: Floats, x_RC: Floats) -> tuple[Floats, Floats]:
    return n_RC / n_RC.sum(axis=1, keepdims=True), x_RC / x_RC.sum(axis=1, keepdims=True)


def _gap(n_RC: Floats, x_RC: Floats) -> Floats:
    p_RC, q_RC = _shares(n_RC, x_RC)
    return np.cumsum(q_RC - p_RC, axis=1)


def _ks(n_RC: Floats, x_RC: Floats, step_C: Floats) -> Floats:
    return np.asarray(np.abs(_gap(n_RC, x_RC)).max(axis=1))


def _wasserstein(n_RC: Floats, x_RC: Floats, step_C: Floats) -> Floats:
    return np.asarray((np.abs(_gap(n_RC, x_RC)) * step_C).sum(axis=1))


def _cramer_von_mises(n_RC: Floats, x_RC: Floats, step_C: Floats) -> Floats:
    n, m = n_RC.sum(axis=1), x_RC.sum(axis=1)
    share_RC = (n_RC + x_RC) / (n + m)[:, None]
    return np.asarray((_gap(n_RC, x_RC) ** 2 * share_RC).sum(axis=1) * n * m / (n + m))


def _psi(n_RC: Floats, x_RC: Floats, step_C: Floats) -> Floats:
    held_RC = (n_RC + x_RC) > 0
    hollow_R1 = (((n_RC == 0) ^ (x_RC == 0)) & held_RC).any(axis=1, keepdims=True)
    added_RC = np.where(hollow_R1 & held_RC, _HALF, 0.0)
    p_RC, q_RC = _shares(n_RC + added_RC, x_RC + added_RC)
    ratio_RC = np.divide(q_RC, p_RC, out=np.ones_like(p_RC), where=held_RC)
    return np.asarray(((q_RC - p_RC) * np.log(ratio_RC)).sum(axis=1))


def _chi_square(n_RC: Floats, x_RC: Floats, step_C: Floats) -> Floats:
    p_RC, q_RC = _shares(n_RC, x_RC)
    n, m = n_RC.sum(axis=1), x_RC.sum(axis=1)
    pooled_RC = (n_RC + x_RC) / (n + m)[:, None]
    squares = np.divide((p_RC - q_RC) ** 2, pooled_RC, out=np.zeros_like(p_RC), where=pooled_RC > 0)
    return np.asarray(squares.sum(axis=1) * n * m / (n + m))


def _jensen_shannon(n_RC: Floats, x_RC: Floats, step_C: Floats) -> Floats:
    p_RC, q_RC = _shares(n_RC, x_RC)
    middle_RC = (p_RC + q_RC) / 2
    divergence = np.zeros(len(x_RC))
    for share_RC in (p_RC, q_RC):
        ratio = np.divide(share_RC, middle_RC, out=np.ones_like(share_RC), where=share_RC > 0)
        divergence += (share_RC * np.log2(ratio)).sum(axis=1) / 2
    return np.sqrt(np.clip(divergence, 0.0, 1.0))


def _total_variation(n_RC: Floats, x_RC: Floats, step_C: Floats) -> Floats:
    p_RC, q_RC = _shares(n_RC, x_RC)
    return np.asarray(np.abs(p_RC - q_RC).sum(axis=1) / 2)


DISTANCES: dict[Distance, Callable[[Floats, Floats, Floats], Floats]] = {
    "ks": _ks,
    "psi": _psi,
    "chi_square": _chi_square,
    "jensen_shannon": _jensen_shannon,
    "wasserstein": _wasserstein,
    "cramer_von_mises": _cramer_von_mises,
    "total_variation": _total_variation,
}
"""Distances by name; each maps reference counts, current counts ``[R, C]`` and steps ``[C]`` to ``[R]``."""
