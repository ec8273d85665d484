"""What a row makes of the events it sees: each fold takes values in order, and for each row a range of them.

Sums of floats, extremes and moments are folded together, never subtracted: `Halves` parts the events into blocks so
that a row's range is the end of one block and the beginning of the next, and what lies there is accumulated once (a
queue of two stacks, on arrays). Sums of integers are exact. An empty range gives 0 for counts and sums, else NaN.

Legend: E values in order, Q rows.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from orita.features.kernel.compiled import compiled
from orita.features.kernel.grouping import Positions
from orita.features.kernel.halves import Floats, Integers, halves_of
from orita.features.kernel.ranges import Ranges

__all__ = [
    "LOW",
    "WORD",
    "Moments",
    "carried",
    "count",
    "decayed",
    "distinct",
    "distinct_between",
    "edge",
    "joined",
    "maximum",
    "moments",
    "quantile",
    "quantile_between",
    "total",
    "words",
]

_LIMIT = 1 << 63
WORD = 32
LOW = (1 << WORD) - 1
_FINEST = 1_000_000_000


class Moments(NamedTuple):
    """Count, mean and sum of squared deviations of each row's values."""

    n_Q: Integers
    mean_Q: Floats
    squares_Q: Floats


def count(ranges: Ranges) -> Integers:
    """Return how many values each row sees."""
    return ranges.high_Q - ranges.low_Q


def total(value_E: npt.NDArray[np.generic], ranges: Ranges) -> Floats:
    """Return the sum of each row's values; of integers the exact sum, rounded once."""
    if value_E.dtype.kind in "iub":
        whole_E = value_E.astype(np.int64, copy=False)
        if _fits(whole_E):
            return _difference(whole_E, ranges).astype(np.float64)
        return joined(*words(whole_E, ranges))
    halves = halves_of(ranges, len(value_E))
    float_E = value_E.astype(np.float64)
    return halves.left(halves.back(_sums, float_E), 0.0) + halves.right(_sums(float_E, halves.begin_E), 0.0)


def maximum(value_E: Floats, ranges: Ranges) -> Floats:
    """Return the largest of each row's values; the smallest is ``-maximum(-value_E, ranges)``."""
    halves = halves_of(ranges, len(value_E))
    left_Q = halves.left(halves.back(_maxima, value_E), np.nan)
    return np.fmax(left_Q, halves.right(_maxima(value_E, halves.begin_E), np.nan))


def moments(value_E: Floats, ranges: Ranges) -> Moments:
    """Return the moments of each row's values (Welford 1962; Chan, Golub and LeVeque 1983)."""
    halves = halves_of(ranges, len(value_E))
    mean_l, squares_l = (halves.left(part_E, 0.0) for part_E in halves.back(_moments, value_E))
    mean_r, squares_r = (halves.right(part_E, 0.0) for part_E in _moments(value_E, halves.begin_E))
    n_l, n_r = halves.middle_Q - halves.low_Q, halves.high_Q - halves.middle_Q
    n_Q = n_l + n_r
    share_Q = n_r / np.maximum(n_Q, 1)
    gap_Q = np.where((n_l > 0) & (n_r > 0), mean_r - mean_l, 0.0)
    mean_Q = np.where(n_l > 0, mean_l + gap_Q * share_Q, mean_r)
    squares_Q = squares_l + squares_r + gap_Q * gap_Q * n_l * share_Q
    return Moments(n_Q, np.where(n_Q > 0, mean_Q, np.nan), np.where(n_Q > 0, squares_Q, np.nan))


def edge(value_E: npt.NDArray[np.generic], ranges: Ranges, *, last: bool) -> Floats:
    """Return the first or the last of each row's values."""
    out_Q = np.full(len(ranges.low_Q), np.nan)
    some_Q = ranges.high_Q > ranges.low_Q
    at = ranges.high_Q[some_Q] - 1 if last else ranges.low_Q[some_Q]
    out_Q[some_Q] = value_E[at].astype(np.float64)
    return out_Q


