"""Asks a dependency that is left alone whether it is back, so that nobody's request has to find out.

A breaker that waits a minute before it tries again is right for whoever cannot ask; a ping may be sent every second.

    async with probing(lambda: guard, client.ping, seconds=1.0):
        ...                                              # as long as the server runs
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from orita.serving.resilience.breaker import BreakerState
from orita.serving.resilience.guard import Guard

__all__ = ["probing"]


@asynccontextmanager
async def probing(
    guard: Callable[[], Guard | None],
    ping: Callable[[], Awaitable[object]],
    *,
    seconds: float = 1.0,
    timeout: float = 0.1,
) -> AsyncIterator[None]:
    """Call *ping* every *seconds* while the breaker is open; one that succeeds half-opens it.

    Args:
        guard: says which guard the dependency has now; None: there is none to ask.
        ping: cheap, and fails while the dependency is away.
        seconds: between two attempts.
        timeout: seconds in which a dependency that is well answers it; one that is slow is not back.
    """
    task = asyncio.create_task(_probe(guard, ping, seconds, timeout))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _probe(
    guard: Callable[[], Guard | None], ping: Callable[[], Awaitable[object]], seconds: float, timeout: float
) -> None:
    while True:
        await asyncio.sleep(seconds)
        now = guard()
        if now is not None and now.breaker.state is BreakerState.OPEN and await _answers(ping, timeout):
            now.breaker.probed()


async def _answers(ping: Callable[[], Awaitable[object]], timeout: float) -> bool:
    try:
        async with asyncio.timeout(timeout):
            await ping()
    except Exception:  # whatever a ping fails with means that it is still away, which the breaker has told the log
        return False
    return True
