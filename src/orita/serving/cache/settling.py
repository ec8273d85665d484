"""Tags that are invalidated once more, a while after something happened.

A pushed event is in the log at once, and in the features when the stream has taken it. Who asks in between is answered
from the features before it; by then the first invalidation is past, and the answer would be kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["Settling"]


class Settling:
    """Invalidates later; used by one event loop.

    Args:
        invalidate: what is called with the tags then.
        seconds: how long after; 0: never.
    """

    def __init__(self, invalidate: Callable[[list[bytes]], Coroutine[Any, Any, bool]], seconds: float) -> None:
        self._invalidate, self._seconds = invalidate, seconds
        self._waiting: dict[int, asyncio.TimerHandle] = {}
        self._number = 0
        self._running: set[asyncio.Task[bool]] = set()

    def later(self, tags: list[bytes]) -> None:
        """Invalidate *tags* when the time is over."""
        if self._seconds:
            self._number += 1
            loop = asyncio.get_running_loop()
            self._waiting[self._number] = loop.call_later(self._seconds, self._begin, self._number, tags)

    async def close(self) -> None:
        """Leave what is not done."""
        for handle in self._waiting.values():
            handle.cancel()
        self._waiting.clear()
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    def _begin(self, number: int, tags: list[bytes]) -> None:
        del self._waiting[number]
        task = asyncio.create_task(self._invalidate(tags))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
