"""Rows and events where not every event was known at its time: which rows see each event.

Events become known out of order, so that what a row sees is not a range of events; but the rows that see an event are
a range of rows, from where it is known to where a window has passed it. Sessions alone are otherwise: a late event may
join what had been two.

Legend: E events of all groups, group after group and by time in each; Q rows likewise; K groups; L of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.features.declaring.windows import Window
from orita.features.kernel.compiled import compiled
from orita.features.kernel.ranges import KINDS, LIFETIME_KIND, Timeline, begin_of, late_rows

__all__ = ["Spans", "find_spans"]

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Spans:
    """Which rows see each event: the positions ``[enter_E, leave_E)`` of *rows* rows."""

    enter_E: Integers
    leave_E: Integers
    rows: int

    def among(self, kept_E: npt.NDArray[np.bool_]) -> Spans:
        """Return the same for some of the events."""
        return Spans(self.enter_E[kept_E], self.leave_E[kept_E], self.rows)


def find_spans(timeline: Timeline, window: Window) -> tuple[Integers, Integers, Spans]:
    """Return the rows for which `find_ranges` does not hold, the events that they see, and which sees which.

    Args:
        timeline: events and rows.
        window: which earlier events count; no session.
    """
    t, w = timeline, window
    late_Q = late_rows(timeline, window)
    nothing = np.zeros(0, np.int64)
    if t.known_E is None or not late_Q.any():
        return nothing, nothing, Spans(nothing, nothing, 0)
    seen_from_E = np.maximum(t.time_E + w.delay + 1, t.known_E)
    enter_E, leave_E = _spans(
        t.time_E, seen_from_E, t.start_K, t.time_Q, t.ask_K, KINDS[w.kind], w.width, w.hop, w.delay
    )
    if w.cap and int(np.diff(t.start_K).max(initial=0)) > w.cap:
        by_enter_E = np.argsort(enter_E, kind="stable")
        _leave_at_cap(enter_E, leave_E, by_enter_E, t.start_K, w.cap)
    before_Q = np.concatenate([np.zeros(1, np.int64), np.cumsum(late_Q)])
    enter_E, leave_E = before_Q[enter_E], before_Q[leave_E]
    pick_P = np.flatnonzero(enter_E < leave_E)
    row_L = np.flatnonzero(late_Q)
    return row_L, pick_P, Spans(enter_E[pick_P], leave_E[pick_P], len(row_L))


@compiled
def _spans(
    time_E: Integers,
    seen_from_E: Integers,
    start_K: Integers,
    time_Q: Integers,
    ask_K: Integers,
    kind: int,
    width: int,
    hop: int,
    delay: int,
) -> tuple[Integers, Integers]:
    enter_E = np.empty(len(time_E), np.int64)
    leave_E = np.empty(len(time_E), np.int64)
    for k in range(len(start_K) - 1):
        first, after = ask_K[k], ask_K[k + 1]
        passed = first
        for e in range(start_K[k], start_K[k + 1]):
            enter_E[e] = first + np.searchsorted(time_Q[first:after], seen_from_E[e])
            if kind == LIFETIME_KIND:
                leave_E[e] = after
                continue
            while passed < after and begin_of(time_Q[passed] - delay, kind, width, hop) <= time_E[e]:
                passed += 1
            leave_E[e] = max(passed, enter_E[e])
    return enter_E, leave_E


@compiled
def _leave_at_cap(enter_E: Integers, leave_E: Integers, by_enter_E: Integers, start_K: Integers, cap: int) -> None:
    """Let events leave where so many later ones are seen; *by_enter_E* is in the order in which they are seen."""
    group_E = np.empty(len(enter_E), np.int64)
    for k in range(len(start_K) - 1):
        group_E[start_K[k] : start_K[k + 1]] = k
    there_E = np.zeros(len(enter_E), np.bool_)
    oldest_K = start_K[1:].copy()
    size_K = np.zeros(len(start_K) - 1, np.int64)
    for e in by_enter_E:
        k = group_E[e]
        if enter_E[e] >= leave_E[e]:
            continue
        there_E[e] = True
        size_K[k] += 1
        oldest_K[k] = min(oldest_K[k], e)
        while size_K[k] > 0:
            oldest = oldest_K[k]
            if there_E[oldest] and leave_E[oldest] > enter_E[e] and size_K[k] <= cap:
                break
            if there_E[oldest]:
                leave_E[oldest] = min(leave_E[oldest], enter_E[e])
                there_E[oldest] = False
                size_K[k] -= 1
            oldest_K[k] += 1
