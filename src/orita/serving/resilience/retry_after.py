"""When to come back: the time that the server needs for what is inside and for what it has just turned away.

    seconds = (inside + shed in the last second) ÷ answers a second, × a random number from 1 to 2

rounded up, from 1 to *most*. Whoever was shed comes back, so a time that counted the queue alone would call all of them
back at once; jitter spreads them (Brooker, "Exponential Backoff and Jitter", 2015; "Handling Overload" in "Site
Reliability Engineering", 2016).

    backlog = RetryAfter(seed=0)
    backlog.answered(now); backlog.shed(now)
    seconds = backlog.seconds(now, inside)
"""

from __future__ import annotations

import math
from random import Random

__all__ = ["RetryAfter"]

_SMOOTHING = 0.3


class RetryAfter:
    """Counts answers and refusals by the second.

    Args:
        most: the longest answer, in seconds.
        seed: of the jitter.
    """

    def __init__(self, *, most: int = 60, seed: int | None = None) -> None:
        self._most = most
        self._random = Random(seed)
        self._second = -1
        self._answered = self._shed = 0
        self._shed_before = 0
        self._drain: float | None = None

    def answered(self, now: float) -> None:
        """Count an answer, at *now* in monotonic seconds."""
        if int(now) != self._second:
            self._turn(int(now))
        self._answered += 1

    def shed(self, now: float) -> None:
        """Count a refusal."""
        if int(now) != self._second:
            self._turn(int(now))
        self._shed += 1

    def seconds(self, now: float, inside: int) -> int:
        """Return whole seconds to wait, from 1 to *most*, given how many are *inside*."""
        if int(now) != self._second:
            self._turn(int(now))
        drain = max(self._drain if self._drain is not None else self._answered, 1.0)
        backlog = inside + max(self._shed, self._shed_before)
        return min(max(math.ceil(backlog / drain * (1 + self._random.random())), 1), self._most)

    def _turn(self, second: int) -> None:
        """Begin *second*; seconds of which nothing was heard had neither answers nor refusals."""
        if self._second >= 0:
            # A second with few requests says little of how many could be answered: only a busy one lowers the rate.
            busy = self._shed > 0
            if self._drain is None or self._answered > self._drain:
                self._drain = float(self._answered)
            elif busy:
                self._drain += _SMOOTHING * (self._answered - self._drain)
        self._shed_before = self._shed if second == self._second + 1 else 0
        self._second, self._answered, self._shed = second, 0, 0
