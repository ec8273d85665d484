"""Work beside requests, in small pieces with long rests between them.

While a thread of Python computes, a request that gave up the interpreter's lock for a moment waits for it half a
millisecond, each time. So what may take its time has it in pieces of about that, and rests after each.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Leisure"]

_REST, _SHORT_REST = 9.0, 2.0
_PIECE_SECONDS, _LONGEST_SECONDS, _ALL_SECONDS = 0.0005, 0.02, 1.0
"""Of `Leisure.pause`: processor time before which it does not rest, the longest rest, and all rests of a work."""


class Leisure:
    """Rests after each piece, nine times as long as the piece took, or twice; called by the thread that works.

    Args:
        stopping: when it is set, no rest goes on, and no work.
        undisturbed: whether there are no requests now that would wait: then there is no rest.
    """

    def __init__(self, stopping: threading.Event, undisturbed: Callable[[], bool] = lambda: False) -> None:
        self._stopping, self._undisturbed = stopping, undisturbed
        self._rest = _REST
        self.begin()

    def begin(self, *, waited_for: bool = False) -> None:
        """Begin the first piece of a work; *waited_for*: requests need what comes of it, so rests are short."""
        self._rest = _SHORT_REST if waited_for else _REST
        self._began, self._spent, self._rested = time.monotonic(), time.thread_time(), 0.0

    def pause(self) -> None:
        """Rest if the piece is long enough for that; for a work that is done to its end all the same, and soon.

        Only processor time counts: while a disk or other threads are waited for nobody is held up.
        """
        spent = time.thread_time() - self._spent
        if spent < _PIECE_SECONDS:
            return
        if self._rested < _ALL_SECONDS and not self._undisturbed():
            rest = min(self._rest * spent, _LONGEST_SECONDS)
            self._stopping.wait(rest)
            self._rested += rest
        self._spent = time.thread_time()

    def goes_on(self) -> bool:
        """Rest, and return whether there is to be another piece."""
        if not self._undisturbed():
            self._stopping.wait(self._rest * (time.monotonic() - self._began))
        self._began = time.monotonic()
        return not self._stopping.is_set()
