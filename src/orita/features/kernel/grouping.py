"""Which events belong together: keys as small numbers, and rows brought together by key in the order of time.

Legend: N rows, M of them in some order, K groups, E events and Q rows that ask about them. A code is a number in
[0, groups); −1 stands for a missing key, which belongs to no group. Positions and codes take 32 bits: 2³¹ − 1 rows
at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.features.kernel.compiled import compiled

__all__ = ["Codes", "Groups", "Positions", "codes_of_integers", "group", "group_sides", "refined", "time_order"]

Integers = npt.NDArray[np.int64]
Positions = npt.NDArray[np.int32]

_SPARSE = 4
_SMALL = 1 << 16
_BITS = 63
_MANY = 1 << 15
_LOWER = 10
_HALF = 32
_LOW_HALF = (1 << _HALF) - 1
_SHORT = 40


@dataclass(frozen=True, slots=True)
class Codes:
    """One key column as small numbers: ``code_N`` in [−1, groups)."""

    code_N: Positions
    groups: int


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows brought together by key.

    Attributes:
        order_M: positions of the rows that have a key: group after group, in each in the order that was given.
        start_K: where each group begins in ``order_M``, and at last where the last one ends: K + 1 numbers.
    """

    order_M: Positions
    start_K: Integers


def codes_of_integers(values_N: Integers, known_N: npt.NDArray[np.bool_] | None = None) -> Codes:
    """Return codes of a column of integers, −1 where *known_N* is false."""
    present = values_N if known_N is None else values_N[known_N]
    if not len(present):
        return Codes(np.full(len(values_N), -1, np.int32), 0)
    low, high = int(present.min()), int(present.max())
    if high - low < _SPARSE * len(values_N) + _SMALL:
        code_N, groups = (values_N - low).astype(np.int32), high - low + 1
    else:
        distinct, inverse = np.unique(values_N, return_inverse=True)
        code_N, groups = inverse.astype(np.int32), len(distinct)
    return Codes(code_N if known_N is None else np.where(known_N, code_N, np.int32(-1)), groups)


def time_order(time_N: Integers) -> Positions:
    """Return the positions of the rows in the order of time; those of one instant stay as they are."""
    rows = len(time_N)
    if not rows or (time_N[1:] >= time_N[:-1]).all():
        return np.arange(rows, dtype=np.int32)
    low, bits = int(time_N.min()), rows.bit_length()
    if int(time_N.max()) - low >= 1 << (_BITS - bits):
        return np.argsort(time_N, kind="stable").astype(np.int32)
    # Time and position fit one number together, and numbers are sorted faster than positions.
    packed_N = ((time_N - low) << bits) | np.arange(rows)
    packed_N.sort()
    return (packed_N & ((1 << bits) - 1)).astype(np.int32)


def group(parts: Sequence[Codes], within_M: Positions) -> Groups:
    """Bring rows together by a key of several parts; without parts every row has the same key.

    Args:
        parts: the columns of the key. A row that lacks one of them has no key.
        within_M: positions of the rows, in the order that they keep in each group.
    """
    dense = sorted(_dense(parts), key=lambda part: -part.groups)
    if not dense:
        return Groups(within_M, np.array([0, len(within_M)], np.int64))
    groups = _grouped(dense[0], within_M)
    for part in dense[1:]:
        groups = refined(groups, part)
    return groups


def refined(groups: Groups, part: Codes) -> Groups:
    """Return *groups* parted further by one more column of the key; rows that lack it are left out.

    Groups of the column with most keys are small, so that to sort each by itself stays in the processor's caches.
    """
    order_M, start_K = _refined(part.code_N, groups.order_M, groups.start_K)
    return Groups(order_M, start_K)


def _grouped(codes: Codes, within_M: Positions) -> Groups:
    if codes.groups < _MANY:
        return Groups(*_counting_sort(codes.code_N, codes.groups, within_M))
    return Groups(*_sorted_in_two(codes.code_N, codes.groups, within_M))


def group_sides(
    parts: Sequence[tuple[Codes, Codes]], within_E: Positions, within_Q: Positions
) -> tuple[Groups, Groups]:
    """Bring events, and rows that ask about them, together by the same key: group k of one is group k of the other.

    Args:
        parts: of each part of the key, the codes of the events and those of the rows, of one space.
        within_E, within_Q: positions of the events and the rows, in the order that they keep in each group.
    """
    if len(parts) < 2:
        return group([told for told, _ in parts], within_E), group([asked for _, asked in parts], within_Q)
    events = len(parts[0][0].code_N)
    both = [Codes(np.concatenate([told.code_N, asked.code_N]), told.groups) for told, asked in parts]
    whole = group(both, np.concatenate([within_E, within_Q + np.int32(events)]))
    told_M = whole.order_M < events
    before_M = np.concatenate([np.zeros(1, np.int64), np.cumsum(told_M)])
    start_K = before_M[whole.start_K]
    return (
        Groups(whole.order_M[told_M], start_K),
        Groups(whole.order_M[~told_M] - np.int32(events), whole.start_K - start_K),
    )