def distinct(code_E: Positions, kinds: int, ranges: Ranges) -> Integers:
    """Return how many different codes, each in [0, *kinds*), each row sees."""
    return distinct_between(code_E, code_E, kinds, ranges)


def distinct_between(in_E: Positions, out_E: Positions, kinds: int, ranges: Ranges) -> Integers:
    """Return how many different codes each row sees: of those that have come, *in_E*, less those gone, *out_E*."""
    return _distinct(in_E, out_E, kinds, ranges.low_Q, ranges.high_Q)


def decayed(value_E: Floats, time_E: Integers, half_life: float, ranges: Ranges) -> Floats:
    """Return Σ value · 0.5^((time of the latest − time of the event) ÷ *half_life*) of each row's values.

    Faded to the latest value, not to the time of the row, so that no weight is lost however old they all are.
    """
    halves = halves_of(ranges, len(value_E))
    half = float(half_life)
    left_Q = halves.left(_decayed_back(value_E, time_E, halves.begin_E, half), 0.0)
    right_Q = halves.right(_decayed(value_E, time_E, halves.begin_E, half), 0.0)
    if len(time_E):
        gap_Q = time_E[np.maximum(halves.high_Q - 1, 0)] - time_E[np.maximum(halves.middle_Q - 1, 0)]
        left_Q *= np.power(0.5, np.where(halves.middle_Q > halves.low_Q, gap_Q, 0) / half)
    return left_Q + right_Q


def quantile(value_E: Floats, share: float, ranges: Ranges) -> Floats:
    """Return the smallest value that at least the *share* (0 < share ≤ 1) of each row's values does not exceed.

    A share is the number that is written, so that 0.1 of 30 values are 3, not 4.
    """
    return quantile_between(value_E, value_E, share, ranges)


def quantile_between(in_E: Floats, out_E: Floats, share: float, ranges: Ranges) -> Floats:
    """Return the quantile of what each row sees: of the values that have come, *in_E*, less those gone, *out_E*."""
    exact = Fraction(str(share)).limit_denominator(_FINEST)
    distinct_V = np.unique(in_E)
    in_code_E, out_code_E = (np.searchsorted(distinct_V, value_E) for value_E in (in_E, out_E))
    part, whole = exact.numerator, exact.denominator
    rank_Q = _rank_at(in_code_E, out_code_E, len(distinct_V), part, whole, ranges.low_Q, ranges.high_Q)
    out_Q = np.full(len(rank_Q), np.nan)
    out_Q[rank_Q >= 0] = distinct_V[rank_Q[rank_Q >= 0]]
    return out_Q


def words(value_E: Integers, ranges: Ranges) -> tuple[Integers, Integers]:
    """Return the exact sum of each row's values as high · 2³² + low, with low in [0, 2³²)."""
    if _fits(value_E):
        sum_Q = _difference(value_E, ranges)
        return sum_Q >> WORD, sum_Q & LOW
    return carried(_difference(value_E >> WORD, ranges), _difference(value_E & LOW, ranges))


def carried(high_Q: Integers, low_Q: Integers) -> tuple[Integers, Integers]:
    """Return the same sums with low in [0, 2³²)."""
    return high_Q + (low_Q >> WORD), low_Q & LOW


def joined(high_Q: Integers, low_Q: Integers) -> Floats:
    """Return high · 2³² + low, rounded once."""
    return np.asarray(high_Q * float(1 << WORD) + low_Q)


def _fits(value_E: Integers) -> bool:
    """Return whether no sum of these can leave 64 bits."""
    largest = max(-int(value_E.min(initial=0)), int(value_E.max(initial=0)))
    return largest * len(value_E) < _LIMIT


def _difference(value_E: Integers, ranges: Ranges) -> Integers:
    running = np.zeros(len(value_E) + 1, np.int64)
    np.cumsum(value_E, out=running[1:])
    return np.asarray(running[ranges.high_Q] - running[ranges.low_Q])


