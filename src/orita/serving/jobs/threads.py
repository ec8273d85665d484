"""The threads in which the queue is asked: it waits for disks and networks, and the event loop must not.

Workers have threads of their own, so that they go on renewing their leases while callers wait for a slow queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

__all__ = ["QueueThreads"]

T = TypeVar("T")

_AT_ONCE = 4


class QueueThreads:
    """Runs calls of a queue for workers, four at once; each takes as long as it takes."""

    def __init__(self) -> None:
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, call: Callable[..., T], *arguments: object) -> T:
        """Return what *call* returns."""
        self._limiter = self._limiter or anyio.CapacityLimiter(_AT_ONCE)  # it belongs to the running loop
        return await anyio.to_thread.run_sync(call, *arguments, limiter=self._limiter)
