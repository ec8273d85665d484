"""A store's server that is away for a while: told once, tried again after growing waits, told when it is back."""

from __future__ import annotations

import structlog

__all__ = ["Outages"]

_log = structlog.stdlib.get_logger("orita.pipelines")

_FIRST_SECONDS, _LONGEST_SECONDS = 0.2, 10.0


class Outages:
    """The outages of one stream.

    Args:
        system: whose stream it is, for the log.
    """

    def __init__(self, system: str) -> None:
        self._system = system
        self._seconds = 0.0

    def met(self, error: Exception) -> float:
        """Return how many seconds to wait after *error*: 0.2, doubled with every further one, at most 10."""
        if not self._seconds:
            _log.error("features_stream_waits", alert=True, system=self._system, error=str(error))
        self._seconds = min(max(2 * self._seconds, _FIRST_SECONDS), _LONGEST_SECONDS)
        return self._seconds

    def over(self) -> None:
        """Note that the store answers."""
        if self._seconds:
            _log.info("features_stream_goes_on", system=self._system)
        self._seconds = 0.0
