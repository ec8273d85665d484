"""Turns at the door for an answer that takes several of them, and waits for something in between.

A feed holds the event loop for some milliseconds, twice, where a prediction does once for a fraction of one. So each
part has a turn of its own, in which nothing is awaited but a cache: predictions go between, and at the door all wait in
one line, by priority. The door learns from how long a feed waited, not from its work: that would look like a server
grown slow.

    turns = Turns(parts.turnstile, clock)
    async with turns.first(priority, deadline, arrived):         # raises Refused: 503 there is no room, 504 too late
        found = retrieve()
    async with turns.next(deadline):                             # one other may go between
        scores = score(found)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from orita.core.clock import Clock
from orita.serving.resilience.contracts import Priority
from orita.serving.resilience.deadline import check_deadline
from orita.serving.resilience.turnstile import Turnstile

__all__ = ["Turns"]

_LEAST_SECONDS = 1e-6
"""What waiting counts at least: a latency of nothing has no inverse."""


class Turns:
    """Turns of answers that take several; called by the thread of one event loop.

    Args:
        turnstile: the door.
        clock: the time.
    """

    def __init__(self, turnstile: Turnstile, clock: Clock) -> None:
        self._turnstile = turnstile
        self._monotonic = clock.monotonic

    def first(self, priority: Priority, deadline: float, arrived: float) -> AbstractAsyncContextManager[None]:
        """Return a context within which it is the turn of a request.

        Args:
            priority: who goes first.
            deadline: monotonic seconds.
            arrived: when the request came, likewise.

        Raises:
            Refused: on entry; 503 with ``Retry-After``, there is no room; 504, the deadline is past.
        """
        return self._turn(priority, deadline, arrived, counts=True)

    @asynccontextmanager
    async def next(self, deadline: float) -> AsyncIterator[None]:
        """Return a context within which it is the turn of a request that had one before.

        One who waits has a turn in between; then it goes before all others.

        Raises:
            Refused: on entry; as of `first`.
        """
        await asyncio.sleep(0)  # the slot of the turn before is given back: nobody is turned away for its sake
        now = self._monotonic()
        check_deadline(deadline, now)
        async with self._turn(Priority.CRITICAL, deadline, now, counts=False):
            yield

    @asynccontextmanager
    async def _turn(self, priority: Priority, deadline: float, arrived: float, *, counts: bool) -> AsyncIterator[None]:
        ticket = await self._turnstile.enter(priority, deadline, arrived)
        began, answered = self._monotonic(), False
        try:
            yield
            answered = counts
        finally:
            now = self._monotonic()
            ticket.arrived = min(ticket.arrived + now - began, now - _LEAST_SECONDS)
            self._turnstile.leave(ticket, answered=answered)
