"""Cron expressions of five fields, in UTC, as POSIX and Vixie cron read them: 0 and 7 are Sunday.

Where both day of the month and day of the week are restricted, a day counts that is either.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from orita.core.errors import UserError

__all__ = ["Cron"]

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)
_LONGEST_DAYS = 366 * 8 + 3  # a leap day may be eight years away


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression.

    Attributes:
        text: five fields: minute, hour, day of month, month, day of week.

    Raises:
        UserError: it is none, or names no day that exists.

    >>> Cron("0 2 * * *").after(datetime(2024, 6, 1, 12)).isoformat()
    '2024-06-02T02:00:00'
    """

    text: str

    def __post_init__(self) -> None:
        self.after(datetime(2024, 1, 1))  # noqa: DTZ001 - any time will do: it is judged here, not when it is due

    def after(self, at: datetime) -> datetime:
        """Return the first time later than *at* that the expression names."""
        minutes, hours, days, months, weekdays = self._parsed()
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        for _ in range(_LONGEST_DAYS):
            if day.month in months and self._counts(day, days, weekdays):
                for hour in sorted(hours):
                    for minute in sorted(minutes):
                        found = day.replace(hour=hour, minute=minute)
                        if found > at:
                            return found
            day += timedelta(days=1)
        raise UserError(f"cron {self.text!r} names no day that exists: such as 30 2 means 30 February.")

    def _counts(self, day: datetime, days: frozenset[int], weekdays: frozenset[int]) -> bool:
        fields = self.text.split()
        in_month, in_week = day.day in days, day.isoweekday() % 7 in weekdays
        both = not fields[2].startswith("*") and not fields[4].startswith("*")
        return in_month or in_week if both else in_month and in_week

    def _parsed(self) -> tuple[frozenset[int], ...]:
        fields = self.text.split()
        if len(fields) != len(_FIELDS):
            raise UserError(
                f"cron {self.text!r} has {len(fields)} fields: give five, minute, hour, day of month, month, day of "
                "week, such as '0 2 * * *'."
            )
        found = [_values(text, *field) for text, field in zip(fields, _FIELDS, strict=True)]
        return (*found[:4], frozenset(day % 7 for day in found[4]))


def _values(text: str, what: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        span, slash, step = part.partition("/")
        if slash and not (step.isdecimal() and int(step) > 0):
            raise UserError(f"cron: {what} {part!r} has the step {step!r}: give a whole number from 1.")
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        else:
            begin = _number(first, what, low, high, names)
            end = _number(last, what, low, high, names) if dash else (high if slash else begin)
        if begin > end:
            raise UserError(f"cron: {what} {span!r} ends before it begins: give the lower one first.")
        found |= set(range(begin, end + 1, int(step) if slash else 1))
    return frozenset(found)


def _number(text: str, what: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text) + (low if what == "month" else 0)
    if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
        named = f", or {names[0]} to {names[-1]}" if names else ""
        raise UserError(f"cron: {what} is {text!r}: give a whole number from {low} to {high}{named}, or *.")
    return int(text)
