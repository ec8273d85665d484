"""A circuit breaker: a dependency that fails is left alone for a while, and then asked by one call at a time.

CLOSED lets every call pass. It opens after *failures* failures in a row, or, where a rate is set, once so large a share
of the calls of the last seconds failed. OPEN lets none pass for *seconds*; then HALF_OPEN lets one pass at a time, and
closes with the first that succeeds, opens again with the first that fails (Nygard, "Release It!", 2007). Who knows by
other means that the dependency is back, such as a ping, says so by `probed` and need not wait.

    breaker = CircuitBreaker("store", BreakerConfig(), clock)
    era = breaker.enter()                    # raises BreakerOpen
    try:
        ...
    except Exception: breaker.failed(era); raise
    else: breaker.succeeded(era)

`orita.serving.resilience.guard.Guard` does this around a call, and bounds how many are under way.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Annotated

import structlog
from pydantic import Field

from orita.core.clock import Clock
from orita.core.config import Section
from orita.core.errors import Unavailable

__all__ = ["BreakerConfig", "BreakerOpen", "BreakerState", "CircuitBreaker"]

_log = structlog.stdlib.get_logger("orita.serving")


class BreakerConfig(Section):
    """When a dependency is left alone.

    Attributes:
        failures: failures in a row that open the breaker.
        seconds: how long it stays open.
        failure_rate: share of failed calls that opens it too; null: only failures in a row do.
        window_seconds: over so many seconds.
        least_calls: and at least so many calls.
        slow_ms: an answer that takes longer counts as a failure; null: none does.
    """

    failures: Annotated[int, Field(ge=1, le=1000)] = 5
    seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    failure_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    window_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    least_calls: Annotated[int, Field(ge=1, le=100_000)] = 20
    slow_ms: Annotated[float, Field(gt=0)] | None = None


class BreakerState(Enum):
    """Whether calls pass."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class BreakerOpen(Unavailable):
    """A call that was not made, because those before it failed."""


class CircuitBreaker:
    """The breaker of one dependency; called by one thread.

    Attributes:
        name: the dependency.
        opened: how often it opened.
        refused: calls that it did not let pass.
    """

    def __init__(self, name: str, config: BreakerConfig, clock: Clock) -> None:
        self.name = name
        self.opened = self.refused = 0
        self._config, self._rate = config, config.failure_rate
        self._monotonic = clock.monotonic
        self._state = BreakerState.CLOSED
        self._era = 0
        self._in_a_row = 0
        self._until = 0.0
        self._probing = False
        self._calls: deque[tuple[float, bool]] = deque()
        self._failed_calls = 0

    @property
    def state(self) -> BreakerState:
        """Whether calls pass now."""
        if self._state is BreakerState.OPEN and self._monotonic() >= self._until:
            self._become(BreakerState.HALF_OPEN)
        return self._state

    def enter(self) -> int:
        """Let a call pass; whoever made it says how it ended, by `succeeded`, `failed` or `given_up`, with what it got.

        Returns:
            The era of the call: a call that ends in a later one says nothing of the dependency as it is now.

        Raises:
            BreakerOpen: it may not be made now.
        """
        if self._state is BreakerState.CLOSED:
            return self._era
        if self.state is BreakerState.OPEN or self._probing:
            self.refused += 1
            raise BreakerOpen(f"{self.name} has failed and is left alone until it answers a trial: ask again later.")
        self._probing = True
        return self._era

    def succeeded(self, era: int) -> None:
        """Say that a call was answered."""
        if era != self._era:
            return
        self._in_a_row = 0
        if self._state is BreakerState.HALF_OPEN:
            self._become(BreakerState.CLOSED)
        elif self._rate is not None:
            self._count(failed=False)

    def failed(self, era: int) -> None:
        """Say that a call failed."""
        if era != self._era:
            return
        if self._state is BreakerState.HALF_OPEN:
            self._become(BreakerState.OPEN)
            return
        self._in_a_row += 1
        self._count(failed=True)
        if self._in_a_row >= self._config.failures or self._rate_is_reached():
            self._become(BreakerState.OPEN)

    def given_up(self, era: int) -> None:
        """Say that a call ended without telling anything of the dependency: the caller was wrong, or hung up."""
        if era == self._era:
            self._probing = False

    def probed(self) -> None:
        """Say that the dependency is known to be back: the next call is the trial."""
        if self._state is BreakerState.OPEN:
            self._become(BreakerState.HALF_OPEN)

    def _become(self, state: BreakerState) -> None:
        before, self._state = self._state, state
        self._era += 1
        self._probing = False
        if state is BreakerState.OPEN:
            self._until = self._monotonic() + self._config.seconds
            self.opened += 1
        self._in_a_row = 0
        self._calls.clear()
        self._failed_calls = 0
        if state is BreakerState.OPEN and before is BreakerState.CLOSED:
            _log.error("breaker_opened", alert=True, dependency=self.name, seconds=self._config.seconds)
        elif state is BreakerState.CLOSED:
            _log.info("breaker_closed", dependency=self.name)

    def _count(self, *, failed: bool) -> None:
        if self._rate is None:
            return
        now = self._monotonic()
        self._calls.append((now, failed))
        self._failed_calls += failed
        while self._calls[0][0] <= now - self._config.window_seconds:
            self._failed_calls -= self._calls.popleft()[1]

    def _rate_is_reached(self) -> bool:
        rate, calls = self._rate, len(self._calls)
        return rate is not None and calls >= self._config.least_calls and self._failed_calls >= rate * calls
