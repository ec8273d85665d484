"""Cron expressions name the times that cron names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.core.errors import UserError
from orita.pipelines.schedule import Cron

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)  # a Saturday


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 2 * * *", "2024-06-02T02:00"),
        ("0 0 * * 0", "2024-06-02T00:00"),
        ("0 0 * * 7", "2024-06-02T00:00"),
        ("0 0 * * sun", "2024-06-02T00:00"),
        ("0 0 * * 1-5", "2024-06-03T00:00"),
        ("*/15 * * * *", "2024-06-01T12:15"),
        ("5/20 12 * * *", "2024-06-01T12:05"),
        ("0 12 1 * *", "2024-07-01T12:00"),
        ("30 4 1,15 * 5", "2024-06-07T04:30"),
        ("0 0 29 feb *", "2028-02-29T00:00"),
        ("0 9-17/4 * * *", "2024-06-01T13:00"),
        ("59 23 31 12 *", "2024-12-31T23:59"),
    ],
)
def test_the_next_time(text: str, expected: str) -> None:
    """0 and 7 are Sunday; of two restricted days either counts; leap days are waited for."""
    assert Cron(text).after(NOON) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0 2 * *", "has 4 fields"),
        ("60 2 * * *", "minute is '60': give a whole number from 0 to 59"),
        ("0 2 * * someday", "day of week is 'someday'.*or sun to sat"),
        ("*/0 * * * *", "step '0'"),
        ("0 5-3 * * *", "ends before it begins"),
        ("0 0 30 2 *", "names no day that exists"),
    ],
)
def test_what_is_no_schedule_is_refused(text: str, told: str) -> None:
    """When it is read, not when it would be due; the sentence says which field and what is allowed."""
    with pytest.raises(UserError, match=told):
        Cron(text)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001 - drawn, then given UTC
    st.integers(0, 59),
    st.integers(0, 23),
    st.integers(0, 6),
)
def test_a_weekly_time_comes_every_week(at: datetime, minute: int, hour: int, day: int) -> None:
    """The next one is later, at most a week away, at that minute and hour of that day; the one after a week later."""
    cron = Cron(f"{minute} {hour} * * {day}")
    first = cron.after(at.replace(tzinfo=UTC))
    assert timedelta(0) < first - at.replace(tzinfo=UTC) <= timedelta(days=7)
    assert (first.minute, first.hour, first.isoweekday() % 7, first.second) == (minute, hour, day, 0)
    assert cron.after(first) - first == timedelta(days=7)
