"""A ping of the store tells how it is, and never holds up more than one thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

from orita.core.errors import Unavailable
from orita.serving.resilience.ping import Ping


def test_it_tells_what_the_store_says() -> None:
    """An answer ends it, an error is raised to whoever asked."""
    failures: list[Exception] = []

    def read() -> None:
        if failures:
            raise failures[0]

    ping = Ping(read)
    asyncio.run(ping())
    failures.append(Unavailable("the store is away."))
    with pytest.raises(Unavailable, match="away"):
        asyncio.run(ping())


def test_one_that_hangs_is_not_asked_twice() -> None:
    """While a ping has no answer the next one fails at once, in no thread of its own; then it is asked again."""
    hangs, reads = threading.Event(), []

    def read() -> None:
        reads.append(1)
        hangs.wait()

    async def asked() -> None:
        ping = Ping(read)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ping(), 0.05)
        assert len(reads) == 1
        hangs.set()
        while True:
            try:
                await ping()
                break
            except TimeoutError:
                await asyncio.sleep(0.01)

    asyncio.run(asked())
    assert len(reads) == 2
