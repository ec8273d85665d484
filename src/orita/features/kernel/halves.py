"""Blocks of events such that what a row sees is the end of one block and the beginning of the next.

Legend: E events in order, Q rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.features.kernel.compiled import compiled
from orita.features.kernel.ranges import Ranges

__all__ = ["Floats", "Halves", "Integers", "halves_of"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Halves:
    """Each row's range in two parts: ``[low_Q, middle_Q)`` ends a block, ``[middle_Q, high_Q)`` begins one.

    Attributes:
        begin_E: for each event, where its block begins.
        low_Q, middle_Q, high_Q: the parts; either may be empty.
    """

    begin_E: Integers
    low_Q: Integers
    middle_Q: Integers
    high_Q: Integers

    def back(self, accumulate: Callable[[Floats, Integers], Floats], value_E: Floats) -> Floats:
        """Return what *accumulate* makes of values and begins of blocks, from the end of each block backwards."""
        bounds = np.append(np.flatnonzero(self.begin_E == np.arange(len(value_E))), len(value_E))
        end_E = np.repeat(bounds[1:], np.diff(bounds))
        mirrored_E = np.ascontiguousarray((len(value_E) - end_E)[::-1])
        return accumulate(np.ascontiguousarray(value_E[::-1]), mirrored_E)[..., ::-1]

    def left(self, back_E: Floats, empty: float) -> Floats:
        """Return, of values accumulated from the end of each block backwards, the one of each row's first part."""
        return _read(back_E, self.low_Q, self.low_Q, self.middle_Q, empty)

    def right(self, ahead_E: Floats, empty: float) -> Floats:
        """Return, of values accumulated from the beginning of each block, the one of each row's second part."""
        return _read(ahead_E, self.high_Q - 1, self.middle_Q, self.high_Q, empty)


def halves_of(ranges: Ranges, events: int) -> Halves:
    """Part *events* events into blocks that suit *ranges*; every event is in one block."""
    begin_E, middle_Q = _part(ranges.low_Q, ranges.high_Q, events)
    return Halves(begin_E, ranges.low_Q, middle_Q, ranges.high_Q)


@compiled
def _read(value_E: Floats, at_Q: Integers, from_Q: Integers, to_Q: Integers, empty: float) -> Floats:
    """Return the value at each position, *empty* where the part from–to is empty."""
    out_Q = np.empty(len(at_Q))
    for q in range(len(at_Q)):
        out_Q[q] = value_E[at_Q[q]] if from_Q[q] < to_Q[q] else empty
    return out_Q


@compiled
def _part(low_Q: Integers, high_Q: Integers, events: int) -> tuple[Integers, Integers]:
    begin_E = np.empty(events, np.int64)
    middle_Q = np.empty(len(low_Q), np.int64)
    begun, ended = 0, 0  # the latest whole block; what follows it is a block that still grows
    for q in range(len(low_Q)):
        if low_Q[q] >= ended:
            begun, ended = ended, high_Q[q]
            begin_E[begun:ended] = begun
        middle_Q[q] = min(ended, high_Q[q])
    begin_E[ended:] = ended
    return begin_E, middle_Q
