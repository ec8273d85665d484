"""The pieces of one lane, of many keys at once: their columns, and what they are after new events.

Legend: R pieces, X members (events by group), K keys, W numbers of a piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.features.declarations import MICROS_PER_DAY
from orita.features.plan import Plan
from orita.features.slots import slots_of
from orita.features.state.fields import FIELD_WIDTHS, Columns, Field, fields_of
from orita.features.state.lanes import Lane
from orita.features.state.lifting import lifted
from orita.features.state.members import Members

__all__ = ["Pieces", "joined", "new_pieces"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_ID_WORDS = 5


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of a lane.

    Attributes:
        lane: whose.
        key_R: the number of each one's key.
        columns: what each has, as `Lane.columns` and then the kind's own, [R] each.
        sketches: the bytes of each, in a lane of sketches; None where the last column still has a value to sketch.
    """

    lane: Lane
    key_R: Integers
    columns: tuple[Floats, ...]
    sketches: tuple[bytes | None, ...] = ()

    def __len__(self) -> int:
        return len(self.key_R)

    @property
    def times(self) -> Floats:
        """Time of each; −inf where a lane has none."""
        return self.columns[0] if self.lane.timed else np.full(len(self), -np.inf)

    @property
    def cells(self) -> Integers:
        """Cell of each: key · groups + group."""
        if self.lane.attribute is None:
            return self.key_R
        group_R = self.columns[self.lane.columns.index("group")].astype(np.int64)
        return self.key_R * len(self.lane.attribute.values) + group_R

    @property
    def seen_times(self) -> Floats:
        """When its latest event was."""
        return self.columns[self.lane.columns.index("seen")] if self.lane.seen else self.times

    @property
    def words(self) -> tuple[Floats, ...]:
        """The ids of events in pieces of 8 bytes; none in other lanes."""
        return self.body[:_ID_WORDS] if self.lane.kind == "events" else ()

    @property
    def body(self) -> tuple[Floats, ...]:
        """The columns of its kind alone."""
        return self.columns[len(self.lane.columns) :]

    def fields(self) -> Columns:
        """Return what is kept of each event, in a lane of events."""
        found: dict[Field, tuple[Floats, ...]] = {}
        at = _ID_WORDS
        for field in self.lane.fields:
            width = FIELD_WIDTHS[field[0]]
            found[field] = self.body[at : at + width]
            at += width
        return found

    def of_keys(self, key_C: Integers, keys: int) -> Pieces:
        """Return the pieces of the keys *key_C* of *keys* alone, these numbered anew."""
        if len(key_C) == keys:
            return self
        number_K = np.full(keys, -1)
        number_K[key_C] = np.arange(len(key_C))
        kept = self.taken(np.flatnonzero(number_K[self.key_R] >= 0))
        return Pieces(self.lane, number_K[kept.key_R], kept.columns, kept.sketches)

    def taken(self, position_V: Integers) -> Pieces:
        """Return the pieces at *position_V*."""
        sketches = tuple(self.sketches[i] for i in position_V.tolist()) if self.sketches else ()
        return Pieces(self.lane, self.key_R[position_V], tuple(c[position_V] for c in self.columns), sketches)


def joined(first: Pieces, second: Pieces) -> Pieces:
    """Return the pieces of both."""
    if not len(first):
        return second
    columns = tuple(np.concatenate(pair) for pair in zip(first.columns, second.columns, strict=True))
    key_R = np.concatenate([first.key_R, second.key_R])
    return Pieces(first.lane, key_R, columns, first.sketches + second.sketches)


def new_pieces(lane: Lane, plan: Plan, members: Members) -> Pieces:
    """Return each member as a piece of its own."""
    time_X = members.times
    key_X, group_X = np.divmod(members.cell_X, members.groups)
    has = {"time": time_X, "group": group_X.astype(np.float64), "seen": time_X}
    common = [has[name] for name in lane.columns]
    match lane.kind:
        case "events":
            columns = members.columns(*lane.fields)
            body = [*members.words(), *(part for field in lane.fields for part in columns[field])]
        case "tiles":
            body = _slots(lane, plan, members, time_X)
        case _:
            return _singles(lane, plan, members, key_X, common)
    return Pieces(lane, key_X, (*common, *body))


def _slots(lane: Lane, plan: Plan, members: Members, time_X: Floats) -> list[Floats]:
    body: list[Floats] = []
    words: Sequence[Floats] = ()
    for measure in lane.measures:
        if "id0" in slots_of(measure):
            words = words or members.words()
        body += lifted(measure, plan, time_X, words, members.columns(*fields_of(measure, plan)))
    return body


def _singles(lane: Lane, plan: Plan, members: Members, key_X: Integers, common: Sequence[Floats]) -> Pieces:
    """Return the one value of each event, where it is known, or where it is enough that there was an event."""
    (measure,) = lane.measures
    value_X, known_X = _identities(measure.function, members, fields_of(measure, plan))
    kept_X = np.ones(len(key_X), np.bool_) if lane.seen else known_X
    body = [value_X, known_X.astype(np.float64)] if lane.kind == "values" and lane.seen else [value_X]
    columns = tuple(column[kept_X] for column in (*common, *body))
    if lane.kind == "values":
        return Pieces(lane, key_X[kept_X], columns)
    return Pieces(lane, key_X[kept_X], columns, tuple(None if known else b"" for known in known_X[kept_X].tolist()))


def _identities(function: str, members: Members, fields: Sequence[Field]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    if function == "distinct_days":
        day_X = np.floor(members.times / MICROS_PER_DAY).astype(np.int64)
        return day_X.view(np.float64), np.ones(len(day_X), np.bool_)
    columns = members.columns(*fields)[fields[0]]
    if function == "quantile":
        return columns[0], ~np.isnan(columns[0])
    return columns[0], columns[1] > 0
