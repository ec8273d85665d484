"""How state is laid out in the store: the keys of a record, and the row of numbers of a key.

A record is a row of float64 under its key: when its latest event was, until when the row holds, attributes, and the
slots of every aggregate. What these are made of where they can change by time alone, the pieces of the past, stands
under a key of its own, which requests read only when the row holds no more.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from orita.features.plan import AggregateSlots, Plan, Record
from orita.features.slots import empty_of, slots_of

__all__ = ["RESERVED", "VALID_UNTIL", "WATERMARK", "cells", "empty_row", "kept_in_slots", "past_prefix", "row_prefix"]

Floats = npt.NDArray[np.float64]

WATERMARK = 0
"""Where a row has the time of the latest event, NaN without any."""

VALID_UNTIL = 1
"""Where a row has the first time at which it is something else without any further event; +inf: never."""

RESERVED = b"\xff"
"""Keys that begin with it are not keys of records: the stream engine has its own there."""

_PAST = 0x80
_IN_PIECES = ("distinct_days", "distinct", "approx_distinct", "quantile")


def row_prefix(plan: Plan, record: Record) -> bytes:
    """Return how the keys of a record's rows begin."""
    return bytes([plan.records.index(record)])


def past_prefix(plan: Plan, record: Record) -> bytes:
    """Return how the keys of a record's pasts begin."""
    return bytes([_PAST | plan.records.index(record)])


def kept_in_slots(slots: AggregateSlots) -> bool:
    """Return whether an aggregate is kept in its slots alone: events add to it, and nothing leaves it."""
    window = slots.aggregate.window
    return window.kind == "lifetime" and not window.delay and slots.aggregate.function not in _IN_PIECES


def empty_row(record: Record) -> Floats:
    """Return the row of a key that is not known, [W]."""
    row_W = np.full(record.width, np.nan)
    row_W[VALID_UNTIL] = np.inf
    for held in record.attributes:
        if held.attribute.many:
            row_W[held.start : held.start + held.width] = 0
    for slots in record.aggregates:
        row_W[slots.start : slots.start + slots.width] = empty_of(slots.aggregate) * slots.groups
    return row_W


def cells(slots: AggregateSlots, state_KW: Floats) -> Iterator[Floats]:
    """Yield each slot of an aggregate as a view of the rows, [K, groups]."""
    width = len(slots_of(slots.aggregate))
    for position in range(width):
        yield state_KW[:, slots.start + position : slots.start + slots.width : width]
