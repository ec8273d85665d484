"""A naive engine: every feature from its meaning (docs/features.md), one row and one event at a time, in plain Python.

It reads the declarations and nothing of the engines that it judges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import isnan, nan
from typing import Any, Literal

import numpy as np
from tests.features.oracle_events import Event, known_of, rank_of, time_of, unique_events
from tests.features.oracle_values import DAY, SLACK, Value, exact, summarize
from tests.features.oracle_windows import holds, let_through

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
    HourOfDay,
    OneHot,
    Residual,
    Source,
    WeekDay,
)
from orita.features.system import System

__all__ = ["Oracle"]

HOUR = 3_600_000_000


@dataclass
class Oracle:
    """Computes features of a system.

    Attributes:
        system: the declarations.
        events: by source name, in the order of their arrival: columns by name, times in microseconds.
        tables: by table name and id, the attributes of entities.
        as_of: ``known``: an event counts once it is known; ``event``: from its own time on.
    """

    system: System
    events: Mapping[str, Sequence[Event]]
    tables: Mapping[str, Mapping[Any, Mapping[str, Any]]] = field(default_factory=dict)
    as_of: Literal["known", "event"] = "known"

    def __post_init__(self) -> None:
        self._unique: dict[str, list[Event]] = {}
        self._earlier: dict[object, tuple[Event, list[Event]]] = {}  # with its row, so that no other takes its id

    def row(self, row: Event, at: int) -> dict[str, Value]:
        """Return every feature column as of *at* of a row: the keys and the request's columns by name."""
        values: dict[str, Value] = {}
        for name, expression in self.system.declared.items():
            values |= self._expression(name, expression, row, at)
        return values

    def unique(self, source: Source) -> list[Event]:
        """Return the events of *source*, each id once."""
        if source.name not in self._unique:
            self._unique[source.name] = unique_events(source, self.events.get(source.name, ()))
        return self._unique[source.name]

    def _expression(self, name: str, expression: Expression, row: Event, at: int) -> dict[str, Value]:
        match expression:
            case OneHot(of=ContextColumn(column=column)):
                given = row.get(column.name)
                return {f"{name}_{value}": exact(given == value) for value in expression.values}
            case OneHot(of=of):
                code, choices = self._number(of, row, at).value, _choices(of)
                numbers = {v: choices.index(v) if v in choices else v for v in expression.values}
                return {f"{name}_{value}": exact(code == number) for value, number in numbers.items()}
            case Attribute() if expression.many:
                codes = self._codes(expression, expression.entity.columns, row)
                return {f"{name}_{value}": exact(i in codes) for i, value in enumerate(expression.values)}
            case _:
                return {name: self._number(expression, row, at)}

    def _number(self, expression: Expression, row: Event, at: int) -> Value:
        match expression:
            case Aggregate():
                return self._aggregate(expression, row, at)
            case Decay():
                age = at - self._aggregate(expression.last, row, at).value
                halves = age / expression.half_life
                return exact(0) if isnan(age) else Value(0.5**halves, SLACK * 0.5**halves * (1 + halves))
            case Elapsed():
                return _days(at - self._aggregate(expression.since, row, at).value)
            case AttributeAge():
                attribute = expression.attribute
                since = self._codes(attribute, attribute.entity.columns, row) or [nan]
                if isnan(since[0]) and expression.otherwise:
                    since = [self._aggregate(expression.otherwise, row, at).value]
                return _days(nan if isnan(since[0]) else max(at - since[0], 0))
            case HourOfDay():
                return exact(at // HOUR % 24)
            case WeekDay():
                return exact((at // DAY + 3) % 7)
            case Attribute():
                return exact(*(self._codes(expression, expression.entity.columns, row) or [nan]))
            case ContextColumn(column=column):
                given = row.get(column.name)
                if column.type == "category":
                    return exact(column.choices.index(given) if given in column.choices else nan)
                return exact(nan if given is None else given)
            case Derived():
                return _derived(expression, [self._number(each, row, at) for each in expression.inputs])
            case _:
                raise AssertionError(f"{expression!r} is several columns.")

    def _aggregate(self, aggregate: Aggregate, row: Event, at: int) -> Value:
        source = aggregate.source
        earlier = [e for e in self._of_key(aggregate, row, at) if holds(aggregate.condition, source, e)]
        seen = let_through(aggregate.window, [time_of(source, event) for event in earlier], at)
        kept = [earlier[i] for i in seen]
        return summarize(aggregate, [(event, self._value(aggregate, event)) for event in kept], at)

    def _of_key(self, aggregate: Aggregate, row: Event, at: int) -> list[Event]:
        """Return the events of the row's keys that were and were known before *at*, in order."""
        asked = (aggregate.source.name, aggregate.keys, aggregate.looked_up, id(row), at)
        if asked not in self._earlier:
            source = aggregate.source
            earlier: list[Event] = []
            for event in self.unique(source):
                known = self.as_of == "event" or known_of(source, event) <= at
                if known and time_of(source, event) < at:
                    earlier += [event] * self._shared(aggregate, event, row)
            self._earlier[asked] = row, sorted(earlier, key=lambda event: rank_of(source, event))
        return self._earlier[asked][1]

    def _shared(self, aggregate: Aggregate, event: Event, row: Event) -> int:
        """Return how many times *event* counts for *row*: once a shared value of the attribute, 0 if a key differs."""
        for entity, looked_up in zip(aggregate.entities, aggregate.looked_up, strict=True):
            its = [event.get(column) for column in _columns(aggregate, entity)]
            if None in its or its != [row.get(column) for column in looked_up.columns]:
                return 0
        attribute = aggregate.attribute
        if attribute is None:
            return 1
        codes = self._codes(attribute, _columns(aggregate, attribute.entity), event)
        return len(set(codes) & set(self._codes(attribute, attribute.entity.columns, row)))

    def _value(self, aggregate: Aggregate, event: Event) -> Value:
        match aggregate.value:
            case None:
                return exact(nan)
            case Residual(column=column, expected=expected):
                given = event.get(column.column.name)
                if given is None or isnan(given):
                    return exact(nan)
                renamed = {c: event.get(r) for e in expected.looked_up
                           for c, r in zip(e.columns, _columns(expected, e), strict=True)}  # fmt: skip
                mean = self._aggregate(expected, {**event, **renamed}, time_of(aggregate.source, event))
                return Value(given - mean.value, mean.slack)
            case column:
                return exact(_plain(column.column.type == "category", column.column.choices, event, column.column.name))

    def _codes(self, attribute: Attribute, columns: tuple[str, ...], row: Event) -> list[float]:
        """Return the values of an attribute as numbers: codes of categories, microseconds of times."""
        known = self.tables.get(attribute.entity.table or "", {}).get(row.get(columns[0]), {})
        value = known.get(attribute.column.name)
        if value is None:
            return []
        if attribute.many:
            return sorted({float(attribute.values.index(v)) for v in value if v in attribute.values})
        if attribute.categorical:
            return [float(attribute.values.index(value))] if value in attribute.values else []
        return [float(value)]


def _columns(aggregate: Aggregate, entity: Entity) -> tuple[str, ...]:
    """Return the columns of the aggregate's events that hold the id of *entity*."""
    return tuple(aggregate.source.renamed.get(column, column) for column in entity.columns)


def _plain(category: bool, choices: Sequence[str], event: Event, name: str) -> Any:
    """Return a column of an event: the number of a category, anything else as it is; NaN where it is missing."""
    given = event.get(name)
    if category and choices:
        return choices.index(given) if given in choices else nan
    return nan if given is None else given


def _choices(expression: Expression) -> Sequence[Any]:
    """Return the declared values of a category, none where it is a whole number."""
    match expression:
        case Attribute():
            return expression.values
        case Aggregate(value=EventColumn(column=column)):
            return column.choices
        case _:
            return ()


def _days(micros: float) -> Value:
    return Value(micros / DAY, SLACK * abs(micros / DAY))


def _derived(expression: Derived, inputs: Sequence[Value]) -> Value:
    """Return what a transform makes of the values, and how far it moves when they move by their slack."""

    def apply(values: Sequence[float]) -> float:
        return float(expression.transform.apply(*(np.array([value], np.float64) for value in values))[0])

    value = apply([each.value for each in inputs])
    corners = product(*((each.value - each.slack, each.value + each.slack) for each in inputs))
    moved = [abs(apply(corner) - value) for corner in corners]
    return Value(value, max([0.0, *(m for m in moved if not isnan(m))]) + SLACK * abs(value))
