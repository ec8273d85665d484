"""A stretch of groups: what its rows see, as arrays that fit the processor's caches.

Stretches bound the memory of what lies between, however many events there are.

Legend: E events and Q rows of the stretch, group after group and by time in each; K groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from orita.features.batch import EventBatch, Integers
from orita.features.declarations import Window
from orita.features.declaring.conditions import Condition
from orita.features.history.meeting import Meeting
from orita.features.kernel.folding import Sight
from orita.features.kernel.grouping import Positions
from orita.features.kernel.ranges import Ranges, Timeline, find_late, find_ranges
from orita.features.kernel.spans import find_spans

__all__ = ["Seen", "Stretch", "stretch_bounds"]

_SIZE = 1 << 18


@dataclass(frozen=True, slots=True)
class Seen:
    """Some rows, and the events that each of them sees.

    Attributes:
        event_E: positions of events in the batch, in order.
        time_E: their times.
        sight: which of these each row sees.
        gathered: columns of these events that were read already, by name.
    """

    event_E: Positions
    time_E: Integers
    sight: Sight
    gathered: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)

    def gather(self, name: str, column_N: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Return what a column of the batch holds for these events, read once under *name*."""
        if name not in self.gathered:
            self.gathered[name] = column_N[self.event_E]
        return self.gathered[name]


@dataclass(frozen=True, slots=True)
class _Let:
    """The events of a stretch that one condition lets through."""

    event_E: Positions
    timeline: Timeline
    ranges: dict[Window, Ranges] = field(default_factory=dict)
    gathered: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)


class Stretch:
    """Some groups of a meeting.

    Args:
        batch: the events.
        at: times of the rows, all of them.
        meeting: events and rows by key.
        groups: the first group, and the one after the last.
        known: whether events are seen only once they are known.
    """

    def __init__(
        self, batch: EventBatch, at: Integers, meeting: Meeting, groups: tuple[int, int], *, known: bool
    ) -> None:
        first, after = groups
        start_K, ask_K = meeting.start_K[first : after + 1], meeting.ask_K[first : after + 1]
        self.batch = batch
        self.row_Q = meeting.row_Q[ask_K[0] : ask_K[-1]]
        self.at_Q = at[self.row_Q]
        self.several = meeting.several
        alike = meeting.row_Q is meeting.event_E  # each event asks as of its own time
        self._event_E = self.row_Q if alike else meeting.event_E[start_K[0] : start_K[-1]]
        self._start_K, self._ask_K = start_K - start_K[0], ask_K - ask_K[0]
        self._known = known
        self._let: dict[Condition | None, _Let] = {}

    def seen(self, condition: Condition | None, window: Window) -> Seen:
        """Return what every row sees, were all events known at its time."""
        let = self._through(condition)
        if window not in let.ranges:
            let.ranges[window] = find_ranges(let.timeline, window)
        return Seen(let.event_E, let.timeline.time_E, let.ranges[window], let.gathered)

    def late(self, condition: Condition | None, window: Window) -> Iterator[tuple[Integers, Seen]]:
        """Yield positions of rows for which `seen` does not hold, some at a time, with what they see instead."""
        let = self._through(condition)
        if window.kind != "session":
            row_L, pick_P, spans = find_spans(let.timeline, window)
            if len(row_L):
                yield row_L, Seen(let.event_E[pick_P], let.timeline.time_E[pick_P], spans)
            return
        for late in find_late(let.timeline, window):
            yield late.row_L, Seen(let.event_E[late.pick_P], let.timeline.time_E[late.pick_P], late.ranges)

    def _through(self, condition: Condition | None) -> _Let:
        if condition not in self._let:
            event_E, start_K = self._event_E, self._start_K
            if condition is not None:
                mask_E = self.batch.masks[condition][event_E]
                before_E = np.concatenate([np.zeros(1, np.int64), np.cumsum(mask_E)])
                event_E, start_K = event_E[mask_E], before_E[start_K]
            time_E = self.at_Q if event_E is self.row_Q else self.batch.time_N[event_E]
            known_E = self.batch.known_N[event_E] if self._known else None
            self._let[condition] = _Let(event_E, Timeline(time_E, start_K, self.at_Q, self._ask_K, known_E))
        return self._let[condition]


def stretch_bounds(meeting: Meeting, size: int = _SIZE) -> list[tuple[int, int]]:
    """Return the groups of stretches of about *size* events and rows each; a group is never parted."""
    load_K = meeting.start_K if meeting.row_Q is meeting.event_E else meeting.start_K + meeting.ask_K
    cuts = np.searchsorted(load_K, np.arange(size, load_K[-1], size))
    return list(pairwise(np.unique(np.concatenate([[0], cuts, [len(load_K) - 1]])).tolist()))
