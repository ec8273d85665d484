"""Drives a call by hand: without a server, and without waiting."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import timedelta
from typing import Any

from orita.client.errors import BadAnswer, Refused, TimedOut, Unreachable
from orita.client.exchange import Attempt, Broken, Pause, Reply
from orita.core.clock import ManualClock


def driven(
    course: Generator[Attempt | Pause, Reply | Broken | None, Any],
    clock: ManualClock,
    outcomes: Sequence[Reply | Broken],
    takes: float,
) -> tuple[Any, list[float], list[Attempt]]:
    """Return the end, the pauses and the attempts of a call whose attempts end as *outcomes*, each after *takes* s."""
    pauses: list[float] = []
    attempts: list[Attempt] = []
    try:
        step = next(course)
        while True:
            if isinstance(step, Pause):
                pauses.append(step.seconds)
                clock.advance(timedelta(seconds=step.seconds))
                step = course.send(None)
            else:
                attempts.append(step)
                clock.advance(timedelta(seconds=takes))
                step = course.send(outcomes[min(len(attempts), len(outcomes)) - 1])
    except StopIteration as end:
        return end.value, pauses, attempts
    except (Refused, TimedOut, Unreachable, BadAnswer) as error:
        return error, pauses, attempts
