"""A guarded dependency: its breaker and its bulkhead around every call, on the event loop or in its thread.

    store = Guard("store", GuardConfig(), clock)
    x_NF = store.call(reader.matrix, user_id, item_ids, context, at)
    rows = await store.run(lambda: client.rows(keys), timeout=seconds_left(deadline, now, 1.0))

What a caller did wrong (`UserError`, a `Refused` below 500) passes and speaks against nobody; every other error, a
timeout, and an answer slower than ``slow_ms`` counts as a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, ParamSpec, TypeVar

from pydantic import Field

from orita.core.clock import Clock
from orita.core.errors import Unavailable
from orita.serving.resilience.breaker import BreakerConfig, BreakerState, CircuitBreaker
from orita.serving.resilience.bulkhead import Bulkhead
from orita.serving.resilience.contracts import is_failure

__all__ = ["Guard", "GuardConfig", "GuardState"]

P = ParamSpec("P")
T = TypeVar("T")


class GuardConfig(BreakerConfig):
    """How a dependency is guarded.

    Attributes:
        most_calls: calls that may be under way at once.
    """

    most_calls: Annotated[int, Field(ge=1, le=100_000)] = 64


@dataclass(frozen=True, slots=True)
class GuardState:
    """What metrics and health tell of a dependency.

    Attributes:
        name: the dependency.
        state: of its breaker.
        opened: how often the breaker opened.
        refused: calls that were not made, for either reason.
        under_way: calls now.
    """

    name: str
    state: BreakerState
    opened: int
    refused: int
    under_way: int


class Guard:
    """Guards one dependency; called by one thread.

    Attributes:
        breaker: leaves it alone when it fails.
        bulkhead: bounds the calls under way.
    """

    def __init__(self, name: str, config: GuardConfig, clock: Clock) -> None:
        self.breaker = CircuitBreaker(name, config, clock)
        self.bulkhead = Bulkhead(name, config.most_calls)
        self._monotonic = clock.monotonic
        self._slow = None if config.slow_ms is None else config.slow_ms / 1000

    @property
    def state(self) -> GuardState:
        """What is told of it."""
        breaker, bulkhead = self.breaker, self.bulkhead
        refused = breaker.refused + bulkhead.refused
        return GuardState(breaker.name, breaker.state, breaker.opened, refused, bulkhead.under_way)

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what *function* returns.

        Raises:
            BulkheadFull, BreakerOpen: it is not called.
        """
        era = self._enter()
        started = self._monotonic() if self._slow else 0.0
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            self._ended(error, era)
            raise
        finally:
            self.bulkhead.leave()
        self._answered(era, started)
        return result

    async def run(self, function: Callable[[], Awaitable[T]], /, *, timeout: float) -> T:
        """Return what *function* gives within *timeout* seconds; past it the call is cancelled.

        Raises:
            BulkheadFull, BreakerOpen: it is not called.
            Unavailable: it took longer.
        """
        era, started = self._enter(), self._monotonic()
        try:
            async with asyncio.timeout(timeout):
                result = await function()
        except TimeoutError as error:
            self.breaker.failed(era)
            message = f"{self.breaker.name} did not answer within {timeout:g} seconds: see whether it is overloaded."
            raise Unavailable(message) from error
        except BaseException as error:
            self._ended(error, era)
            raise
        finally:
            self.bulkhead.leave()
        self._answered(era, started)
        return result

    def _enter(self) -> int:
        self.bulkhead.enter()
        try:
            return self.breaker.enter()
        except BaseException:
            self.bulkhead.leave()
            raise

    def _answered(self, era: int, started: float) -> None:
        if self._slow and self._monotonic() - started > self._slow:
            self.breaker.failed(era)
        else:
            self.breaker.succeeded(era)

    def _ended(self, error: BaseException, era: int) -> None:
        if is_failure(error):
            self.breaker.failed(era)
        else:
            self.breaker.given_up(era)
