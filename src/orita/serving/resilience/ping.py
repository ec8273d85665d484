"""Asks a dependency something, in a thread, one at a time: one that hangs holds up nothing but that thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

__all__ = ["Ping"]


class Ping:
    """A ping for `orita.serving.resilience.prober.probing`; called by one event loop.

    Args:
        ask: asks it something, and raises where that fails.
    """

    def __init__(self, ask: Callable[[], object]) -> None:
        self._question = ask
        self._asking = False

    async def __call__(self) -> None:
        """Return once it has answered.

        Raises:
            TimeoutError: an earlier ping has no answer yet.
            Exception: it fails as it does.
        """
        if self._asking:
            raise TimeoutError("there is no answer to the ping before this one.")
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[None] = loop.create_future()
        self._asking = True
        threading.Thread(target=self._ask, args=(loop, answered), name="orita-ping", daemon=True).start()
        await answered

    def _ask(self, loop: asyncio.AbstractEventLoop, answered: asyncio.Future[None]) -> None:
        failure: Exception | None = None
        try:
            self._question()
        except Exception as error:  # whatever it is, it goes to who asked
            failure = error
        self._asking = False
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(_tell, answered, failure)


def _tell(answered: asyncio.Future[None], failure: Exception | None) -> None:
    if answered.done():  # nobody waits any more
        return
    if failure is None:
        answered.set_result(None)
    else:
        answered.set_exception(failure)
