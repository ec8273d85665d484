"""Bringing together what belongs together: stable orders of codes, and the segments of a sorted array.

Legend: N members, C segments.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["in_order", "lengths", "segments", "stable_order"]

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_DIGIT = 16


def stable_order(code_N: Integers, bound: int) -> Integers:
    """Return the order that sorts codes, 0 ≤ code < *bound*, equal ones as they were.

    Sorted by digits of 16 bits, for which NumPy has a radix sort: 1 M codes below 2³² take 40 ms, a third of argsort.
    """
    if len(code_N) < 2 or not (code_N[1:] < code_N[:-1]).any():
        return np.arange(len(code_N))
    order_N: Integers | None = None
    for shift in range(0, max(bound - 1, 1).bit_length(), _DIGIT):
        digit_N = (code_N >> shift).astype(np.uint16)
        if order_N is None:
            order_N = np.argsort(digit_N, kind="stable")
        else:
            order_N = order_N[np.argsort(digit_N[order_N], kind="stable")]
    assert order_N is not None
    return order_N


def segments(sorted_N: npt.NDArray[np.generic], *more: npt.NDArray[np.generic]) -> Integers:
    """Return where each run of equal members begins, [C]; with *more* arrays, of members equal in all."""
    if not len(sorted_N):
        return np.zeros(0, np.int64)
    new_N = np.ones(len(sorted_N), np.bool_)
    new_N[1:] = sorted_N[1:] != sorted_N[:-1]
    for other_N in more:
        new_N[1:] |= other_N[1:] != other_N[:-1]
    return np.flatnonzero(new_N)


def lengths(start_C: Integers, size: int) -> Integers:
    """Return the length of each segment of *size* members."""
    return np.diff(np.append(start_C, size))


def in_order(cell_N: Integers, time_N: Floats, words: Sequence[Floats] = ()) -> Integers:
    """Return the order by cell, time, and the bytes of an id where these are equal.

    Args:
        cell_N: numbers of cells, ≥ 0.
        time_N: times.
        words: the id's bytes in pieces of 8, [N] each; none: what is equal stays as it was.
    """
    order_N: Integers = np.lexsort((time_N, cell_N))
    if not words:
        return order_N
    cell_N, time_N = cell_N[order_N], time_N[order_N]
    start_C = segments(cell_N, time_N)
    run_N = np.repeat(np.arange(len(start_C)), lengths(start_C, len(cell_N)))
    tied_T = np.flatnonzero(np.bincount(run_N, minlength=len(start_C))[run_N] > 1) if len(run_N) else run_N
    if len(tied_T):
        big_T = [words_N[order_N[tied_T]].view(">u8") for words_N in words]
        order_N[tied_T] = order_N[tied_T][np.lexsort((*reversed(big_T), run_N[tied_T]))]
    return order_N