def _dense(parts: Sequence[Codes]) -> list[Codes]:
    """Return the parts with neighbours made one where their combinations are few."""
    made: list[Codes] = []
    for part in parts:
        if made and made[-1].groups * part.groups < _SPARSE * len(part.code_N) + _SMALL:
            first = made.pop()
            known_N = (first.code_N >= 0) & (part.code_N >= 0)
            code_N = np.where(known_N, first.code_N * np.int32(part.groups) + part.code_N, np.int32(-1))
            made.append(Codes(code_N, first.groups * part.groups))
        else:
            made.append(part)
    return made


@compiled
def _counting_sort(code_N: Positions, groups: int, within_M: Positions) -> tuple[Positions, Integers]:
    start_K = np.zeros(groups + 1, np.int64)
    for row in within_M:
        if code_N[row] >= 0:
            start_K[code_N[row] + 1] += 1
    for k in range(groups):
        start_K[k + 1] += start_K[k]
    at_K = start_K[:-1].copy()
    order_M = np.empty(start_K[groups], np.int32)
    for row in within_M:
        code = code_N[row]
        if code >= 0:
            order_M[at_K[code]] = row
            at_K[code] += 1
    return order_M, start_K


@compiled
def _sorted_in_two(code_N: Positions, groups: int, within_M: Positions) -> tuple[Positions, Integers]:
    """Sort by the upper bits of the code, then each part by the whole: few places are written to at a time."""
    parts = (groups >> _LOWER) + 1
    begin_P = np.zeros(parts + 1, np.int64)
    for row in within_M:
        if code_N[row] >= 0:
            begin_P[(code_N[row] >> _LOWER) + 1] += 1
    for p in range(parts):
        begin_P[p + 1] += begin_P[p]
    at_P = begin_P[:-1].copy()
    pair_M = np.empty(begin_P[parts], np.int64)
    for row in within_M:
        code = np.int64(code_N[row])
        if code >= 0:
            pair_M[at_P[code >> _LOWER]] = code << _HALF | row
            at_P[code >> _LOWER] += 1
    order_M = np.empty(len(pair_M), np.int32)
    start_K = np.empty(groups + 1, np.int64)
    at_K = np.empty(1 << _LOWER, np.int64)
    for p in range(parts):
        first = p << _LOWER
        at_K[:] = 0
        for m in range(begin_P[p], begin_P[p + 1]):
            at_K[(pair_M[m] >> _HALF) - first] += 1
        at = begin_P[p]
        for k in range(min(1 << _LOWER, groups - first)):
            start_K[first + k] = at
            at_K[k], at = at, at + at_K[k]
        for m in range(begin_P[p], begin_P[p + 1]):
            k = (pair_M[m] >> _HALF) - first
            order_M[at_K[k]] = pair_M[m] & _LOW_HALF
            at_K[k] += 1
    start_K[groups] = len(order_M)
    return order_M, start_K


@compiled
def _refined(code_N: Positions, order_M: Positions, start_K: Integers) -> tuple[Positions, Integers]:
    out_M = np.empty(len(order_M), np.int32)
    start_G = np.empty(len(order_M) + 1, np.int64)
    done, groups = 0, 0
    for k in range(len(start_K) - 1):
        begun = done
        code_S = np.empty(start_K[k + 1] - start_K[k], np.int32)
        for m in range(start_K[k], start_K[k + 1]):
            row = order_M[m]
            if code_N[row] >= 0:
                out_M[done] = row
                code_S[done - begun] = code_N[row]
                done += 1
        size = done - begun
        if size > _SHORT:
            by_S = np.argsort(code_S[:size], kind="mergesort")
            out_M[begun:done] = out_M[begun:done][by_S]
            code_S = code_S[:size][by_S]
        else:
            for s in range(1, size):
                row, code, at = out_M[begun + s], code_S[s], s
                while at > 0 and code_S[at - 1] > code:
                    out_M[begun + at], code_S[at] = out_M[begun + at - 1], code_S[at - 1]
                    at -= 1
                out_M[begun + at], code_S[at] = row, code
        for s in range(size):
            if s == 0 or code_S[s] != code_S[s - 1]:
                start_G[groups] = begun + s
                groups += 1
    start_G[groups] = done
    return out_M[:done].copy(), start_G[: groups + 1].copy()
