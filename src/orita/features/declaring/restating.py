"""An expression of another time on the declarations of now: sources and entities of one name and meaning are one.

A kept version of a feature holds its source and entities as they were declared then. Engines tell sources apart by what
is declared of them, down to a description, so that a version is computed beside the features of now on theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

from orita.core.errors import UserError
from orita.events.schema import Column, TableSchema
from orita.features.declarations import (
    Aggregate,
    Attribute,
    AttributeAge,
    ContextColumn,
    Decay,
    Derived,
    Elapsed,
    Entity,
    EventColumn,
    Expression,
    OneHot,
    Residual,
    Source,
)
from orita.features.declaring.conditions import columns_of
from orita.features.declaring.meaning import meaning
from orita.features.declaring.parts import aggregates_in, attributes_in, entities_in

__all__ = ["Declarations"]

_PARTS: dict[type, tuple[str, ...]] = {
    Aggregate: ("source", "value", "denominator", "keys", "reads"),
    AttributeAge: ("attribute", "otherwise"),
    Decay: ("last",),
    Derived: ("inputs",),
    Elapsed: ("since",),
    OneHot: ("of",),
    Residual: ("column", "expected"),
}
"""Which parts of an expression name sources and entities."""


@dataclass(frozen=True, slots=True)
class Declarations:
    """The sources and entities of a system, by name.

    Attributes:
        rows: the name of the source of whose events rows are made.
    """

    rows: str
    sources: dict[str, Source]
    entities: dict[str, Entity]

    @classmethod
    def of(cls, rows: Source, entities: Iterable[Entity], expressions: Iterable[Expression]) -> Declarations:
        """Return what *expressions* read beside the source of rows and their *entities*."""
        found = cls(rows.name, {rows.name: rows}, {entity.name: entity for entity in entities})
        for expression in expressions:
            found._meet(expression)
        return found

    def restated(self, expression: Expression) -> Expression:
        """Return *expression* on these declarations, with the meaning that it has; what they lack becomes theirs.

        Raises:
            UserError: here it would mean something else; the sentence says why.
        """
        made = cast("Expression", self._now(expression))
        same = meaning(made) == meaning(expression)
        for before, after in zip(aggregates_in(expression), aggregates_in(made), strict=True):
            for name in columns_of(after.condition):
                now = _column(after.source.schema, name)
                same = same and now.type == before.source.schema.column(name).type
        if not same:
            raise UserError("the key, the times, or the type or choices of a column that it reads are others now.")
        self._meet(expression)
        return made

    def then(self, expression: Expression) -> Declarations:
        """Return these declarations with what *expression* reads as it has it."""
        sources, entities = dict(self.sources), dict(self.entities)
        for aggregate in aggregates_in(expression):
            source = aggregate.source
            now = sources.get(source.name, source).schema.columns
            columns = _merged(now, source.schema.columns, _values(aggregate))
            sources[source.name] = replace(source, schema=replace(source.schema, columns=columns))
        for entity in _entities(expression):
            beside = entities.get(entity.name, entity)
            read = {each.column.name for each in attributes_in(expression) if each.entity == entity}
            columns = _merged(beside.attributes, entity.attributes, read)
            entities[entity.name] = replace(entity, table=entity.table or beside.table, attributes=columns)
        return Declarations(self.rows, sources, entities)

    def _meet(self, expression: Expression) -> None:
        for aggregate in aggregates_in(expression):
            self.sources.setdefault(aggregate.source.name, aggregate.source)
        for entity in _entities(expression):
            self.entities.setdefault(entity.name, entity)

    def _now(self, value: Any) -> Any:
        """Return *value*, a part of an expression, on these declarations."""
        match value:
            case Source():
                return self._source(value)
            case Entity():
                return self.entities.get(value.name, value)
            case EventColumn():
                source = self._source(value.source)
                return EventColumn(source, _column(source.schema, value.column.name))
            case ContextColumn():  # its values are numbered as it says itself
                _column(self.sources[self.rows].schema, value.column.name)
                return value
            case Attribute():
                return self._attribute(value)
            case tuple():
                return tuple(self._now(each) for each in value)
            case _:
                parts = _PARTS.get(type(value), ())
                return replace(value, **{part: self._now(getattr(value, part)) for part in parts}) if parts else value

    def _source(self, source: Source) -> Source:
        now = self.sources.get(source.name, source)
        if now.delay_micros != source.delay_micros:
            raise UserError(f"source {source.name!r} had delay={source.delay!r} then and has {now.delay!r} now.")
        return now

    def _attribute(self, attribute: Attribute) -> Attribute:
        entity = self.entities.get(attribute.entity.name, attribute.entity)
        for column in entity.attributes:
            if column.name == attribute.column.name:
                return Attribute(entity, column)
        raise UserError(f"entity {entity.name!r} has no attribute {attribute.column.name!r} any more.")


def _entities(expression: Expression) -> Iterable[Entity]:
    """Return the entities that *expression* is grouped by, looked up by, or takes attributes of."""
    grouped = [entity for aggregate in aggregates_in(expression) for entity in aggregate.entities]
    return dict.fromkeys((*entities_in(expression), *grouped, *(a.entity for a in attributes_in(expression))))


def _values(aggregate: Aggregate) -> set[str]:
    """Return the columns of whose values *aggregate* is made."""
    value = aggregate.value.column if isinstance(aggregate.value, Residual) else aggregate.value
    return {each.column.name for each in (value, aggregate.denominator) if each is not None}


def _merged(now: Iterable[Column], then: Iterable[Column], read: set[str]) -> tuple[Column, ...]:
    """Return the columns of both times: those that are *read* as they were then, the others as they are now."""
    found = {column.name: column for column in then}
    return tuple((found | {column.name: column for column in now if column.name not in read}).values())


def _column(schema: TableSchema, name: str) -> Column:
    for column in schema.columns:
        if column.name == name:
            return column
    raise UserError(f"source {schema.name!r} has no column {name!r} any more.")
