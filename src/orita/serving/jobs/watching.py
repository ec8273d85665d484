"""Looks now and then how many jobs the queue holds, for its metrics, and whether one that was left alone is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orita.serving.jobs.counts import JobCounts
from orita.serving.jobs.queue import JobQueue, QueueSize
from orita.serving.resilience.guard import Guard
from orita.serving.resilience.guarded_threads import GuardedThreads
from orita.serving.resilience.prober import probing

__all__ = ["watching"]

_PING_TIMEOUT = 0.5


@asynccontextmanager
async def watching(
    queue: JobQueue,
    threads: GuardedThreads,
    guard: Guard,
    counts: JobCounts,
    *,
    seconds: float,
    ping_seconds: float,
) -> AsyncIterator[None]:
    """Keep ``counts.size`` up to date, and ping the queue while its breaker is open.

    Args:
        queue: what is looked at.
        threads: where; closed with the block.
        guard: its guard.
        counts: where its size is told; None while it cannot be asked.
        seconds: between two looks.
        ping_seconds: between two pings.
    """

    async def ping() -> QueueSize:
        return await threads.unguarded(queue.size)

    async def look() -> None:
        while True:
            try:
                counts.size = await threads.run(queue.size)
            except Exception:  # whatever it is, its breaker counts it and tells the log
                counts.size = None
            await asyncio.sleep(seconds)

    looking = asyncio.get_running_loop().create_task(look())
    try:
        async with probing(lambda: guard, ping, seconds=ping_seconds, timeout=_PING_TIMEOUT):
            yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        threads.close()
