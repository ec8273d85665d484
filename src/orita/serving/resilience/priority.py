"""Which priority a request has: that of its route, or a lower one that its caller names.

Whoever may raise the priority of a request would do so; thus the header only lowers it, unless callers are trusted.

    priorities = Priorities(config.priority)
    priority = priorities.read(headers.get(b"x-request-priority"), Priority.NORMAL)
"""

from __future__ import annotations

from orita.core.config import Section
from orita.serving.http.refusal import Refused
from orita.serving.resilience.contracts import Priority

__all__ = ["Priorities", "PriorityConfig"]

_NAMES = {b"critical": Priority.CRITICAL, b"normal": Priority.NORMAL, b"low": Priority.LOW}


class PriorityConfig(Section):
    """How priorities are read.

    Attributes:
        trust_callers: whether ``X-Request-Priority`` may also raise the priority of a request.
    """

    trust_callers: bool = False


class Priorities:
    """Reads priorities from headers.

    Attributes:
        trusting: whether callers may raise the priority of a request.
    """

    def __init__(self, config: PriorityConfig | None = None) -> None:
        self.trusting = (config or PriorityConfig()).trust_callers

    def read(self, header: bytes | None, route: Priority) -> Priority:
        """Return the priority of a request.

        Args:
            header: ``X-Request-Priority``: ``critical``, ``normal`` or ``low``; None where it is absent.
            route: of its route.

        Raises:
            Refused: 422, the header says something else.
        """
        if header is None:
            return route
        named = _NAMES.get(header)
        if named is None:
            shown = header[:32].decode("latin-1")
            message = f"the header X-Request-Priority is {shown!r}, allowed are critical, normal and low."
            raise Refused(422, "invalid_value", message)
        return named if self.trusting else max(named, route)
