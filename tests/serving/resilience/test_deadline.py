"""How long a caller waits, and what becomes of work that nobody waits for."""

from __future__ import annotations

import anyio.to_thread
import pytest
from pydantic import ValidationError

from orita.serving.http.refusal import Refused
from orita.serving.resilience.contracts import Priority
from orita.serving.resilience.deadline import (
    DeadlineConfig,
    Deadlines,
    check_deadline,
    current_deadline,
    seconds_left,
    until,
)
from orita.serving.resilience.priority import Priorities, PriorityConfig

DEADLINES = Deadlines(DeadlineConfig(default_ms=1000, most_ms=5000))


@pytest.mark.parametrize(
    ("millis", "grpc", "seconds"),
    [
        (b"250", None, 0.25),
        (b"1", None, 0.001),
        (b"999999999", None, 5.0),
        (b"250", b"9S", 0.25),
        (None, b"250m", 0.25),
        (None, b"3S", 3.0),
        (None, b"99999999H", 5.0),
        (None, b"1000u", 0.001),
        (None, b"5000000n", 0.005),
        (None, b"1M", 5.0),
        (None, None, 1.0),
    ],
)
def test_a_deadline_is_what_the_caller_says_within_bounds(
    millis: bytes | None, grpc: bytes | None, seconds: float
) -> None:
    """Our header goes before gRPC's; without either the default holds; nobody gets more than the most."""
    assert DEADLINES.read(millis, grpc, 100.0) == pytest.approx(100.0 + seconds)


@pytest.mark.parametrize(
    "value", [b"", b"-1", b"0", b"000", b"1.5", b"1e3", b" 5", b"5 ", b"9999999999", b"nan", b"\xff"]
)
def test_a_header_that_is_no_time_is_refused_by_name(value: bytes) -> None:
    """Whatever is not whole milliseconds is a 422 that names header, value and what is allowed."""
    with pytest.raises(Refused, match="X-Request-Timeout-Ms") as refused:
        DEADLINES.read(value, None, 0.0)
    assert (refused.value.status, refused.value.code) == (422, "invalid_value")


@pytest.mark.parametrize("value", [b"", b"5", b"S", b"123456789S", b"5s", b"-5S", b"5 S"])
def test_a_grpc_timeout_has_its_form(value: bytes) -> None:
    """At most eight digits and a unit, as gRPC's specification says."""
    with pytest.raises(Refused, match="grpc-timeout"):
        DEADLINES.read(None, value, 0.0)


def test_expired_work_is_dropped() -> None:
    """At its deadline, and after it, work is refused with 504; before it nothing happens."""
    check_deadline(10.0, 9.999)
    with pytest.raises(Refused) as refused:
        check_deadline(10.0, 10.0)
    assert (refused.value.status, refused.value.code) == (504, "deadline_exceeded")


def test_a_step_gets_what_is_left() -> None:
    """A timeout is never longer than the step's own, and never negative."""
    assert [seconds_left(10.0, now, 1.0) for now in (0.0, 9.5, 10.0, 11.0)] == [1.0, 0.5, 0.0, 0.0]


def test_a_deadline_goes_along_into_threads() -> None:
    """Within the block the deadline is known, in threads too; an inner one can only be earlier; then it is gone."""

    async def ask() -> float:
        with until(7.0), until(9.0):
            return await anyio.to_thread.run_sync(current_deadline)

    assert anyio.run(ask) == 7.0
    assert current_deadline() == float("inf")


def test_a_default_beyond_the_most_is_refused() -> None:
    """The configuration cannot contradict itself."""
    with pytest.raises(ValidationError, match="default_ms is 9000"):
        DeadlineConfig(default_ms=9000, most_ms=5000)


def test_callers_may_lower_their_priority() -> None:
    """The header goes below the route's priority, above it only where callers are trusted; it is one of three words."""
    plain, trusting = Priorities(), Priorities(PriorityConfig(trust_callers=True))
    assert plain.read(None, Priority.NORMAL) is Priority.NORMAL
    assert plain.read(b"low", Priority.NORMAL) is Priority.LOW
    assert plain.read(b"critical", Priority.NORMAL) is Priority.NORMAL
    assert trusting.read(b"critical", Priority.NORMAL) is Priority.CRITICAL
    with pytest.raises(Refused, match="X-Request-Priority is 'urgent'") as refused:
        plain.read(b"urgent", Priority.NORMAL)
    assert refused.value.status == 422
