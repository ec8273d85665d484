"""How partial states become one: every aggregate's slots can be merged, in any order and any grouping.

Merging never subtracts, so that minima, sketches and variances are as right as sums: means and squared deviations by
Chan, Golub and LeVeque (1983). A row of slots is a partial state: of one event, of a tile, or of all before.

Legend: R partial states in segments of one cell each, C cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from orita.features.declarations import Aggregate
from orita.features.slots import slots_of
from orita.features.state.ordering import lengths

__all__ = ["Parts", "latest", "merged"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Parts = Sequence[Floats]
"""The slots of an aggregate, each [R]."""

_WORD = float(1 << 32)


def merged(aggregate: Aggregate, parts: Parts, start_C: Integers) -> list[Floats]:
    """Return the slots of each cell, [C] each.

    Args:
        aggregate: which.
        parts: slots as `slots_of` names them, [R] each.
        start_C: where the partial states of each cell begin; none is empty.
    """
    if len(start_C) == len(parts[0]):
        return list(parts)
    names = slots_of(aggregate)
    seen = [latest(parts[-1], start_C)] if names[-1] == "seen" else []
    match aggregate.function:
        case "min" | "max":
            fold = np.fmin if aggregate.function == "min" else np.fmax
            made = [fold.reduceat(parts[0], start_C)]
        case "first_time":
            made = [np.fmin.reduceat(parts[0], start_C)]
        case "last_time":
            made = [latest(parts[0], start_C)]
        case "var" | "std":
            made = _moments(parts, start_C)
        case "first" | "last":
            made = _edge(parts, start_C, last=aggregate.function == "last")
        case "decayed_sum" | "decayed_mean":
            made = _decayed(parts[: len(names) - len(seen)], start_C, aggregate.parameter)
        case _:
            made = [np.add.reduceat(part, start_C) for part in parts[: len(names) - len(seen)]]
            if names[0] == "high":
                made = _carried(*made)
    return [*made, *seen]


def latest(time_R: Floats, start_C: Integers) -> Floats:
    """Return the latest time of each cell, NaN where there is none."""
    return np.asarray(np.fmax.reduceat(time_R, start_C))


def _carried(high_C: Floats, low_C: Floats) -> list[Floats]:
    carry_C = np.floor(low_C / _WORD)
    return [high_C + carry_C, low_C - carry_C * _WORD]


def _spread(value_C: Floats, start_C: Integers, size: int) -> Floats:
    """Return each cell's value for each of its partial states."""
    return np.repeat(value_C, lengths(start_C, size))


def _moments(parts: Parts, start_C: Integers) -> list[Floats]:
    n_R, mean_R, squares_R = parts[:3]
    n_C = np.add.reduceat(n_R, start_C)
    mean_R = np.where(n_R > 0, mean_R, 0.0)
    heaviest_C = np.fmax.reduceat(np.where(n_R > 0, n_R, -1.0), start_C)
    # Differences from a mean of the cell itself are small, so that their sum is exact to the last digits.
    pick_R = n_R == _spread(heaviest_C, start_C, len(n_R))
    base_C = np.fmax.reduceat(np.where(pick_R, mean_R, np.nan), start_C)
    base_C = np.where(n_C > 0, base_C, 0.0)
    away_R = mean_R - _spread(base_C, start_C, len(n_R))
    divisor_C = np.maximum(n_C, 1)
    step_C = np.add.reduceat(n_R * away_R, start_C) / divisor_C
    left_R = away_R - _spread(step_C, start_C, len(n_R))
    squares_C = np.add.reduceat(squares_R + n_R * left_R * left_R, start_C)
    return [n_C, np.where(n_C > 0, base_C + step_C, np.nan), squares_C]


def _edge(parts: Parts, start_C: Integers, *, last: bool) -> list[Floats]:
    """Return the first or the last value by time and id."""
    time_R = parts[1]
    time_C = (np.fmax if last else np.fmin).reduceat(time_R, start_C)
    size = len(time_R)
    cell_R = np.repeat(np.arange(len(start_C)), lengths(start_C, size))
    candidate_T = np.flatnonzero(time_R == time_C[cell_R])
    cell_T = cell_R[candidate_T]
    if (cell_T[1:] == cell_T[:-1]).any():
        words = [word_R[candidate_T].view(">u8") for word_R in parts[2:7]]
        order_T = np.lexsort((*reversed(words), cell_T))
        candidate_T, cell_T = candidate_T[order_T], cell_T[order_T]
    out = [np.full(len(start_C), np.nan) for _ in range(7)]
    if not last:  # of equal cells the last assignment stays
        candidate_T, cell_T = candidate_T[::-1], cell_T[::-1]
    for slot, part in zip(out, parts, strict=False):
        slot[cell_T] = part[candidate_T]
    return out


def _decayed(parts: Parts, start_C: Integers, half_life: float) -> list[Floats]:
    *sums, time_R = parts
    time_C = latest(time_R, start_C)
    age_R = _spread(time_C, start_C, len(time_R)) - time_R
    weight_R = np.where(np.isnan(age_R), 0.0, np.power(0.5, age_R / half_life))
    return [*(np.add.reduceat(part * weight_R, start_C) for part in sums), time_C]
