"""The span of time that is replayed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from orita.core.clock import to_micros
from orita.core.errors import UserError

__all__ = ["Span"]


@dataclass(frozen=True, slots=True)
class Span:
    """The times in [*start*, *end*), UTC.

    Raises:
        UserError: it is empty.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise UserError(
                f"--from {self.start.isoformat()} is not before --to {self.end.isoformat()}: give a span that begins "
                "before it ends."
            )

    @property
    def micros(self) -> tuple[int, int]:
        """Both ends in microseconds since the Unix epoch."""
        return to_micros(self.start), to_micros(self.end)

    @property
    def days(self) -> list[Span]:
        """The span in pieces of a UTC day at most."""
        found, start = [], self.start
        while start < self.end:
            midnight = datetime.combine(start.date() + timedelta(days=1), datetime.min.time(), UTC)
            found.append(Span(start, min(midnight, self.end)))
            start = midnight
        return found

    @property
    def day(self) -> date:
        """The UTC day it begins on."""
        return self.start.date()
