"""What a request brings itself: its time, and columns such as the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orita.events.schema import Column
from orita.features.transforms import Derivable

if TYPE_CHECKING:
    from orita.features.declaring.sources import Source

__all__ = ["Context", "ContextColumn", "HourOfDay", "WeekDay"]


@dataclass(frozen=True, slots=True)
class HourOfDay(Derivable):
    """Hour of the request, 0 … 23, UTC."""


@dataclass(frozen=True, slots=True)
class WeekDay(Derivable):
    """Weekday of the request, Monday = 0, UTC."""


@dataclass(frozen=True, slots=True)
class ContextColumn(Derivable):
    """A column that the request itself brings: a number or flag as it is, a category as the number of its value."""

    column: Column


@dataclass(frozen=True, slots=True)
class Context:
    """What the requests bring that a source's events tell of."""

    source: Source

    def hour_of_day(self) -> HourOfDay:
        """Return the hour of the request in UTC, 0 … 23."""
        return HourOfDay()

    def day_of_week(self) -> WeekDay:
        """Return the weekday of the request in UTC, Monday = 0."""
        return WeekDay()

    def __getattr__(self, name: str) -> ContextColumn:
        return ContextColumn(self.source.column(name).column)
