"""The few threads in which the queue is asked: it waits for disks and networks, and the event loop must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

from orita.serving.refusal import Refused

__all__ = ["QueueThreads"]

T = TypeVar("T")

_AT_ONCE = 4
_WAITING = 256
_RETRY_SECONDS = 1


class QueueThreads:
    """Runs calls of a queue, four at once."""

    def __init__(self) -> None:
        self._limiter: anyio.CapacityLimiter | None = None
        self._asked = 0

    async def run(self, call: Callable[..., T], *arguments: object) -> T:
        """Return what *call* returns."""
        self._limiter = self._limiter or anyio.CapacityLimiter(_AT_ONCE)  # it belongs to the running loop
        return await anyio.to_thread.run_sync(call, *arguments, limiter=self._limiter)

    async def ask(self, call: Callable[[], T]) -> T:
        """Return what *call* returns, for a caller who can be told to come again.

        Raises:
            Refused: 503, too many wait.
        """
        if self._asked >= _AT_ONCE + _WAITING:
            message = f"{self._asked} requests about jobs are under way, as many as may be: ask again later."
            raise Refused(503, "jobs_busy", message, retry_after=_RETRY_SECONDS)
        self._asked += 1
        try:
            return await self.run(call)
        finally:
            self._asked -= 1
