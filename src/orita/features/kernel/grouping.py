"""Which events belong together: keys as small numbers, and rows brought together by key in the order of time.

Legend: N rows, K groups. A code is a number in [0, K); −1 stands for a missing key, which belongs to no group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.features.kernel.compiled import compiled

__all__ = ["Codes", "Groups", "codes_of_integers", "combine", "group"]

Integers = npt.NDArray[np.int64]

_SPARSE = 4
_SMALL = 1 << 16


@dataclass(frozen=True, slots=True)
class Codes:
    """One key column as small numbers: ``code_N`` in [−1, groups)."""

    code_N: Integers
    groups: int


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows brought together by key.

    Attributes:
        order_N: positions of the rows that have a key: group after group, in each as they were given.
        start_K: where each group begins in ``order_N``, and at last where the last one ends: K + 1 numbers.
    """

    order_N: Integers
    start_K: Integers


def codes_of_integers(values_N: Integers, known_N: npt.NDArray[np.bool_] | None = None) -> Codes:
    """Return codes of a column of integers, −1 where *known_N* is false."""
    present = values_N if known_N is None else values_N[known_N]
    if not len(present):
        return Codes(np.full(len(values_N), -1, np.int64), 0)
    low, high = int(present.min()), int(present.max())
    if high - low < _SPARSE * len(values_N) + _SMALL:
        code_N, groups = values_N - low, high - low + 1
    else:
        distinct, code_N = np.unique(values_N, return_inverse=True)
        groups = len(distinct)
    return Codes(code_N if known_N is None else np.where(known_N, code_N, -1), groups)


def combine(parts: Sequence[Codes], rows: int) -> Codes:
    """Return codes of a composite key; without parts every row has the same key.

    A row that lacks one part of its key has none.
    """
    if not parts:
        return Codes(np.zeros(rows, np.int64), 1)
    combined = parts[0]
    for part in parts[1:]:
        combined = _pair(combined, part)
    return combined


def group(codes: Codes, within_N: Integers | None = None) -> Groups:
    """Bring rows together by code, in each group in the order of *within_N*, by default the order they have."""
    order_N, start_K = _counting_sort(codes.code_N, codes.groups, _every(codes) if within_N is None else within_N)
    return Groups(order_N, start_K)


def _every(codes: Codes) -> Integers:
    return np.arange(len(codes.code_N))


def _pair(first: Codes, second: Codes) -> Codes:
    known_N = (first.code_N >= 0) & (second.code_N >= 0)
    if first.groups * second.groups < _SPARSE * len(known_N) + _SMALL:
        code_N = np.where(known_N, first.code_N * second.groups + second.code_N, -1)
        return Codes(code_N, first.groups * second.groups)
    # Sorted by the second part and then, stably, by the first, equal pairs stand side by side.
    order_M = group(first, group(second).order_N).order_N
    order_M = order_M[known_N[order_M]]
    a_M, b_M = first.code_N[order_M], second.code_N[order_M]
    changes_M = np.ones(len(order_M), np.int64)
    changes_M[1:] = (a_M[1:] != a_M[:-1]) | (b_M[1:] != b_M[:-1])
    number_M = np.cumsum(changes_M) - 1
    code_N = np.full(len(known_N), -1, np.int64)
    code_N[order_M] = number_M
    return Codes(code_N, int(number_M[-1]) + 1 if len(number_M) else 0)


@compiled
def _counting_sort(code_N: Integers, groups: int, within_M: Integers) -> tuple[Integers, Integers]:
    start_K = np.zeros(groups + 1, np.int64)
    for row in within_M:
        if code_N[row] >= 0:
            start_K[code_N[row] + 1] += 1
    for k in range(groups):
        start_K[k + 1] += start_K[k]
    at_K = start_K[:-1].copy()
    order_M = np.empty(start_K[groups], np.int64)
    for row in within_M:
        code = code_N[row]
        if code >= 0:
            order_M[at_K[code]] = row
            at_K[code] += 1
    return order_M, start_K
