"""How many requests may be inside: as many as are answered within a budget beyond the time of an idle server.

By Little's law the number inside is what leaves a second times the time inside, so one division tells how many may be
inside where latency is *idle + budget*: no search by small steps. After a window of answers

    limit ← clip((idle + budget) × inside ÷ latency × answered, 0.5 limit, 1.5 limit)

with the means of the window; *answered* is the share that was, the others' deadline passed while they waited: they
leave without being served. The limit grows only where at least half of it was used: what leaves an idle server says
nothing of a busy one. (Not ``limit × (idle + budget) ÷ latency``: between two crowds, where fewer are inside than may
be, the limit would grow until it lets the whole of the next one in.) It shrinks as well where less was used and latency
is beyond *idle + budget*: few are inside a slow server, and fewer where deadlines let go of them. *idle* is the lowest
mean latency of a window in the last ten seconds. A server that is never idle is measured for one window at a quarter of
the limit (as BBR does, Cardwell et al., "BBR", ACM Queue 2016); so even where that quarter still queues, the limit ends
at most a third above the right one, instead of running away with a minimum that drifts. Netflix's gradient limits
(2018) multiply the idle latency instead of adding to it, AIMD needs to be told a latency that suits the machine; how
they fare beside this one is in docs/decisions/0041-staying-up.md.

A window is a few answers, so latency may be beyond the budget by chance or for a moment. Hence *least*: a quick server
lets so many in whatever a window says. But never more than it answers in ten budgets, at the fewest seconds each that a
window of the last ten seconds took, and two where in one of them a tenth expired: they had no ten budgets to wait.

    limit = BudgetLimit(budget=0.010)
    limit.observe(now, latency, inside)     # after each answer, and after each that expired
    limit.limit                             # at each arrival
"""

from __future__ import annotations

from collections import deque

__all__ = ["BudgetLimit"]

_WINDOW_SECONDS = 0.1
_LEAST_SAMPLES = 16
_REMEMBERED_SECONDS = 10.0
_DOWN, _UP = 0.5, 1.5
_PROBE_SHARE = 0.25
_LEAST_BUDGETS = 10
_LEAST_INSIDE = 2
_EXPIRED_SHARE = 0.1
_LEAST_SECONDS = 1e-6
"""What an answer counts at least: a latency of nothing has no inverse."""


class BudgetLimit:
    """A `ConcurrencyLimit` by a budget of time.

    Args:
        budget: seconds that waiting may add to the latency of an idle server.
        least: what the limit is at least, as far as that many are answered in ten budgets; two in any case.
        most: what it is at most.
        initial: where it starts.
    """

    def __init__(self, budget: float, *, least: int = 2, most: int = 1000, initial: int = 32) -> None:
        self._budget = budget
        self._least, self._most = least, most
        self._value = float(min(max(initial, least), most))
        self._latencies, self._seconds_each = _Lowest(), _Lowest()
        self._window_from: float | None = None
        self._sum, self._samples, self._inside, self._most_inside, self._expired = 0.0, 0, 0, 0, 0
        self._hurried_until = 0.0
        self._probe_at: float | None = None
        self._probing = False
        self.limit = round(self._value)

    @property
    def idle_latency(self) -> float | None:
        """Seconds that an answer takes where nothing waits, as far as known."""
        return self._latencies.lowest

    def observe(self, now: float, latency: float, inside: int, /, *, expired: bool = False) -> None:
        """Learn from one request that left; see the protocol."""
        self._sum += max(latency, _LEAST_SECONDS)
        self._samples += 1
        self._inside += inside
        self._most_inside = max(self._most_inside, inside)
        self._expired += expired
        if self._window_from is None:
            self._window_from = now
        elif now - self._window_from >= _WINDOW_SECONDS and self._samples >= _LEAST_SAMPLES:
            self._close_window(now)

    def _close_window(self, now: float) -> None:
        mean = self._sum / self._samples
        known = self.idle_latency
        wanted = self._latencies.add(now, mean) + self._budget
        answered_a_second = self._inside / self._sum * (1 - self._expired / self._samples)  # Little's law
        floor = self._floor(now, answered_a_second)
        if not self._probing and (2 * self._most_inside >= self.limit or mean > wanted):
            target = min(max(wanted * answered_a_second, _DOWN * self._value), _UP * self._value)
            self._value = min(max(target, floor), self._most)
        if known is None or mean <= known or self._probing or self._probe_at is None:
            self._probe_at = now + _REMEMBERED_SECONDS / 2
            self._probing = False
        else:
            self._probing = now >= self._probe_at
        share = _PROBE_SHARE if self._probing else 1.0
        self.limit = max(floor, round(self._value * share))
        self._window_from, self._sum, self._samples, self._inside, self._most_inside = now, 0.0, 0, 0, 0
        self._expired = 0

    def _floor(self, now: float, answered_a_second: float) -> int:
        """Return what the limit is at least, after a window."""
        if answered_a_second > 0:
            self._seconds_each.add(now, 1 / answered_a_second)
        if self._expired > _EXPIRED_SHARE * self._samples:
            self._hurried_until = now + _REMEMBERED_SECONDS
        each = self._seconds_each.lowest
        if now < self._hurried_until or each is None:
            return min(self._least, _LEAST_INSIDE)
        return min(self._least, max(int(_LEAST_BUDGETS * self._budget / each), _LEAST_INSIDE))


class _Lowest:
    """The lowest number of the last ten seconds."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, float]] = deque()  # (until when, number), both growing

    @property
    def lowest(self) -> float | None:
        """The lowest, as of the last `add`; None before the first."""
        return self._kept[0][1] if self._kept else None

    def add(self, now: float, number: float) -> float:
        """Return the lowest, *number* included."""
        while self._kept and self._kept[-1][1] >= number:
            self._kept.pop()
        self._kept.append((now + _REMEMBERED_SECONDS, number))
        while self._kept[0][0] < now:
            self._kept.popleft()
        return self._kept[0][1]
