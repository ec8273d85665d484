"""What rows make of events where each event is seen by a span of rows: the folds of `folds`, for `Spans`.

Floats are put into a tree over the rows, each event into the few nodes that make up its span, and every row merges
the nodes above it: nothing is ever subtracted.

Legend: E events in order, Q rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from orita.features.kernel import folds
from orita.features.kernel.compiled import compiled
from orita.features.kernel.folds import Moments
from orita.features.kernel.grouping import Positions
from orita.features.kernel.halves import Floats, Integers
from orita.features.kernel.ranges import Ranges
from orita.features.kernel.spans import Spans

__all__ = ["count", "decayed", "distinct", "edge", "maximum", "moments", "quantile", "total", "words"]

_SUM, _LARGEST, _MOMENTS, _FADING = range(4)


def count(spans: Spans) -> Integers:
    """Return how many events each row sees."""
    return _stepped(np.ones(len(spans.enter_E), np.int64), spans)


def total(value_E: npt.NDArray[np.generic], spans: Spans) -> Floats:
    """Return the sum of each row's values; of integers the exact sum, rounded once."""
    if value_E.dtype.kind in "iub":
        return folds.joined(*words(value_E.astype(np.int64), spans))
    (sum_Q, *_) = _tree(_SUM, value_E.astype(np.float64), spans)
    return sum_Q


def words(value_E: Integers, spans: Spans) -> tuple[Integers, Integers]:
    """Return the exact sum of each row's values as high · 2³² + low, with low in [0, 2³²)."""
    return folds.carried(_stepped(value_E >> folds.WORD, spans), _stepped(value_E & folds.LOW, spans))


def maximum(value_E: Floats, spans: Spans) -> Floats:
    """Return the largest of each row's values."""
    (largest_Q, *_) = _tree(_LARGEST, value_E, spans)
    return largest_Q


def moments(value_E: Floats, spans: Spans) -> Moments:
    """Return the moments of each row's values."""
    n_Q, mean_Q, squares_Q = _tree(_MOMENTS, value_E, spans)
    return Moments(n_Q.astype(np.int64), np.where(n_Q > 0, mean_Q, np.nan), np.where(n_Q > 0, squares_Q, np.nan))


def edge(value_E: npt.NDArray[np.generic], spans: Spans, *, last: bool) -> Floats:
    """Return the first or the last of each row's values."""
    sign = 1 if last else -1
    at_Q = sign * maximum(sign * np.arange(len(value_E), dtype=np.float64), spans)
    out_Q = np.full(spans.rows, np.nan)
    some_Q = ~np.isnan(at_Q)
    out_Q[some_Q] = value_E[at_Q[some_Q].astype(np.int64)].astype(np.float64)
    return out_Q


def distinct(code_E: Positions, kinds: int, spans: Spans) -> Integers:
    """Return how many different codes, each in [0, *kinds*), each row sees."""
    in_E, out_E, ranges = _moves(spans)
    return folds.distinct_between(code_E[in_E], code_E[out_E], kinds, ranges)


def decayed(value_E: Floats, time_E: Integers, half_life: float, spans: Spans) -> Floats:
    """Return Σ value · 0.5^((time of the latest − time of the event) ÷ *half_life*) of each row's values."""
    (faded_Q, *_) = _tree(_FADING, value_E, spans, time_E, float(half_life))
    return faded_Q


def quantile(value_E: Floats, share: float, spans: Spans) -> Floats:
    """Return the smallest value that at least the *share* (0 < share ≤ 1) of each row's values does not exceed."""
    in_E, out_E, ranges = _moves(spans)
    return folds.quantile_between(value_E[in_E], value_E[out_E], share, ranges)


def _stepped(value_E: Integers, spans: Spans) -> Integers:
    """Return the sum of what each row sees, modulo 2⁶⁴: added where a span begins, taken away where it ends."""
    step_Q = np.zeros(spans.rows + 1, np.int64)
    np.add.at(step_Q, spans.enter_E, value_E)
    np.subtract.at(step_Q, spans.leave_E, value_E)
    return np.cumsum(step_Q)[:-1]


def _moves(spans: Spans) -> tuple[Integers, Integers, Ranges]:
    """Return the events in the order in which they come, and go, and how many have gone and come by each row."""
    in_E, out_E = (np.argsort(at_E, kind="stable") for at_E in (spans.enter_E, spans.leave_E))
    row_Q = np.arange(spans.rows)
    gone_Q = np.searchsorted(spans.leave_E[out_E], row_Q, side="right")
    come_Q = np.searchsorted(spans.enter_E[in_E], row_Q, side="right")
    return in_E, out_E, Ranges(gone_Q, come_Q)


def _tree(
    kind: int, value_E: Floats, spans: Spans, time_E: Integers | None = None, half: float = 1.0
) -> tuple[Floats, ...]:
    """Return what each row's events merge to: three numbers."""
    second_E = np.zeros(len(value_E)) if time_E is None else time_E.astype(np.float64)
    first_E = value_E
    if kind == _MOMENTS:
        first_E, second_E = np.ones(len(value_E)), value_E
    empty = {_SUM: (0.0, 0.0), _LARGEST: (np.nan, 0.0), _MOMENTS: (0.0, 0.0), _FADING: (0.0, np.nan)}[kind]
    node_3Q = _merged(kind, first_E, second_E, spans.enter_E, spans.leave_E, spans.rows, half, *empty)
    return tuple(node_3Q)


@compiled
def _merged(
    kind: int,
    first_E: Floats,
    second_E: Floats,
    enter_E: Integers,
    leave_E: Integers,
    rows: int,
    half: float,
    first: float,
    second: float,
) -> Floats:
    node_3V = np.zeros((3, 2 * rows))
    node_3V[0], node_3V[1] = first, second
    for e in range(len(first_E)):
        left, right = enter_E[e] + rows, leave_E[e] + rows
        while left < right:
            if left & 1:
                _merge(kind, node_3V, left, first_E[e], second_E[e], 0.0, half)
                left += 1
            if right & 1:
                right -= 1
                _merge(kind, node_3V, right, first_E[e], second_E[e], 0.0, half)
            left >>= 1
            right >>= 1
    for node in range(2, 2 * rows):
        above = node >> 1
        _merge(kind, node_3V, node, node_3V[0, above], node_3V[1, above], node_3V[2, above], half)
    return node_3V[:, rows:]


@compiled
def _merge(kind: int, node_3V: Floats, v: int, first: float, second: float, third: float, half: float) -> None:
    if kind == _SUM:
        node_3V[0, v] += first
    elif kind == _LARGEST:
        if np.isnan(node_3V[0, v]) or first > node_3V[0, v]:
            node_3V[0, v] = first
    elif kind == _MOMENTS:
        if first > 0:
            n, gap = node_3V[0, v] + first, second - node_3V[1, v]
            node_3V[2, v] += third + gap * gap * node_3V[0, v] * (first / n)
            node_3V[1, v] += gap * (first / n)
            node_3V[0, v] = n
    elif not np.isnan(second):
        gap = second - node_3V[1, v]
        if np.isnan(gap):
            node_3V[0, v], node_3V[1, v] = first, second
        elif gap > 0:
            node_3V[0, v], node_3V[1, v] = node_3V[0, v] * 0.5 ** (gap / half) + first, second
        else:
            node_3V[0, v] += first * 0.5 ** (-gap / half)
