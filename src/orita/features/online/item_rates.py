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
from orita.features.online.item_pieces import item_pieces
from orita.features.plan import Plan
from orita.features.slots import slots_of
from orita.features.stores.store import OnlineStore

__all__ = ["ItemRates", "label_rate", "read_item_rates"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ItemRates:
    """Items, and of each how often it was chosen and how often it was shown."""

    item_ids: list[int | str]
    chosen_N: Floats
    shown_N: Floats


def label_rate(plan: Plan) -> Aggregate | None:
    """Return the aggregate that counts choices and showings of items, None where the system declares none."""
    return next((aggregate for aggregate in plan.aggregates if _is_label_rate(plan, aggregate)), None)


def read_item_rates(plan: Plan, store: OnlineStore, goes_on: Callable[[], bool] = lambda: True) -> ItemRates | None:
    """Return the rates of all items of *store*; None where the system declares none, or *goes_on* says no meanwhile.

    *goes_on* is asked after each piece of items; it may wait.

    Raises:
        OritaError: the store cannot be read.
    """
    rate = label_rate(plan)
    if rate is None:
        return None
    position, slots = plan.place(rate)
    names = slots_of(rate)
    item_ids: list[int | str] = []
    counts: list[Floats] = []
    for ids, state_NW in item_pieces(plan, plan.reads[position], store):
        item_ids += ids
        counts.append(np.nan_to_num(state_NW[:, slots.start : slots.start + len(names)]))
        if not goes_on():
            return None
    count_NS = np.concatenate([np.zeros((0, len(names))), *counts])
    shown = "n" if rate.function == "mean" else "per"
    return ItemRates(item_ids, count_NS[:, names.index("sum")], count_NS[:, names.index(shown)])


def _is_label_rate(plan: Plan, aggregate: Aggregate) -> bool:
    whole = aggregate.window == LIFETIME and aggregate.condition is None and not aggregate.time_to_live
    counted = aggregate.function in ("mean", "ratio") and aggregate.denominator is None
    if not (whole and counted and aggregate.value == plan.system.label and aggregate.attribute is None):
        return False
    position, _ = plan.place(aggregate)
    return plan.reads[position].entities == (plan.system.item,)
