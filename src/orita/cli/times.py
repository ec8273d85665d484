"""A time as a command takes it."""

from __future__ import annotations

from datetime import datetime

from orita.core.clock import from_micros, to_micros
from orita.core.errors import UserError

__all__ = ["time_of"]


def time_of(text: str, what: str = "--at") -> datetime:
    """Return the time that *text* writes in ISO 8601, in UTC, which is also what a missing offset means.

    Raises:
        UserError: it writes none, or one that UTC cannot tell; *what* says of which option or argument.
    """
    try:
        return from_micros(to_micros(datetime.fromisoformat(text)))
    except (ValueError, OverflowError):
        raise UserError(f"{what} is {text!r}: give a time in ISO 8601, such as 2024-11-15T10:30:00Z.") from None
