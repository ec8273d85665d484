"""What a batch of events changes in state: the one way by which publishing, backfill and the stream count events.

Events may come in any order and any batches. They are unique by id, none is from the future, and none was counted
before. Legend: K keys of a batch, W numbers of a row, C cells (key and group).
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.features.batch import EventBatch
from orita.features.declarations import Residual
from orita.features.declaring.parts import aggregates_in
from orita.features.plan import AggregateSlots, Plan, Record
from orita.features.slots import slots_of
from orita.features.state.fields import fields_of
from orita.features.state.inserting import inserted
from orita.features.state.keying import Keyed, keyer_of
from orita.features.state.lanes import lanes_of
from orita.features.state.layout import (
    WATERMARK,
    cells,
    kept_in_slots,
    past_prefix,
    row_prefix,
)
from orita.features.state.lifting import lifted
from orita.features.state.members import Reader, reader_of
from orita.features.state.merging import merged
from orita.features.state.ordering import segments
from orita.features.state.pasts import read_pasts, written_pasts
from orita.features.state.pieces import joined, new_pieces
from orita.features.state.reading import write_slots_at
from orita.features.state.rows import GetMany, rows_of, sliced
from orita.features.state.settling import settled
from orita.features.stores.store import Change

__all__ = ["refuse_residuals", "state_changes"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def state_changes(
    plan: Plan,
    get_many: GetMany,
    batches: Sequence[EventBatch],
    residuals: Mapping[Residual, Floats] | None = None,
) -> list[Change]:
    """Return what the store must change so that *batches* count too.

    Args:
        plan: what is kept.
        get_many: reads the state as it is.
        batches: events, one batch a source at most.
        residuals: of each event of the residual's source; only publishing knows them.

    Raises:
        UserError: the plan keeps residuals, which are not given.
    """
    refuse_residuals(plan, residuals or {})
    named = {plan.residual(residual): value_N for residual, value_N in (residuals or {}).items()}
    changes: list[Change] = []
    for batch in batches:
        keyed = keyer_of(batch)
        for record in plan.records:
            if record.source == batch.source and len(batch):
                changes += _record_changes(plan, record, get_many, batch, keyed(record), named)
    return changes


def refuse_residuals(plan: Plan, known: Container[Residual] = ()) -> None:
    """Refuse features of residuals other than *known* ones: they need what other keys had at the time of each event.

    Raises:
        UserError: a feature is made of one, however deep inside.
    """
    for name, expression in plan.system.kept.items():
        for value in (aggregate.value for aggregate in aggregates_in(expression)):
            if isinstance(value, Residual) and value not in known:
                raise UserError(
                    f"feature {name!r} is of residuals, which a stream cannot count: publish it by 'orita run etl', or "
                    "leave it out of what is streamed."
                )


def _record_changes(
    plan: Plan, record: Record, get_many: GetMany, batch: EventBatch, by_key: Keyed, residuals: Mapping[str, Floats]
) -> list[Change]:
    if not by_key.count:
        return []
    keys = by_key.encoded(row_prefix(plan, record))
    state_KW = rows_of(record, get_many(keys))
    read = reader_of(by_key, batch, residuals)
    _advance(by_key, batch, state_KW)
    for slots in record.aggregates:
        if kept_in_slots(slots):
            _add(plan, slots, read, state_KW)
    changes = _past_changes(plan, record, get_many, by_key, read, state_KW)
    return [*changes, *zip(keys, sliced(state_KW), strict=True)]


def _advance(by_key: Keyed, batch: EventBatch, state_KW: Floats) -> None:
    """Move each key's watermark to its latest event."""
    latest_K = np.maximum.reduceat(batch.time_N[by_key.row_E], segments(by_key.key_E))
    state_KW[:, WATERMARK] = np.fmax(state_KW[:, WATERMARK], latest_K)


def _add(plan: Plan, slots: AggregateSlots, read: Reader, state_KW: Floats) -> None:
    """Merge the events into the slots of an aggregate that is kept in these alone."""
    aggregate = slots.aggregate
    members = read(aggregate.condition, aggregate.attribute)
    if not len(members.row_X):
        return
    words = members.words() if "id0" in slots_of(aggregate) else ()
    columns = members.columns(*fields_of(aggregate, plan))
    start_C = segments(members.cell_X)
    new = merged(aggregate, lifted(aggregate, plan, members.times, words, columns), start_C)
    key_C, group_C = np.divmod(members.cell_X[start_C], slots.groups)
    views = list(cells(slots, state_KW))
    pairs = [np.stack([view[key_C, group_C], part], axis=1).ravel() for view, part in zip(views, new, strict=True)]
    for view, part in zip(views, merged(aggregate, pairs, np.arange(0, 2 * len(key_C), 2)), strict=True):
        view[key_C, group_C] = part


def _past_changes(
    plan: Plan, record: Record, get_many: GetMany, by_key: Keyed, read: Reader, state_KW: Floats
) -> list[Change]:
    """Add the events to the pasts of their keys, and write into the rows what these show."""
    lanes = lanes_of(plan, record)
    if not lanes:
        return []
    keys = by_key.encoded(past_prefix(plan, record))
    before = get_many(keys)
    at_K = state_KW[:, WATERMARK].astype(np.int64) + 1
    pieces = []
    changed_K = np.zeros(by_key.count, np.bool_)
    for lane, old in zip(lanes, read_pasts(lanes, before), strict=True):
        new = new_pieces(lane, plan, read(lane.condition, lane.attribute))
        if lane.kind == "values" and not lane.timed and not lane.seen:
            both, new_F = inserted(old, new)
            changed_K[new_F] = True
        else:
            both, changed_K[:] = joined(old, new), True
        pieces.append(settled(both, at_K))
    write_slots_at(plan, pieces, at_K, state_KW)
    changed_C = np.flatnonzero(changed_K)
    after = written_pasts([each.of_keys(changed_C, by_key.count) for each in pieces], len(changed_C))
    return [(keys[k], new) for k, new in zip(changed_C.tolist(), after, strict=True) if new != before[k]]
