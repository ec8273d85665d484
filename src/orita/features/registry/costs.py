"""What a feature costs: the bytes of online state that each of its keys takes.

A key's slots are counted from the declaration. What windows keep of the past differs from key to key, so it is measured
on keys of a published store. Features that share pieces of the past are each told of the whole, as each would need it
alone.

Legend: K keys of a sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from orita.features.declarations import Aggregate, Expression
from orita.features.declaring.parts import aggregates_in, attributes_in
from orita.features.plan import Plan, Record
from orita.features.state.lanes import Lane, lanes_of
from orita.features.state.layout import past_prefix
from orita.features.state.pasts import read_pasts
from orita.features.stores.store import OnlineStore

__all__ = ["Cost", "feature_costs"]

Integers = npt.NDArray[np.int64]

_NUMBER = 8


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes of state a key.

    Attributes:
        slots: of its row of numbers; known from the declaration.
        past: of what windows keep, on average over the keys looked at; None where nothing is published.
        largest: the same, of the key that takes most.
        keys: how many keys were looked at; 0 where a feature keeps no past.
    """

    slots: int
    past: float | None
    largest: int | None
    keys: int

    @property
    def most(self) -> int:
        """Bytes of the key that takes most, as far as is known."""
        return self.slots + (self.largest or 0)


def feature_costs(plan: Plan, store: OnlineStore | None, keys: int = 500) -> dict[str, Cost]:
    """Return what each feature of *plan*'s system costs, by name.

    Args:
        plan: the plan.
        store: a published store of this plan, or None.
        keys: how many keys of each kind are looked at: the first that have a past.
    """
    measured = {record.name: _measured(plan, record, store, keys) for record in plan.records} if store else {}
    return {name: _cost(plan, each, measured) for name, each in plan.system.kept.items()}


def _measured(plan: Plan, record: Record, store: OnlineStore, keys: int) -> list[tuple[Lane, Integers]]:
    """Return the lanes of *record*, each with the bytes that it takes of every key looked at, [K]."""
    lanes = lanes_of(plan, record)
    if not lanes:
        return []
    raw = [past for _, past in islice(store.scan(past_prefix(plan, record)), keys)]
    sized = []
    for pieces in read_pasts(lanes, raw) if raw else ():
        bytes_K = np.bincount(pieces.key_R, minlength=len(raw)) * pieces.lane.width * _NUMBER
        if pieces.sketches:
            bytes_K = bytes_K + np.bincount(pieces.key_R, weights=pieces.columns[-1], minlength=len(raw))
        sized.append((pieces.lane, bytes_K.astype(np.int64)))
    return sized or [(lane, np.zeros(0, np.int64)) for lane in lanes]


def _cost(plan: Plan, expression: Expression, measured: Mapping[str, list[tuple[Lane, Integers]]]) -> Cost:
    aggregates = dict.fromkeys(aggregates_in(expression))
    slots = sum(plan.place(aggregate)[1].width for aggregate in aggregates)
    slots += sum(plan.attribute_place(attribute)[1].width for attribute in dict.fromkeys(attributes_in(expression)))
    pasts = [bytes_K for aggregate in aggregates for bytes_K in _pasts(plan, aggregate, measured)]
    if not pasts:
        return Cost(slots * _NUMBER, None if _needs_past(plan, aggregates) else 0.0, None, 0)
    means = sum(float(bytes_K.mean()) if len(bytes_K) else 0.0 for bytes_K in pasts)
    largest = sum(int(bytes_K.max(initial=0)) for bytes_K in pasts)
    return Cost(slots * _NUMBER, means, largest, max(len(bytes_K) for bytes_K in pasts))


def _pasts(plan: Plan, aggregate: Aggregate, measured: Mapping[str, list[tuple[Lane, Integers]]]) -> list[Integers]:
    position, slots = plan.place(aggregate)
    lanes = measured.get(plan.reads[position].record.name, [])
    return [bytes_K for lane, bytes_K in lanes if slots in lane.members]


def _needs_past(plan: Plan, aggregates: Mapping[Aggregate, None]) -> bool:
    for aggregate in aggregates:
        position, slots = plan.place(aggregate)
        if any(slots in lane.members for lane in lanes_of(plan, plan.reads[position].record)):
            return True
    return False
