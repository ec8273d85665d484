"""One plan for every engine: which aggregates a system needs, and where each one's state lives.

State is kept in one record for each source and combination of entities by which its events are grouped: a row of
float64 slots. A record starts with its watermark (the time of its latest event, microseconds) and the time until which
it holds; then come the attributes of its entity; then the aggregates, each with its slots, repeated for every declared
value when the aggregate is keyed by an attribute too. A row reads a record by the ids of its own entities, the same
record twice where they play two roles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from orita.features.declarations import (
    Aggregate,
    Attribute,
    Entity,
    Expression,
    Residual,
    Source,
)
from orita.features.declaring.columns import feature_columns
from orita.features.declaring.meaning import identity
from orita.features.declaring.parts import aggregates_in, attributes_in
from orita.features.slots import slots_of
from orita.features.system import System

__all__ = ["AggregateSlots", "AttributeSlots", "Plan", "Read", "Record", "plan_of"]


@dataclass(frozen=True, slots=True)
class AttributeSlots:
    """Where an attribute stands in its entity's record: one slot, or one a value where there are many."""

    attribute: Attribute
    start: int
    width: int


@dataclass(frozen=True, slots=True)
class AggregateSlots:
    """Where an aggregate stands: ``groups`` × ``len(slots_of(aggregate))`` slots from ``start``, groups first.

    Attributes:
        aggregate: one of those that differ only in how rows look them up.
    """

    name: str
    aggregate: Aggregate
    start: int
    groups: int

    @property
    def width(self) -> int:
        """Slots in all."""
        return self.groups * len(slots_of(self.aggregate))


@dataclass(frozen=True, slots=True)
class Record:
    """The state of one kind of key: no entity, one, or several."""

    source: Source
    entities: tuple[Entity, ...]
    attributes: tuple[AttributeSlots, ...]
    aggregates: tuple[AggregateSlots, ...]
    name: str
    width: int = field(init=False, compare=False)
    """Number of float64 slots, the two times included."""

    def __post_init__(self) -> None:
        width = 2 + sum(a.width for a in self.attributes) + sum(a.width for a in self.aggregates)
        object.__setattr__(self, "width", width)


