"""One plan for every engine: which aggregates a system needs, and where each one's state lives.

State is kept in one record an entity (and one for each pair, and one for everything): a row of float64 slots. A record
starts with its watermark (the time of its latest event, microseconds); then come the entity's attributes; then the
aggregates, each with its slots, repeated for every declared value when the aggregate is keyed by an attribute too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from orita.features.declarations import (
    Aggregate,
    Attribute,
    AttributeAge,
    Decay,
    Entity,
    Expression,
    Residual,
)
from orita.features.meaning import identity
from orita.features.system import System

__all__ = ["SLOTS", "AggregateSlots", "AttributeSlots", "Plan", "Record", "plan_of"]

SLOTS: dict[str, tuple[str, ...]] = {
    "count": ("n",),
    "mean": ("n", "sum"),
    "sum": ("n", "sum"),
    "last_time": ("last",),
    "first_time": ("first",),
    "distinct_days": ("days",),
}
"""The numbers from which each aggregate is computed."""


@dataclass(frozen=True, slots=True)
class AttributeSlots:
    """Where an attribute stands in its entity's record: one slot, or one a value where there are many."""

    attribute: Attribute
    start: int
    width: int


@dataclass(frozen=True, slots=True)
class AggregateSlots:
    """Where an aggregate stands: ``groups`` × ``len(SLOTS[function])`` slots from ``start``, groups first."""

    name: str
    aggregate: Aggregate
    start: int
    groups: int

    @property
    def width(self) -> int:
        """Slots in all."""
        return self.groups * len(SLOTS[self.aggregate.function])


@dataclass(frozen=True, slots=True)
class Record:
    """The state of one kind of key: no entity, one, or a pair."""

    entities: tuple[Entity, ...]
    attributes: tuple[AttributeSlots, ...]
    aggregates: tuple[AggregateSlots, ...]

    @property
    def width(self) -> int:
        """Number of float64 slots, the watermark included."""
        return 1 + sum(a.width for a in self.attributes) + sum(a.width for a in self.aggregates)

    @property
    def name(self) -> str:
        """Names of the entities, joined; ``all`` without any."""
        return "_".join(entity.name for entity in self.entities) or "all"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the engines carry out.

    Attributes:
        system: the declarations.
        aggregates: every aggregate once, those that residuals need first; the position names it (``a0``, ``a1``, …).
        residuals: every residual once; the position names it (``r0``, …).
        records: the kinds of state.
    """

    system: System
    aggregates: tuple[Aggregate, ...]
    residuals: tuple[Residual, ...]
    records: tuple[Record, ...]

    def name(self, aggregate: Aggregate) -> str:
        """Return the name of an aggregate's column."""
        return f"a{self.aggregates.index(aggregate)}"

    def residual(self, residual: Residual) -> str:
        """Return the name of a residual's column."""
        return f"r{self.residuals.index(residual)}"

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """Every attribute that a feature or a key needs."""
        return tuple(slots.attribute for record in self.records for slots in record.attributes)

    @property
    def version(self) -> str:
        """A digest of the layout of state: stores written for another version are not read."""
        content = repr([
            (record.name, record.width, [(a.attribute.name, a.attribute.values) for a in record.attributes],
             [identity(a.aggregate) for a in record.aggregates])
            for record in self.records
        ])  # fmt: skip
        return hashlib.sha256(content.encode()).hexdigest()[:12]


def plan_of(system: System) -> Plan:
    """Return the plan of *system*."""
    aggregates: list[Aggregate] = []
    attributes: list[Attribute] = []
    for expression in system.declared.values():
        for aggregate in _needed(expression):
            if aggregate not in aggregates:
                aggregates.append(aggregate)
        attributes.extend(_attributes(expression))
    aggregates.sort(key=lambda a: isinstance(a.value, Residual))
    attributes.extend(a.attribute for a in aggregates if a.attribute)
    unique = tuple({attribute.name: attribute for attribute in attributes}.values())
    residuals = tuple({id(a.value): a.value for a in aggregates if isinstance(a.value, Residual)}.values())
    plan_aggregates = tuple(aggregates)
    distinct = tuple(residual for i, residual in enumerate(residuals) if residual not in residuals[:i])
    kinds = ((), (system.user,), (system.item,), (system.user, system.item))
    records = tuple(_record(kind, plan_aggregates, unique, system) for kind in kinds)
    return Plan(system, plan_aggregates, distinct, tuple(r for r in records if r.attributes or r.aggregates))


def _record(
    kind: tuple[Entity, ...],
    aggregates: tuple[Aggregate, ...],
    attributes: tuple[Attribute, ...],
    system: System,
) -> Record:
    at = 1
    placed: list[AttributeSlots] = []
    for attribute in attributes:
        if kind == (attribute.entity,):
            placed.append(AttributeSlots(attribute, at, len(attribute.values) if attribute.many else 1))
            at += placed[-1].width
    states: list[AggregateSlots] = []
    for position, aggregate in enumerate(aggregates):
        order = tuple(entity for entity in (system.user, system.item) if entity in aggregate.entities)
        if order == kind:
            groups = len(aggregate.attribute.values) if aggregate.attribute else 1
            states.append(AggregateSlots(f"a{position}", aggregate, at, groups))
            at += states[-1].width
    return Record(kind, tuple(placed), tuple(states))


def _needed(expression: Expression) -> list[Aggregate]:
    match expression:
        case Aggregate(value=Residual() as residual):
            return [residual.expected, expression]
        case Aggregate():
            return [expression]
        case Decay():
            return [expression.last]
        case AttributeAge() if expression.otherwise:
            return [expression.otherwise]
        case _:
            return []


def _attributes(expression: Expression) -> list[Attribute]:
    match expression:
        case Attribute():
            return [expression]
        case AttributeAge():
            return [expression.attribute]
        case _:
            return []
