"""How fast jobs go: as fast as they can while nobody asks, a share of the time while somebody does."""

from __future__ import annotations

import asyncio

from orita.core.clock import Clock

__all__ = ["Pace"]

_IDLE_SECONDS = 0.0002  # a turn of the event loop that is longer had something else to do


class Pace:
    """Lets the event loop go between two slices of work.

    Args:
        share: of the time that slices take at most while the loop has other work, more than 0 and at most 1.
        clock: the time.
    """

    def __init__(self, share: float, clock: Clock) -> None:
        self._rest = 1.0 / share - 1.0
        self._monotonic = clock.monotonic

    async def turn(self, took: float) -> None:
        """Return when the next slice may begin.

        Args:
            took: seconds of the last one.
        """
        began = self._monotonic()
        await asyncio.sleep(0)
        if self._monotonic() - began > _IDLE_SECONDS:
            await asyncio.sleep(took * self._rest)
