"""Every aggregate that a request needs, at once: slots gathered from its rows, alike functions finished together.

A column at a time costs some microseconds a column, which is most of a request's time; this costs them a kind. All rows
of a request lie in one array of numbers, so that one `take` gathers what any of them has.

Legend: N items of the request, S slots of an aggregate, W numbers of a row, T slots that are gathered, G those of them
that stand in groups of one attribute, K aggregates of a kind, M pairs of one and an item, C rows of values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from orita.features.declarations import LIFETIME, Aggregate, Attribute
from orita.features.plan import Plan
from orita.features.slots import empty_of, finish, is_first_slot, slots_of

__all__ = ["RequestAggregates"]

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]

_SHAPES = 16  # of requests that are remembered


@dataclass(frozen=True, slots=True)
class _Slot:
    """A slot that is gathered.

    Attributes:
        aggregate, number: which slot of which aggregate.
        read, start: position of the plan's read in whose rows it stands, and where; in groups, that of the first.
        step: how far apart groups are.
        attribute: which says the group, None without groups.
    """

    aggregate: Aggregate
    number: int
    read: int
    start: int
    step: int
    attribute: Attribute | None


@dataclass(frozen=True, slots=True)
class _Grouped:
    """Slots whose group one attribute says: the rows *rows* of what is gathered.

    Attributes:
        code: where the number of the group stands: position of a read, and slot.
        step_G1: how far apart groups are.
        empty_G1: what an item without a group has.
    """

    rows: slice
    code: tuple[int, int]
    step_G1: Positions
    empty_G1: Floats

    def move(self, states: Sequence[Floats], place_TN: Positions) -> npt.NDArray[np.bool_] | None:
        """Move places from the first group to that of each item; return which have none, None where all have one."""
        read, slot = self.code
        code_N = states[read][:, slot]
        none_N = np.isnan(code_N)
        if not np.count_nonzero(none_N):  # a third of what `any` takes
            place_TN[self.rows] += code_N.astype(np.intp) * self.step_G1
            return None
        place_TN[self.rows] += np.where(none_N, 0.0, code_N).astype(np.intp) * self.step_G1
        return none_N


@dataclass(frozen=True, slots=True)
class _Alike:
    """K aggregates whose slots become values by one rule.

    Attributes:
        rule: one that stands for all.
        from_SK: where the slots are among what is gathered.
        to: the rows of the values.
    """

    rule: Aggregate
    from_SK: Positions
    to: slice


@dataclass(frozen=True, slots=True)
class _Quotients:
    """K means, smoothed or faded ones too: a sum over a count, each plus what the prior adds.

    Attributes:
        from_2K: where the count and the sum are among what is gathered.
        prior_2K1: what is added to each.
        to: the rows of the values.
    """

    from_2K: Positions
    prior_2K1: Floats
    to: slice

    @classmethod
    def of(cls, means: Sequence[Aggregate], row: Mapping[tuple[Aggregate, int], int], to: slice) -> _Quotients:
        """Return how *means* are computed whose slots are gathered into *row*."""
        from_2K = np.array([[row[mean, number] for mean in means] for number in range(2)], np.intp)
        added_K2 = [(m.prior.weight, m.prior.mean * m.prior.weight) if m.prior else (0, 0) for m in means]
        return cls(from_2K, np.array(added_K2, np.float64).T[:, :, None], to)

    def fill(self, value_CN: Floats) -> None:
        """Compute the values from what was gathered."""
        count_KN, sum_KN = value_CN.take(self.from_2K, axis=0) + self.prior_2K1
        mean_KN = value_CN[self.to]
        mean_KN.fill(np.nan)
        np.divide(sum_KN, count_KN, out=mean_KN, where=count_KN > 0)


class RequestAggregates:
    """The values of some aggregates for each item of a request.

    Args:
        plan: the plan.
        aggregates: which; not those by attributes that have several values.

    Attributes:
        order: the row of each in what `values` returns.
        rows: how many rows that has, beside those to spare.
    """

    def __init__(self, plan: Plan, aggregates: Iterable[Aggregate]) -> None:
        held = list(dict.fromkeys(aggregates))
        self._widths = [read.record.width for read in plan.reads]
        self._slots = _slots(plan, held)
        self._grouped = _grouped(plan, self._slots)
        row = {(slot.aggregate, slot.number): at for at, slot in enumerate(self._slots)}
        self.order = {aggregate: row[aggregate, 0] for aggregate in held if is_first_slot(aggregate)}
        self._alike: list[_Alike] = []
        self.rows = len(row)
        means = [aggregate for aggregate in held if _is_mean(aggregate)]
        self._means = _Quotients.of(means, row, slice(self.rows, self.rows + len(means))) if means else None
        self.order |= {mean: self.rows + at for at, mean in enumerate(means)}
        self.rows += len(means)
        for rule, its in _by_rule(held).items():
            numbers = range(len(slots_of(rule)))
            from_SK = np.array([[row[aggregate, number] for aggregate in its] for number in numbers], np.intp)
            self._alike.append(_Alike(rule, from_SK, slice(self.rows, self.rows + len(its))))
            self.order |= {aggregate: self.rows + at for at, aggregate in enumerate(its)}
            self.rows += len(its)
        self._known: dict[tuple[int, ...], Positions] = {}

    def values(self, states: Sequence[Floats], items: int, at: int, spare: int = 0) -> Floats:
        """Return ``value_CN``, in which `order` says where each aggregate stands, the last *spare* rows not filled.

        Args:
            states: for each read of the plan, its rows, [1, W] or [N, W].
            items: N.
            at: the time of the request, microseconds since the Unix epoch.
        """
        value_CN = np.empty((self.rows + spare, items))
        if not states:
            return value_CN
        place_TN = self._places(tuple(map(len, states)), items)
        nowhere = [grouped.move(states, place_TN) for grouped in self._grouped]
        numbers = np.concatenate([state_NW.ravel() for state_NW in states])
        numbers.take(place_TN, out=value_CN[: len(place_TN)], mode="clip")  # "raise" would copy once more
        for grouped, none_N in zip(self._grouped, nowhere, strict=True):
            if none_N is not None:
                np.copyto(value_CN[grouped.rows], grouped.empty_G1, where=none_N)
        if self._means is not None:
            self._means.fill(value_CN)
        for alike in self._alike:
            slots_SKN = value_CN.take(alike.from_SK, axis=0)
            slots_MS = slots_SKN.reshape(len(alike.from_SK), -1).T
            value_CN[alike.to] = finish(alike.rule, slots_MS, at).reshape(-1, items)
        return value_CN

    def _places(self, sizes: tuple[int, ...], items: int) -> Positions:
        """Return where each slot of each item stands among the numbers of all rows, in the first group."""
        shape = (*sizes, items)
        place_TN = self._known.get(shape)  # most requests come with as many items as one before
        if place_TN is None:
            begins = np.cumsum([0, *(size * width for size, width in zip(sizes, self._widths, strict=True))])
            place_TN = np.empty((len(self._slots), items), np.intp)
            for place_N, slot in zip(place_TN, self._slots, strict=True):
                stride = self._widths[slot.read] if sizes[slot.read] > 1 else 0
                place_N[:] = begins[slot.read] + slot.start + stride * np.arange(items)
            if len(self._known) == _SHAPES:
                self._known.clear()
            self._known[shape] = place_TN
        return place_TN.copy() if self._grouped else place_TN


def _slots(plan: Plan, aggregates: Iterable[Aggregate]) -> list[_Slot]:
    """Return the slots of aggregates, those in groups behind the others, those of one attribute side by side."""
    found = []
    for aggregate in aggregates:
        read, slots = plan.place(aggregate)
        step = len(slots_of(aggregate))
        found += [_Slot(aggregate, n, read, slots.start + n, step, aggregate.attribute) for n in range(step)]
    return sorted(found, key=lambda slot: slot.attribute.name if slot.attribute else "")


def _grouped(plan: Plan, slots: Sequence[_Slot]) -> list[_Grouped]:
    found = []
    for attribute in dict.fromkeys(slot.attribute for slot in slots):
        if attribute is None:
            continue
        rows = [at for at, slot in enumerate(slots) if slot.attribute == attribute]
        its = [slots[at] for at in rows]
        read, held = plan.attribute_place(attribute)
        step_G1 = np.array([[slot.step] for slot in its], np.intp)
        empty_G1 = np.array([[empty_of(slot.aggregate)[slot.number]] for slot in its])
        found.append(_Grouped(slice(rows[0], rows[-1] + 1), (read, held.start), step_G1, empty_G1))
    return found


def _by_rule(aggregates: Iterable[Aggregate]) -> dict[Aggregate, list[Aggregate]]:
    """Return the aggregates that are more than their first slot, means apart, by what finishes them."""
    found: dict[Aggregate, list[Aggregate]] = {}
    for aggregate in aggregates:
        if not is_first_slot(aggregate) and not _is_mean(aggregate):
            found.setdefault(_rule(aggregate), []).append(aggregate)
    return found


def _is_mean(aggregate: Aggregate) -> bool:
    """Return whether it is its second slot over its first; `finish` says the same of one."""
    return aggregate.function in ("mean", "decayed_mean") and not aggregate.time_to_live


def _rule(aggregate: Aggregate) -> Aggregate:
    """Return an aggregate that finishes its slots alike: the same but for what is aggregated over which events."""
    whole = slots_of(aggregate)[0] == "high"
    value = aggregate.value if whole or aggregate.function == "sum" else None
    return replace(aggregate, value=value, denominator=None, keys=(), reads=(), window=LIFETIME, condition=None)
