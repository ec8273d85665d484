"""What hangs takes a few threads, lets its callers go in time, and is left alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import TypeVar

import pytest
from tests.serving.patience import attempts

from orita.core.clock import SystemClock
from orita.core.errors import Unavailable, UserError
from orita.serving.http.refusal import Refused
from orita.serving.resilience.breaker import BreakerOpen, BreakerState
from orita.serving.resilience.bulkhead import BulkheadFull
from orita.serving.resilience.config import WaitedGuardConfig
from orita.serving.resilience.guard import Guard
from orita.serving.resilience.guarded_threads import GuardedThreads

T = TypeVar("T")

_named: ContextVar[str] = ContextVar("named", default="nobody")


class Hanging:
    """Hangs until the test lets it go; counts who hangs at once, and who came."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.now = self.most = self.calls = 0
        self._lock = threading.Lock()

    def ask(self) -> str:
        """Hang, then answer."""
        with self._lock:
            self.calls += 1
            self.now += 1
            self.most = max(self.most, self.now)
        self.free.wait(30)
        with self._lock:
            self.now -= 1
        return "at last"


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """Something that hangs, until the test ends."""
    found = Hanging()
    yield found
    found.free.set()


def run(work: Callable[[GuardedThreads, Guard], Awaitable[T]], **settings: object) -> T:
    """Do *work* with threads behind a guard."""
    config, clock = WaitedGuardConfig.model_validate(settings), SystemClock()

    async def whole() -> T:
        guard = Guard("broker", config, clock)
        threads = GuardedThreads(guard, config, clock, at_once=2)
        try:
            return await work(threads, guard)
        finally:
            threads.close()

    return asyncio.run(asyncio.wait_for(whole(), 20))


def test_it_answers_and_fails_as_its_work_does() -> None:
    """Results and errors come through, in the context of the caller; a user's error speaks against nobody."""

    async def work(threads: GuardedThreads, guard: Guard) -> None:
        _named.set("me")
        assert await asyncio.gather(*(threads.run(lambda n=n: (n, _named.get())) for n in range(20))) == [  # type: ignore[misc]
            (n, "me") for n in range(20)
        ]

        def wrong() -> None:
            raise UserError("this is wrong.")

        for _ in range(9):
            with pytest.raises(UserError, match="this is wrong"):
                await threads.run(wrong)
        assert guard.state.state is BreakerState.CLOSED

    run(work)


def test_what_hangs_is_left_alone(hanging: Hanging) -> None:
    """Callers are let go, two threads hang and no more, the breaker opens; what is free again answers."""

    async def work(threads: GuardedThreads, guard: Guard) -> None:
        for _ in range(3):
            with pytest.raises(Unavailable, match=r"broker did not answer within 0\.05 seconds"):
                await threads.run(hanging.ask)
        with pytest.raises(BreakerOpen):
            await threads.run(hanging.ask)
        assert (hanging.calls, hanging.most) == (2, 2), "the third waited in line until nobody waited for it"
        hanging.free.set()
        assert await threads.unguarded(hanging.ask) == "at last"
        assert hanging.calls == 3, "who was given up in line is called all the same"
        guard.breaker.probed()
        assert await threads.run(hanging.ask) == "at last"
        assert guard.state.state is BreakerState.CLOSED

    run(work, wait_ms=50, failures=3)


def test_a_hurried_caller_speaks_against_nobody(hanging: Hanging) -> None:
    """Whoever waits for a moment alone is let go in time, and others are still let through."""

    async def work(threads: GuardedThreads, guard: Guard) -> None:
        for _ in range(5):
            with pytest.raises(Refused, match="that the request had"):
                await threads.run(hanging.ask, SystemClock().monotonic() + 0.01)
        assert (guard.state.state, guard.state.under_way) == (BreakerState.CLOSED, 0)

    run(work, failures=2)


def test_so_many_wait_and_no_more(hanging: Hanging) -> None:
    """The bulkhead refuses whoever comes once it is full, at once; who waits is answered when the work is done."""

    async def work(threads: GuardedThreads, guard: Guard) -> None:
        waiting = [asyncio.create_task(threads.run(hanging.ask)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(BulkheadFull):
            await threads.run(hanging.ask)
        hanging.free.set()
        assert await asyncio.gather(*waiting) == ["at last"] * 3

    run(work, most_calls=3)


def test_threads_end(hanging: Hanging) -> None:
    """After the close no thread is left, but those that hang, and they end once they do not hang any more."""

    def threads_now() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name == "broker"}

    async def work(threads: GuardedThreads, guard: Guard) -> None:
        with pytest.raises(Unavailable):
            await threads.run(hanging.ask)

    before = threads_now()  # of other tests, which may end meanwhile
    run(work, wait_ms=20)
    own = threads_now() - before
    assert len(own) == 1
    hanging.free.set()
    for _ in attempts():
        if own.isdisjoint(threads_now()):
            return
    raise AssertionError("a thread does not end")
