"""What a row makes of the events it sees: each fold takes values in order, and for each row a range of them.

Sums of floats, extremes and moments are folded together, never subtracted: `Halves` parts the events into blocks so
that a row's range is the end of one block and the beginning of the next, and what lies there is accumulated once (a
queue of two stacks, on arrays). Sums of integers are exact. An empty range gives 0 for counts and sums, else NaN.

Legend: E values in order, Q rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from orita.features.kernel.compiled import compiled
from orita.features.kernel.halves import Floats, Integers, halves_of
from orita.features.kernel.ranges import Ranges

__all__ = ["Moments", "count", "decayed", "distinct", "edge", "maximum", "moments", "quantile", "total"]

_EXACT = float(1 << 63)
_WORD = 32


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
        return _integer_total(value_E.astype(np.int64), ranges)
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


def distinct(code_E: Integers, kinds: int, ranges: Ranges) -> Integers:
    """Return how many different codes, each in [0, *kinds*), each row sees."""
    return _distinct(code_E, kinds, ranges.low_Q, ranges.high_Q)


def decayed(value_E: Floats, time_E: Integers, time_Q: Integers, half_life: int, ranges: Ranges) -> Floats:
    """Return Σ value · 0.5^((time of the row − time of the event) ÷ *half_life*) of each row's values."""
    halves = halves_of(ranges, len(value_E))
    half = float(half_life)
    left_Q = halves.left(_decayed_back(value_E, time_E, halves.begin_E, half), 0.0)
    right_Q = halves.right(_decayed(value_E, time_E, halves.begin_E, half), 0.0)
    left_Q *= _faded(time_E, halves.middle_Q, time_Q, half)
    right_Q *= _faded(time_E, halves.high_Q, time_Q, half)
    return left_Q + right_Q


def quantile(value_E: Floats, share: float, ranges: Ranges) -> Floats:
    """Return the smallest value that at least the *share* (0 < share ≤ 1) of each row's values does not exceed."""
    distinct_V, code_E = np.unique(value_E, return_inverse=True)
    rank_Q = _rank_at(code_E.astype(np.int64), len(distinct_V), share, ranges.low_Q, ranges.high_Q)
    out_Q = np.full(len(rank_Q), np.nan)
    out_Q[rank_Q >= 0] = distinct_V[rank_Q[rank_Q >= 0]]
    return out_Q


def _integer_total(value_E: Integers, ranges: Ranges) -> Floats:
    """Sum the upper and the lower halves of each number apart where the sum might not fit 64 bits."""
    if float(np.abs(value_E.astype(np.float64)).sum()) < _EXACT / 2:
        return _difference(value_E, ranges).astype(np.float64)
    low_Q = _difference(value_E & ((1 << _WORD) - 1), ranges)
    high_Q = _difference(value_E >> _WORD, ranges)
    pairs = zip(high_Q.tolist(), low_Q.tolist(), strict=True)
    return np.array([float((high << _WORD) + low) for high, low in pairs], np.float64)


def _difference(value_E: Integers, ranges: Ranges) -> Integers:
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(value_E)])
    return np.asarray(running[ranges.high_Q] - running[ranges.low_Q])


def _faded(time_E: Integers, after_Q: Integers, time_Q: Integers, half: float) -> Floats:
    """Return how much the event before each position has faded by the time of its row."""
    if not len(time_E):
        return np.zeros(len(time_Q))
    return np.asarray(np.power(0.5, (time_Q - time_E[np.maximum(after_Q - 1, 0)]) / half))


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
def _distinct(code_E: Integers, kinds: int, low_Q: Integers, high_Q: Integers) -> Integers:
    seen_V = np.zeros(kinds, np.int64)
    out_Q = np.empty(len(low_Q), np.int64)
    low, high, different = 0, 0, 0
    for q in range(len(low_Q)):
        while high < high_Q[q]:
            seen_V[code_E[high]] += 1
            different += seen_V[code_E[high]] == 1
            high += 1
        while low < low_Q[q]:
            seen_V[code_E[low]] -= 1
            different -= seen_V[code_E[low]] == 0
            low += 1
        out_Q[q] = different
    return out_Q


@compiled
def _rank_at(code_E: Integers, kinds: int, share: float, low_Q: Integers, high_Q: Integers) -> Integers:
    """Return the rank among all values of each row's quantile, −1 if it sees none: counts in a tree (Fenwick 1994)."""
    tree_V = np.zeros(kinds + 1, np.int64)
    top = 1
    while top * 2 <= kinds:
        top *= 2
    rank_Q = np.full(len(low_Q), -1, np.int64)
    low, high = 0, 0
    for q in range(len(low_Q)):
        while high < high_Q[q] or low < low_Q[q]:
            step, at = (1, code_E[high] + 1) if high < high_Q[q] else (-1, code_E[low] + 1)
            high, low = (high + 1, low) if step == 1 else (high, low + 1)
            while at <= kinds:
                tree_V[at] += step
                at += at & -at
        seen = high_Q[q] - low_Q[q]
        if seen > 0:
            missing, at, width = max(np.int64(np.ceil(share * seen)), np.int64(1)), 0, top
            while width > 0:
                if at + width <= kinds and tree_V[at + width] < missing:
                    at += width
                    missing -= tree_V[at]
                width //= 2
            rank_Q[q] = at
    return rank_Q
