"""The order of events inside one instant: by the bytes of their ids, where two of a group have one time.

Legend: E events, group after group and by time in each; T of them that share their instant with another of their group.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from orita.features.kernel.grouping import Positions

__all__ = ["order_ties", "tied"]

Integers = npt.NDArray[np.int64]


def tied(time_E: Integers, start_K: Integers) -> tuple[Integers, Integers]:
    """Return the events whose group has another at the same time: their positions, and a number for each instant."""
    same_E = np.zeros(len(time_E) + 1, np.bool_)
    same_E[1:-1] = time_E[1:] == time_E[:-1]
    same_E[start_K] = False
    tied_T = np.flatnonzero(same_E[:-1] | same_E[1:])
    return tied_T, np.cumsum(~same_E[:-1][tied_T])


def order_ties(order_E: Positions, tied_T: Integers, instant_T: Integers, id_T: npt.NDArray[np.bytes_]) -> Positions:
    """Return *order_E* with the events of one group and instant sorted by id.

    Args:
        order_E: what is sorted.
        tied_T, instant_T: what `tied` returns.
        id_T: the ids of these events, of a multiple of 8 bytes.
    """
    words_TW = id_T.view(">u8").reshape(len(id_T), id_T.itemsize // 8)
    keys = [words_TW[:, w].astype(np.uint64) for w in reversed(range(words_TW.shape[1]))]
    by_id_T = np.lexsort([*(key for key in keys if key.any()), instant_T])
    sorted_E = order_E.copy()
    sorted_E[tied_T] = order_E[tied_T[by_id_T]]
    return sorted_E
