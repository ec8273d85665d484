"""Which events a row sees. The boundary of every window is written here, once, for the batch engine.

A row of time t sees, of the events of its key that were known at t, those with time in [t − d − w, t − d), where w is
the window and d the delay. Times are microseconds since the Unix epoch, UTC. Legend: E events of all groups, group
after group and by time in each; Q rows likewise; K groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from orita.features.declaring.windows import Window, WindowKind
from orita.features.kernel.compiled import compiled

__all__ = ["KINDS", "LIFETIME_KIND", "Late", "Ranges", "Timeline", "begin_of", "find_late", "find_ranges", "late_rows"]

Integers = npt.NDArray[np.int64]

KINDS: dict[WindowKind, int] = {"lifetime": 0, "sliding": 1, "tumbling": 2, "session": 3}
LIFETIME_KIND, _TUMBLING, _SESSION = KINDS["lifetime"], KINDS["tumbling"], KINDS["session"]
_PICKED = 1 << 23


@dataclass(frozen=True, slots=True)
class Timeline:
    """Events and the rows that ask about them, both grouped by the same keys and in each group by time.

    Attributes:
        time_E: event times.
        start_K: where each group of events begins, K + 1 numbers.
        time_Q: times of the rows.
        ask_K: where each group of rows begins, K + 1 numbers.
        known_E: when each event became known, where that may be later than its time.
    """

    time_E: Integers
    start_K: Integers
    time_Q: Integers
    ask_K: Integers
    known_E: Integers | None = None


@dataclass(frozen=True, slots=True)
class Ranges:
    """The events of each row: the positions ``[low_Q, high_Q)``; neither bound ever decreases from row to row."""

    low_Q: Integers
    high_Q: Integers

    def among(self, kept_E: npt.NDArray[np.bool_]) -> Ranges:
        """Return the same ranges where only some of the events are left."""
        before_E = np.zeros(len(kept_E) + 1, np.int64)
        np.cumsum(kept_E, out=before_E[1:])
        return Ranges(before_E[self.low_Q], before_E[self.high_Q])


@dataclass(frozen=True, slots=True)
class Late:
    """Rows that do not see all events of their window, as some were not known yet.

    Attributes:
        row_L: which rows.
        pick_P: positions of the events that these rows do see, row after row.
        ranges: for each of these rows, its positions in ``pick_P``.
    """

    row_L: Integers
    pick_P: Integers
    ranges: Ranges


def find_ranges(timeline: Timeline, window: Window) -> Ranges:
    """Return the events that each row sees, were all events known at their time."""
    return Ranges(*_find(timeline, window))


def find_late(timeline: Timeline, window: Window, at_most: int = _PICKED) -> Iterator[Late]:
    """Yield the rows for which `find_ranges` does not hold, some at a time, with what they see instead.

    Args:
        timeline: events and rows.
        window: which earlier events count.
        at_most: about how many positions to hold at once.
    """
    if timeline.known_E is None or not len(timeline.known_E):
        return
    t, w = timeline, window
    low_Q, high_Q = _find(timeline, _without_cap(window))
    late_L = np.flatnonzero(_sees_unknown(timeline.known_E, t.start_K, t.time_Q, t.ask_K, high_Q))
    sizes_L = np.cumsum(high_Q[late_L] - low_Q[late_L])
    cuts = np.searchsorted(sizes_L, np.arange(at_most, sizes_L[-1] if len(sizes_L) else 0, at_most))
    for row_L in np.split(late_L, cuts):
        if not len(row_L):
            continue
        pick_P, from_L, to_L = _gather(
            t.time_E,
            timeline.known_E,
            t.time_Q[row_L],
            low_Q[row_L],
            high_Q[row_L],
            KINDS[w.kind],
            w.width,
            w.delay,
            w.cap,
        )
        yield Late(row_L, pick_P, Ranges(from_L, to_L))


def late_rows(timeline: Timeline, window: Window) -> npt.NDArray[np.bool_]:
    """Return the rows for which `find_ranges` does not hold: an event of their past was not known yet, [Q]."""
    if timeline.known_E is None:
        return np.zeros(len(timeline.time_Q), np.bool_)
    _, high_Q = _find(timeline, _without_cap(window))
    return _sees_unknown(timeline.known_E, timeline.start_K, timeline.time_Q, timeline.ask_K, high_Q)


def _without_cap(window: Window) -> Window:
    """Return a window that lets through all that *window* may."""
    kind: WindowKind = "lifetime" if window.kind == "session" else window.kind
    return replace(window, kind=kind, cap=0)


def _find(t: Timeline, w: Window) -> tuple[Integers, Integers]:
    return _bounds(t.time_E, t.start_K, t.time_Q, t.ask_K, KINDS[w.kind], w.width, w.hop, w.delay, w.cap)


@compiled
def begin_of(now: int, kind: int, width: int, hop: int) -> int:
    """Return where the window of a row begins whose time, moved back by the delay, is *now*."""
    first = now - now % width if kind == _TUMBLING else now - width
    return first - first % hop if hop > 0 else first


@compiled
def _bounds(
    time_E: Integers,
    start_K: Integers,
    time_Q: Integers,
    ask_K: Integers,
    kind: int,
    width: int,
    hop: int,
    delay: int,
    cap: int,
) -> tuple[Integers, Integers]:
    low_Q = np.empty(len(time_Q), np.int64)
    high_Q = np.empty(len(time_Q), np.int64)
    for k in range(len(start_K) - 1):
        begin, end = start_K[k], start_K[k + 1]
        low, high, session = begin, begin, begin
        for q in range(ask_K[k], ask_K[k + 1]):
            now = time_Q[q] - delay
            while high < end and time_E[high] < now:
                if high > begin and time_E[high] - time_E[high - 1] >= width:
                    session = high
                high += 1
            if kind == _SESSION:
                low = session if high > begin and now - time_E[high - 1] < width else high
            elif kind != LIFETIME_KIND:
                first = begin_of(now, kind, width, hop)
                while low < high and time_E[low] < first:
                    low += 1
            low_Q[q] = max(low, high - cap) if cap > 0 else low
            high_Q[q] = high
    return low_Q, high_Q


@compiled
def _sees_unknown(
    known_E: Integers, start_K: Integers, time_Q: Integers, ask_K: Integers, high_Q: Integers
) -> npt.NDArray[np.bool_]:
    """Return the rows for which an event of their past was not known yet."""
    late_Q = np.zeros(len(time_Q), np.bool_)
    for k in range(len(start_K) - 1):
        seen, latest = start_K[k], np.int64(-(1 << 62))
        for q in range(ask_K[k], ask_K[k + 1]):
            while seen < high_Q[q]:
                latest = max(latest, known_E[seen])
                seen += 1
            late_Q[q] = latest > time_Q[q]
    return late_Q


@compiled
def _gather(
    time_E: Integers,
    known_E: Integers,
    time_L: Integers,
    low_L: Integers,
    high_L: Integers,
    kind: int,
    width: int,
    delay: int,
    cap: int,
) -> tuple[Integers, Integers, Integers]:
    pick_P = np.empty(np.sum(high_L - low_L), np.int64)
    from_L = np.empty(len(time_L), np.int64)
    to_L = np.empty(len(time_L), np.int64)
    at = 0
    for row in range(len(time_L)):
        begin, after = at, time_L[row] - delay
        for e in range(high_L[row] - 1, low_L[row] - 1, -1):
            if known_E[e] > time_L[row]:
                continue
            if (kind == _SESSION and after - time_E[e] >= width) or (cap > 0 and at - begin >= cap):
                break
            after = time_E[e]
            pick_P[at] = e
            at += 1
        pick_P[begin:at] = pick_P[begin:at][::-1].copy()
        from_L[row], to_L[row] = begin, at
    return pick_P[:at].copy(), from_L, to_L
