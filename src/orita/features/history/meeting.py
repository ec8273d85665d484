"""Events and the rows that ask about them, brought together by key.

Legend: E events and Q rows, group after group and by time in each; K groups; X pairs of an event or row and one of the
several values of its attribute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orita.features.batch import EventBatch, Integers, Many, id_bytes
from orita.features.declarations import Aggregate, Attribute
from orita.features.history.asking import Asking
from orita.features.history.coding import category_codes, column_codes
from orita.features.history.threads import at_once
from orita.features.kernel.grouping import Codes, Groups, Positions, group, group_sides, refined, time_order
from orita.features.kernel.instants import order_ties, tied

__all__ = ["Meeting", "Parts", "kinds_of", "meetings"]

Parts = tuple[tuple[str, str], ...]
"""For each column of a key: its name in the events, and in the rows."""

_ORDERED = ("first", "last")


@dataclass(frozen=True, slots=True)
class Meeting:
    """The events and rows of one kind of key.

    Attributes:
        event_E: positions of events in their table: group after group, in each by (time, id) where that matters.
        start_K: where each group of events begins, K + 1 numbers.
        row_Q: positions of rows in theirs; the very array `event_E` where each event is a row that asks.
        ask_K: where each group of rows begins, K + 1 numbers.
        several: whether a row may be in several groups, as its attribute has several values.
    """

    event_E: Positions
    start_K: Integers
    row_Q: Positions
    ask_K: Integers
    several: bool


def kinds_of(aggregates: Sequence[Aggregate]) -> dict[tuple[Parts, Attribute | None], list[Aggregate]]:
    """Return the aggregates of one source by kind of key: by which columns, and which attribute, they are looked up."""
    kinds: dict[tuple[Parts, Attribute | None], list[Aggregate]] = {}
    for aggregate in aggregates:
        pairs = [
            pair
            for told, asked in zip(aggregate.entities, aggregate.looked_up, strict=True)
            for pair in zip(aggregate.source.key_columns(told), asked.columns, strict=True)
        ]
        kinds.setdefault((tuple(sorted(pairs)), aggregate.attribute), []).append(aggregate)
    return kinds


@dataclass(frozen=True, slots=True)
class _Keys:
    """What kinds of keys have in common.

    Attributes:
        batch, asking: events and rows.
        codes: of each column of a key, the codes of the events and of the rows.
        within_E, within_Q: the events and the rows by time; one array where each event is a row that asks.
        alone: of each column by which events are rows, the groups that it makes.
    """

    batch: EventBatch
    asking: Asking
    codes: Mapping[tuple[str, str], tuple[Codes, Codes]]
    within_E: Positions
    within_Q: Positions
    alone: Mapping[tuple[str, str], Groups]


def _keys(batch: EventBatch, asking: Asking, columns: Sequence[tuple[str, str]]) -> _Keys:
    """Return what kinds of keys of these *columns* (of events, of rows) have in common."""
    alike = asking.source == batch.source
    within_E = time_order(batch.time_N)
    within_Q = within_E if alike else time_order(asking.at)
    coded = at_once(lambda column: column_codes(batch, asking, *column), columns)
    codes = dict(zip(columns, coded, strict=True))
    same = [column for column, (told, asked) in codes.items() if told is asked]
    grouped = at_once(lambda column: group([codes[column][0]], within_E), same)
    return _Keys(batch, asking, codes, within_E, within_Q, dict(zip(same, grouped, strict=True)))


def meetings(
    batch: EventBatch, asking: Asking, kinds: Mapping[tuple[Parts, Attribute | None], Sequence[Aggregate]]
) -> list[Meeting]:
    """Return the events and rows of each of *kinds*, as `kinds_of` returns them."""
    keys = _keys(batch, asking, list(dict.fromkeys(column for parts, _ in kinds for column in parts)))
    return at_once(lambda kind: _meet(keys, kind, kinds[kind]), list(kinds))


def _meet(keys: _Keys, kind: tuple[Parts, Attribute | None], aggregates: Sequence[Aggregate]) -> Meeting:
    """Return the events and rows of one kind of key.

    Args:
        keys: of the columns of this kind, and more.
        kind: one of `kinds_of`.
        aggregates: what will be computed: some need the order inside an instant.
    """
    columns, attribute = kind
    batch, asking = keys.batch, keys.asking
    parts = [keys.codes[column] for column in columns]
    if attribute is not None and attribute.many:
        return _meet_many(batch, asking, parts, attribute)
    if attribute is None and columns and all(column in keys.alone for column in columns):
        largest = max(columns, key=lambda column: keys.codes[column][0].groups)
        groups = keys.alone[largest]
        for column in columns:
            groups = groups if column == largest else refined(groups, keys.codes[column][0])
        return _meet_itself(groups, batch, aggregates)
    if attribute is not None:
        parts.append(_category(batch, asking, attribute))
    if keys.within_E is keys.within_Q and all(told is asked for told, asked in parts):
        return _meet_itself(group([told for told, _ in parts], keys.within_E), batch, aggregates)
    told_by, asked_by = group_sides(parts, keys.within_E, keys.within_Q)
    event_E = _by_id(told_by.order_M, told_by.start_K, batch, aggregates)
    return Meeting(event_E, told_by.start_K, asked_by.order_M, asked_by.start_K, several=False)


def _meet_itself(groups: Groups, batch: EventBatch, aggregates: Sequence[Aggregate]) -> Meeting:
    """Return events that are the rows."""
    event_E = _by_id(groups.order_M, groups.start_K, batch, aggregates)
    return Meeting(event_E, groups.start_K, event_E, groups.start_K, several=False)


def _meet_many(
    batch: EventBatch, asking: Asking, parts: Sequence[tuple[Codes, Codes]], attribute: Attribute
) -> Meeting:
    """Return the pairs of events and values, and of rows and values, by key and value."""
    told, asked = batch.many[attribute.name], asking.many[attribute.name]
    values = len(attribute.values)
    pairs = [(_spread(mine, told), _spread(its, asked)) for mine, its in parts]
    pairs.append((Codes(told.code_X.astype(np.int32), values), Codes(asked.code_X.astype(np.int32), values)))
    within_E, within_Q = time_order(batch.time_N[told.row_X]), time_order(asking.at[asked.row_X])
    told_by, asked_by = group_sides(pairs, within_E, within_Q)
    event_E = told.row_X[told_by.order_M].astype(np.int32)
    row_Q = asked.row_X[asked_by.order_M].astype(np.int32)
    return Meeting(event_E, told_by.start_K, row_Q, asked_by.start_K, several=True)


def _category(batch: EventBatch, asking: Asking, attribute: Attribute) -> tuple[Codes, Codes]:
    values = len(attribute.values)
    told = category_codes(batch.attributes[attribute.name], values)
    alike = asking.source == batch.source
    return told, told if alike else category_codes(asking.attributes[attribute.name], values)


def _spread(codes: Codes, many: Many) -> Codes:
    return Codes(codes.code_N[many.row_X], codes.groups)


def _by_id(order_E: Positions, start_K: Integers, batch: EventBatch, aggregates: Sequence[Aggregate]) -> Positions:
    """Return the events of each group by (time, id) where that can matter: for a first or last value, and at a cap."""
    caps = [a.window.cap for a in aggregates if a.window.cap and a.function != "count"]
    limit = 0 if any(a.function in _ORDERED for a in aggregates) else min(caps, default=len(order_E))
    size_K = np.diff(start_K)
    if not (size_K > limit).any() or batch.source.schema.key not in batch.table.column_names:
        return order_E
    spot_S = np.flatnonzero(np.repeat(size_K > limit, size_K))
    start_S = np.append(0, np.cumsum(size_K[size_K > limit]))
    tied_T, instant_T = tied(batch.time_N[order_E[spot_S]], start_S)
    if not len(tied_T):
        return order_E
    tied_T = spot_S[tied_T]
    ids_T = id_bytes(batch.table[batch.source.schema.key].take(order_E[tied_T]))
    return order_ties(order_E, tied_T, instant_T, ids_T)
