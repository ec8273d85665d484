"""Was a choice of that id ever given? The log of choices tells, as no id is answered before its choice lies there.

An id says when it was made, and rows lie in the order of their times: so a few rows around that time are read, and no
list of ids is kept. Whoever makes ids gives out none that took longer than `GIVEN_WITHIN` seconds to be logged.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.compute as pc

from orita.core.ids import millis_of
from orita.delivery.bandits.records import PARTITION, STREAM, Choice, records_in
from orita.events.log.log import Batch, EventLog, OffsetRetired

__all__ = ["CLOCKS_DIFFER", "GIVEN_WITHIN", "NotKept", "given_choice"]

CLOCKS_DIFFER = 60.0
"""Seconds by which the clocks of machines that share a log may be apart."""

GIVEN_WITHIN = 60.0
"""Seconds from the time of an id until its choice is logged, at most; one that takes longer is not answered."""

_PIECE = 10_000
_SHORTLY = 1_000_000  # microseconds: where clocks agree the choice lies no further before its id
_MICROS = 1_000_000


class NotKept(Exception):
    """The log does not reach back so far: whether the choice was given it cannot tell."""


def given_choice(log: EventLog, decision: str, unread: int = 0) -> Choice | None:
    """Return the choice of an id, None where there never was one.

    Args:
        log: where choices are.
        decision: a UUID of version 7.
        unread: an offset; a choice that was given a moment ago lies there or behind.

    Raises:
        NotKept: rows of that time were deleted.
        OSError, OritaError: the log cannot be read.
    """
    if STREAM not in log.streams():
        return None
    made = millis_of(decision) * 1_000
    low, high = made - _micros(CLOCKS_DIFFER), made + _micros(GIVEN_WITHIN + CLOCKS_DIFFER)
    try:
        start, end = log.start(STREAM, PARTITION), log.end(STREAM, PARTITION)
        unread = max(unread, start)
        if end <= unread + _PIECE and (found := _found(log, decision, unread, end)):
            return found
        first, near, last = (_offset_of(log, at, start, end) for at in (low, made - _SHORTLY, high))
        found = _found(log, decision, near, last) or _found(log, decision, first, near)
        if found is None and first == start > 0:
            raise NotKept
    except OffsetRetired as retired:  # while it was read
        raise NotKept from retired
    return found


def _found(log: EventLog, decision: str, first: int, end: int) -> Choice | None:
    """Return the choice of that id among the rows from *first*, up to *end*."""
    while first < end:
        batch = log.read(STREAM, PARTITION, first, min(_PIECE, end - first))
        for choice in _choices_of(batch, decision):
            return choice
        if batch.next == first:
            break
        first = batch.next
    return None


def _choices_of(batch: Batch, decision: str) -> Iterator[Choice]:
    if not batch.rows.num_rows:
        return
    own = pc.fill_null(pc.equal(batch.rows.column("decision"), decision), False)
    rows = batch.rows.filter(own)
    at_N = batch.appended_at_N[own.to_numpy(zero_copy_only=False)]
    for _, record in records_in(Batch(batch.partition, batch.first, batch.next, rows, at_N)):
        if isinstance(record, Choice):
            yield record


def _offset_of(log: EventLog, at: int, low: int, high: int) -> int:
    """Return the first offset from *low* on whose row was appended at a time or later, *high* where there is none."""
    while low < high:
        middle = (low + high) // 2
        found = log.read(STREAM, PARTITION, middle, 1).appended_at_N
        low, high = (middle + 1, high) if len(found) and found[0] < at else (low, middle)
    return low


def _micros(seconds: float) -> int:
    return round(seconds * _MICROS)
