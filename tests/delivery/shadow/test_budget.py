"""What a shadow may spend."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orita.core.clock import ManualClock
from orita.delivery.shadow.budget import Budget, OwnTime


def test_what_is_spent_too_much_is_waited_for() -> None:
    """A tenth of a processor, after half a second of work: five seconds less what was saved up."""
    clock, spent = ManualClock(), [0.0]
    budget = Budget(10, clock, lambda: spent[0])
    clock.advance(timedelta(seconds=1))
    assert budget.left == pytest.approx(0.1)
    spent[0] += 0.5
    assert budget.left == pytest.approx(-0.4)
    assert budget.wait_seconds == pytest.approx(4)
    clock.advance(timedelta(seconds=4))
    assert budget.left == pytest.approx(0)


def test_no_more_than_a_second_is_saved_up() -> None:
    """After an hour of nothing it may not spend an hour's share at once."""
    clock = ManualClock()
    budget = Budget(20, clock, lambda: 0.0)
    clock.advance(timedelta(hours=1))
    assert budget.left == pytest.approx(0.2)


def test_only_own_work_is_own_time() -> None:
    """What the thread does outside is not counted."""
    own = OwnTime()
    sum(range(200_000))
    assert own.seconds == 0
    with own:
        sum(range(200_000))
        assert own.seconds > 0
    spent = own.seconds
    sum(range(200_000))
    assert own.seconds == spent
