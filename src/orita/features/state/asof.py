"""Rows as of the time of a request: those that hold no more are made anew from the past of their keys.

Legend: N keys of a kind, X of them expired, W numbers of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.features.plan import Plan, Record
from orita.features.state.lanes import Lane, lanes_of
from orita.features.state.layout import VALID_UNTIL, past_prefix
from orita.features.state.pasts import read_pasts
from orita.features.state.reading import write_slots_at
from orita.features.state.rows import GetMany, rows_of

__all__ = ["Kind", "kind_of", "rows_as_of"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of record: what it takes to read it as of a time."""

    record: Record
    lanes: tuple[Lane, ...]
    past: bytes

    @property
    def expires(self) -> bool:
        """Whether its rows may change by time alone."""
        return any(lane.timed for lane in self.lanes)


def kind_of(plan: Plan, record: Record) -> Kind:
    """Return the kind of *record*."""
    return Kind(record, lanes_of(plan, record), past_prefix(plan, record))


def rows_as_of(
    plan: Plan,
    get_many: GetMany,
    kinds: Sequence[Kind],
    keys: Sequence[Sequence[bytes]],
    states: Sequence[Floats],
    at: int,
) -> list[Floats]:
    """Return the rows of each kind as of *at*, [N, W]; those that still hold are as they were read.

    Args:
        plan: the plan.
        get_many: reads the store.
        kinds: what was read.
        keys: for each kind, the keys of its rows.
        states: for each kind, the rows as they stand.
        at: microseconds since the Unix epoch, later than the watermarks of the rows.
    """
    found = list(states)
    expired = [np.flatnonzero(state_NW[:, VALID_UNTIL] <= at) for state_NW in states]
    wanted: list[bytes] = []
    for kind, its, expired_X in zip(kinds, keys, expired, strict=True):
        old = [its[i] for i in expired_X.tolist()]
        wanted += old  # once more, so that row and past are of one moment
        wanted += [kind.past + key[1:] for key in old]
    if not wanted:
        return found
    records = get_many(wanted)
    start = 0
    for position, (kind, expired_X) in enumerate(zip(kinds, expired, strict=True)):
        count = len(expired_X)
        if count:
            middle, end = start + count, start + 2 * count
            fresh_XW = rows_of(kind.record, records[start:middle])
            pieces = read_pasts(kind.lanes, records[middle:end])
            write_slots_at(plan, pieces, np.full(count, at), fresh_XW)
            found[position] = found[position].copy()
            found[position][expired_X] = fresh_XW
            start = end
    return found
