"""New values among those that a key has had: found by bisection, so that a batch costs what is new, not what is there.

Legend: R values that are there, in the order of cell and value; X new ones; F of them that are not there yet.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from orita.features.state.ordering import segments
from orita.features.state.pieces import Pieces

__all__ = ["inserted"]

Integers = npt.NDArray[np.int64]


def inserted(held: Pieces, new: Pieces) -> tuple[Pieces, Integers]:
    """Return the different values of both, in order, and the keys for which there is a new one.

    Args:
        held: settled values of a lane without times.
        new: values of the same lane, in any order.
    """
    cell_X, bits_X = new.cells, new.body[0].view(np.int64)
    order_X = np.lexsort((bits_X, cell_X))
    first_X = order_X[segments(cell_X[order_X], bits_X[order_X])]
    cell_X, bits_X = cell_X[first_X], bits_X[first_X]
    place_X = _places(held.cells, held.body[0].view(np.int64), cell_X, bits_X)
    there_X = place_X < len(held)
    there_X[there_X] = (held.cells[place_X[there_X]] == cell_X[there_X]) & (
        held.body[0].view(np.int64)[place_X[there_X]] == bits_X[there_X]
    )
    fresh_F, place_F = first_X[~there_X], place_X[~there_X]
    columns = tuple(
        np.insert(old, place_F, fresh[fresh_F]) for old, fresh in zip(held.columns, new.columns, strict=True)
    )
    key_F = new.key_R[fresh_F]
    return Pieces(held.lane, np.insert(held.key_R, place_F, key_F), columns), key_F


def _places(cell_R: Integers, bits_R: Integers, cell_X: Integers, bits_X: Integers) -> Integers:
    """Return where each pair of cell and value is, or would be."""
    low_X = np.searchsorted(cell_R, cell_X)
    high_X = np.searchsorted(cell_R, cell_X, side="right")
    while (low_X < high_X).any():
        middle_X = (low_X + high_X) // 2
        open_X = low_X < high_X
        less_X = open_X & (bits_R[np.minimum(middle_X, len(bits_R) - 1)] < bits_X)
        low_X = np.where(less_X, middle_X + 1, low_X)
        high_X = np.where(open_X & ~less_X, middle_X, high_X)
    return low_X
