"""A kind of things for tests: counters that can be added to and taken away."""

from __future__ import annotations

from typing import Any

import msgspec

from orita.control.aggregates import Aggregates, Kind
from orita.control.events import ControlEvent

__all__ = ["COUNTER", "Counter", "add", "take_away"]


class Counter(msgspec.Struct, frozen=True):
    """How far it is."""

    total: int


def _evolve(state: Counter | None, event: ControlEvent, body: Any) -> Counter | None:
    if event.type == "taken_away":
        return None
    return Counter((state.total if state is not None else 0) + int(body["by"]))


COUNTER = Kind("counter", Counter, ("added", "taken_away"), _evolve)


def add(counters: Aggregates[Counter], name: str, by: int, *, expected: int | None = None) -> ControlEvent:
    """Add *by* to a counter."""
    with counters.changing(name, expected=expected) as change:
        return change.record("added", {"by": by}, actor="ana", reason="test")


def take_away(counters: Aggregates[Counter], name: str) -> ControlEvent:
    """Let a counter be no more."""
    with counters.changing(name) as change:
        return change.record("taken_away", {}, actor="ana", reason="test")
