"""How often each item was shown and chosen, as the online store counts it: popularity without a table of its own.

A system that declares the mean of its label by item, of all time and of all events, keeps both numbers in the rows of
items: ``mean("click").by(item)`` does, and ``ratio("click").by(item)``. Others have none.

Legend: N items, W numbers of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.features.declarations import LIFETIME, Aggregate
from orita.features.online.item_pieces import Ids, item_pieces, joined_ids
from orita.features.plan import Plan, Read
from orita.features.slots import slots_of
from orita.features.stores.store import OnlineStore

__all__ = ["ItemRates", "RateSlots", "label_rate", "rate_slots", "read_item_rates"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ItemRates:
    """Items, and of each how often it was chosen and how often it was shown."""

    ids_N: Ids
    chosen_N: Floats
    shown_N: Floats


@dataclass(frozen=True, slots=True)
class RateSlots:
    """Where the rows of *read* have how often an item was chosen, and how often it was shown."""

    read: Read
    chosen: int
    shown: int

    def of(self, state_NW: Floats) -> Floats:
        """Return both of each item, [N, 2]."""
        return np.nan_to_num(state_NW[:, [self.chosen, self.shown]])


def label_rate(plan: Plan) -> Aggregate | None:
    """Return the aggregate that counts choices and showings of items, None where the system declares none."""
    return next((aggregate for aggregate in plan.aggregates if _is_label_rate(plan, aggregate)), None)


def rate_slots(plan: Plan) -> RateSlots | None:
    """Return where rows of items have both numbers, None where the system declares no rate."""
    rate = label_rate(plan)
    if rate is None:
        return None
    position, slots = plan.place(rate)
    names = slots_of(rate)
    shown = "n" if rate.function == "mean" else "per"
    return RateSlots(plan.reads[position], slots.start + names.index("sum"), slots.start + names.index(shown))


def read_item_rates(plan: Plan, store: OnlineStore, goes_on: Callable[[], bool] = lambda: True) -> ItemRates | None:
    """Return the rates of all items of *store*; None where the system declares none, or *goes_on* says no meanwhile.

    *goes_on* is asked after each piece of items; it may wait.

    Raises:
        OritaError: the store cannot be read.
    """
    slots = rate_slots(plan)
    if slots is None:
        return None
    ids: list[Ids] = []
    counts = [np.zeros((0, 2))]
    for piece in item_pieces(plan, slots.read, store):
        ids.append(piece.ids_N)
        counts.append(slots.of(piece.state_NW))
        if not goes_on():
            return None
    count_N2 = np.concatenate(counts)
    return ItemRates(joined_ids(ids), count_N2[:, 0], count_N2[:, 1])


def _is_label_rate(plan: Plan, aggregate: Aggregate) -> bool:
    whole = aggregate.window == LIFETIME and aggregate.condition is None and not aggregate.time_to_live
    counted = aggregate.function in ("mean", "ratio") and aggregate.denominator is None
    if not (whole and counted and aggregate.value == plan.system.label and aggregate.attribute is None):
        return False
    position, _ = plan.place(aggregate)
    return plan.reads[position].entities == (plan.system.item,)
