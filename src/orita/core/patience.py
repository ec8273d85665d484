"""How long whoever asks will wait: said at the edge, read by whoever waits for another machine.

    with patience(0.1):
        store.get_many(keys)                    # a store that is away fails after 0.1 seconds
    timeout = seconds_to_wait(1.0)              # in the store: 1.0, or what is left

It is carried in a context variable, where signatures between the two have no place for it; also into threads that anyio
starts. What needs no other machine does not look.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from types import TracebackType

__all__ = ["patience", "seconds_to_wait"]

_NEVER = float("inf")

_until: ContextVar[float] = ContextVar("orita_patience", default=_NEVER)


class patience:  # noqa: N801 - it is used like a function, and costs a third of a generator
    """Wait at most so many seconds within the block, or as long as around it where that is less."""

    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._token = _until.set(min(time.monotonic() + self._seconds, _until.get()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _until.reset(self._token)


def seconds_to_wait(most: float) -> float:
    """Return how long to wait, in seconds: *most*, or what is left within `patience`; 0 where nothing is."""
    until = _until.get()
    return most if until == _NEVER else min(max(until - time.monotonic(), 0.0), most)
