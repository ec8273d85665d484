"""What is kept of the past: pieces that nobody can tell apart any more are merged, those that nobody sees are dropped.

It depends on the time of a key's latest event alone. Requests come later than that, so that what no window shows from
then on is not needed, and what lies before every delay can become a tile. Late events find their tile.

Legend: R pieces, K keys, C merged pieces.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from orita.features.slots import slots_of
from orita.features.state.lanes import Lane
from orita.features.state.merging import latest, merged
from orita.features.state.ordering import in_order, lengths, segments
from orita.features.state.pieces import Pieces
from orita.features.state.sketches import sketch
from orita.features.state.visible import begins, latest_of_cell

__all__ = ["settled"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def settled(pieces: Pieces, at_K: Integers) -> Pieces:
    """Return the pieces that requests at *at_K* and later need, merged where they may be, by cell, time and id.

    Args:
        pieces: of one lane, in any order.
        at_K: for each key, the first time at which it may be read: a microsecond after its latest event.
    """
    lane = pieces.lane
    if lane.timed and lane.kind != "events":
        pieces = _tiled(pieces, at_K)
    if lane.timed:
        pieces = pieces.taken(np.flatnonzero(_reached(pieces, at_K)))
    if not len(pieces):
        return pieces
    match lane.kind:
        case "events":
            ordered = pieces.taken(in_order(pieces.cells, pieces.times, pieces.words))
            return ordered.taken(np.flatnonzero(_within_caps(ordered, at_K)))
        case "tiles":
            return _merged_tiles(pieces.taken(in_order(pieces.cells, pieces.times)))
        case "values" if not lane.timed and not lane.seen:  # `inserting` has left each value once
            return _capped(pieces) if lane.measures[0].function == "distinct" else pieces
        case "values":
            return _different_values(pieces)
        case _:
            return _merged_sketches(pieces.taken(in_order(pieces.cells, pieces.times)))


def _tiled(pieces: Pieces, at_K: Integers) -> Pieces:
    """Return the pieces with the time of their tile, where all of it lies before every delay."""
    lane, time_R = pieces.lane, pieces.times
    past_R = time_R < at_K[pieces.key_R] - lane.delay
    begin_R = np.full(len(pieces), -np.inf) if lane.tile is None else time_R // lane.tile * lane.tile
    time_R = np.where(past_R, begin_R, time_R)
    return Pieces(lane, pieces.key_R, (time_R, *pieces.columns[1:]), pieces.sketches)


def _reached(pieces: Pieces, at_K: Integers) -> npt.NDArray[np.bool_]:
    """Return which pieces the window of some aggregate may still show."""
    reached_R = np.zeros(len(pieces), np.bool_)
    time_R, at_R = pieces.times, at_K[pieces.key_R]
    for window in {slots.aggregate.window for slots in pieces.lane.members}:
        reached_R |= time_R >= begins(window, at_R)
    return reached_R


def _within_caps(pieces: Pieces, at_K: Integers) -> npt.NDArray[np.bool_]:
    """Return which events some aggregate may still count: those within reach, of them the latest, and what waits."""
    cell_R, time_R, at_R = pieces.cells, pieces.times, at_K[pieces.key_R]
    kept_R = np.zeros(len(pieces), np.bool_)
    for window in {slots.aggregate.window for slots in pieces.lane.members}:
        waits_R = time_R >= at_R - window.delay
        past_V = np.flatnonzero(~waits_R & (time_R >= begins(window, at_R)))
        kept_R |= waits_R
        most = window.cap or len(pieces)
        kept_R[past_V[latest_of_cell(cell_R[past_V]) < most]] = True
    return kept_R


def _merged_tiles(pieces: Pieces) -> Pieces:
    start_C = segments(pieces.cells, pieces.times)
    if len(start_C) == len(pieces):
        return pieces
    at, body = 0, []
    for measure in pieces.lane.measures:
        width = len(slots_of(measure))
        body += merged(measure, pieces.body[at : at + width], start_C)
        at += width
    return _rebuilt(pieces, start_C, body)


def _different_values(pieces: Pieces) -> Pieces:
    lane, bits_R = pieces.lane, pieces.body[0].view(np.int64)
    if lane.seen:  # that there is no value counts as one more
        order_R = np.lexsort((bits_R, pieces.body[1], pieces.times, pieces.cells))
    else:
        order_R = np.lexsort((bits_R, pieces.times, pieces.cells))
    pieces = pieces.taken(order_R)
    bits_R = pieces.body[0].view(np.int64)
    known = pieces.body[1:]
    start_C = segments(pieces.cells, pieces.times, bits_R, *known)
    unique = _rebuilt(pieces, start_C, [column[start_C] for column in pieces.body])
    return _capped(unique) if lane.measures[0].function == "distinct" else unique


def _capped(pieces: Pieces) -> Pieces:
    """Return as many values of each stretch of time as may be counted.

    Each is as recent as the latest event there, also one without a value: where values are left out, that goes first.
    """
    cap = int(pieces.lane.measures[0].parameter)
    start_C = segments(pieces.cells, pieces.times)
    size_C = lengths(start_C, len(pieces))
    if not (size_C > cap).any():
        return pieces
    columns = list(pieces.columns)
    if pieces.lane.seen:
        columns[pieces.lane.columns.index("seen")] = np.repeat(latest(pieces.seen_times, start_C), size_C)
    last_R = np.repeat(start_C + size_C, size_C) - np.arange(len(pieces))
    return Pieces(pieces.lane, pieces.key_R, tuple(columns)).taken(np.flatnonzero(last_R <= cap))


def _merged_sketches(pieces: Pieces) -> Pieces:
    start_C = segments(pieces.cells, pieces.times)
    end_C = start_C + lengths(start_C, len(pieces))
    value_R = pieces.body[0]
    made: list[bytes] = []
    for start, end in zip(start_C.tolist(), end_C.tolist(), strict=True):
        given = pieces.sketches[start:end]
        earlier = [raw for raw in given if raw]
        fresh_R = np.array([raw is None for raw in given], np.bool_)
        if len(earlier) == 1 and not fresh_R.any():
            made.append(earlier[0])
        else:
            made.append(sketch(pieces.lane.measures[0], earlier, value_R[start:end][fresh_R]))
    sizes_C = np.array([len(raw) for raw in made], np.float64)
    settled_pieces = _rebuilt(pieces, start_C, [sizes_C])
    return Pieces(pieces.lane, settled_pieces.key_R, settled_pieces.columns, tuple(made))


def _rebuilt(pieces: Pieces, start_C: Integers, body: list[Floats]) -> Pieces:
    """Return a piece a segment, with a body of its own."""
    lane: Lane = pieces.lane
    common = [column[start_C] for column in pieces.columns[: len(lane.columns)]]
    if lane.seen:
        common[lane.columns.index("seen")] = latest(pieces.seen_times, start_C)
    return Pieces(lane, pieces.key_R[start_C], (*common, *body))
