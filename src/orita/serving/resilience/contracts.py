"""What the parts of this folder agree on: who goes first, how many may be inside, and what counts as a failure."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from orita.core.errors import UserError
from orita.serving.http.refusal import Refused

__all__ = ["ConcurrencyLimit", "Priority", "is_failure"]


class Priority(IntEnum):
    """Who goes first, and who is shed last."""

    CRITICAL = 0
    NORMAL = 1
    LOW = 2


class ConcurrencyLimit(Protocol):
    """How many requests may be inside: waiting and being answered."""

    @property
    def limit(self) -> int:
        """The number now, at least 1."""
        ...

    def observe(self, now: float, latency: float, inside: int, /, *, expired: bool = False) -> None:
        """Learn from one request that was answered, or that waited until its deadline was past.

        Args:
            now: monotonic seconds.
            latency: seconds from its arrival until it left, waiting included.
            inside: how many were inside when it left, itself included.
            expired: whether it left without an answer.
        """
        ...


def is_failure(error: BaseException) -> bool:
    """Return whether *error* speaks against a dependency: not what a caller can mend, nor a call that was given up."""
    if isinstance(error, Refused):
        return error.status >= 500
    return isinstance(error, Exception) and not isinstance(error, UserError)
