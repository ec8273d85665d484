"""How the online engine reads what expressions are made of: rows of state, and what the request brings.

Legend: N items of the request, W numbers of a row, V declared values of an attribute, S slots of an aggregate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.events.schema import Column
from orita.features.declarations import Aggregate, Attribute
from orita.features.expressions import Evaluator, Reads
from orita.features.online.aggregates import RequestAggregates
from orita.features.plan import Plan
from orita.features.slots import finish, slots_of

__all__ = ["Request", "online_reads"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Request:
    """What evaluators see.

    Attributes:
        states: for each read of the plan, its rows, [1, W], or [N, W] where items are part of the key.
        values: the aggregates that were computed together, ``value_CN``, where `RequestAggregates.order` says.
        context: what the request brings, by column.
        at: its time, microseconds since the Unix epoch.
    """

    states: Sequence[Floats]
    values: Floats
    context: Mapping[str, object]
    at: int


def online_reads(plan: Plan, together: RequestAggregates) -> Reads[Request]:
    """Return how requests read what the expressions of *plan*'s system are made of; *together* computes `values`."""
    return Reads(
        aggregate=lambda wanted: _aggregate(wanted, plan, together),
        attribute=lambda attribute: _attribute(attribute, plan),
        equals=_equals,
        context=_context,
    )


def _equals(column: Column, value: str) -> Evaluator[Request]:
    name = column.name
    return lambda request: float(request.context.get(name) == value)


def _context(column: Column) -> Evaluator[Request]:
    name, codes = column.name, {choice: float(i) for i, choice in enumerate(column.choices or ())}

    def evaluate(request: Request) -> float:
        given = request.context.get(name)
        if given is None:
            return np.nan
        if codes:
            return codes.get(str(given), np.nan)
        if not isinstance(given, (int, float)):
            raise UserError(f"context {name!r} is {given!r}: it is of type {column.type!r}, so a number.")
        return float(given)

    return evaluate


def _attribute(attribute: Attribute, plan: Plan) -> Callable[[Request], Floats]:
    """Return a function for an attribute's slots: [1 or N, width]."""
    position, slots = plan.attribute_place(attribute)
    start, end = slots.start, slots.start + slots.width
    return lambda request: request.states[position][:, start:end]


def _aggregate(aggregate: Aggregate, plan: Plan, together: RequestAggregates) -> Evaluator[Request]:
    if aggregate in together.order:
        row = together.order[aggregate]
        return lambda request: request.values[row]
    attribute = aggregate.attribute
    assert attribute is not None
    position, slots = plan.place(aggregate)
    start, end, width = slots.start, slots.start + slots.width, len(slots_of(aggregate))
    flags, seen = _attribute(attribute, plan), slots_of(aggregate)[-1] == "seen"

    def evaluate(request: Request) -> Floats:
        state_NVS = request.states[position][:, start:end].reshape(-1, slots.groups, width)
        return finish(aggregate, _of_several(state_NVS, flags(request), seen=seen), request.at)

    return evaluate


def _of_several(state_NVS: Floats, flags_NV: Floats, *, seen: bool) -> Floats:
    """Return the slots of all groups that each row's attribute names: sums, and the time of the latest event."""
    taken_NVS = np.where(flags_NV[:, :, None] > 0, state_NVS, np.nan if seen else 0.0)
    if not seen:
        return np.asarray(taken_NVS.sum(axis=1))
    latest_N = np.fmax.reduce(taken_NVS[:, :, -1], axis=1)
    return np.column_stack([np.nansum(taken_NVS[:, :, :-1], axis=1), latest_N])
