"""After a rollout promoted in control state the registry follows: its alias names the new champion.

In a thread of its own: a registry may be away for minutes, and a rollout that does harm waits for nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from orita.core.clock import Clock

__all__ = ["RegistryFollowing"]

_log = structlog.stdlib.get_logger("orita.rollouts")

_MOST_PAUSE = 32.0


class RegistryFollowing:
    """Tells the registry of promotions, each until it took it.

    Args:
        follow: lets the registry agree with what is deployed of a system; it may be asked again.
        clock: the time.
    """

    def __init__(self, follow: Callable[[str], object], clock: Clock) -> None:
        self._follow, self._clock = follow, clock
        self._waiting: dict[str, int] = {}  # how often each was promoted
        self._failures, self._until, self._told = 0, 0.0, ""
        self._thread: threading.Thread | None = None

    def promoted(self, system: str) -> None:
        """Remember that *system* has another champion."""
        self._waiting[system] = self._waiting.get(system, 0) + 1

    def look(self) -> None:
        """Try what waits, unless that is under way or failed a moment ago; return at once."""
        under_way = self._thread is not None and self._thread.is_alive()
        if not self._waiting or under_way or self._clock.monotonic() < self._until:
            return
        waiting = dict(self._waiting)
        self._thread = threading.Thread(target=self._try, args=(waiting,), name="orita-registry", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for what is under way, so long at most; what is left then any command of the registry does."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _try(self, waiting: dict[str, int]) -> None:
        for system, promoted in waiting.items():
            try:
                self._follow(system)
            except Exception as error:  # a registry is another system: whatever it does is no rollout's trouble
                self._failed(system, error)
                return
            if self._waiting[system] == promoted:  # else it was promoted again meanwhile
                del self._waiting[system]
            _log.info("registry_followed", system=system)
        self._failures, self._told = 0, ""

    def _failed(self, system: str, error: Exception) -> None:
        self._failures += 1
        self._until = self._clock.monotonic() + min(2.0 ** (self._failures - 1), _MOST_PAUSE)
        reason = str(error) or type(error).__name__
        if reason != self._told:
            self._told = reason
            _log.error("registry_not_followed", alert=True, system=system, reason=reason)
