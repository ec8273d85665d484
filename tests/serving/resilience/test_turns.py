"""Answers that take several turns at the door: who goes between, who goes first, and what the door learns of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from orita.core.clock import ManualClock
from orita.serving.http.refusal import Refused
from orita.serving.resilience.admission import Admission
from orita.serving.resilience.contracts import Priority
from orita.serving.resilience.turns import Turns
from orita.serving.resilience.turnstile import Turnstile

NEVER = float("inf")


class Watched:
    """A limit that keeps what it is told."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.latencies: list[float] = []

    def observe(self, now: float, latency: float, inside: int, /, *, expired: bool = False) -> None:
        """Keep the latency."""
        self.latencies.append(latency)


class Door:
    """A door, the turns of it, and who had one in which order."""

    def __init__(self, limit: int = 100) -> None:
        self.clock, self.limit = ManualClock(), Watched(limit)
        self.turnstile = Turnstile(Admission(self.limit), self.clock)
        self.turns = Turns(self.turnstile, self.clock)
        self.had: list[str] = []

    async def feed(self, name: str, priority: Priority = Priority.NORMAL, works: float = 0.0) -> None:
        """Take two turns, in each of which *works* seconds pass; it came when the clock began."""
        async with self.turns.first(priority, NEVER, 0.0):
            self.had.append(f"{name}1")
            self.clock.advance(timedelta(seconds=works))
        async with self.turns.next(NEVER):
            self.had.append(f"{name}2")
            self.clock.advance(timedelta(seconds=works))


def test_what_is_half_done_goes_before_what_has_not_begun() -> None:
    """One turn at a time, by priority; one who waits goes between two turns of a feed, a low one behind both."""

    async def together() -> list[str]:
        door = Door()
        await asyncio.gather(door.feed("a"), door.feed("low", Priority.LOW), door.feed("b"))
        return door.had

    assert asyncio.run(together()) == ["a1", "b1", "a2", "b2", "low1", "low2"]


def test_the_door_learns_from_waiting_and_not_from_work() -> None:
    """A feed that works for a second, and waited for another's, has waited for that one; second turns tell nothing."""

    async def together() -> list[float]:
        door = Door()
        await asyncio.gather(door.feed("a", works=1.0), door.feed("b", works=1.0))
        return door.limit.latencies

    assert asyncio.run(together()) == pytest.approx([0, 1], abs=1e-5)


def test_where_there_is_no_room_the_lowest_is_turned_away() -> None:
    """As predictions are: 503 with ``Retry-After``; and who had a slot gives it back."""

    async def together() -> tuple[list[str], list[Refused], int]:
        door = Door(limit=2)
        names = [("a", Priority.NORMAL), ("low", Priority.LOW), ("b", Priority.NORMAL), ("c", Priority.NORMAL)]
        ended = await asyncio.gather(*(door.feed(*named) for named in names), return_exceptions=True)
        await asyncio.sleep(0)
        return door.had, [e for e in ended if isinstance(e, Refused)], door.turnstile.admission.inside

    had, turned_away, inside = asyncio.run(together())
    assert {name[:-1] for name in had} == {"a", "b"} and inside == 0
    assert [(refused.status, refused.code) for refused in turned_away] == [(503, "overloaded")] * 2
    assert all(refused.retry_after for refused in turned_away)


def test_a_deadline_that_passed_in_between_ends_it() -> None:
    """The second turn is not taken, and the slot is free."""

    async def late() -> tuple[str, int]:
        door = Door()
        async with door.turns.first(Priority.NORMAL, 1.0, 0.0):
            door.clock.advance(timedelta(seconds=2))
        with pytest.raises(Refused) as refused:
            async with door.turns.next(1.0):
                raise AssertionError("it is too late for a turn")
        await asyncio.sleep(0)
        return refused.value.code, door.turnstile.admission.inside

    assert asyncio.run(late()) == ("deadline_exceeded", 0)


def test_what_fails_in_its_turn_gives_it_back() -> None:
    """And says nothing of how long an answer takes."""

    async def failing() -> tuple[int, list[float]]:
        door = Door()
        with pytest.raises(ZeroDivisionError):
            async with door.turns.first(Priority.NORMAL, NEVER, 0.0):
                raise ZeroDivisionError
        await asyncio.sleep(0)
        return door.turnstile.admission.inside, door.limit.latencies

    assert asyncio.run(failing()) == (0, [])