@compiled
def _sums(value_E: Floats, begin_E: Integers) -> Floats:
    out_E = np.empty(len(value_E))
    running = 0.0
    for e in range(len(value_E)):
        running = value_E[e] if begin_E[e] == e else running + value_E[e]
        out_E[e] = running
    return out_E


@compiled
def _maxima(value_E: Floats, begin_E: Integers) -> Floats:
    out_E = np.empty(len(value_E))
    running = 0.0
    for e in range(len(value_E)):
        running = value_E[e] if begin_E[e] == e else max(running, value_E[e])
        out_E[e] = running
    return out_E


@compiled
def _moments(value_E: Floats, begin_E: Integers) -> Floats:
    """Return means and sums of squared deviations, [2, E]."""
    out_2E = np.empty((2, len(value_E)))
    mean, squares = 0.0, 0.0
    for e in range(len(value_E)):
        if begin_E[e] == e:
            mean, squares = 0.0, 0.0
        gap = value_E[e] - mean
        mean += gap / (e - begin_E[e] + 1)
        squares += gap * (value_E[e] - mean)
        out_2E[0, e], out_2E[1, e] = mean, squares
    return out_2E


@compiled
def _decayed(value_E: Floats, time_E: Integers, begin_E: Integers, half: float) -> Floats:
    """Sum from the beginning of each block, faded to the time of the event itself."""
    out_E = np.empty(len(value_E))
    running = 0.0
    for e in range(len(value_E)):
        kept = 0.0 if begin_E[e] == e else running * 0.5 ** ((time_E[e] - time_E[e - 1]) / half)
        running = kept + value_E[e]
        out_E[e] = running
    return out_E


@compiled
def _decayed_back(value_E: Floats, time_E: Integers, begin_E: Integers, half: float) -> Floats:
    """Sum to the end of each block, faded to the time of its last event."""
    out_E = np.empty(len(value_E))
    running, last = 0.0, np.int64(0)
    for e in range(len(value_E) - 1, -1, -1):
        if e == len(value_E) - 1 or begin_E[e + 1] == e + 1:
            running, last = 0.0, time_E[e]
        running += value_E[e] * 0.5 ** ((last - time_E[e]) / half)
        out_E[e] = running
    return out_E


@compiled
def _distinct(in_E: Positions, out_E: Positions, kinds: int, low_Q: Integers, high_Q: Integers) -> Integers:
    seen_V = np.zeros(kinds, np.int64)
    out_Q = np.empty(len(low_Q), np.int64)
    low, high, different = 0, 0, 0
    for q in range(len(low_Q)):
        while high < high_Q[q]:
            seen_V[in_E[high]] += 1
            different += seen_V[in_E[high]] == 1
            high += 1
        while low < low_Q[q]:
            seen_V[out_E[low]] -= 1
            different -= seen_V[out_E[low]] == 0
            low += 1
        out_Q[q] = different
    return out_Q


@compiled
def _rank_at(
    in_E: Integers, out_E: Integers, kinds: int, part: int, whole: int, low_Q: Integers, high_Q: Integers
) -> Integers:
    """Return the rank among all values of each row's quantile, −1 if it sees none: counts in a tree (Fenwick 1994)."""
    tree_V = np.zeros(kinds + 1, np.int64)
    top = 1
    while top * 2 <= kinds:
        top *= 2
    rank_Q = np.full(len(low_Q), -1, np.int64)
    low, high = 0, 0
    for q in range(len(low_Q)):
        while high < high_Q[q] or low < low_Q[q]:
            step, at = (1, in_E[high] + 1) if high < high_Q[q] else (-1, out_E[low] + 1)
            high, low = (high + 1, low) if step == 1 else (high, low + 1)
            while at <= kinds:
                tree_V[at] += step
                at += at & -at
        seen = high_Q[q] - low_Q[q]
        if seen > 0:
            missing, at, width = max((part * seen + whole - 1) // whole, 1), 0, top
            while width > 0:
                if at + width <= kinds and tree_V[at + width] < missing:
                    at += width
                    missing -= tree_V[at]
                width //= 2
            rank_Q[q] = at
    return rank_Q
