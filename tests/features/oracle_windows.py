"""Which events of a key the oracle lets through: filters, windows and caps, by definition."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from tests.features.oracle_events import Event

from orita.features.declarations import Source, Window
from orita.features.declaring.conditions import AllOf, AnyOf, Compare, Condition, Not, OneOf

__all__ = ["holds", "let_through"]


def holds(condition: Condition | None, source: Source, event: Event) -> bool:
    """Return whether an event fulfils *condition*."""
    match condition:
        case None:
            return True
        case Compare(column=name, operator=operator, value=limit):
            given = event.get(name)
            if given is None or isnan(given):
                return False
            number: float = given  # whole numbers stay whole
            return {"<": number < limit, "<=": number <= limit, ">": number > limit, ">=": number >= limit}[operator]
        case OneOf(column=name, values=values):
            return event.get(name) is not None and event[name] in values
        case AllOf(parts=parts):
            return all(holds(part, source, event) for part in parts)
        case AnyOf(parts=parts):
            return any(holds(part, source, event) for part in parts)
        case Not(part=part):
            return not holds(part, source, event)


def let_through(window: Window, times: Sequence[int], at: int) -> list[int]:
    """Return the positions of the events that a window lets through, as of *at*.

    Args:
        window: which.
        times: of the events of a key that are earlier than *at*, in order.
        at: the row's time.
    """
    now = at - window.delay
    earlier = [i for i, time in enumerate(times) if time < now]
    match window.kind:
        case "lifetime":
            inside = earlier
        case "sliding":
            begin = now - window.width
            if window.hop:
                begin = begin // window.hop * window.hop
            inside = [i for i in earlier if times[i] >= begin]
        case "tumbling":
            begin = now // window.width * window.width
            inside = [i for i in earlier if times[i] >= begin]
        case "session":
            inside = _session([times[i] for i in earlier], now, window.width)
    return inside[-window.cap :] if window.cap else inside


def _session(times: Sequence[int], now: int, gap: int) -> list[int]:
    inside: list[int] = []
    following = now
    for i in reversed(range(len(times))):
        if following - times[i] >= gap:
            break
        inside.insert(0, i)
        following = times[i]
    return inside