@dataclass(frozen=True, slots=True)
class Read:
    """A record as rows look it up: by the ids of *entities*, one for each of the record's, of the same kinds."""

    record: Record
    entities: tuple[Entity, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the engines carry out.

    Attributes:
        system: the declarations.
        aggregates: every aggregate once, those that residuals need first; the position names it (``a0``, ``a1``, …).
        residuals: every residual once; the position names it (``r0``, …).
        records: the kinds of state.
        reads: every record with every combination of entities by which rows look it up.
    """

    system: System
    aggregates: tuple[Aggregate, ...]
    residuals: tuple[Residual, ...]
    records: tuple[Record, ...]
    reads: tuple[Read, ...]

    def name(self, aggregate: Aggregate) -> str:
        """Return the name of an aggregate's column."""
        return f"a{self.aggregates.index(aggregate)}"

    def residual(self, residual: Residual) -> str:
        """Return the name of a residual's column."""
        return f"r{self.residuals.index(residual)}"

    def place(self, aggregate: Aggregate) -> tuple[int, AggregateSlots]:
        """Return the position among `reads` at which *aggregate* is read, and its slots there."""
        wanted = _looked_up(aggregate, self.system)
        held = [
            (position, slots)
            for position, read in enumerate(self.reads)
            if read.record.source == aggregate.source and read.entities == wanted
            for slots in read.record.aggregates
        ]
        for place in held:  # first what is quick to compare
            if place[1].aggregate == aggregate:
                return place
        state = _state(aggregate)
        for place in held:
            if _state(place[1].aggregate) == state:
                return place
        raise AssertionError(f"aggregate {aggregate!r} has no place in the plan.")

    def attribute_place(self, attribute: Attribute) -> tuple[int, AttributeSlots]:
        """Return the position among `reads` at which *attribute* is read, and its slots there."""
        for position, read in enumerate(self.reads):
            if read.entities == (attribute.entity,):
                for slots in read.record.attributes:
                    if slots.attribute.column == attribute.column:
                        return position, slots
        raise AssertionError(f"attribute {attribute.name!r} has no place in the plan.")

    def narrowed(self, names: Iterable[str]) -> Plan:
        """Return the plan of those features that make the columns *names*, and of nothing else."""
        system, wanted = self.system, set(names)

        def read(name: str, expression: Expression) -> bool:
            return any(c.name in wanted for c in feature_columns(name, expression, system.user, system.item))

        declared = {name: expression for name, expression in system.declared.items() if read(name, expression)}
        earlier = {name: expression for name, expression in system.earlier.items() if read(name, expression)}
        return plan_of(replace(system, declared=declared, earlier=earlier))

    @property
    def entities(self) -> tuple[Entity, ...]:
        """Every entity by which rows look something up, once."""
        return tuple(dict.fromkeys(entity for read in self.reads for entity in read.entities))

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """Every attribute that a feature or a key needs, as the row's or the event's entity has it."""
        return _attributes(self.system.kept.values())

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
    needed = [aggregate for expression in system.kept.values() for aggregate in aggregates_in(expression)]
    unique = list(dict.fromkeys(needed))
    unique.sort(key=lambda a: isinstance(a.value, Residual))
    aggregates = tuple(unique)
    residuals = tuple(dict.fromkeys(a.value for a in aggregates if isinstance(a.value, Residual)))
    attributes = _attributes(system.kept.values())
    records = _records(system, aggregates, attributes)
    return Plan(system, aggregates, residuals, records, _reads(system, aggregates, attributes, records))


def _records(
    system: System, aggregates: tuple[Aggregate, ...], attributes: tuple[Attribute, ...]
) -> tuple[Record, ...]:
    """Return a record for each source and combination of entities, the system's own first."""
    kinds: dict[tuple[str, tuple[Entity, ...]], list[Aggregate]] = {}
    home = {_owner(attribute.entity, system).kind: _owner(attribute.entity, system) for attribute in attributes}
    for aggregate in aggregates:
        kinds.setdefault((aggregate.source.name, _grouped(aggregate, system)), []).append(aggregate)
    for entity in home.values():
        kinds.setdefault((system.source.name, (entity,)), [])
    sources = {aggregate.source.name: aggregate.source for aggregate in aggregates} | {
        system.source.name: system.source
    }
    made = []
    for (source, entities), alike in sorted(kinds.items(), key=lambda kind: _rank(kind[0], system)):
        held = [a for a in attributes if source == system.source.name and entities == (home.get(a.entity.kind),)]
        made.append(_record(sources[source], entities, held, alike, aggregates, system))
    return tuple(made)


def _record(
    source: Source,
    entities: tuple[Entity, ...],
    attributes: Iterable[Attribute],
    alike: Iterable[Aggregate],
    aggregates: tuple[Aggregate, ...],
    system: System,
) -> Record:
    at = 2
    placed: dict[str, AttributeSlots] = {}
    for attribute in attributes:
        if attribute.column.name not in placed:
            slots = AttributeSlots(attribute, at, len(attribute.values) if attribute.many else 1)
            placed[attribute.column.name] = slots
            at += slots.width
    states: dict[object, AggregateSlots] = {}
    for aggregate in alike:
        if _state(aggregate) not in states:
            groups = len(aggregate.attribute.values) if aggregate.attribute else 1
            state = AggregateSlots(f"a{aggregates.index(aggregate)}", aggregate, at, groups)
            states[_state(aggregate)] = state
            at += state.width
    name = "_".join(entity.name for entity in entities) or "all"
    name = name if source == system.source else f"{source.name}:{name}"
    return Record(source, entities, tuple(placed.values()), tuple(states.values()), name)


def _reads(
    system: System, aggregates: tuple[Aggregate, ...], attributes: tuple[Attribute, ...], records: tuple[Record, ...]
) -> tuple[Read, ...]:
    by_kind = {(record.source.name, record.entities): record for record in records}
    reads: dict[tuple[str, tuple[Entity, ...]], Read] = {}
    for record in records:
        if record.attributes:
            for attribute in attributes:
                if attribute.entity.kind == record.entities[0].kind:
                    reads.setdefault((record.name, (attribute.entity,)), Read(record, (attribute.entity,)))
    for aggregate in aggregates:
        record = by_kind[aggregate.source.name, _grouped(aggregate, system)]
        entities = _looked_up(aggregate, system)
        reads.setdefault((record.name, entities), Read(record, entities))
    order = {record.name: position for position, record in enumerate(records)}
    return tuple(sorted(reads.values(), key=lambda read: order[read.record.name]))


def _owner(entity: Entity, system: System) -> Entity:
    """Return the entity in whose record the attributes of *entity* stand: for a role, that which it is a role of."""
    for known in (system.user, system.item):
        if known.kind == entity.kind:
            return known
    return entity


def _position(entity: Entity, system: System) -> tuple[int, str]:
    return (0, "") if entity == system.user else (1, "") if entity == system.item else (2, entity.name)


def _grouped(aggregate: Aggregate, system: System) -> tuple[Entity, ...]:
    """Return the entities by which events are grouped: user, item, then the others by name."""
    return tuple(sorted(aggregate.entities, key=lambda entity: _position(entity, system)))


def _looked_up(aggregate: Aggregate, system: System) -> tuple[Entity, ...]:
    """Return the entities by which rows look it up, in the order of `_grouped`."""
    pairs = zip(aggregate.entities, aggregate.looked_up, strict=True)
    return tuple(read for _, read in sorted(pairs, key=lambda pair: _position(pair[0], system)))


def _rank(kind: tuple[str, tuple[Entity, ...]], system: System) -> tuple[object, ...]:
    source, entities = kind
    return source != system.source.name, source, len(entities), [_position(entity, system) for entity in entities]


def _state(aggregate: Aggregate) -> tuple[object, ...]:
    """Return what the state of an aggregate depends on: all but how rows look it up and what is made of it."""
    told = identity(aggregate)
    entities = tuple(sorted(entity.name for entity in aggregate.entities))
    return told[:6] + told[7:9] + (told[10] > 0, entities)  # type: ignore[operator]


def _attributes(expressions: Iterable[Expression]) -> tuple[Attribute, ...]:
    found = (attribute for expression in expressions for attribute in attributes_in(expression))
    return tuple({attribute.name: attribute for attribute in found}.values())
