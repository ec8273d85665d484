"""Tells the log what goes wrong, and not again and again.

What looks at something twice a second meets the same failure twice a second. Each reason is told once until it is over,
and no more than a few reasons: one whose text differs each time fills neither the log nor the memory.
"""

from __future__ import annotations

import structlog

__all__ = ["ToldOnce"]

_log = structlog.stdlib.get_logger("orita.serving")

_MOST = 8


class ToldOnce:
    """What was told and is not over; called by one thread.

    Args:
        about: what each line says beside its reason.
    """

    def __init__(self, **about: object) -> None:
        self._about = about
        self._told: dict[str, set[str]] = {}

    def tell(self, event: str, error: Exception, *, of: str = "", alert: bool = True, **details: object) -> None:
        """Tell the log that *event* happened for *error*, unless that was told; at most eight reasons of an event.

        Args:
            event: what happened.
            error: its reason.
            of: to what it happened, where the same reason is told of each.
            alert: whether a person should look; else it is a warning.
            details: what the line says beside.
        """
        told = self._told.setdefault(event, set())
        if (reason := f"{of} {error}") in told or len(told) == _MOST:
            return
        told.add(reason)
        said = {**self._about, "error": str(error) or repr(error), **details}
        if alert:
            _log.error(event, alert=True, **said)
        else:
            _log.warning(event, **said)

    def over(self, *events: str) -> None:
        """Forget these *events*: the next one is told again."""
        for event in events:
            self._told.pop(event, None)
