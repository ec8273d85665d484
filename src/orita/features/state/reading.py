"""The slots of aggregates as of a time, from the pieces of the past: what streams write and requests read.

Legend: R pieces of a lane, V those that a window shows, C cells that have some, K keys, W numbers of a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from orita.features.declarations import MICROS_PER_DAY, Aggregate
from orita.features.plan import AggregateSlots, Plan
from orita.features.slots import empty_of, slots_of
from orita.features.state.fields import fields_of
from orita.features.state.lanes import bare
from orita.features.state.layout import VALID_UNTIL, cells
from orita.features.state.lifting import lifted
from orita.features.state.merging import latest, merged
from orita.features.state.ordering import lengths, segments
from orita.features.state.pieces import Pieces
from orita.features.state.sketches import estimate
from orita.features.state.visible import changes_next, visible

__all__ = ["write_slots_at"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def write_slots_at(plan: Plan, lanes: Sequence[Pieces], at_K: Integers, state_KW: Floats) -> None:
    """Write into the rows of keys what their pasts show as of a time, and until when it holds.

    Args:
        plan: the plan.
        lanes: the pieces of each lane of a record, settled; those of key k in row k.
        at_K: the time of each row.
        state_KW: the rows; only the slots of aggregates that need the past, and how long they hold, are written.
    """
    state_KW[:, VALID_UNTIL] = np.inf
    for pieces in lanes:
        key_R, cell_R, time_R = pieces.key_R, pieces.cells, pieces.times
        at_R = at_K[key_R]
        for slots in pieces.lane.members:
            window = slots.aggregate.window
            shown_V = visible(window, cell_R, time_R, at_R)
            next_K = changes_next(window, pieces.lane.tile, key_R, cell_R, time_R, shown_V, at_K)
            np.minimum(state_KW[:, VALID_UNTIL], next_K, out=state_KW[:, VALID_UNTIL])
            _write(plan, slots, pieces.taken(shown_V), state_KW)


def _write(plan: Plan, slots: AggregateSlots, shown: Pieces, state_KW: Floats) -> None:
    cell_V = shown.cells
    start_C = segments(cell_V)
    key_C, group_C = np.divmod(cell_V[start_C], slots.groups)
    made = _slots(plan, slots.aggregate, shown, cell_V, start_C) if len(shown) else []
    for position, (view, empty) in enumerate(zip(cells(slots, state_KW), empty_of(slots.aggregate), strict=True)):
        view[...] = empty
        if made:
            view[key_C, group_C] = made[position]


def _slots(plan: Plan, aggregate: Aggregate, shown: Pieces, cell_V: Integers, start_C: Integers) -> list[Floats]:
    seen = [latest(shown.seen_times, start_C)] if aggregate.time_to_live else []
    match shown.lane.kind:
        case "events":
            return [*_of_events(plan, aggregate, shown, cell_V, start_C), *seen]
        case "tiles":
            return [*merged(bare(aggregate), _measure(shown, aggregate), start_C), *seen]
        case "values":
            if not shown.lane.timed and not shown.lane.seen:  # each value is there once
                return [_capped(aggregate, lengths(start_C, len(shown)).astype(np.float64))]
            known_V = shown.body[1] > 0 if shown.lane.seen else np.ones(len(shown), np.bool_)
            return [_different(aggregate, cell_V, shown.body[0], known_V, start_C), *seen]
        case _:
            ends = start_C + lengths(start_C, len(shown))
            raw = [shown.sketches[a:b] for a, b in zip(start_C.tolist(), ends.tolist(), strict=True)]
            return [np.array([estimate(aggregate, each) for each in raw]), *seen]


def _measure(shown: Pieces, aggregate: Aggregate) -> tuple[Floats, ...]:
    """Return the columns that a lane of tiles keeps for *aggregate*."""
    at = 0
    wanted = bare(aggregate)
    for measure in shown.lane.measures:
        width = len(slots_of(measure))
        if measure == wanted:
            return shown.body[at : at + width]
        at += width
    raise AssertionError(f"{aggregate.function} is not in its lane.")


def _of_events(plan: Plan, aggregate: Aggregate, shown: Pieces, cell_V: Integers, start_C: Integers) -> list[Floats]:
    columns = shown.fields()
    read = [part for field in fields_of(aggregate, plan) for part in columns[field]]
    match aggregate.function:
        case "distinct" | "approx_distinct":
            return [_different(aggregate, cell_V, read[0], read[1] > 0, start_C)]
        case "distinct_days":
            day_V = np.floor(shown.times / MICROS_PER_DAY)
            return [_different(aggregate, cell_V, day_V, np.ones(len(day_V), np.bool_), start_C)]
        case "quantile":
            return [_quantile(aggregate.parameter, cell_V, read[0], start_C)]
        case _:
            plain = bare(aggregate)
            return merged(plain, lifted(plain, plan, shown.times, shown.words, columns), start_C)


def _different(
    aggregate: Aggregate, cell_V: Integers, value_V: Floats, known_V: npt.NDArray[np.bool_], start_C: Integers
) -> Floats:
    """Return how many different values each cell has, up to the cap of `count_distinct`."""
    bits_D, cell_D = value_V[known_V].view(np.int64), cell_V[known_V]
    order_D = np.lexsort((bits_D, cell_D))
    first_D = segments(cell_D[order_D], bits_D[order_D])
    place_D = np.searchsorted(cell_V[start_C], cell_D[order_D][first_D])
    count_C = np.bincount(place_D, minlength=len(start_C)).astype(np.float64)
    return _capped(aggregate, count_C)


def _capped(aggregate: Aggregate, count_C: Floats) -> Floats:
    return np.minimum(count_C, aggregate.parameter) if aggregate.function == "distinct" else count_C


def _quantile(share: float, cell_V: Integers, value_V: Floats, start_C: Integers) -> Floats:
    known_V = ~np.isnan(value_V)
    value_D, cell_D = value_V[known_V], cell_V[known_V]
    value_D = value_D[np.lexsort((value_D, cell_D))]
    begin_C = np.searchsorted(cell_D, cell_V[start_C])
    count_C = np.searchsorted(cell_D, cell_V[start_C], side="right") - begin_C
    rank_C = np.maximum(np.ceil(share * count_C), 1).astype(np.int64) - 1
    out_C = np.full(len(start_C), np.nan)
    some_C = count_C > 0
    out_C[some_C] = value_D[(begin_C + rank_C)[some_C]]
    return out_C
