"""Asks the online store something, in a thread, one at a time: a store that hangs holds up nothing but that thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

__all__ = ["StorePing"]


class StorePing:
    """A ping for `orita.serving.resilience.prober.probing`; called by one event loop.

    Args:
        read: reads something from the store, and raises where it cannot.
    """

    def __init__(self, read: Callable[[], object]) -> None:
        self._read = read
        self._asking = False

    async def __call__(self) -> None:
        """Return once the store has answered.

        Raises:
            TimeoutError: an earlier ping has no answer yet.
            Exception: the store fails as it does.
        """
        if self._asking:
            raise TimeoutError("the store has not answered the ping before this one.")
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[None] = loop.create_future()
        self._asking = True
        threading.Thread(target=self._ask, args=(loop, answered), name="orita-ping", daemon=True).start()
        await answered

    def _ask(self, loop: asyncio.AbstractEventLoop, answered: asyncio.Future[None]) -> None:
        failure: Exception | None = None
        try:
            self._read()
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
