"""How many requests may be inside: as many as are answered within a budget beyond the time of an idle server.

By Little's law the number inside is what leaves a second times the time inside, so one division tells how many may be
inside where latency is *idle + budget*: no search by small steps. After a window of answers

    limit ← clip((idle + budget) × inside ÷ latency, 0.5 limit, 1.5 limit)

with the means of the window, and only where at least half of the limit was used: what leaves an idle server says
nothing of a busy one. (Not ``limit × (idle + budget) ÷ latency``: between two crowds, where fewer are inside than may
be, the limit would grow until it lets the whole of the next one in.) *idle* is the lowest mean latency of a window in
the last ten seconds. A server that is never idle is measured for one window at a quarter of the
limit (as BBR does, Cardwell et al., "BBR", ACM Queue 2016); so even where that quarter still queues, the limit ends at
most a third above the right one, instead of running away with a minimum that drifts. Netflix's gradient limits (2018)
multiply the idle latency instead of adding to it, AIMD needs to be told a latency that suits the machine; how they fare
beside this one is in docs/decisions/0041-staying-up.md.

    limit = BudgetLimit(budget=0.010)
    limit.observe(now, latency, inside)     # after each answer
    limit.limit                             # at each arrival
"""

from __future__ import annotations

from collections import deque

__all__ = ["BudgetLimit"]

_WINDOW_SECONDS = 0.1
_LEAST_SAMPLES = 16
_IDLE_WINDOW_SECONDS = 10.0
_DOWN, _UP = 0.5, 1.5
_PROBE_SHARE = 0.25


class BudgetLimit:
    """A `ConcurrencyLimit` by a budget of time.

    Args:
        budget: seconds that waiting may add to the latency of an idle server.
        least, most: bounds of the limit.
        initial: where it starts.
    """

    def __init__(self, budget: float, *, least: int = 2, most: int = 1000, initial: int = 32) -> None:
        self._budget = budget
        self._least, self._most = least, most
        self._value = float(min(max(initial, least), most))
        self._lowest: deque[tuple[float, float]] = deque()  # (until when, mean latency), both growing
        self._window_from: float | None = None
        self._sum, self._samples, self._inside, self._most_inside = 0.0, 0, 0, 0
        self._probe_at: float | None = None
        self._probing = False
        self.limit = round(self._value)

    @property
    def idle_latency(self) -> float | None:
        """Seconds that an answer takes where nothing waits, as far as known."""
        return self._lowest[0][1] if self._lowest else None

    def observe(self, now: float, latency: float, inside: int, /) -> None:
        """Learn from one answered request; see the protocol."""
        self._sum += latency
        self._samples += 1
        self._inside += inside
        self._most_inside = max(self._most_inside, inside)
        if self._window_from is None:
            self._window_from = now
        elif now - self._window_from >= _WINDOW_SECONDS and self._samples >= _LEAST_SAMPLES:
            self._close_window(now)

    def _close_window(self, now: float) -> None:
        mean = self._sum / self._samples
        known = self.idle_latency
        self._remember(now, mean)
        if not self._probing and 2 * self._most_inside >= self.limit:
            self._adjust((self._lowest[0][1] + self._budget) * self._inside / self._sum)
        if known is None or mean <= known or self._probing or self._probe_at is None:
            self._probe_at = now + _IDLE_WINDOW_SECONDS / 2
            self._probing = False
        else:
            self._probing = now >= self._probe_at
        share = _PROBE_SHARE if self._probing else 1.0
        self.limit = max(self._least, round(self._value * share))
        self._window_from, self._sum, self._samples, self._inside, self._most_inside = now, 0.0, 0, 0, 0

    def _adjust(self, target: float) -> None:
        target = min(max(target, _DOWN * self._value), _UP * self._value)
        self._value = min(max(target, self._least), self._most)

    def _remember(self, now: float, mean: float) -> None:
        """Keep *mean* in the queue whose head is the lowest of the last ten seconds."""
        while self._lowest and self._lowest[-1][1] >= mean:
            self._lowest.pop()
        self._lowest.append((now + _IDLE_WINDOW_SECONDS, mean))
        while self._lowest[0][0] < now:
            self._lowest.popleft()
