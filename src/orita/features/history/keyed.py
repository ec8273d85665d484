"""The aggregates of one source for rows that ask, on arrays: what any engine can call that brings keys together itself.

Legend: N rows, S slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orita.features.batch import EventBatch, Floats, event_batch
from orita.features.declarations import Aggregate, Residual, Source
from orita.features.frame import grouping_attributes
from orita.features.history.asking import Asking, asking_events, asking_rows
from orita.features.history.folded import Residuals, fold
from orita.features.history.meeting import Meeting, kinds_of, meetings
from orita.features.history.stretch import Stretch, stretch_bounds
from orita.features.history.threads import at_once
from orita.features.plan import Plan, Read
from orita.features.slots import empty_of, finish, slots_of

__all__ = ["AsOf", "aggregate_values", "batch_of", "residual_values", "values_of_read"]

AsOf = Literal["known", "event"]
"""What a row sees of an event that became known only later: nothing, or all."""

_ADDED = ("n", "sum", "per", "high", "low")


def values_of_read(plan: Plan, read: Read, events: pa.Table, rows: pa.Table, as_of: AsOf = "known") -> pa.Table:
    """Return every aggregate that *rows* read from one kind of state, named as `Plan.name` does, null where missing.

    Keys may be parted among workers in any way that keeps the events and rows of one key together.

    Args:
        plan: what is computed.
        read: one of its reads.
        events: of the read's source, with a column `batch.attribute_column` for each attribute that aggregates are
            keyed by, and of residuals their values, named as `Plan.residual` does.
        rows: the key columns of the read's entities and the time column of the system's source, with the same columns
            of attributes.
        as_of: whether events are seen once they are known, or from their time on.
    """
    source = read.record.source
    wanted = [a for a in plan.aggregates if a.source == source and plan.reads[plan.place(a)[0]] == read]
    attributes = tuple(dict.fromkeys(a.attribute for a in wanted if a.attribute is not None))
    asking = asking_rows(rows, plan.system.source.schema.time or "", read.entities, attributes)
    needed = [residual for residual in plan.residuals if any(a.value == residual for a in wanted)]
    given = {residual: _floats(events[plan.residual(residual)]) for residual in needed}
    batch = event_batch(source, events, wanted, attributes, ids=False)
    values = aggregate_values(wanted, batch, given, asking, as_of)
    return pa.table({plan.name(a): pa.array(value_N, mask=np.isnan(value_N)) for a, value_N in values.items()})


def aggregate_values(
    aggregates: Sequence[Aggregate], batch: EventBatch, residuals: Residuals, asking: Asking, as_of: AsOf
) -> dict[Aggregate, Floats]:
    """Return the value of each of *aggregates* for each row, [N], NaN where it is missing.

    Args:
        aggregates: of one source.
        batch: its events.
        residuals: the values of the residuals that are aggregated.
        asking: the rows.
        as_of: whether events are seen once they are known, or from their time on.
    """
    known = as_of == "known" and bool((batch.known_N > batch.time_N).any())
    kinds = kinds_of(aggregates)
    met = meetings(batch, asking, kinds)
    out = {aggregate: _blank(aggregate, asking) for aggregate in aggregates}
    parts = [
        (meeting, alike, groups)
        for meeting, alike in zip(met, kinds.values(), strict=True)
        for groups in stretch_bounds(meeting)
    ]

    def fill(part: tuple[Meeting, Sequence[Aggregate], tuple[int, int]]) -> None:
        meeting, alike, groups = part
        _fill(out, Stretch(batch, asking.at, meeting, groups, known=known), alike, residuals)

    at_once(fill, parts)
    for meeting, alike in zip(met, kinds.values(), strict=True):
        if meeting.several:
            out.update({a: finish(a, out[a], asking.at) for a in alike})
    return out


def residual_values(plan: Plan, events: Mapping[str, pa.Table], as_of: AsOf = "known") -> dict[Residual, Floats]:
    """Return the residuals of *plan*, of each event of their source, as of the event's own time.

    Args:
        plan: what is computed.
        events: by source, its events as `frame.load_events` and `frame.with_attributes` give them.
        as_of: whether earlier events are seen once they are known, or from their time on.
    """
    values: dict[Residual, Floats] = {}
    for source in dict.fromkeys(residual.column.source for residual in plan.residuals):
        alike = [residual for residual in plan.residuals if residual.column.source == source]
        expected = list(dict.fromkeys(residual.expected for residual in alike))
        batch = batch_of(plan, source, events[source.name])
        entities = [entity for aggregate in expected for entity in aggregate.looked_up]
        asking = asking_events(source, batch.table, entities, grouping_attributes(plan, source))
        found = aggregate_values(expected, batch, {}, asking, as_of)
        for residual in alike:
            given_N = batch.values[residual.column.column.name].astype(np.float64)
            values[residual] = given_N - found[residual.expected]
    return values


def batch_of(plan: Plan, source: Source, events: pa.Table) -> EventBatch:
    """Return the events of *source* as arrays, ready for all that *plan* computes of them."""
    return event_batch(source, events, plan.aggregates, grouping_attributes(plan, source), ids=False)


def _blank(aggregate: Aggregate, asking: Asking) -> Floats:
    """Return what rows have that see nothing: values, or slots where each of a row's values of an attribute adds."""
    empty_1S = np.array([empty_of(aggregate)])
    if aggregate.attribute is not None and aggregate.attribute.many:
        return np.repeat(empty_1S, len(asking), axis=0)
    return np.full(len(asking), finish(aggregate, empty_1S, 0)[0])


def _fill(
    out: Mapping[Aggregate, Floats], stretch: Stretch, aggregates: Iterable[Aggregate], residuals: Residuals
) -> None:
    """Put what the rows of a stretch see where it belongs."""
    for aggregate in aggregates:
        state_QS = fold(aggregate, stretch.batch, residuals, stretch.seen(aggregate.condition, aggregate.window))
        for row_L, seen in stretch.late(aggregate.condition, aggregate.window):
            state_QS[row_L] = fold(aggregate, stretch.batch, residuals, seen)
        if stretch.several:
            _add(aggregate, out[aggregate], state_QS, stretch)
        else:
            out[aggregate][stretch.row_Q] = finish(aggregate, state_QS, stretch.at_Q)


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(pc.fill_null(column, np.nan).to_numpy())


def _add(aggregate: Aggregate, out_NS: Floats, state_QS: Floats, stretch: Stretch) -> None:
    for slot, name in enumerate(slots_of(aggregate)):
        put = np.add if name in _ADDED else np.fmax
        put.at(out_NS[:, slot], stretch.row_Q, state_QS[:, slot])
