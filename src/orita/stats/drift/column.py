"""Did one column change, in whatever way? One p-value for mean, scale, shape, tails, mix and missing values together.

Each kind of change has its own quick p-value (`components`). The smallest of them, weighted, is the statistic; its null
distribution is relabelling (`null`), so the p-value holds at the actual sizes, with ties and with categories of one
row. All kinds depend on ranks or counts: one wild value moves nothing.

Legend: C cells, K kinds of change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.stats.contingency import total_variation
from orita.stats.drift.cells import Cells
from orita.stats.drift.components import Change, Kinds
from orita.stats.drift.null import NullResult, Statistic, relabelled_clusters_p, relabelled_p
from orita.stats.drift.repeats import Behaviour, Repeats

__all__ = ["ColumnTest", "column_test"]

Floats = npt.NDArray[np.float64]

_PILOT = 256
_WEIGHTS: dict[Change, float] = {"location": 3.0, "scale": 1.5, "missing": 1.5}


@dataclass(frozen=True, slots=True)
class ColumnTest:
    """The outcome of the test of one column.

    Attributes:
        p_value: chance of a change this remarkable, of any kind, when nothing changed; 1 if nothing can be compared.
        change: the kind that is most remarkable; None if nothing is.
        effect: share of rows that moved, 0 … 1: the largest distance of the distribution functions (ordered), the
            total variation (categories), or the difference of the missing rates where that is what changed.
        n, m: reference and current rows, missing values included.
        design_effect: ≥ 1, as given.
        draws: relabellings made.
        fitted: the p-value is beyond the relabellings, from their fitted tail.
    """

    p_value: float
    change: Change | None
    effect: float
    n: int
    m: int
    design_effect: float = 1.0
    draws: int = 0
    fitted: bool = False


def column_test(cells: Cells, *, repeats: Repeats | None = None, draws: int = 20_000, seed: int = 0) -> ColumnTest:
    """Test whether the current sample comes from the distribution of the reference sample.

    Args:
        cells: counts of both samples.
        repeats: rows by user or item, if these have several; then whole users or items are relabelled, and the design
            effect of *cells* only weighs kinds of change against each other.
        draws: at most this many relabellings.
        seed: fixes the relabellings.
    """
    observed, current_C = _effective(cells, whole=repeats is None)
    total_C = _whole(np.concatenate([[observed.missing], observed.total_C]))
    current = round(observed.current)
    if min(current, int(total_C.sum()) - current) < 1 or int((observed.total_C > 0).sum() + (observed.missing > 0)) < 2:
        return ColumnTest(1.0, None, 0.0, cells.n, cells.m, cells.design_effect)
    weights_K = np.array([_WEIGHTS.get(name, 1.0) for name in observed.names])
    p_K = np.minimum(observed.p_values(current_C[None, 1:], current_C[:1])[0] / weights_K, 1.0)
    best = int(np.argmin(p_K))
    remarkable = float(-np.log(max(p_K[best], 1e-300)))
    if repeats is None:
        whole = observed
        if cells.design_effect > 1:
            whole = Kinds.of(total_C[1:].astype(np.float64), float(total_C[0]), float(current), ordered=cells.ordered)
        result = relabelled_p(remarkable, _smallest(whole, weights_K), total_C, current, draws=draws, seed=seed)
    else:
        best, result = _of_clusters(observed, current_C, weights_K, repeats, cells.design_effect, draws, seed)
    change = observed.names[best] if p_K[best] < 1 else None
    if change and not (cells.reference_C.any() and cells.current_C.any()):
        change = "missing"  # whatever else it looks like: there are no values to compare
    return ColumnTest(
        result.p_value,
        change,
        _effect(cells, change),
        cells.n,
        cells.m,
        cells.design_effect,
        result.draws,
        result.fitted,
    )


def _smallest(kinds: Kinds, weights_K: Floats) -> Statistic:
    """Return the statistic: −log of the smallest weighted p-value."""

    def statistic(counts_RC: Floats) -> Floats:
        p_RK = kinds.p_values(counts_RC[:, 1:], counts_RC[:, 0]) / weights_K
        return np.asarray(-np.log(np.clip(p_RK.min(axis=1), 1e-300, 1.0)))

    return statistic


def _of_clusters(
    kinds: Kinds,
    current_C: Floats,
    weights_K: Floats,
    repeats: Repeats,
    design_effect: float,
    draws: int,
    seed: int,
) -> tuple[int, NullResult]:
    """Return the most remarkable kind, and what relabelling whole clusters says of it.

    Quick p-values know nothing of clusters: one user with a hundred equal rows is a remarkable cell in either sample.
    So each kind is measured by how it behaves in relabellings of a pilot.
    """
    pilot_RC = repeats.draw(np.random.default_rng((seed, 1)), _PILOT) / design_effect
    behaviour = Behaviour.of(_surprise(kinds, pilot_RC))
    weight_K = np.log(weights_K)

    def statistic(counts_RC: Floats) -> Floats:
        return np.asarray((behaviour.standard(_surprise(kinds, counts_RC / design_effect)) + weight_K).max(axis=1))

    standard_K = (behaviour.standard(_surprise(kinds, current_C[None])) + weight_K)[0]
    best = int(np.argmax(standard_K))
    return best, relabelled_clusters_p(float(standard_K[best]), statistic, repeats, draws=draws, seed=seed)


def _surprise(kinds: Kinds, counts_RC: Floats) -> Floats:
    return np.asarray(-np.log(np.clip(kinds.p_values(counts_RC[:, 1:], counts_RC[:, 0]), 1e-300, 1.0)))


def _effective(cells: Cells, *, whole: bool) -> tuple[Kinds, Floats]:
    """Return kinds and current counts, the missing first, of as many (*whole*) rows as samples are worth."""
    reference_C = np.concatenate([[cells.reference_missing], cells.reference_C]).astype(np.float64)
    current_C = np.concatenate([[cells.current_missing], cells.current_C]).astype(np.float64)
    if cells.design_effect > 1:
        reference_C, current_C = (_worth(counts_C, cells.design_effect, whole) for counts_C in (reference_C, current_C))
    total_C = reference_C + current_C
    kinds = Kinds.of(total_C[1:], float(total_C[0]), float(current_C.sum()), ordered=cells.ordered)
    return kinds, current_C


def _worth(counts_C: Floats, design_effect: float, whole: bool) -> Floats:
    rows = counts_C.sum() / design_effect
    return np.asarray(counts_C * ((max(1.0, np.round(rows)) if whole else rows) / max(counts_C.sum(), 1.0)))


def _whole(total_C: Floats) -> npt.NDArray[np.int64]:
    """Return whole counts of the same sum, each within 1 of its own: largest remainders up."""
    down_C = np.floor(total_C + 1e-9).astype(np.int64)
    short = round(float(total_C.sum())) - int(down_C.sum())
    down_C[np.argsort(down_C - total_C, kind="stable")[:short]] += 1
    return down_C


def _effect(cells: Cells, change: Change | None) -> float:
    n, m = max(cells.n, 1), max(cells.m, 1)
    if change == "missing":
        return abs(cells.reference_missing / n - cells.current_missing / m)
    if not cells.ordered:
        return float(np.nan_to_num(total_variation(cells.reference_C, cells.current_C)))
    first, second = (np.cumsum(c) / max(c.sum(), 1) for c in (cells.reference_C, cells.current_C))
    return float(np.abs(first - second).max(initial=0.0))
