"""What may hang is asked in a few threads of its own, behind its guard, for callers who wait until their deadline.

    threads = GuardedThreads(parts.broker, config.broker, clock)
    offsets = await threads.run(lambda: log.append(…), deadline)
    threads.close()

Nobody can end a call that hangs in a system call. So its caller is let go in time, the call keeps its thread until it
is over, and whoever comes next waits in line for another one: a dependency that hangs takes *at_once* threads and no
more. Its breaker opens meanwhile, and then nobody waits. The threads do not keep the process from ending.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from orita.core.clock import Clock
from orita.serving.http.refusal import Refused
from orita.serving.resilience.config import WaitedGuardConfig
from orita.serving.resilience.deadline import seconds_left
from orita.serving.resilience.guard import Guard

__all__ = ["GuardedThreads"]

T = TypeVar("T")

_TELLING_SECONDS = 1.0
"""A dependency that takes longer has failed, for whoever wants it to be fast."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A call, who waits for it, and in which context it is made."""

    work: Callable[[], Any]
    answer: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    context: Context


class GuardedThreads:
    """Asks one dependency; called by one event loop.

    Args:
        guard: of the dependency.
        config: how long a caller waits at most.
        clock: the time.
        at_once: threads.
    """

    def __init__(self, guard: Guard, config: WaitedGuardConfig, clock: Clock, *, at_once: int = 4) -> None:
        self._guard, self._seconds, self._monotonic = guard, config.wait_ms / 1000, clock.monotonic
        self._at_once = at_once
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._under_way = self._threads = 0

    async def run(self, work: Callable[[], T], deadline: float = float("inf")) -> T:
        """Return what *work* returns.

        Args:
            work: may block.
            deadline: of the caller, seconds of `Clock.monotonic`. One who would not wait for a second learns nothing of
                the dependency, and speaks against it no more than one who hangs up.

        Raises:
            BulkheadFull, BreakerOpen: it is not called.
            Unavailable: there was no answer in time; it may be done all the same.
            Refused: 504, likewise, where the caller would not wait for a second.
        """
        left = round(seconds_left(deadline, self._monotonic(), self._seconds), 3)
        impatient = left < min(self._seconds, _TELLING_SECONDS)
        try:
            async with asyncio.timeout(left if impatient else None):
                return await self._guard.run(lambda: self.unguarded(work), timeout=self._seconds if impatient else left)
        except TimeoutError:
            message = (
                f"{self._guard.breaker.name} did not answer within the {left:g} seconds that the request had, and what "
                "was asked may be done all the same: allow more time in X-Request-Timeout-Ms."
            )
            raise Refused(504, "deadline_exceeded", message) from None

    async def unguarded(self, work: Callable[[], T]) -> T:
        """Return what *work* returns, whatever the guard says; for whoever asks whether the dependency is back."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._under_way += 1
        self._calls.put(_Call(work, answer, loop, copy_context()))
        if self._under_way > self._threads and self._threads < self._at_once:
            self._threads += 1
            Thread(target=self._ask, args=(self._calls,), name=self._guard.breaker.name, daemon=True).start()
        return await answer

    def close(self) -> None:
        """Let the threads end, those that hang once they do not any more."""
        for _ in range(self._threads):
            self._calls.put(None)
        self._calls, self._threads = SimpleQueue(), 0

    def _ask(self, calls: SimpleQueue[_Call | None]) -> None:
        while (call := calls.get()) is not None:
            result, error = None, None
            if not call.answer.cancelled():  # else nobody waits any more
                try:
                    result = call.context.run(call.work)
                except BaseException as raised:  # whatever it is, it is the caller's to know
                    error = raised
            try:
                call.loop.call_soon_threadsafe(self._ended, call.answer, result, error)
            except RuntimeError:  # the loop was closed meanwhile, so nobody waits
                return

    def _ended(self, answer: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
        self._under_way -= 1
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)
