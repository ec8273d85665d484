"""Every aggregate that a request needs, at once: slots gathered from its rows, alike functions finished together.

A column at a time costs some microseconds a column, which is most of a request's time; this costs them a kind.

Legend: N items of the request, S slots of an aggregate, W numbers of a row, T those that are gathered, C columns of
gathered slots and of values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from orita.features.declarations import LIFETIME, Aggregate, Attribute
from orita.features.plan import Plan
from orita.features.slots import empty_of, finish, is_first_slot, slots_of

__all__ = ["RequestAggregates"]

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Groups:
    """The group of each row: its number, 0 where there is none, and where there is one; None: everywhere."""

    number_N: Positions
    known_N: npt.NDArray[np.bool_] | None


def _groups(code_N: Floats) -> _Groups:
    known_N = ~np.isnan(code_N)
    if known_N.all():
        return _Groups(code_N.astype(np.intp), None)
    return _Groups(np.where(known_N, code_N, 0.0).astype(np.intp), known_N)


@dataclass(frozen=True, slots=True)
class _Gather:
    """Slots that stand in one kind of row: which, and to which of the columns they go.

    Attributes:
        read: position of the rows among the plan's reads.
        slot_T: which numbers of a row; where there are groups, those of the first.
        to_T: which columns.
        code: where the row's group stands: position of a read and slot; None without groups.
        step_T: how far apart groups are.
        empty_T: what stands for a row without a group.
    """

    read: int
    slot_T: Positions
    to_T: Positions
    code: tuple[int, int] | None
    step_T: Positions
    empty_T: Floats

    def fill(self, states: Sequence[Floats], groups: _Groups | None, out_NC: Floats) -> None:
        """Write the slots of each row, of its group where there are groups."""
        state_NW = states[self.read]
        if groups is None:
            out_NC[:, self.to_T] = state_NW.take(self.slot_T, axis=1)
            return
        at_NT = self.slot_T + groups.number_N[:, None] * self.step_T
        one = len(state_NW) == 1
        taken_NT = state_NW[0].take(at_NT) if one else np.take_along_axis(state_NW, at_NT, axis=1)
        if groups.known_N is not None:
            taken_NT = np.where(groups.known_N[:, None], taken_NT, self.empty_T)
        out_NC[:, self.to_T] = taken_NT


@dataclass(frozen=True, slots=True)
class _Alike:
    """Aggregates whose slots become values by one rule: their columns of slots, *width* each, and of values."""

    rule: Aggregate
    slots: slice
    width: int
    values: slice


class RequestAggregates:
    """The values of some aggregates for each row of a request.

    Args:
        plan: the plan.
        aggregates: which; not those by attributes that have several values.
    """

    def __init__(self, plan: Plan, aggregates: Iterable[Aggregate]) -> None:
        rules: dict[Aggregate, list[Aggregate]] = {}
        columns: list[tuple[Aggregate, int]] = []
        self.order: dict[Aggregate, int] = {}
        for aggregate in aggregates:
            if is_first_slot(aggregate):
                self.order[aggregate] = len(columns)
                columns.append((aggregate, 0))
            else:
                rules.setdefault(_rule(aggregate), []).append(aggregate)
        self._alike: list[_Alike] = []
        width = len(columns) + sum(len(alike) * len(slots_of(rule)) for rule, alike in rules.items())
        for rule, alike in rules.items():
            start, slots = len(columns), len(slots_of(rule))
            columns += [(aggregate, slot) for aggregate in alike for slot in range(slots)]
            self.order |= {aggregate: width + i for i, aggregate in enumerate(alike)}
            self._alike.append(_Alike(rule, slice(start, len(columns)), slots, slice(width, width + len(alike))))
            width += len(alike)
        self._width = width
        self._gathers = _gathers(plan, columns)
        self._codes = {gather.code for gather in self._gathers if gather.code is not None}

    def values(self, states: Sequence[Floats], rows: int, at: int) -> Floats:
        """Return a matrix, [N, columns], in which `order` says where each aggregate stands.

        Args:
            states, at: as in `request_values.Request`.
            rows: N.
        """
        out_NC = np.empty((rows, self._width))
        groups = {code: _groups(states[code[0]][:, code[1]]) for code in self._codes}
        for gather in self._gathers:
            gather.fill(states, groups[gather.code] if gather.code else None, out_NC)
        for alike in self._alike:
            slots_MS = out_NC[:, alike.slots].reshape(-1, alike.width)
            out_NC[:, alike.values] = finish(alike.rule, slots_MS, at).reshape(rows, -1)
        return out_NC


def _rule(aggregate: Aggregate) -> Aggregate:
    """Return an aggregate that finishes its slots alike: the same but for what is aggregated over which events."""
    whole = slots_of(aggregate)[0] == "high"
    value = aggregate.value if whole or aggregate.function == "sum" else None
    return replace(aggregate, value=value, denominator=None, keys=(), reads=(), window=LIFETIME, condition=None)


def _gathers(plan: Plan, columns: Sequence[tuple[Aggregate, int]]) -> list[_Gather]:
    alike: dict[tuple[int, Attribute | None], list[tuple[int, int, int, float]]] = {}
    for to, (aggregate, slot) in enumerate(columns):
        read, slots = plan.place(aggregate)
        step = len(slots_of(aggregate))
        alike.setdefault((read, aggregate.attribute), []).append(
            (slots.start + slot, to, step, empty_of(aggregate)[slot])
        )
    gathers = []
    for (read, attribute), found in alike.items():
        slot_T, to_T, step_T = (np.array(column, np.intp) for column in list(zip(*found, strict=True))[:3])
        empty_T = np.array([empty for *_, empty in found])
        code = None
        if attribute is not None:
            where, held = plan.attribute_place(attribute)
            code = where, held.start
        gathers.append(_Gather(read, slot_T, to_T, code, step_T, empty_T))
    return gathers
