"""Other doors than the one that serves, to be held against it in the same simulation; from their published rules.

*Gradient* and *Vegas* are Netflix's (concurrency-limits, 2018), *AIMD* is Chiu and Jain's (1989) on a latency target,
*CoDel* and *adaptive LIFO* are those of Maurer, "Fail at Scale" (ACM Queue, 2015), after Nichols and Jacobson (2012).
"""

from __future__ import annotations

import math
from collections import deque

from orita.serving.http.refusal import Refused
from orita.serving.resilience.admission import Ticket

__all__ = ["Aimd", "Fixed", "Gradient", "QueueDoor", "Vegas"]

WINDOW_SECONDS = 0.1
LEAST_SAMPLES = 16
MOST = 1000.0


class Windowed:
    """A limit that is set from the mean latency of a window of answers."""

    def __init__(self, initial: float = 32.0) -> None:
        self.value = initial
        self._from, self._sum, self._count, self._inside = -1.0, 0.0, 0, 0

    @property
    def limit(self) -> int:
        """How many may be inside."""
        return max(1, round(self.value))

    def observe(self, now: float, latency: float, inside: int, /, *, expired: bool = False) -> None:
        """Learn from one answer."""
        if expired:
            return
        self._sum, self._count, self._inside = self._sum + latency, self._count + 1, max(self._inside, inside)
        if self._from < 0:
            self._from = now
        elif now - self._from >= WINDOW_SECONDS and self._count >= LEAST_SAMPLES:
            self.value = min(max(self.learn(self._sum / self._count, 2 * self._inside >= self.limit), 1.0), MOST)
            self._from, self._sum, self._count, self._inside = now, 0.0, 0, 0

    def learn(self, mean: float, used: bool) -> float:
        """Return the limit after a window of *mean* latency, in which half of the limit was *used* or was not."""
        raise NotImplementedError


class Fixed(Windowed):
    """Does not learn."""

    def learn(self, mean: float, used: bool) -> float:
        """Return the limit as it is."""
        return self.value


class Gradient(Windowed):
    """Gradient2: a long against a short average of latency, and room for a queue of four."""

    _long = 0.0

    def learn(self, mean: float, used: bool) -> float:
        """Return the limit after a window."""
        self._long = mean if not self._long else self._long + 2 / 601 * (mean - self._long)
        if self._long / mean > 2:
            self._long *= 0.95
        if not used:
            return self.value
        gradient = max(0.5, min(1.0, 1.5 * self._long / mean))
        return 0.8 * self.value + 0.2 * (self.value * gradient + 4)


class Vegas(Windowed):
    """Estimates the queue from the lowest latency seen, and keeps it between two bounds."""

    _lowest = math.inf

    def learn(self, mean: float, used: bool) -> float:
        """Return the limit after a window."""
        self._lowest = min(self._lowest, mean)
        queue, step = self.value * (1 - self._lowest / mean), max(math.log10(self.value), 1.0)
        if queue > 6 * step:
            return self.value - step
        return self.value + step if used and queue < 3 * step else self.value


class Aimd(Windowed):
    """One more where latency is under a target, a tenth less where it is over."""

    target = 0.010

    def learn(self, mean: float, used: bool) -> float:
        """Return the limit after a window."""
        if mean > self.target:
            return self.value * 0.9
        return self.value + 1 if used else self.value


class QueueDoor:
    """One slot before a bounded queue, served first in or last in, with or without a controlled delay.

    Args:
        bound: requests that may wait.
        lifo: whether the newest goes first while the queue has not been empty for 100 ms.
        codel: whether those who waited over 5 ms are then dropped.
    """

    def __init__(self, bound: int, *, lifo: bool = False, codel: bool = False) -> None:
        self._queue: deque[Ticket] = deque()
        self._bound, self._lifo, self._codel = bound, lifo, codel
        self._busy = False
        self._empty_at = 0.0

    def arrive(self, ticket: Ticket, now: float, /) -> bool:
        """Return whether *ticket* has its turn at once."""
        if not self._queue:
            self._empty_at = now
            if not self._busy:
                self._busy = True
                return True
        if len(self._queue) >= self._bound:
            raise Refused(503, "overloaded", "the queue is full.")
        self._queue.append(ticket)
        return False

    def next(self, now: float, /) -> Ticket | None:
        """Return whose turn it is."""
        overloaded = now - self._empty_at > WINDOW_SECONDS
        patience = 0.005 if self._codel and overloaded else WINDOW_SECONDS if self._codel else math.inf
        while self._queue:
            if self._codel and now - self._queue[0].arrived > patience:
                dropped = self._queue.popleft()
                assert dropped.turn is not None
                dropped.turn.set_exception(Refused(503, "overloaded", "it waited too long."))
                continue
            self._busy = True
            return self._queue.pop() if self._lifo and overloaded else self._queue.popleft()
        self._empty_at = now
        return None

    def leave(self, ticket: Ticket, now: float, /) -> None:
        """Take back the slot."""
        self._busy = False
