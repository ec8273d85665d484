"""What an event is to the oracle: when it was, when it became known, how events of one instant are ordered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orita.features.declarations import Source

__all__ = ["Event", "known_of", "rank_of", "time_of", "unique_events"]

Event = Mapping[str, Any]
"""Columns by name; times are microseconds since the Unix epoch; None, or no entry, is a missing value."""

_ID_BYTES = 40


def time_of(source: Source, event: Event) -> int:
    """Return when *event* was."""
    return int(event[source.schema.time or ""])


def known_of(source: Source, event: Event) -> int:
    """Return when *event* became known: said by the event, else declared by the source; never before its time."""
    said = event.get(source.schema.ingested or "")
    return time_of(source, event) + source.delay_micros if said is None else max(said, time_of(source, event))


def rank_of(source: Source, event: Event) -> tuple[int, bytes]:
    """Return what events are ordered by: their time, then the first bytes of their id."""
    return time_of(source, event), str(event[source.schema.key]).encode()[:_ID_BYTES]


def unique_events(source: Source, events: Iterable[Event]) -> list[Event]:
    """Return one event an id, the one that became known first."""
    first: dict[Any, Event] = {}
    for event in events:
        held = first.setdefault(event[source.schema.key], event)
        if known_of(source, event) < known_of(source, held):
            first[event[source.schema.key]] = event
    return list(first.values())
