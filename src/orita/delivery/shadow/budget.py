"""How much of a processor a shadow may take: what it may is saved up for a second, what it took too much is waited for.

Every second of wall time gives ``percent`` hundredths of a second of processor time. A shadow works while there is some
left. What it takes beyond that, as a request takes as long as it does and a process has to start, it owes, however
much that is: over any time that begins and ends with nothing owed it took no more than its share.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from orita.core.clock import Clock

__all__ = ["Budget", "OwnTime"]

_SAVED_SECONDS = 1.0


class OwnTime:
    """Processor seconds that the calling thread spent while this was running; other work of the thread is not in it."""

    def __init__(self) -> None:
        self._spent = 0.0
        self._begun: float | None = None

    def __enter__(self) -> None:
        self._begun = time.thread_time()

    def __exit__(self, *_: object) -> None:
        self._spent, self._begun = self.seconds, None

    @property
    def seconds(self) -> float:
        """Processor seconds up to now."""
        return self._spent + (0.0 if self._begun is None else time.thread_time() - self._begun)


class Budget:
    """What may still be spent.

    Args:
        percent: of one processor, above 0.
        clock: the time.
        spent: processor seconds that were spent up to now, ever more.
    """

    def __init__(self, percent: float, clock: Clock, spent: Callable[[], float]) -> None:
        self.share = percent / 100
        self._clock, self._spent = clock, spent
        self._left = 0.0
        self._at, self._spent_then = clock.monotonic(), spent()

    @property
    def left(self) -> float:
        """Processor seconds that may be spent now; below 0: that are owed."""
        now, spent = self._clock.monotonic(), self._spent()
        saved = min(self._left + (now - self._at) * self.share, self.share * _SAVED_SECONDS)
        self._left = saved - (spent - self._spent_then)
        self._at, self._spent_then = now, spent
        return self._left

    @property
    def wait_seconds(self) -> float:
        """How long to wait until there is something left."""
        return max(0.0, -self.left / self.share)
